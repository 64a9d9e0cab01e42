"""What lies beyond the edge of an image, for a filter whose window reaches there."""

from typing import Literal

import keras
from keras import layers, ops

# As they are called for images, and in `numpy.pad`. "crop" leaves out what would need values from beyond the edge.
Border = Literal["zeros", "crop", "extend", "reflect"]
MODES = {"zeros": "constant", "extend": "edge", "reflect": "reflect"}


@keras.saving.register_keras_serializable(package="kerasapps")
class BorderPadding2D(layers.Layer):
    """Adds a border to images: (B, H, W, C) -> (B, H + 2 * margins[0], W + 2 * margins[1], C).

    Args:
        margins: Pixels above and below, and to the left and right; "reflect" needs a larger side than that.
        border: "zeros" is black, "extend" repeats the pixels of the edge, "reflect" mirrors the image at the pixels of
            the edge, which are not repeated (reflect-101).
    """

    def __init__(self, margins: tuple[int, int], *, border: Border, **options):
        super().__init__(**options)
        self.margins, self.border = tuple(margins), border

    def plain(self):
        """Returns Keras' operation."""
        return self.call

    def call(self, inputs):
        margins = [[0, 0], *([margin, margin] for margin in self.margins), [0, 0]]
        if self.border != "extend":
            return ops.pad(inputs, margins, mode=MODES[self.border])
        # Row by row, because TensorFlow has no padding of this kind.
        for axis, margin in enumerate(self.margins, start=1):
            first = inputs[(slice(None),) * axis + (slice(0, 1),)]
            last = inputs[(slice(None),) * axis + (slice(-1, None),)]
            inputs = ops.concatenate([*[first] * margin, inputs, *[last] * margin], axis=axis)
        return inputs

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        sides = [
            None if side is None else side + 2 * margin
            for side, margin in zip((height, width), self.margins, strict=True)
        ]
        return (batch, *sides, channels)

    def get_config(self):
        return super().get_config() | {"margins": self.margins, "border": self.border}
