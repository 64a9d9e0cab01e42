"""Whitening of the patches of a picture: a fixed first layer that makes the next one quick to train.

Neighbouring pixels and colours say nearly the same, so a first convolution learns from a few directions and hardly from
the others. Whitened, every direction in which patches vary counts alike.

References: Page, "How to Train Your ResNet 8: Bag of Tricks", 2019, who starts a classifier with it; Coates and Ng,
"Learning Feature Representations with K-Means", 2012, for the regularised whitening.
"""

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="kerasapps")
class PatchWhitening(layers.Layer):
    """Projects each patch on the directions in which patches vary, scaled to unit variance, and on their opposites.

    Both signs, because a ReLU that follows would lose half of it. Like `keras.layers.Normalization` it has to see
    training pictures first, by `adapt`; before that it copies the pixels of the patch.

    In: (B, H, W, C). Out: (B, H, W, 2 * kernel_size**2 * C).

    Args:
        kernel_size: Side of a patch in pixels.
        epsilon: Added to the variances, in units of the input squared: directions that vary less are noise.
    """

    def __init__(self, kernel_size: int = 2, *, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.epsilon = epsilon

    def build(self, input_shape):
        """Makes the weights: identity until `adapt`."""
        width = self.kernel_size**2 * input_shape[-1]
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], width)
        identity = np.eye(width, dtype=np.float32).reshape(shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
            initializer=lambda *args, **kwargs: ops.convert_to_tensor(identity),
            trainable=False,
        )
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros", trainable=False)

    def call(self, images):
        """Whitens every patch; those at the lower and right edge reach into zeros."""
        kernel = ops.cast(self.kernel, images.dtype)
        whitened = ops.conv(images, kernel, padding="same") + ops.cast(self.bias, images.dtype)  # (B, H, W, D)
        return ops.concatenate([whitened, -whitened], axis=-1)  # (B, H, W, 2D)

    def adapt(self, images: np.ndarray) -> None:
        """Fits mean and directions to pictures as the layer will see them: float (n, H, W, C)."""
        k, channels = self.kernel_size, images.shape[-1]
        windows = np.lib.stride_tricks.sliding_window_view(images, (k, k), axis=(1, 2))  # (n, H', W', C, k, k)
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, k * k * channels).astype(np.float64)
        mean = patches.mean(0)
        variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False).reshape(len(mean), len(mean)))
        kernel = directions / np.sqrt(variances + self.epsilon)  # (k * k * C, D), a column a direction
        # The sign of a direction is arbitrary and differs between libraries.
        kernel *= np.sign(kernel[np.abs(kernel).argmax(0), np.arange(len(mean))])
        self.kernel.assign(kernel.reshape(self.kernel.shape))
        self.bias.assign(-mean @ kernel)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the output."""
        return (*input_shape[:-1], 2 * self.kernel_size**2 * input_shape[-1])

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {"kernel_size": self.kernel_size, "epsilon": self.epsilon}
