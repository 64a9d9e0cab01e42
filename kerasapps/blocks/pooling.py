"""What is left of features if their place is not: beside the average, how much they vary over an image."""

import keras
from keras import layers, ops

EPSILON = 1e-6  # keeps the slope finite where a feature is the same everywhere


@keras.saving.register_keras_serializable(package="kerasapps")
class SpatialDeviation(layers.Layer):
    """Standard deviation of each channel over all pixels: (B, H, W, C) -> (B, C).

    Its gradient has a mean of 0 over the pixels: Grad-CAM, which weighs channels by that, sees nothing of it.

    Reference: Snyder et al., "Deep Neural Network Embeddings for Text-Independent Speaker Verification", Interspeech
    2017 (statistics pooling, there over time).
    """

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, inputs):
        # In float32: squares of half precision overflow, and their differences are mostly rounding.
        return ops.cast(ops.sqrt(ops.var(ops.cast(inputs, "float32"), axis=(1, 2)) + EPSILON), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[3]
