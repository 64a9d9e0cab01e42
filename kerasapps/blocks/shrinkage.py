"""Soft thresholding: the constraint on weights by which an L1 penalty has exact zeros."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasapps")
class SoftThreshold(keras.constraints.Constraint):
    """Moves each weight by `step` towards 0 after every update, and leaves it there once it arrives.

    This is the proximal step of the penalty `step / learning_rate * sum(|w|)` under gradient descent; with momentum,
    which adds up gradients and not these steps, of `step * (1 - momentum) / learning_rate * sum(|w|)`. Gradient descent
    on the penalty itself would jump over 0 from either side, and no weight would ever be exactly 0.

    Reference: Parikh and Boyd, "Proximal Algorithms", Foundations and Trends in Optimization, 2014, section 6.5.2.

    Args:
        step: How far a weight moves.
    """

    def __init__(self, step: float):
        self.step = step

    def plain(self):
        """Returns Keras' constraint that changes nothing: the zeros are in the weights by now."""
        return keras.constraints.Constraint()

    def __call__(self, weight):
        """Returns the weights, shrunk."""
        return ops.sign(weight) * ops.maximum(ops.abs(weight) - self.step, 0.0)

    def get_config(self):
        return {"step": self.step}
