"""The fast batch normalization gives what Keras' gives: outputs, every gradient, and the moving statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps import distribution
from kerasapps.blocks.normalization import BatchNormalization

rng = np.random.default_rng(0)
SHAPE = (6, 5, 4, 3)


def images(*shape):
    """Float32 whose channels differ in mean and spread."""
    return (rng.normal(size=shape or SHAPE) * [0.5, 1, 4] + [-3, 0, 10]).astype("float32")


def pair(shape=SHAPE, **options):
    """Our layer and Keras' with the same weights, none of them as it starts."""
    ours, theirs = (kind(**options) for kind in (BatchNormalization, keras.layers.BatchNormalization))
    for layer in (ours, theirs):
        layer.build(shape)
    theirs.set_weights([rng.uniform(0.5, 2, size=w.shape) for w in theirs.weights])
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def results(layer, x, *, graph=False, **call):
    """The output, its gradients to input and weights, and the moving statistics afterwards."""
    weights = [w.value for w in layer.trainable_variables]

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **call)
            weigh = tf.reshape(tf.cos(tf.range(tf.size(y), dtype=tf.float32)), tf.shape(y))
            loss = tf.reduce_sum(weigh * tf.cast(y, tf.float32))
        return [y, *tape.gradient(loss, [x, *weights])]

    if graph:
        run = tf.function(run, input_signature=[tf.TensorSpec((None, None, None, 3))])
    moving = [w for w in layer.weights if w.name.startswith("moving")]
    return [np.asarray(tf.cast(v, tf.float32)) for v in run(tf.constant(x))] + [np.asarray(w) for w in moving]


def check(layers, x, **call):
    got, expected = (results(layer, x, **call) for layer in layers)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert np.isfinite(b).all()
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1, np.abs(b).max()))


def uses_the_fast_operation(layer, shape=SHAPE, dtype="float32", **call):
    function = tf.function(lambda x: layer(x, **call)).get_concrete_function(tf.TensorSpec(shape, dtype))
    return any(operation.type == "FusedBatchNormV3" for operation in function.graph.get_operations())


# --- equal to Keras


@pytest.mark.parametrize("training", [True, False, None])
@pytest.mark.parametrize("graph", [True, False])
def test_equals_keras(training, graph):
    layers = pair(momentum=0.8, epsilon=1e-5)
    assert uses_the_fast_operation(layers[0], training=training)
    layers = pair(momentum=0.8, epsilon=1e-5)
    check(layers, images(), training=training, graph=graph)


@pytest.mark.parametrize("shape", [(1, 1, 2, 3), (2, 1, 1, 3), (1, 7, 1, 3), (1, 1, 1, 3)])
def test_few_values_a_channel(shape):
    # Here the variance of all images, which the operation estimates, is far from that of the batch. With a smaller
    # epsilon the gradient of two values would be nothing but rounding.
    check(pair(shape, momentum=0.5, epsilon=0.1), images(*shape), training=True)


def test_the_moving_variance_is_that_of_the_batch():
    layer, x = BatchNormalization(momentum=0.0), images(2, 1, 1, 3)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, x.var((0, 1, 2)), rtol=1e-5)


