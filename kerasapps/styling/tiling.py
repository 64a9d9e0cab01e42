"""Images in tiles, so that the activations of a VGG fit in memory, and functions for images of any size."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

# Values in memory at once during a step, for each output value of the layers: outputs, gradients and workspace.
ALIVE = 2.5
SMALLEST_CORE = 64


@dataclass(frozen=True)
class Tile:
    """A rectangle of an image, and the larger one that its activations depend on: top, left, bottom, right."""

    core: tuple[int, int, int, int]
    padded: tuple[int, int, int, int]

    def cut(self, image: tf.Tensor) -> tf.Tensor:
        """Returns the padded rectangle of an image (1, H, W, C)."""
        top, left, bottom, right = self.padded
        return image[:, top:bottom, left:right]

    @property
    def inside(self) -> tf.Tensor | None:
        """The core's position in the padded rectangle, int32 (4,), or None if they are the same."""
        if self.core == self.padded:
            return None
        top, left, *_ = self.padded
        return tf.constant([self.core[0] - top, self.core[1] - left, self.core[2] - top, self.core[3] - left])


def tiles(height: int, width: int, *, core: int, halo: int) -> list[Tile]:
    """Divides an image into tiles of at most `core` x `core` pixels; `core` and `halo` are multiples of the stride."""
    result = []
    for top in range(0, height, core):
        for left in range(0, width, core):
            bottom, right = min(top + core, height), min(left + core, width)
            padded = max(top - halo, 0), max(left - halo, 0), min(bottom + halo, height), min(right + halo, width)
            result.append(Tile((top, left, bottom, right), padded))
    return result


def stride_of(layer: str) -> int:
    """Returns the distance between adjacent activations of a layer in pixels."""
    return 2 ** (int(layer[len("block")]) - 1)


class Tiling:
    """Divides images into tiles that overlap by the receptive field of the deepest layer.

    Args:
        taps: A model from `build_style_taps`.
        memory: Bytes that the activations may take; by default as many as they need.

    Raises:
        ValueError: If `memory` is too small for the smallest tile.
    """

    def __init__(self, taps: keras.Model, memory: int | None):
        self.taps = taps
        self.stride = max(stride_of(layer.name) for layer in taps.layers if "_conv" in layer.name)
        # Pixels that fit in memory at once, and the side of the core of a tile with that many.
        self.pixels = math.inf if memory is None else memory / bytes_per_pixel(taps)
        self.core = self._largest_core() if memory is not None else None

    def divide(self, image: tf.Tensor) -> list[Tile]:
        """Divides an image (1, H, W, C) into tiles, or keeps it whole if the memory suffices."""
        height, width = image.shape[1:3]
        core = self.core if height * width > self.pixels else max(height, width)
        return tiles(height, width, core=core, halo=self.halo())

    def halo(self) -> int:
        """Returns the reach of the deepest layer in pixels, rounded up to its stride."""
        # A convolution, and a pool, reach one activation further, which is as far as those before it are apart.
        reach = sum(stride_of(layer.name) for layer in self.taps.layers[1:])
        return math.ceil(reach / self.stride) * self.stride

    def _largest_core(self) -> int:
        """Returns the side of the core of the largest tile whose activations fit, its halo included."""
        around = 2 * self.halo()
        core = (math.isqrt(max(0, int(self.pixels))) - around) // self.stride * self.stride
        if core < SMALLEST_CORE:
            pixel = bytes_per_pixel(self.taps) / 2**20
            least, given = pixel * (SMALLEST_CORE + around) ** 2, pixel * self.pixels
            raise ValueError(f"`memory` must be at least {least:.0f} MiB, for one tile. Received: {given:.0f} MiB")
        return core


class AnySize:
    """A compiled function with one trace for images of all sizes.

    A trace for a fixed size may sum in another order, and a resumed run, which starts at another size, would differ.
    """

    def __init__(self, function: Callable):
        self.compiled = tf.function(function)
        self.traced = set()

    def __call__(self, *arguments):
        """Calls the function, which is traced once for any height and width."""
        given = tuple(argument is not None for argument in arguments)
        if given not in self.traced:
            self.compiled.get_concrete_function(*tf.nest.map_structure(self._of_any_size, arguments))
            self.traced.add(given)
        return self.compiled(*arguments)

    @staticmethod
    def _of_any_size(argument):
        if argument is None or argument.shape.rank != 4:
            return argument if argument is None else tf.TensorSpec(argument.shape, argument.dtype)
        return tf.TensorSpec((argument.shape[0], None, None, argument.shape[3]), argument.dtype)


def bytes_per_pixel(taps: keras.Model) -> float:
    """Estimates the memory of a step in bytes for each pixel of the image."""
    values = 0.0
    for layer in taps.layers[1:]:
        stride = stride_of(layer.name) * (1 if "_conv" in layer.name else 2)
        values += layer.output.shape[-1] * tf.as_dtype(layer.compute_dtype).size / stride**2
    return ALIVE * values
