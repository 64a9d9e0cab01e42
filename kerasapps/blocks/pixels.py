"""Images with values from 0 to 255, as networks that others trained expect them."""

from typing import Literal

import keras
from keras import layers, ops

from kerasapps.blocks.style import MEAN_BGR

Pixels = Literal["bytes", "tf", "torch", "caffe"]
# Mean and deviation of red, green and blue in ImageNet, as shares of 255.
MEAN_RGB, DEVIATION_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="kerasapps")
class ReversedChannels(layers.Layer):
    """Turns red, green and blue into blue, green and red: (B, H, W, C) -> (B, H, W, C)."""

    def plain(self):
        """Returns Keras' operation."""
        return lambda image: ops.flip(image, -1)

    def call(self, image):
        return ops.flip(image, -1)

    def compute_output_shape(self, input_shape):
        return input_shape


def scaled_pixels(image, *, expected: Pixels, name: str):
    """Does what `preprocess_input` of `keras.applications` does, as part of the graph.

    Args:
        image: Values 0 to 255, (B, H, W, C); C is 3 for "torch" and "caffe".
        expected: "bytes" for the values as they are; "tf" for -1 to 1; "torch" for red, green and blue less their mean
            in ImageNet, divided by their deviation; "caffe" for blue, green and red less their mean.
        name: Prefix of the layers' names.

    Returns:
        float32 (B, H, W, C).
    """
    if expected == "bytes":
        return image
    if expected == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name=f"{name}_scaled")(image)
    if expected == "torch":
        scale = [1 / (255 * deviation) for deviation in DEVIATION_RGB]
        offset = [-mean / deviation for mean, deviation in zip(MEAN_RGB, DEVIATION_RGB, strict=True)]
        return layers.Rescaling(scale, offset=offset, dtype="float32", name=f"{name}_scaled")(image)
    image = ReversedChannels(dtype="float32", name=f"{name}_bgr")(image)
    return layers.Rescaling(1.0, offset=[-mean for mean in MEAN_BGR], dtype="float32", name=f"{name}_scaled")(image)
