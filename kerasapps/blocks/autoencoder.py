"""Blocks of autoencoders: from images to features, from codes to images, and codes that are drawn from Gaussians."""

import keras
from keras import layers, ops

from kerasapps.blocks.fast_conv import Conv2D, Conv2DTranspose
from kerasapps.blocks.gan import start_size
from kerasapps.blocks.noise import GaussianNoise


@keras.saving.register_keras_serializable(package="kerasapps")
class GaussianSample(layers.Layer):
    """Draws from Gaussians in training, and returns their means otherwise: means, log-variances (B, Z) -> (B, Z).

    The noise is drawn from a fixed distribution, then scaled and shifted, so that gradients reach mean and variance.

    Reference: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, section 2.4.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.noise = GaussianNoise(1.0, dtype=self.dtype_policy, name="noise")  # none but in training

    def plain(self):
        """Returns the same with Keras' layer for the noise."""
        noise = self.noise.plain()
        return lambda moments, **options: _shifted(*moments, noise, **options)

    def call(self, moments, training=False):
        return _shifted(*moments, self.noise, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def _shifted(mean, log_variance, noise, **options):
    return mean + ops.exp(0.5 * log_variance) * noise(ops.zeros_like(mean), **options)


@keras.saving.register_keras_serializable(package="kerasapps")
class GaussianDivergence(layers.Layer):
    """Returns the Kullback-Leibler divergence of Gaussians from the standard normal distribution, in nats.

    Means and log-variances (B, Z) -> (B, 1), the sum over the numbers of a code.
    """

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, moments):
        mean, log_variance = moments
        each = ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance  # (B, Z)
        return 0.5 * ops.sum(each, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], 1)


def encoder_block(image, *, convolutional: bool, units: int, depth: int, filters: int, activation: str | None):
    """Turns images into features: (B, H, W, C) -> (B, F); the arguments are those of `build_autoencoder`."""
    if not convolutional:
        return dense_stack(layers.Flatten(name="pixels")(image), units, depth, activation, name="encoder")  # (B, units)
    x = image
    for i in range(start_size(image.shape[1:])[2]):
        width = filters * min(2**i, 8)
        x = Conv2D(width, 4, strides=2, padding="same", activation=activation, name=f"down{i + 1}")(x)  # (B, H'/2, ...)
    return layers.Flatten(name="features")(x)  # (B, F)


def decoder_block(
    code,
    *,
    image_shape: tuple[int, int, int],
    convolutional: bool,
    units: int,
    depth: int,
    filters: int,
    activation: str | None,
):
    """Turns codes into images before their last activation: (B, Z) -> (B, H, W, C); the mirror of `encoder_block`."""
    height, width, channels = image_shape
    if not convolutional:
        x = dense_stack(code, units, depth, activation, name="decoder")  # (B, units)
        x = layers.Dense(height * width * channels, name="decoded_pixels")(x)  # (B, H * W * C)
        return layers.Reshape(image_shape, name="decoded")(x)  # (B, H, W, C)
    height, width, times = start_size(image_shape)
    widths = [filters * min(2**i, 8) for i in reversed(range(times))]
    x = layers.Dense(height * width * widths[0], activation=activation, name="start")(code)
    x = layers.Reshape((height, width, widths[0]), name="start_grid")(x)  # (B, H / 2**times, W / 2**times, F)
    for i, count in enumerate(widths[1:], start=1):
        x = Conv2DTranspose(count, 4, strides=2, padding="same", activation=activation, name=f"up{i}")(x)
    return Conv2DTranspose(channels, 4, strides=2, padding="same", name=f"up{times}")(x)  # (B, H, W, C)


def dense_stack(x, units: int, depth: int, activation: str | None, *, name: str):
    """Applies `depth` dense layers: (B, F) -> (B, units)."""
    for i in range(1, depth + 1):
        x = layers.Dense(units, activation=activation, name=f"{name}{i}")(x)  # (B, units)
    return x
