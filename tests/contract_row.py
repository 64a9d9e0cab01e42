"""`Contract`: what one builder promises, at toy size; and what rows share, inputs and the arithmetic of parameters."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType, ModuleType
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One builder with toy arguments.

    Args:
        builder: The builder.
        variant: Tells rows of the same builder apart.
        arguments: Toy arguments for it.
        inputs: Name to an array of a few rows.
        outputs: Name to shape of a row.
        parameters: Number of parameters, as arithmetic.
        refused: Arguments that must raise, with what the message must say.
        search_space: The search space beside the builder; None for one that only joins networks.
        padded: Names of inputs that may be padded further along axis 1 without any change.
        frozen: Whether nothing of it trains, and training and inference therefore give the same outputs.
    """

    builder: Callable[..., keras.Model]
    variant: str = ""
    arguments: dict[str, Any]
    inputs: dict[str, np.ndarray]
    outputs: dict[str, tuple[int, ...]]
    parameters: int
    refused: list[tuple[dict[str, Any], str]]
    search_space: Callable | None = None
    padded: tuple[str, ...] = ()
    frozen: bool = False

    def __str__(self) -> str:
        return self.builder.__name__ + (f"-{self.variant}" if self.variant else "")

    @property
    def module(self) -> ModuleType:
        """Where the builder is, and the graphs that write, beside it."""
        return sys.modules[self.builder.__module__]


def unsettled(contract: Contract) -> keras.Model:
    """Builds a network and moves its weights, so that none is zero; statistics of batches stay."""
    keras.utils.set_random_seed(1)
    model = contract.builder(**contract.arguments)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([weight + rng.normal(size=weight.shape) * 0.3 for weight in layer.get_weights()])
    return model


def first_state(step: keras.Model, rows: int, encoded: Mapping = MappingProxyType({})) -> dict:
    """Returns what a graph of one step is given beside the first token: what an encoder gave, and zeros."""
    return dict(encoded) | {
        tensor.name: keras.ops.zeros(
            (rows, 0, tensor.shape[-1]) if "cache" in tensor.name else (rows, tensor.shape[-1])
        )
        for tensor in step.inputs
        if tensor.name != "token" and tensor.name not in encoded
    }


# --- inputs


def ids(*shape: int, padding: int = 1, seed: int = 0) -> np.ndarray:
    """Token ids from 1 to 11, with padding at the end of the first row."""
    array = np.random.default_rng(seed).integers(1, 12, shape).astype(np.int32)
    array[0, -padding:] = 0
    return array


def images(*shape: int) -> np.ndarray:
    """Four random images, values 0 to 255."""
    return np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.float32)


def noise(width: int) -> np.ndarray:
    """Four rows of standard normal numbers."""
    return np.random.default_rng(0).normal(size=(4, width)).astype(np.float32)


# --- parameters


def conv(size: int, channels: int, filters: int, *, bias: bool = True) -> int:
    """Parameters of a square convolution."""
    return (size * size * channels + bias) * filters


def dense(*widths: int) -> int:
    """Parameters of dense layers, from the first width to the last."""
    return sum((a + 1) * b for a, b in pairwise(widths))


def normalization(channels: int) -> int:
    """Scale, shift, mean and variance."""
    return 4 * channels


def normalized(size: int, channels: int, filters: int) -> int:
    """Parameters of a convolution without bias and its normalization."""
    return conv(size, channels, filters, bias=False) + normalization(filters)
