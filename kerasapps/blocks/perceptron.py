"""Blocks of dense layers, and the step that the first neurons ended in."""

from collections.abc import Callable, Sequence
from typing import Literal

import keras
from keras import layers, ops

from kerasapps.blocks.noise import Dropout

Activation = Literal["relu", "tanh", "sigmoid", "step"]


@keras.saving.register_keras_serializable(package="kerasapps")
class Step(layers.Layer):
    """Returns 1 where a score is at least 0, else 0: (B, F) -> (B, F). No gradient passes it."""

    def call(self, scores):
        return step(scores)

    def plain(self) -> Callable:
        """Returns it as operations."""
        return step

    def compute_output_shape(self, input_shape):
        return input_shape


def step(scores):
    """Returns 1 where a score is at least 0, else 0, of the same shape and dtype."""
    return ops.cast(ops.greater_equal(scores, 0), scores.dtype)


def perceptron_block(
    x, *, units: Sequence[int], dropout: float, name: str, first: int = 1, activation: Activation = "relu"
):
    """Applies dense layers with activation and dropout, numbered from `first`: (B, F) -> (B, units[-1])."""
    for i, width in enumerate(units, first):
        x = dense_block(x, units=width, activation=activation, name=f"{name}{i}")  # (B, width)
        x = Dropout(dropout, name=f"{name}{i}_dropout")(x)
    return x


def dense_block(x, *, units: int, activation: str, name: str, dtype=None):
    """Applies a dense layer whose activation may also be the step: (B, F) -> (B, units)."""
    if activation != "step":
        return layers.Dense(units, activation=activation, dtype=dtype, name=name)(x)
    return Step(dtype=dtype, name=name)(layers.Dense(units, dtype=dtype, name=f"{name}_score")(x))
