import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.blocks.noise import ByteDropout, Dropout, GaussianNoise
from kerasapps.distribution import make_strategy


@pytest.mark.parametrize("shape", [(64, 33, 50), (7, 3)])  # 21 features do not fill words of four bytes
def test_what_is_kept_is_scaled_and_the_rest_is_zero(shape):
    x = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
    y = keras.ops.convert_to_numpy(ByteDropout(0.25, seed=0)(x, training=True))
    np.testing.assert_allclose(y[y != 0], x[y != 0] / 0.75, rtol=1e-6)
    if y.size > 1000:
        assert (y == 0).mean() == pytest.approx(0.25, abs=0.005)
        assert y.mean() == pytest.approx(x.mean(), rel=0.01)


def test_a_rate_between_is_rounded_and_keeps_the_mean():
    y = keras.ops.convert_to_numpy(ByteDropout(0.4, seed=0)(np.ones((500, 1000), np.float32), training=True))
    assert y.max() == pytest.approx(256 / 154)
    assert y.mean() == pytest.approx(1, abs=0.005)


def test_every_call_drops_others_and_a_seed_repeats_them():
    x = np.ones((40, 50), np.float32)
    layer, again = ByteDropout(0.5, seed=3), ByteDropout(0.5, seed=3)
    first, second = (keras.ops.convert_to_numpy(layer(x, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(x, training=True)), first)


def test_gradients_are_those_of_what_is_kept():
    x = tf.ones((10, 20))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ByteDropout(0.5, seed=0)(x, training=True)
    np.testing.assert_allclose(tape.gradient(y, x), y)


@pytest.mark.parametrize("arguments", [{"rate": 0.5}, {"rate": 0.0}])
def test_in_inference_nothing_is_dropped(arguments):
    x = np.ones((4, 5), np.float32)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ByteDropout(**arguments)(x)), x)


@pytest.mark.parametrize(
    "layer",
    [
        Dropout(0.5, seed=0),
        Dropout(0.5, noise_shape=(None, 1), seed=0),
        ByteDropout(0.5, seed=0),
        GaussianNoise(1.0, seed=0),
    ],
)
def test_replicas_draw_what_one_device_would(layer):
    config = layer.get_config()
    x = np.ones((8, 5), np.float32)
    alone = keras.ops.convert_to_numpy(layer(x, training=True))
    strategy = make_strategy("mirrored")
    with strategy.scope():
        shared = type(layer).from_config(config)
    shares = strategy.experimental_distribute_values_from_function(
        lambda context: x[4 * context.replica_id_in_sync_group :][:4]
    )
    drawn = strategy.run(tf.function(lambda share: shared(share, training=True)), (shares,))
    together = np.concatenate([value.numpy() for value in strategy.experimental_local_results(drawn)])
    assert not np.array_equal(together[:4], together[4:])
    np.testing.assert_allclose(together, alone, rtol=1e-6)
