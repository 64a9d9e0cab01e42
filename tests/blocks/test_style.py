"""Colors, Gram matrices and losses: by hand, and their gradients against numerical differences in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.blocks.style import (
    POOLINGS,
    deprocess,
    gram_matrix,
    gram_sum,
    preprocess,
    squared_error,
    total_variation,
)

rng = np.random.default_rng(0)


def test_preprocess_is_that_of_keras_applications_and_deprocess_undoes_it_exactly():
    image = rng.integers(0, 256, (9, 7, 3))
    image[0] = np.arange(21).reshape(7, 3) * 12
    np.testing.assert_allclose(preprocess(image), keras.applications.vgg16.preprocess_input(image.copy()), atol=1e-4)
    every = np.repeat(np.arange(256)[:, None], 3, 1)
    np.testing.assert_array_equal(deprocess(preprocess(every)), every)


def test_sixteen_bits_come_back():
    values = np.repeat(np.arange(65536)[:, None], 3, 1)
    back = deprocess(preprocess((values / 257).astype(np.float32)))
    np.testing.assert_array_equal(np.round(np.asarray(back) * 257), values)


def test_gram_by_hand():
    features = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], "float32")  # two pixels, two channels
    np.testing.assert_allclose(gram_sum(features), [[[10, 14], [14, 20]]])
    np.testing.assert_allclose(gram_matrix(features), [[[5, 7], [7, 10]]])


def test_sums_over_tiles_add_up():
    features = rng.normal(size=(2, 6, 5, 3)).astype("float32")
    parts = gram_sum(features[:, :, :2]) + gram_sum(features[:, :, 2:])
    np.testing.assert_allclose(gram_sum(features), parts, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 40, 41, 8), (1, 3, 4, 8), (2, 16, 16, 4)])
def test_half_precision_adds_up_in_float32(shape):
    features = np.abs(rng.normal(size=shape)).astype("float32")
    exact = np.asarray(gram_sum(tf.cast(tf.cast(features, "bfloat16"), "float32")))
    for dtype in ("bfloat16", "float16"):
        narrow = gram_sum(tf.cast(features, dtype))
        assert narrow.dtype == tf.float32
        np.testing.assert_allclose(narrow, exact, rtol=4e-3)
    # A sum that float16 itself could not hold.
    assert np.isfinite(gram_sum(tf.fill((1, 32, 32, 2), tf.constant(60, "float16")))).all()


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5), ("bfloat16", 0.02), ("float16", 2e-3)]
)
def test_the_gradient_of_gram_sums_is_that_of_the_products(dtype, tolerance):
    rng = np.random.default_rng(0)
    # float16 could not hold what comes from above, but holds the gradient.
    x, upstream = rng.normal(size=(2, 13, 7, 5)) / 1000, rng.normal(size=(2, 5, 5)) * 1e6
    features = tf.cast(tf.constant(x), dtype)
    with tf.GradientTape() as tape:
        tape.watch(features)
        sums = gram_sum(features)
        loss = tf.reduce_sum(sums * tf.cast(upstream, sums.dtype))
    flat = tf.cast(features, "float64").numpy().reshape(2, -1, 5)
    expected = (flat @ (upstream + upstream.transpose(0, 2, 1))).reshape(x.shape)
    found = tf.cast(tape.gradient(loss, features), "float64")
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


def test_total_variation_by_hand():
    image = np.zeros((1, 2, 2, 3), "float32")
    image[0, 0, 0] = 255  # two of four differences are 1
    assert float(total_variation(image)) == pytest.approx(0.5 + 0.5)


def test_a_single_row_or_pixel_has_a_total_variation():
    image = np.zeros((1, 1, 2, 3), "float32")
    image[0, 0, 0] = 255
    assert float(total_variation(image)) == pytest.approx(1)
    assert float(total_variation(image[:, :, :1])) == 0


def test_l2_pooling_lies_between_the_others():
    features = np.abs(rng.normal(size=(1, 4, 6, 2))).astype("float32")
    low, middle, high = (np.asarray(POOLINGS[name](2)(features)) for name in ("average", "l2", "max"))
    assert (low <= middle).all()
    assert (middle <= high).all()
    np.testing.assert_allclose(middle[0, 0, 0, 0], np.sqrt(np.mean(features[0, :2, :2, 0] ** 2)), rtol=1e-5)


def test_l2_pooling_is_safe_in_half_precision():
    x = tf.constant(np.stack([np.zeros((4, 4, 2)), np.full((4, 4, 2), 1000.0)]), "float16")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = POOLINGS["l2"](2, dtype="float16")(x)
    assert y.dtype == tf.float16
    np.testing.assert_allclose(y[1], 1000, rtol=1e-3)
    assert np.isfinite(tape.gradient(y, x)).all()


TARGET = rng.normal(size=(1, 3, 4, 2))
TERMS = {
    "content": lambda x: squared_error(x, tf.constant(TARGET)),
    "style": lambda x: tf.reduce_sum(tf.square(gram_matrix(x) - gram_matrix(tf.constant(TARGET)))),
    "total variation": lambda x: total_variation(x * 100),
}


@pytest.mark.parametrize("term", TERMS)
def test_gradients_are_those_of_numerical_differences(term):
    numerical, exact = tf.test.compute_gradient(TERMS[term], [tf.constant(rng.normal(size=TARGET.shape))], delta=1e-6)
    assert exact[0].dtype == np.float64
    np.testing.assert_allclose(exact[0], numerical[0], rtol=1e-6, atol=1e-8)
