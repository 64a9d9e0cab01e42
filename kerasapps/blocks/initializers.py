"""Where weights begin."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kerasapps")
class IdentityKernel(keras.initializers.Initializer):
    """Kernels whose first filters hand on the channels as they are; filters beyond these begin as by He et al.

    A stack of convolutions then begins as a short network, and deepens as it learns.

    Reference: Zagoruyko and Komodakis, "DiracNets: Training Very Deep Neural Networks Without Skip-Connections", 2017.

    Args:
        seed: Of the filters beyond the channels; by default Keras' global one decides.
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed
        self.others = keras.initializers.HeNormal(seed=seed)

    def __call__(self, shape, dtype=None):
        """Returns a kernel (K, K, C, F), K odd."""
        height, width, channels, filters = shape
        same = min(channels, filters)
        identity = np.zeros(shape, np.float32)
        identity[height // 2, width // 2, np.arange(same), np.arange(same)] = 1
        beyond = np.arange(filters) >= channels  # (F,)
        return ops.cast(identity, dtype) + self.others(shape, dtype=dtype) * ops.cast(beyond, dtype)

    def get_config(self):
        """Returns the arguments."""
        return {"seed": self.seed}
