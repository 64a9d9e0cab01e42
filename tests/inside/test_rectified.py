"""Guided backpropagation and DeconvNet against their definitions, layer by layer in numpy, for every form of ReLU."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasapps.inside.probe import Probe

rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(2, 8, 8, 2)).astype(np.float32)
FORMS = ("activation", "layer", "relu_layer", "op", "shared", "residual", "nested", "nested_op")


def network(form: str) -> keras.Model:
    """Convolution, ReLU, max pool, convolution, ReLU, dense and softmax; the ReLU in one form or another."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 2), name="image")
    shared = layers.ReLU(name="shared")
    inside = form == "activation"
    relu = {
        "activation": lambda x: x,
        "layer": lambda x: layers.Activation("relu")(x),
        "relu_layer": lambda x: layers.ReLU()(x),
        "op": keras.ops.relu,
        "shared": shared,
        "residual": lambda x: layers.Activation("relu")(x),
    }.get(form, lambda x: layers.Activation("relu")(x))
    if form == "nested_op":
        relu = keras.ops.relu

    def features(x):
        x = layers.Conv2D(4, 3, padding="same", activation="relu" if inside else None, name="conv1")(x)
        x = layers.MaxPooling2D(name="pool")(relu(x))
        y = layers.Conv2D(4, 3, padding="same", activation="relu" if inside else None, name="conv2")(x)
        return relu(layers.Add(name="added")([y, x]) if form == "residual" else y)

    if form.startswith("nested"):
        inner = keras.Input((8, 8, 2))
        x = keras.Model(inner, features(inner), name="trunk")(image)
    else:
        x = features(image)
    label = layers.Dense(3, activation="softmax", name="label")(layers.Flatten(name="flat")(x))
    model = keras.Model([image], {"label": label})
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return model


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A 3 x 3 convolution with zeros around (H, W, C) -> (H, W, F)."""
    padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
    return sum(padded[i : i + x.shape[0], j : j + x.shape[1]] @ kernel[i, j] for i in range(3) for j in range(3))


def transposed(signal: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The same filters, transposed: (H, W, F) -> (H, W, C)."""
    return convolved(signal, kernel[::-1, ::-1].transpose(0, 1, 3, 2))


def project(model: keras.Model, image: np.ndarray, unit: int, rule: str, *, residual: bool) -> np.ndarray:
    """The definition: forth, keeping the switches of the pool, and back."""
    kernel1, bias1, kernel2, bias2, dense, _ = (weight.numpy().astype(np.float64) for weight in model.weights)

    def back(signal, before):
        signal = np.maximum(signal, 0)
        return signal if rule == "deconvnet" else signal * (before > 0)

    before1 = convolved(image.astype(np.float64), kernel1) + bias1
    windows = np.maximum(before1, 0).reshape(4, 2, 4, 2, 4).transpose(0, 2, 4, 1, 3).reshape(4, 4, 4, 4)
    switches, pooled = windows.argmax(-1), windows.max(-1)
    before2 = convolved(pooled, kernel2) + bias2 + (pooled if residual else 0)
    signal = back(dense[:, unit].reshape(4, 4, 4), before2)
    signal = transposed(signal, kernel2) + (signal if residual else 0)
    unpooled = np.where(np.arange(4) == switches[..., None], signal[..., None], 0)  # (4, 4, C, 4)
    unpooled = unpooled.reshape(4, 4, 4, 2, 2).transpose(0, 3, 1, 4, 2).reshape(8, 8, 4)
    return transposed(back(unpooled, before1), kernel1)


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_definition(form, rule):
    model = network(form)
    _, found = Probe(model).gradient({"image": IMAGES}, [2, 0], rule=rule)
    for image, unit, one in zip(IMAGES, [2, 0], found, strict=True):
        expected = project(model, image, unit, rule, residual=form == "residual")
        np.testing.assert_allclose(one, expected, atol=1e-5 * np.abs(expected).max())
    assert not np.allclose(found, Probe(model).gradient({"image": IMAGES}, [2, 0])[1], atol=1e-3)


@pytest.mark.parametrize(
    ("activation", "named"),
    [("tanh", "Tanh"), ("elu", "Elu"), ("sigmoid", "Sigmoid"), ("leaky_relu", "LeakyRelu"), ("silu", "Mul"),
     ("relu6", "Relu6"), ("gelu", ""), ("softplus", "Softplus")],
)  # fmt: skip
def test_another_nonlinearity_is_refused(activation, named):
    image = keras.Input((8, 8, 2), name="image")
    x = layers.Conv2D(4, 3, activation=activation, name="conv")(image)
    model = keras.Model([image], {"label": layers.Dense(3, activation="softmax")(layers.Flatten()(x))})
    for rule in ("guided", "deconvnet"):
        with pytest.raises(ValueError, match="are defined for ReLU and max pooling alone") as refused:
            Probe(model).gradient({"image": IMAGES}, [0, 0], rule=rule)
        assert named in str(refused.value)
    assert np.abs(Probe(model).gradient({"image": IMAGES}, [0, 0])[1]).max() > 0


def test_what_multiplies_two_features_is_refused():
    image = keras.Input((8, 8, 2), name="image")
    x = layers.Multiply()([layers.Conv2D(4, 3)(image), layers.Conv2D(4, 3)(image)])
    model = keras.Model([image], {"label": layers.Dense(3)(layers.Flatten()(x))})
    with pytest.raises(ValueError, match="Received: `model` with Mul in"):
        Probe(model).gradient({"image": IMAGES}, [0, 0], rule="guided")
