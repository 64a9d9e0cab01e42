import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.blocks.pooling import SpatialDeviation


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_deviation_of_each_channel_over_all_pixels(dtype):
    features = np.random.default_rng(0).normal(300, 7, (3, 5, 4, 2)).astype(np.float32)
    features[1, ..., 1] = 5.0  # the same everywhere
    got = SpatialDeviation(dtype=dtype)(tf.constant(features))
    assert got.dtype == dtype
    # Half precision rounds the features themselves, to 1 in bfloat16 at 300.
    np.testing.assert_allclose(np.float32(got), features.std((1, 2)), atol={"float32": 2e-3}.get(dtype, 0.3))


def test_its_slope_is_finite_where_a_channel_is_the_same_everywhere():
    features = tf.Variable(np.full((1, 4, 4, 1), 2.0, np.float32))
    with tf.GradientTape() as tape:
        deviation = tf.reduce_sum(SpatialDeviation()(features))
    np.testing.assert_array_equal(tape.gradient(deviation, features), np.zeros_like(features))


def test_it_saves_and_loads(tmp_path):
    image = keras.Input((4, 4, 3), name="image")
    model = keras.Model(image, SpatialDeviation(name="deviation")(image))
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(images), model(images))
