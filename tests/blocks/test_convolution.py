import keras
import numpy as np
import pytest

from kerasapps.blocks import convolution

tf = pytest.importorskip("tensorflow")

LAYERS = [
    (convolution.Conv2D, {"kernel_size": 3, "padding": "same"}),
    (convolution.Conv2D, {"kernel_size": 3, "padding": "valid", "use_bias": False}),
    (convolution.Conv2D, {"kernel_size": 5, "padding": "same", "strides": 2, "activation": "relu"}),
    (convolution.Conv2D, {"kernel_size": (2, 3), "padding": "valid", "strides": (2, 1)}),
    (convolution.Conv2D, {"kernel_size": 1, "padding": "same", "strides": 2}),
    (convolution.Conv2DTranspose, {"kernel_size": 5, "padding": "same", "strides": 2}),
    (convolution.Conv2DTranspose, {"kernel_size": 4, "padding": "valid", "strides": 2, "activation": "relu"}),
    (convolution.Conv2DTranspose, {"kernel_size": 3, "padding": "same", "use_bias": False}),
]


@pytest.fixture
def everywhere(monkeypatch):
    """Has layers of any width and precision go the new way; returns how often they did."""
    count = []
    usual = convolution.kernel_gradient

    def counted(*arguments):
        count.append(1)
        return usual(*arguments)

    monkeypatch.setattr(convolution, "pays", lambda layer, inputs, small: True)
    monkeypatch.setattr(convolution, "kernel_gradient", counted)
    return count


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize(("cls", "arguments"), LAYERS)
def test_outputs_and_gradients_are_those_of_keras(everywhere, cls, arguments, side):
    layer, theirs = cls(4, **arguments), cls.__base__(4, **arguments)
    x = tf.constant(np.random.default_rng(0).normal(size=(5, side, side, 3)), tf.float32)
    theirs.build(x.shape)
    layer.build(x.shape)
    theirs.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.weights])
    layer.set_weights(theirs.get_weights())
    results = []
    for one in (layer, theirs):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = one(x)
                loss = tf.reduce_sum(y**3)
            variables = [variable.value for variable in one.trainable_weights]
            first = tape.gradient(loss, [x, *variables])
            penalty = sum(tf.reduce_sum(g**2) for g in first)
        # Gradient penalties need the gradient of the gradient.
        results.append([y, *first, outer.gradient(penalty, x)])
    assert everywhere
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("dtype", "side", "channels", "filters", "taken"),
    [
        ("mixed_bfloat16", 8, 64, 64, True),
        ("float32", 8, 64, 64, False),
        ("mixed_bfloat16", 9, 64, 64, False),
        ("mixed_bfloat16", 8, 32, 64, False),
        ("mixed_bfloat16", 8, 64, 32, False),
        ("mixed_bfloat16", None, 64, 64, False),
    ],
)
def test_wide_layers_on_small_pictures_in_bfloat16_go_the_new_way(monkeypatch, dtype, side, channels, filters, taken):
    answers = []
    usual = convolution.pays

    def noted(*arguments, **keywords):
        answers.append(usual(*arguments, **keywords))
        return answers[-1]

    monkeypatch.setattr(convolution, "pays", noted)
    layer = convolution.Conv2D(filters, 3, padding="same", dtype=dtype)
    layer.build((None, side, side, channels))
    trace = tf.function(layer, input_signature=[tf.TensorSpec((None, side, side, channels))])
    assert trace(tf.ones((2, side or 8, side or 8, channels))).shape == (2, side or 8, side or 8, filters)
    assert answers == [taken]


def test_a_model_trains_in_bfloat16_whatever_the_batch():
    inputs = keras.Input((4, 4, 64))
    x = convolution.Conv2D(64, 3, padding="same", dtype="mixed_bfloat16")(inputs)
    x = convolution.Conv2DTranspose(64, 3, padding="same", dtype="mixed_bfloat16")(x)
    model = keras.Model(inputs, x)
    model.compile("sgd", "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(7, 4, 4, 64)).astype(np.float32)
    before = [weight.copy() for weight in model.get_weights()]
    assert np.isfinite(model.fit(x, x, batch_size=4, verbose=0).history["loss"]).all()
    assert all(np.abs(one - two).max() > 0 for one, two in zip(before, model.get_weights(), strict=True))
