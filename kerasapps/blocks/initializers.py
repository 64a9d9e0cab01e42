"""Initial weights."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kerasapps")
class IdentityKernel(keras.initializers.Initializer):
    """Kernels whose first filters copy the channels; further filters are initialized as in He et al.

    A stack of convolutions then starts as a shallow network and deepens as it learns.

    Reference: Zagoruyko and Komodakis, "DiracNets: Training Very Deep Neural Networks Without Skip-Connections", 2017.

    Args:
        seed: Seed of the further filters; by default it follows from Keras' global seed.
    """

    def plain(self):
        """Returns He's initializer, under which a saved network opens as well: its weights come from the file."""
        return keras.initializers.HeNormal(seed=self.seed)

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
        return {"seed": self.seed}
