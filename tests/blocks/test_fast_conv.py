import keras
import numpy as np
import pytest

from kerasapps.blocks import fast_conv

tf = pytest.importorskip("tensorflow")

LAYERS = [
    (fast_conv.Conv2D, {"kernel_size": 3, "padding": "same"}),
    (fast_conv.Conv2D, {"kernel_size": 3, "padding": "valid", "use_bias": False}),
    (fast_conv.Conv2D, {"kernel_size": 5, "padding": "same", "strides": 2, "activation": "relu"}),
    (fast_conv.Conv2D, {"kernel_size": (2, 3), "padding": "valid", "strides": (2, 1)}),
    (fast_conv.Conv2D, {"kernel_size": 1, "padding": "same", "strides": 2}),
    (fast_conv.Conv2DTranspose, {"kernel_size": 5, "padding": "same", "strides": 2}),
    (fast_conv.Conv2DTranspose, {"kernel_size": 4, "padding": "valid", "strides": 2, "activation": "relu"}),
    (fast_conv.Conv2DTranspose, {"kernel_size": 3, "padding": "same", "use_bias": False}),
]


@pytest.fixture
def gradients_of(monkeypatch):
    """The sizes of the weights whose gradient was found here."""
    sizes = []
    usual = fast_conv.kernel_gradient

    def noted(x, g, shape, *form):
        sizes.append(tuple(shape))
        return usual(x, g, shape, *form)

    monkeypatch.setattr(fast_conv, "kernel_gradient", noted)
    monkeypatch.setattr(fast_conv, "tensorflow_on_cpu", lambda: True)
    return sizes


def twins(cls, *arguments, shape: tuple[int, ...], **keywords):
    """A layer of ours and Keras' own with the same weights."""
    layers = [cls(*arguments, **keywords), cls.__base__(*arguments, **keywords)]
    for layer in layers:
        layer.build(shape)
    layers[0].set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layers[0].weights])
    layers[1].set_weights(layers[0].get_weights())
    return layers


def gradients(layer, x) -> list:
    """The output, the gradients of a loss, and those of a penalty on these."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**3)
        variables = [variable.value for variable in layer.trainable_weights]
        first = tape.gradient(loss, [x, *variables])
        penalty = tf.reduce_sum(first[0] ** 2)
    return [y, *first, *outer.gradient(penalty, [x, layer.kernel.value])]


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize(("cls", "arguments"), LAYERS)
def test_outputs_and_gradients_are_those_of_keras(gradients_of, monkeypatch, cls, arguments, side):
    monkeypatch.setattr(fast_conv, "pays", lambda layer, inputs: True)
    ours, theirs = twins(cls, 4, shape=(None, side, side, 3), **arguments)
    x = tf.constant(np.random.default_rng(0).normal(size=(5, side, side, 3)), tf.float32)
    # As `fit` does it: traced, without knowing how many rows there will be.
    trace = tf.function(lambda x: gradients(ours, x), input_signature=[tf.TensorSpec((None, *x.shape[1:]))])
    results = trace(x), gradients(theirs, x)
    assert gradients_of
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


def test_a_replica_without_rows_has_gradients_of_zero(gradients_of):
    layer = fast_conv.Conv2D(128, 3, padding="same", dtype="mixed_bfloat16")
    layer.build((None, 8, 8, 64))

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 64))])
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, layer.kernel.value)

    assert not np.any(gradient(tf.zeros((0, 8, 8, 64))))
    assert np.any(gradient(tf.ones((1, 8, 8, 64))))


@pytest.mark.parametrize("cls", [fast_conv.Conv2D, fast_conv.Conv2DTranspose])
def test_gradients_in_bfloat16_are_those_of_keras(gradients_of, cls):
    ours, theirs = twins(cls, 112, 3, padding="same", dtype="mixed_bfloat16", shape=(None, 4, 4, 80))
    x = tf.constant(np.random.default_rng(0).normal(size=(7, 4, 4, 80)), tf.float32)
    results = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(layer(x), tf.float32) ** 2)
        results.append(tape.gradient(loss, layer.kernel.value))
    assert gradients_of == [tuple(ours.kernel.shape)]
    np.testing.assert_allclose(*results, atol=0.01 * np.abs(results[1]).max())


@pytest.mark.parametrize("cls", [fast_conv.Conv2D, fast_conv.Conv2DTranspose])
@pytest.mark.parametrize(
    ("dtype", "side", "channels", "filters", "more", "taken"),
    [
        ("mixed_bfloat16", 8, 64, 128, {}, True),
        ("mixed_bfloat16", 8, 128, 64, {}, True),
        ("float32", 8, 64, 128, {}, False),
        ("mixed_bfloat16", 9, 64, 128, {}, False),
        ("mixed_bfloat16", 8, 64, 64, {}, False),
        ("mixed_bfloat16", None, 64, 128, {}, False),
        ("mixed_bfloat16", 8, 64, 128, {"dilation_rate": 2}, False),
    ],
)
def test_wide_layers_on_small_images_in_bfloat16_go_the_new_way(
    gradients_of, cls, dtype, side, channels, filters, more, taken
):
    layer = cls(filters, 3, padding="same", dtype=dtype, **more)
    layer.build((None, side, side, channels))

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, channels))])
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, layer.kernel.value)

    assert gradient(tf.ones((2, side or 8, side or 8, channels))).shape == layer.kernel.shape
    assert bool(gradients_of) is taken


def test_a_gpu_goes_the_usual_way(gradients_of, monkeypatch):
    monkeypatch.setattr(fast_conv, "tensorflow_on_cpu", lambda: False)
    layer = fast_conv.Conv2D(128, 3, dtype="mixed_bfloat16")
    layer.build((None, 8, 8, 64))
    assert not fast_conv.pays(layer, tf.ones((1, 8, 8, 64), tf.bfloat16))


def test_a_model_trains_and_is_saved(gradients_of, tmp_path):
    inputs = keras.Input((4, 4, 64))
    x = fast_conv.Conv2D(128, 3, padding="same", dtype="mixed_bfloat16")(inputs)
    model = keras.Model(inputs, fast_conv.Conv2DTranspose(64, 3, padding="same", dtype="mixed_bfloat16")(x))
    model.compile("sgd", "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(7, 4, 4, 64)).astype(np.float32)
    losses = model.fit(x, x, batch_size=4, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert len(gradients_of) >= 2
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
