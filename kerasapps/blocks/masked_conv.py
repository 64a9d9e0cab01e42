"""Masked convolutions: no output depends on a pixel that comes after its own.

Pixels come row by row, each row from left to right, and the channels of a pixel one after the other.

References: van den Oord et al., "Pixel Recurrent Neural Networks", ICML 2016 (masks A and B); van den Oord et al.,
"Conditional Image Generation with PixelCNN Decoders", NeurIPS 2016 (two stacks and gates).
"""

from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from kerasapps.blocks.fast_conv import Conv2D
from kerasapps.blocks.noise import Dropout

Mask = Literal["A", "B", "above", "rows"]


def window_mask(mask: Mask, window: tuple[int, int], inputs: int, filters: int, channels: int = 1) -> np.ndarray:
    """Returns 1 where a kernel may see its input and 0 elsewhere, float32 (K, K', inputs, filters).

    Args:
        mask: "A" for the rows above and, in the row itself, what is left of the pixel; "B" for these and the pixel;
            "above" for the rows above alone; "rows" for these and the whole row.
        window: Height and width of the kernel, both odd.
        inputs: Channels that it reads.
        filters: Channels that it makes.
        channels: Channels of the image. Channel i of any tensor belongs to channel i % channels of the image; at the
            pixel itself, A lets a filter see channels before its own, and B its own as well.
    """
    row, column = (side // 2 for side in window)
    seen = np.zeros((*window, inputs, filters), np.float32)
    seen[:row] = 1
    if mask == "rows":
        seen[row] = 1
    elif mask != "above":
        seen[row, :column] = 1
        read, made = np.arange(inputs)[:, None] % channels, np.arange(filters) % channels
        seen[row, column] = read < made if mask == "A" else read <= made
    return seen


@keras.saving.register_keras_serializable(package="kerasapps")
class MaskedConv2D(Conv2D):
    """Convolution that sees a part of its window; the size stays: (B, H, W, C) -> (B, H, W, filters).

    Args:
        filters: Channels of the output.
        kernel_size: Height and width of the window, both odd.
        mask: What it sees; see `window_mask`.
        channels: Channels of the image; see `window_mask`.
    """

    def __init__(self, filters, kernel_size, *, mask: Mask = "B", channels: int = 1, **options):
        super().__init__(filters, kernel_size, **{"padding": "same"} | options)
        self.mask = mask
        self.channels = channels

    def plain(self):
        """Returns Keras' layer with zeros for what the mask hides; trained on, it would see that too."""
        made = layers.Conv2D.from_config(super().get_config())
        if self.built:
            made.build_from_config(self.get_build_config())
            kernel, *bias = self.get_weights()
            made.set_weights([kernel * self._seen(kernel.shape), *bias])
        made.trainable = self.trainable
        return made

    def convolution_op(self, inputs, kernel):
        kernel = ops.convert_to_tensor(kernel)
        return super().convolution_op(inputs, kernel * ops.cast(self._seen(kernel.shape), kernel.dtype))

    def _seen(self, shape: tuple[int, ...]) -> np.ndarray:
        return window_mask(self.mask, tuple(shape[:2]), shape[2], shape[3], self.channels)

    def get_config(self):
        return super().get_config() | {"mask": self.mask, "channels": self.channels}


@keras.saving.register_keras_serializable(package="kerasapps")
class Gate(layers.Layer):
    """Multiplies tanh of the first half of the channels by the sigmoid of the second: (..., 2 F) -> (..., F)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, x):
        value, share = ops.split(x, 2, axis=-1)
        return ops.tanh(value) * ops.sigmoid(share)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)


def masked_residual_block(x, *, filters: int, channels: int = 1, dropout: float = 0.0, name: str):
    """Adds a masked 3x3 convolution between two 1x1 ones to its input: (B, H, W, 2 F) -> (B, H, W, 2 F)."""
    y = layers.ReLU(name=f"{name}_1_relu")(x)
    y = MaskedConv2D(filters, 1, channels=channels, name=f"{name}_1_conv")(y)  # (B, H, W, F)
    y = layers.ReLU(name=f"{name}_2_relu")(y)
    y = MaskedConv2D(filters, 3, channels=channels, name=f"{name}_2_conv")(y)
    y = layers.ReLU(name=f"{name}_3_relu")(y)
    y = Dropout(dropout, name=f"{name}_dropout")(y)
    y = MaskedConv2D(2 * filters, 1, channels=channels, name=f"{name}_3_conv")(y)  # (B, H, W, 2 F)
    return layers.Add(name=f"{name}_add")([x, y])


def gated_block(
    above, left, *, filters: int, size: int = 3, channels: int = 1, dropout: float = 0.0, first: bool = False, name: str
):
    """Continues the two stacks of a gated PixelCNN: one of all rows above, one of what is left in the pixel's row.

    A stack of square masked windows never sees some pixels above and to the right; the first stack here sees whole
    rows, and gives what it saw to the second.

    Args:
        above: Features of the rows above each pixel, (B, H, W, C).
        left: Features of all that comes before each pixel, (B, H, W, C).
        filters: Channels F of both outputs.
        size: Side of the windows, odd.
        channels: Channels of the image.
        dropout: Share of features dropped in training, in [0, 1).
        first: Whether both inputs are the image itself.
        name: Prefix of the layers' names.

    Returns:
        The same of the next layer, both (B, H, W, F).
    """
    rows: Mask = "above" if first else "rows"
    above = MaskedConv2D(2 * filters, size, mask=rows, name=f"{name}_above_conv")(above)  # (B, H, W, 2 F)
    y = MaskedConv2D(2 * filters, (1, size), mask="A" if first else "B", channels=channels, name=f"{name}_left_conv")(
        left
    )  # (B, H, W, 2 F)
    y = layers.Add(name=f"{name}_joined")([y, Conv2D(2 * filters, 1, name=f"{name}_down_conv")(above)])
    y = Gate(name=f"{name}_left_gate")(y)  # (B, H, W, F)
    y = Dropout(dropout, name=f"{name}_dropout")(y)
    y = MaskedConv2D(filters, 1, channels=channels, name=f"{name}_out_conv")(y)
    return Gate(name=f"{name}_above_gate")(above), y if first else layers.Add(name=f"{name}_add")([left, y])
