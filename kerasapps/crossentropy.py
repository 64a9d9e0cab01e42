"""Cross-entropy with class ids whose target is not all of the right class."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasapps")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with class ids (B,) or (B, 1), whose target spreads some probability over all classes.

    Reference: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7.

    Args:
        smoothing: Share of the probability that is spread, in [0, 1).
    """

    def __init__(self, smoothing: float = 0.1, name: str = "smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        """Returns the loss of each row (B,)."""
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        targets = ops.one_hot(labels, y_pred.shape[-1])  # (B, num_classes)
        return keras.losses.categorical_crossentropy(targets, y_pred, label_smoothing=self.smoothing)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"smoothing": self.smoothing}