def test_batches_of_any_size_in_one_graph():
    layers = pair(momentum=0.5)
    functions = [
        tf.function(lambda x, layer=layer: layer(x, training=True), input_signature=[tf.TensorSpec((None, 5, 4, 3))])
        for layer in layers
    ]
    for size in (4, 4, 1, 3):
        x = images(size, 5, 4, 3)
        np.testing.assert_allclose(functions[0](x), functions[1](x), atol=1e-5)
        for a, b in zip(layers[0].weights, layers[1].weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_is_close_and_its_statistics_are_float32(training):
    layers = pair(dtype="mixed_bfloat16", momentum=0.5)
    assert uses_the_fast_operation(layers[0], dtype="bfloat16", training=training)
    layers = pair(dtype="mixed_bfloat16", momentum=0.5)
    x = images()
    assert layers[0](x).dtype == "bfloat16"
    assert {weight.dtype for weight in layers[0].weights} == {"float32"}
    got, expected = (results(layer, x, training=training) for layer in layers)
    np.testing.assert_allclose(got[0], expected[0], atol=0.05)
    for a, b in zip(got[-2:], expected[-2:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


# --- options


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((6, 3), {}),
        ((6, 5, 3), {}),
        (SHAPE, {"scale": False}),
        (SHAPE, {"center": False}),
        (SHAPE, {"axis": 1}),
        (SHAPE, {"renorm": True}),
    ],
)
def test_falls_back_to_keras(shape, options):
    x = images(*shape)
    layers = pair(shape, momentum=0.5, **options)
    assert not uses_the_fast_operation(layers[0], shape, training=True)
    check(pair(shape, momentum=0.5, **options), x, training=True)


@pytest.mark.parametrize("dtype", ["float64", "uint8"])
def test_falls_back_for_numbers_that_the_operation_does_not_take(dtype):
    x = np.abs(images()).astype(dtype)
    policy = dtype if dtype == "float64" else "float32"
    ours, theirs = pair(dtype=policy, momentum=0.5)
    for layer in (ours, theirs):
        assert layer(x, training=True).dtype == policy
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


def test_falls_back_for_masks():
    mask = rng.random(SHAPE[:-1]) > 0.5
    check(pair(momentum=0.5), images(), training=True, mask=tf.constant(mask))


def test_frozen_it_uses_its_moving_statistics_and_leaves_them():
    layers = pair()
    for layer in layers:
        layer.trainable = False
    before = [np.asarray(weight) for weight in layers[0].weights]
    check(layers, images(), training=True)
    for weight, old in zip(layers[0].weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    layers[0].trainable = True  # and back
    layers[0](images(), training=True)
    assert np.abs(layers[0].moving_mean - before[2]).max() > 0


# --- in a model


def network(normalization=BatchNormalization):
    image = keras.Input((4, 4, 3), name="image")
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    x = normalization(momentum=0.5, name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(x))
    model = keras.Model(image, keras.layers.Dense(1, name="head")(x))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


def test_training_follows_keras_with_a_short_last_batch():
    x, y = images(11, 4, 4, 3), rng.normal(size=(11, 1))
    ours, theirs = network(), network(keras.layers.BatchNormalization)
    ours.set_weights(theirs.get_weights())
    for model in (ours, theirs):
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, err_msg=a.path)


def test_saving_and_loading(tmp_path):
    model, x = network(), images(8, 4, 4, 3)
    model.fit(x, np.ones((8, 1)), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.get_layer("bn")) is BatchNormalization
    assert again.get_layer("bn").momentum == 0.5
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    again.fit(x, np.ones((8, 1)), verbose=0)


# --- on two replicas


def fit_in(strategy, x, y, weights):
    with strategy.scope():
        model = network()
    model.set_weights(weights)
    rows = distribution.shard_rows(tf.data.Dataset.from_tensor_slices((x, y)).batch(8, drop_remainder=True))
    model.fit(rows, epochs=2, shuffle=False, verbose=0)
    return model


def test_two_replicas_normalize_by_the_whole_batch(tmp_path):
    # The halves of each batch have nothing in common, so statistics of one of them would be far off.
    x = images(16, 4, 4, 3) + np.tile(np.repeat([0.0, 20.0], 4), 2).reshape(-1, 1, 1, 1).astype("float32")
    y = rng.normal(size=(16, 1)).astype("float32")
    weights = network().get_weights()
    mirrored = distribution.make_strategy("mirrored")
    assert mirrored.num_replicas_in_sync == 2
    one, two = (fit_in(strategy, x, y, weights) for strategy in (distribution.make_strategy("none"), mirrored))
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4, err_msg=a.path)
    # What the strategy needs is no property of the layer: the other backends would refuse to load it.
    assert not two.get_layer("bn").get_config()["synchronized"]
    two.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert uses_the_fast_operation(again.get_layer("bn"), (8, 2, 2, 4), training=True)
    np.testing.assert_allclose(again.predict(x, verbose=0), two.predict(x, verbose=0), atol=1e-5)
