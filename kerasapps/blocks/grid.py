"""What makes a grid of image features something to attend to, for several captions of an image at once."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="kerasapps")
class Coordinates(layers.Layer):
    """Adds to features where they are: two channels from -1 to 1, (B, H, W, C) -> (B, H, W, C + 2).

    Reference: Liu et al., "An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution", NeurIPS
    2018.
    """

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, features):
        dtype = features.dtype
        one = ops.ones_like(features[..., :1])  # (B, H, W, 1)
        down = (ops.cumsum(one, axis=1) - 0.5) / ops.cast(ops.sum(one, axis=1, keepdims=True), dtype)
        right = (ops.cumsum(one, axis=2) - 0.5) / ops.cast(ops.sum(one, axis=2, keepdims=True), dtype)
        return ops.concatenate([features, 2 * down - 1, 2 * right - 1], axis=-1)

    def compute_output_spec(self, features):
        return keras.KerasTensor((*features.shape[:-1], features.shape[-1] + 2), features.dtype)


@keras.saving.register_keras_serializable(package="kerasapps")
class AllPresent(layers.Layer):
    """Marks that no step of a sequence is padding: (B, T, D) -> bool (B, T)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, features):
        return ops.ones_like(features[..., 0], dtype="bool")

    def compute_output_spec(self, features):
        return keras.KerasTensor(features.shape[:-1], "bool")


@keras.saving.register_keras_serializable(package="kerasapps")
class ForEach(layers.Layer):
    """Repeats rows for each text that belongs to them: (B, ...) and texts (B, N, T) -> (B N, ...)."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # or Keras would round a state that is kept in float32

    def call(self, x, texts):
        count = ops.shape(texts)[1]
        repeated = ops.repeat(x[:, None], count, axis=1)  # (B, N, ...)
        return ops.reshape(repeated, (-1, *ops.shape(x)[1:]))

    def compute_output_spec(self, x, texts):
        return keras.KerasTensor((None, *x.shape[1:]), x.dtype)
