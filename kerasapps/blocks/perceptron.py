"""Blocks of dense layers."""

from collections.abc import Sequence

from keras import layers

from kerasapps.blocks.noise import Dropout


def perceptron_block(x, *, units: Sequence[int], dropout: float, name: str, first: int = 1):
    """Applies dense layers with ReLU and dropout, numbered from `first`: (B, F) -> (B, units[-1])."""
    for i, width in enumerate(units, first):
        x = layers.Dense(width, activation="relu", name=f"{name}{i}")(x)  # (B, width)
        x = Dropout(dropout, name=f"{name}{i}_dropout")(x)
    return x
