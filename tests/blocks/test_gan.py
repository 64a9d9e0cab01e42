"""Spectral normalization against the singular values of numpy, and the blocks of generators and discriminators."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.blocks.gan import LogSumExp, linear, start_size
from kerasapps.blocks.normalization import SpectralNormalization

rng = np.random.default_rng(0)


def built(layer, x):
    layer(x)
    layer.layer.kernel.assign(rng.normal(size=layer.layer.kernel.shape))
    return layer


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_the_largest_singular_value_becomes_one(kind):
    x = rng.normal(size=(4, 5, 5, 3)).astype(np.float32)
    inner = keras.layers.Dense(6, use_bias=False) if kind == "dense" else keras.layers.Conv2D(6, 3, use_bias=False)
    layer = built(SpectralNormalization(inner), x)
    for _ in range(60):
        layer(x, training=True)
    largest = np.linalg.svd(inner.kernel.numpy().reshape(-1, 6), compute_uv=False)[0]
    np.testing.assert_allclose(layer(x, training=False), inner(x) / largest, rtol=1e-3, atol=1e-5)


def test_the_vectors_of_classes_are_normalized():
    labels = np.array([2, 0])
    inner = keras.layers.Embedding(3, 4)
    layer = SpectralNormalization(inner, use_bias=False)
    for _ in range(60):
        layer(labels, training=True)
    largest = np.linalg.svd(inner.embeddings.numpy(), compute_uv=False)[0]
    np.testing.assert_allclose(layer(labels), inner(labels) / largest, rtol=1e-3)


def test_calls_change_the_estimate_and_not_the_weights():
    x = rng.normal(size=(4, 3)).astype(np.float32)
    layer = built(SpectralNormalization(keras.layers.Dense(6, use_bias=False)), x)
    kernel, vector = layer.layer.kernel.numpy(), layer.vector.numpy()
    layer(x, training=False)
    np.testing.assert_array_equal(vector, layer.vector)
    layer(x, training=True)
    assert not np.array_equal(vector, layer.vector)
    np.testing.assert_array_equal(kernel, layer.layer.kernel)
    # Why there is a layer of our own: Keras' changes the weights in a call.
    theirs = keras.layers.SpectralNormalization(keras.layers.Dense(6))
    theirs(x)
    before = theirs.layer.kernel.numpy()
    theirs(x, training=True)
    assert not np.array_equal(before, theirs.layer.kernel)


def test_the_gradient_flows_through_the_norm():
    # What only makes a normalized kernel longer changes nothing, so that the gradient is at right angles to it.
    x = rng.normal(size=(4, 3)).astype(np.float32)
    layer = built(SpectralNormalization(keras.layers.Dense(2, use_bias=False)), x)
    for _ in range(60):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(x, training=False)))
    gradient = tape.gradient(loss, layer.layer.kernel.value)
    along = np.sum(gradient * layer.layer.kernel)
    assert np.abs(gradient).max() > 0.1
    assert along == pytest.approx(0, abs=1e-3)


def test_a_bias_is_not_normalized():
    x = np.zeros((1, 3), np.float32)
    layer = linear(keras.layers.Dense, 2, spectral=True, name="dense")
    layer(x)
    layer.bias.assign([5.0, -5.0])
    np.testing.assert_allclose(layer(x), [[5.0, -5.0]])
    with pytest.raises(ValueError, match="`layer` must have no bias"):
        SpectralNormalization(keras.layers.Dense(2))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28, 1), (7, 7, 2)),
        ((32, 32, 3), (4, 4, 3)),
        ((64, 64, 3), (4, 4, 4)),
        ((8, 8, 1), (2, 2, 2)),
        ((64, 48, 3), (8, 6, 3)),
        ((20, 36, 3), (5, 9, 2)),
    ],
)
def test_where_a_generator_starts(shape, expected):
    height, width, times = start_size(shape)
    assert (height, width, times) == expected
    assert (height * 2**times, width * 2**times) == shape[:2]


def test_the_logit_of_a_classifier_is_the_odds_of_any_class():
    # Against a score of 0 for "generated", the probability of being real is Z / (Z + 1), Z the sum of exponentials.
    scores = np.array([[1.0, -2.0, 0.5]], np.float32)
    total = np.exp(scores).sum()
    assert float(keras.ops.sigmoid(LogSumExp()(scores))[0, 0]) == pytest.approx(total / (total + 1), rel=1e-6)
