"""Receptive fields: which pixels of an image a unit of a layer can see, by arithmetic.

Reference: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from kerasapps.inside.networks import flat, layer_at

# What leaves each pixel where it is.
IN_PLACE = (
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Dropout, layers.Rescaling),
    *(layers.BatchNormalization, layers.GaussianNoise, layers.SpatialDropout2D, layers.Add, layers.Concatenate),
    *(layers.Identity, layers.Maximum, layers.Average, layers.Multiply, layers.Normalization, layers.Softmax),
)
WINDOWS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.MaxPooling2D, layers.AveragePooling2D)


@dataclass(frozen=True)
class Field:
    """What the units of a layer see along one side of an image.

    Args:
        first: First pixel that unit 0 sees; below 0 where it sees padding.
        size: Number of pixels that a unit sees.
        step: Pixels between what adjacent units see.
    """

    first: int
    size: int
    step: int

    def of(self, unit: int, side: int) -> tuple[int, int]:
        """Returns the first pixel that a unit sees and the one after the last, within an image of some side."""
        first = self.first + unit * self.step
        return min(max(0, first), side - 1), max(1, min(side, first + self.size))

    def seen_through(self, window: int, stride: int, before: int) -> "Field":
        """Returns the field of a window of units like these, `before` of them before the first unit."""
        return Field(self.first - before * self.step, self.size + (window - 1) * self.step, self.step * stride)

    def joined(self, other: "Field") -> "Field":
        """Returns the field of what sees both; their steps are those of tensors of one size."""
        first = min(self.first, other.first)
        end = max(self.first + self.size, other.first + other.size)
        return Field(first, end - first, max(self.step, other.step))


def receptive_field(model: keras.Model, layer: str) -> tuple[Field, Field] | None:
    """Returns what the units of a layer see of an image, down and across; None where each may see all of it.

    Args:
        model: A functional network with one input of images.
        layer: Name of a layer with height and width.

    Raises:
        ValueError: If there is no such layer.
    """
    if "/" in layer:
        layer_at(model, layer)
        return None  # the network that it is in may be called in several places
    node = layer_at(model, layer)._inbound_nodes[0]
    return _field(flat(node.output_tensors)[0], {})


def _field(tensor: Any, known: dict[int, Any]) -> tuple[Field, Field] | None:
    """Returns the field of a symbolic tensor, from those of what it is made of."""
    if id(tensor) not in known:
        operation, node, _ = tensor._keras_history
        if isinstance(operation, layers.InputLayer):
            known[id(tensor)] = (Field(0, 1, 1), Field(0, 1, 1))
        else:
            before = operation._inbound_nodes[node].input_tensors
            known[id(tensor)] = _after(operation, before, [_field(one, known) for one in before])
    return known[id(tensor)]


def _after(operation: Any, tensors: list[Any], fields: list[Any]) -> tuple[Field, Field] | None:
    """Returns the field of what an operation makes."""
    if any(field is None for field in fields) or len(tensors[0].shape) != 4:
        return None
    fields = [field for field in fields if field]
    joined = fields[0]
    for field in fields[1:]:
        joined = tuple(one.joined(other) for one, other in zip(joined, field, strict=True))
    if isinstance(operation, layers.ZeroPadding2D):
        return tuple(field.seen_through(1, 1, pad[0]) for field, pad in zip(joined, operation.padding, strict=True))
    if isinstance(operation, WINDOWS) and not isinstance(operation, layers.Conv2DTranspose):
        sides = tensors[0].shape[1:3]
        return tuple(_window(operation, joined[axis], axis, sides[axis]) for axis in (0, 1))
    activations = ("ReLU", "Relu6", "Add", "Maximum", "Sigmoid", "Silu", "Gelu")
    return joined if isinstance(operation, IN_PLACE) or type(operation).__name__ in activations else None


def _window(layer: Any, field: Field, axis: int, side: int | None) -> Field:
    """Returns the field behind a convolution or a pool."""
    size = getattr(layer, "kernel_size", None) or layer.pool_size
    size, stride = size[axis], layer.strides[axis]
    size = (size - 1) * getattr(layer, "dilation_rate", (1, 1))[axis] + 1
    if layer.padding != "same":
        return field.seen_through(size, stride, 0)
    # An image of unknown size is taken to be a multiple of the stride.
    missing = max((-(-side // stride) - 1) * stride + size - side, 0) if side else max(size - stride, 0)
    return field.seen_through(size, stride, missing // 2)
