"""Autoencoders: networks that squeeze an image into a short code, and draw it again from the code.

References: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", Science 2006; Vincent
et al., "Extracting and Composing Robust Features with Denoising Autoencoders", ICML 2008 (noise); Kingma and Welling,
"Auto-Encoding Variational Bayes", ICLR 2014.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_gan_arguments, checked, refusal
from kerasapps.blocks.autoencoder import GaussianDivergence, GaussianSample, decoder_block, encoder_block
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.noise import GaussianNoise

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# The layer between encoder and decoder, and the one whose output is the image.
CODE, RECONSTRUCTION = "code", "reconstruction"


@checked
def build_autoencoder(
    *,
    image_shape: tuple[int, int, int],
    latent_dim: int = 16,
    convolutional: bool = False,
    linear: bool = False,
    units: int = 256,
    depth: int = 2,
    filters: int = 32,
    noise: float = 0.0,
    name: str = "autoencoder",
) -> keras.Model:
    """Builds an encoder, a code and a decoder in one graph.

    `encoder_of` and `decoder_of` return the two halves. A linear one that has learned is as good as as many principal
    components (Baldi and Hornik 1989).

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4 if it is convolutional.
        latent_dim: Numbers in a code.
        convolutional: Whether both halves consist of convolutions that halve and double the sides.
        linear: Whether there is no activation anywhere; values of the images are then not confined to [0, 1].
        units: Width of the dense layers, without convolutions.
        depth: Dense layers before and after the code, without convolutions; with 0 the code is all there is.
        filters: Filters of the outermost convolutions; each further inside has twice as many, up to 8 times.
        noise: Standard deviation of the noise added to images in training, which the network learns to remove.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 1. Out: "reconstruction" float32
        (B, H, W, C), values 0 to 1. The layer "code" has the codes, float32 (B, latent_dim).

    Train with: mean squared error, or `kerasapps.losses.PixelCrossentropy`, from the images themselves.

    Raises:
        ValueError: If a side is not a multiple of 4 where it is convolutional, a size is under 1, or `depth` or `noise`
            is under 0.

    Example:
        >>> model = build_autoencoder(image_shape=(28, 28, 1))
        >>> model.compile("adam", "mse")
        >>> model.fit(digits / 255, {"reconstruction": digits / 255}, epochs=2)  # digits float32 (n, 28, 28, 1)
        >>> codes = encoder_of(model).predict(digits / 255)["code"]
        >>> decoder_of(model).predict(codes)["reconstruction"]
    """
    _check(image_shape, convolutional, latent_dim=latent_dim, units=units, filters=filters, depth=depth)
    check_at_least(0, noise=noise)
    activation = None if linear else "relu"
    half = {"convolutional": convolutional, "units": units, "depth": depth, "filters": filters}
    half["activation"] = activation

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)

    # --- trunk
    x = encoder_block(GaussianNoise(noise, name="noise")(image), **half)  # (B, F)
    code = layers.Dense(latent_dim, dtype="float32", name=CODE)(x)  # (B, Z)
    x = decoder_block(code, image_shape=image_shape, **half)  # (B, H, W, C)

    # --- heads
    last = "linear" if linear else "sigmoid"
    reconstruction = layers.Activation(last, dtype="float32", name=RECONSTRUCTION)(x)
    return keras.Model([image], {RECONSTRUCTION: reconstruction}, name=name)


@checked
def build_vae(
    *,
    image_shape: tuple[int, int, int],
    latent_dim: int = 16,
    convolutional: bool = False,
    units: int = 256,
    depth: int = 2,
    filters: int = 32,
    name: str = "vae",
) -> keras.Model:
    """Builds a variational autoencoder: the encoder gives a Gaussian for each image, from which training draws codes.

    The loss of a batch is the negative evidence lower bound (ELBO): the nats that describing the images from their
    codes takes, plus the divergence of the codes' Gaussians from the standard normal distribution. New images are
    what `decoder_of(model)` makes of standard normal codes.

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4 if it is convolutional.
        latent_dim: Numbers in a code.
        convolutional: Whether both halves consist of convolutions that halve and double the sides.
        units: Width of the dense layers, without convolutions.
        depth: Dense layers before and after the code, without convolutions.
        filters: Filters of the outermost convolutions; each further inside has twice as many, up to 8 times.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 1. Out: "reconstruction" float32
        (B, H, W, C), the probability of each pixel being 1; "divergence" float32 (B, 1), in nats. The layers "mean",
        "log_variance" and "code" have (B, latent_dim) each; "code" is "mean" but in training.

    Train with: `kerasapps.losses.PixelCrossentropy` for "reconstruction", from the images themselves; mean absolute
        error from 0 for "divergence", which is its mean, as no divergence is negative.

    Raises:
        ValueError: If a side is not a multiple of 4 where it is convolutional, a size is under 1, or `depth` is under
            0.

    Example:
        >>> model = build_vae(image_shape=(28, 28, 1), latent_dim=2)
        >>> model.compile("adam", {"reconstruction": PixelCrossentropy(), "divergence": "mae"})
        >>> targets = {"reconstruction": digits / 255, "divergence": keras.ops.zeros((len(digits), 1))}
        >>> model.fit(digits / 255, targets, epochs=2)  # digits float32 (n, 28, 28, 1), values 0 to 255
        >>> codes = keras.random.normal((16, 2))
        >>> decoder_of(model).predict(codes)["reconstruction"]  # new images
    """
    _check(image_shape, convolutional, latent_dim=latent_dim, units=units, filters=filters, depth=depth)
    half = {"convolutional": convolutional, "units": units, "depth": depth, "filters": filters, "activation": "relu"}

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)

    # --- trunk
    x = encoder_block(image, **half)  # (B, F)
    moments = [layers.Dense(latent_dim, dtype="float32", name=moment)(x) for moment in ("mean", "log_variance")]
    code = GaussianSample(dtype="float32", name=CODE)(moments)  # (B, Z)
    x = decoder_block(code, image_shape=image_shape, **half)  # (B, H, W, C)

    # --- heads
    reconstruction = layers.Activation("sigmoid", dtype="float32", name=RECONSTRUCTION)(x)
    divergence = GaussianDivergence(dtype="float32", name="divergence")(moments)  # (B, 1)
    return NamedHeads([image], {RECONSTRUCTION: reconstruction, "divergence": divergence}, name=name)


def encoder_of(model: keras.Model) -> keras.Model:
    """Returns the first half of an autoencoder, on the same weights.

    Args:
        model: What `build_autoencoder` or `build_vae` returned, perhaps saved and loaded.

    Returns:
        Uncompiled model. In: "image". Out, a dict: "code", and of a variational one "mean" and "log_variance".

    Example:
        >>> model = build_autoencoder(image_shape=(28, 28, 1))
        >>> encoder_of(model).predict(digits / 255)["code"]  # digits float32 (n, 28, 28, 1), values 0 to 255
    """
    known = [layer.name for layer in model.layers]
    names = [name for name in (CODE, "mean", "log_variance") if name in known]
    outputs = {name: model.get_layer(name).output for name in names}
    return keras.Model(model.inputs, outputs, name=f"{model.name}_encoder")


def decoder_of(model: keras.Model) -> keras.Model:
    """Returns the second half of an autoencoder, on the same weights.

    Args:
        model: As for `encoder_of`.

    Returns:
        Uncompiled model. In: codes float32 (B, latent_dim). Out, a dict: "reconstruction".

    Example:
        >>> model = build_autoencoder(image_shape=(28, 28, 1))
        >>> decoder_of(model).predict(encoder_of(model).predict(digits / 255)["code"])["reconstruction"]
    """
    code, image = model.get_layer(CODE).output, model.get_layer(RECONSTRUCTION).output
    return keras.Model([code], {RECONSTRUCTION: image}, name=f"{model.name}_decoder")


def _check(image_shape: tuple[int, int, int], convolutional: bool, *, depth: int, **sizes: int) -> None:
    if convolutional:
        check_gan_arguments(image_shape=image_shape, num_classes=None)
    elif min(image_shape) < 1:
        raise refusal("be (height, width, channels), each at least 1", image_shape=image_shape)
    check_at_least(1, **sizes)
    check_at_least(0, depth=depth)


def search_space_autoencoder(hp: "HyperParameters", *, convolutional: bool = False) -> dict[str, Any]:
    """Returns arguments for `build_autoencoder`; each default equals the builder's.

    Without `latent_dim`: the longer a code, the smaller the error.
    """
    noise = {"noise": hp.Float("noise", 0.0, 0.4, step=0.1, default=0.0)}
    return _half_space(hp, convolutional=convolutional) | noise


def search_space_vae(hp: "HyperParameters", *, convolutional: bool = False) -> dict[str, Any]:
    """Returns arguments for `build_vae`; each default equals the builder's."""
    latent = {"latent_dim": hp.Int("latent_dim", 2, 64, sampling="log", default=16)}
    return latent | _half_space(hp, convolutional=convolutional)


def _half_space(hp: "HyperParameters", *, convolutional: bool) -> dict[str, Any]:
    if convolutional:
        return {"filters": hp.Int("filters", 8, 64, step=8, default=32)}
    return {
        "units": hp.Int("units", 64, 512, step=64, default=256),
        "depth": hp.Int("depth", 1, 3, default=2),
    }
