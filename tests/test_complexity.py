"""Operations counted against arithmetic by hand, and speed against a network made slow."""

import logging
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.util import deprecation

from kerasapps import complexity
from kerasapps.blocks.normalization import BatchNormalization
from kerasapps.complexity import count_flops, measure_speed

SIDE, IN, OUT = 8, 6, 4


def network(*stack, shape=(SIDE, SIDE, IN)) -> keras.Model:
    image = keras.Input(shape, name="image")
    x = image
    for layer in stack:
        x = layer(x)
    return keras.Model({"image": image}, {"label": x})


POSITIONS = SIDE * SIDE
DEPTHWISE = 2 * 3 * 3 * IN * POSITIONS
POINTWISE = 2 * IN * OUT * POSITIONS


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        (layers.Conv2D(OUT, 3, padding="same", use_bias=False), 2 * 3 * 3 * IN * OUT * POSITIONS),
        (layers.Conv2D(OUT, 3, padding="same", activation="relu"), (2 * 3 * 3 * IN + 1) * OUT * POSITIONS),
        (layers.Conv2D(OUT, 3, strides=2, use_bias=False), 2 * 3 * 3 * IN * OUT * 3 * 3),
        (layers.Conv2D(OUT, (1, 5), padding="same", use_bias=False), 2 * 5 * IN * OUT * POSITIONS),
        (layers.Conv2D(OUT, 3, padding="same", groups=2, use_bias=False), 2 * 3 * 3 * IN // 2 * OUT * POSITIONS),
        (layers.DepthwiseConv2D(3, padding="same", use_bias=False), DEPTHWISE),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False), 2 * DEPTHWISE),
        (layers.SeparableConv2D(OUT, 3, padding="same", use_bias=False), DEPTHWISE + POINTWISE),
        (layers.Dense(10), (2 * IN + 1) * 10 * POSITIONS),
        (layers.MaxPooling2D(2), 2 * 2 * IN * 4 * 4),
        (layers.AveragePooling2D(3, 2), 3 * 3 * IN * 3 * 3),
        (layers.GlobalAveragePooling2D(), IN * POSITIONS),
        (BatchNormalization(), 2 * IN * POSITIONS),
        (layers.ReLU(), 0),
    ],
)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_flops_are_those_worked_out_by_hand(layer, flops, policy):
    keras.config.set_dtype_policy(policy)
    assert count_flops(network(layer.__class__.from_config(layer.get_config() | {"dtype": policy}))) == flops


def test_flops_of_a_whole_network_and_of_one_inside_another():
    conv = (2 * 3 * 3 * 1 + 1) * 4 * 28 * 28
    pool = 2 * 2 * 4 * 14 * 14
    flatten_dense = (2 * 4 * 14 * 14 + 1) * 10
    stack = [layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(10)]
    inner = network(*stack, shape=(28, 28, 1))
    assert count_flops(inner) == conv + pool + flatten_dense
    image = keras.Input((28, 28, 1), name="picture")
    outer = keras.Model({"picture": image}, layers.Add()([inner({"image": image})["label"]] * 2))
    assert count_flops(outer) == conv + pool + flatten_dense + 10


def test_flops_hold_after_compiling_under_a_strategy_and_leave_no_trace(capfd, monkeypatch):
    # TensorFlow says only once that the profiler calls something old.
    monkeypatch.setattr(deprecation, "_PRINTED_WARNING", {})
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = network(layers.Conv2D(OUT, 3, use_bias=False), layers.GlobalAveragePooling2D())
        model.compile("adam", "mse")
    said = []
    handler = logging.Handler()
    handler.emit = said.append
    monkeypatch.setattr(tf.get_logger(), "handlers", [handler])
    capfd.readouterr()
    assert count_flops(model) == 2 * 3 * 3 * IN * OUT * 36 + OUT * 36
    assert capfd.readouterr() == ("", "")
    assert not said
    assert not tf.config.functions_run_eagerly()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (network(layers.Conv2D(2, 3), shape=(None, None, 3)), "fixed shape. Received: image"),
        (network(layers.Reshape((POSITIONS, IN)), layers.LSTM(3)), "Received: While"),
    ],
)
def test_what_cannot_be_counted_is_refused(model, said):
    with pytest.raises(ValueError, match=said):
        count_flops(model)
    assert not tf.config.functions_run_eagerly()


@keras.saving.register_keras_serializable("tests")
class Wait(layers.Layer):
    """Waits in every step, and longer in its first ones."""

    calls = 0

    def call(self, x):
        def wait(x):
            self.calls += 1
            time.sleep(0.1 if self.calls <= 2 else 0.02)
            return x

        out = tf.numpy_function(wait, [x], x.dtype)
        out.set_shape(x.shape)
        return out

    def compute_output_shape(self, shape):
        return shape


def test_speed_is_rows_a_second_after_warming_up(monkeypatch):
    monkeypatch.setattr(complexity, "REPEATS", 1)  # so few that a slow start would change the median
    model = network(Wait())
    speed = measure_speed(model, {"image": np.zeros((10, SIDE, SIDE, IN), np.float32)})
    assert 10 / 0.06 < speed <= 10 / 0.02
