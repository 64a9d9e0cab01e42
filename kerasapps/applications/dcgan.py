"""DCGAN: a generator and a discriminator that consist of convolutions.

Reference: Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", ICLR 2016.
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_gan_arguments, check_share, checked
from kerasapps.blocks.conv import normalize
from kerasapps.blocks.fast_conv import Conv2D, Conv2DTranspose
from kerasapps.blocks.gan import linear, noise_input, start_size, verdict_block
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


def initial() -> keras.initializers.Initializer:
    """Returns a new initializer: one object would draw the same values for each kernel."""
    return keras.initializers.RandomNormal(stddev=0.02)


@checked
def build_dcgan_generator(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    noise_dim: int = 64,
    filters: int = 64,
    dropout: float = 0.0,
    name: str = "generator",
) -> keras.Model:
    """Builds a generator of normalized transposed convolutions, each of which doubles the sides.

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4.
        num_classes: Number of classes, at least 2, if the class is to be chosen.
        noise_dim: Length of the noise vector.
        filters: Filters before the last layer; each earlier layer has twice as many, up to 8 times.
        dropout: Share of features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In, as a dict or as a list in this order: "noise" float32 (B, noise_dim), standard
        normal; with classes "label" int32 (B,).
        Out, a dict: "image" float32 (B, H, W, C), values -1 to 1.

    Train with: `kerasapps.gan.model.GAN`.

    Raises:
        ValueError: If a side is not a multiple of 4, a size is under 1, `num_classes` is under 2, or `dropout` is
            outside [0, 1).

    Example:
        >>> generator = build_dcgan_generator(image_shape=(28, 28, 1))
        >>> gan = GAN(generator, build_dcgan_discriminator(image_shape=(28, 28, 1)))
        >>> gan.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> gan.fit({"image": digits / 127.5 - 1}, epochs=2)  # digits float32 (n, 28, 28, 1), values 0 to 255
        >>> generator.predict({"noise": noise})["image"]  # noise float32 (n, 64)
    """
    check_gan_arguments(image_shape=image_shape, num_classes=num_classes)
    check_at_least(1, noise_dim=noise_dim, filters=filters)
    check_share(dropout=dropout)

    def finish(x, name: str):
        x = layers.ReLU(name=f"{name}_relu")(normalize(x, name=f"{name}_bn"))
        return Dropout(dropout, name=f"{name}_dropout")(x)

    # --- inputs
    inputs, x = noise_input(noise_dim=noise_dim, num_classes=num_classes)

    # --- trunk
    height, width, times = start_size(image_shape)
    widths = [filters * min(2**i, 8) for i in reversed(range(times))]
    x = layers.Dense(height * width * widths[0], use_bias=False, kernel_initializer=initial(), name="start")(
        x
    )  # (B, H / 2**times * W / 2**times * F)
    x = finish(layers.Reshape((height, width, widths[0]), name="start_grid")(x), "start")
    for i, count in enumerate(widths[1:], start=1):
        # Deviation: the paper's windows are 5 wide, which overlap unevenly at strides of 2.
        x = Conv2DTranspose(
            count, 4, strides=2, padding="same", use_bias=False, kernel_initializer=initial(), name=f"up{i}"
        )(x)  # (B, 2 H', 2 W', F)
        x = finish(x, f"up{i}")

    # --- heads
    x = Conv2DTranspose(image_shape[2], 4, strides=2, padding="same", kernel_initializer=initial(), name=f"up{times}")(
        x
    )  # (B, H, W, C)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model([*inputs.values()], {"image": image}, name=name)


@checked
def build_dcgan_discriminator(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    classifies: bool = False,
    filters: int = 64,
    normalization: Literal["batch", "spectral", "none"] = "batch",
    dropout: float = 0.0,
    name: str = "discriminator",
) -> keras.Model:
    """Builds a discriminator of convolutions, each of which halves the sides.

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4.
        num_classes: Number of classes, at least 2, if the class is an input or an output.
        classifies: Whether the class is an output instead of an input.
        filters: Filters of the first layer; each later one has twice as many, up to 8 times.
        normalization: "batch", of all layers but the first as in the paper; "spectral", of all layers (Miyato et al.
            2018); or "none".
        dropout: Share of features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values -1 to 1; with classes "label" int32 (B,), but not
        with `classifies`. Out: "verdict" float32 (B, 1), the logit of the image being real; with `classifies` also
        "label" float32 (B, num_classes), logits, and "features" float32 (B, F).

    Train with: `kerasapps.gan.model.GAN`.

    Raises:
        ValueError: If a side is not a multiple of 4, `filters` is under 1, `num_classes` is under 2 or missing where
            `classifies` needs it, `normalization` is none of the three, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_dcgan_discriminator(image_shape=(28, 28, 1))
        >>> model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        >>> model.fit({"image": digits / 127.5 - 1}, real, epochs=2)  # real float32 (n, 1): 1 for real, 0 for generated
        >>> model.predict({"image": digits / 127.5 - 1})["verdict"] > 0
    """
    check_gan_arguments(image_shape=image_shape, num_classes=num_classes, classifies=classifies)
    check_at_least(1, filters=filters)
    check_share(dropout=dropout)
    spectral = normalization == "spectral"

    # --- inputs
    image = x = keras.Input(image_shape, name="image")  # (B, H, W, C)

    # --- trunk
    _, _, times = start_size(image_shape)
    for i in range(times):
        batch_norm = normalization == "batch" and i > 0
        convolution = {"strides": 2, "padding": "same", "use_bias": not batch_norm}
        convolution |= {"spectral": spectral, "kernel_initializer": initial(), "name": f"conv{i + 1}"}
        x = linear(Conv2D, filters * min(2**i, 8), 4, **convolution)(x)  # (B, H' / 2, W' / 2, F)
        x = normalize(x, name=f"conv{i + 1}_bn") if batch_norm else x
        x = layers.LeakyReLU(0.2, name=f"conv{i + 1}_relu")(x)
        x = Dropout(dropout, name=f"conv{i + 1}_dropout")(x)
    x = layers.Flatten(name="flat")(x)  # (B, F)

    # --- heads
    given, outputs = verdict_block(x, num_classes=num_classes, classifies=classifies, spectral=spectral)
    return NamedHeads([image, *given.values()], outputs, name=name)


def search_space_dcgan_generator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_dcgan_generator`; each default equals the builder's."""
    return {"filters": hp.Int("generator_filters", 16, 96, step=16, default=64)}


def search_space_dcgan_discriminator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_dcgan_discriminator`; each default equals the builder's."""
    return {
        "filters": hp.Int("discriminator_filters", 16, 96, step=16, default=64),
        "normalization": hp.Choice("discriminator_normalization", ["batch", "spectral", "none"], default="batch"),
        "dropout": hp.Float("discriminator_dropout", 0.0, 0.5, step=0.25, default=0.0),
    }
