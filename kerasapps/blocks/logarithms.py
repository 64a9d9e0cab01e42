"""Logarithms of probabilities."""

import keras
from keras import layers, ops

SPREAD = 1e-3  # as in `kerasapps.superlearner`, whose weights are learned for it


@keras.saving.register_keras_serializable(package="kerasapps")
class Logarithms(layers.Layer):
    """Takes logarithms of probabilities: (B, ..., classes, members) -> the same shape.

    Before that a share of each is spread over all classes, or a probability of 0 would be a veto.

    Args:
        spread: That share, in (0, 1).
    """

    def __init__(self, *, spread: float = SPREAD, **kwargs):
        super().__init__(**kwargs)
        self.spread = spread

    def call(self, probabilities):
        return ops.log((1 - self.spread) * probabilities + self.spread / probabilities.shape[-2])

    def plain(self):
        """Returns it as operations."""
        return self.call

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"spread": self.spread}
