"""Residual GAN: a generator and a spectrally normalized discriminator of a few residual blocks.

Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, tables 4 to 6.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_gan_arguments, check_share, checked
from kerasapps.blocks.conv import normalize
from kerasapps.blocks.fast_conv import Conv2D
from kerasapps.blocks.gan import down_residual_block, noise_input, start_size, up_residual_block, verdict_block
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_resnet_generator(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    noise_dim: int = 64,
    filters: int = 64,
    dropout: float = 0.0,
    name: str = "generator",
) -> keras.Model:
    """Builds a generator of residual blocks, each of which doubles the sides.

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4.
        num_classes: Number of classes, at least 2, if the class is to be chosen.
        noise_dim: Length of the noise vector.
        filters: Filters of every block.
        dropout: Share of features dropped after each block in training, in [0, 1).
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
        >>> generator = build_resnet_generator(image_shape=(28, 28, 1))
        >>> gan = GAN(generator, build_resnet_discriminator(image_shape=(28, 28, 1)), rules=Rules(loss="hinge"))
        >>> gan.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> gan.fit({"image": digits / 127.5 - 1}, epochs=2)  # digits float32 (n, 28, 28, 1), values 0 to 255
        >>> generator.predict({"noise": noise})["image"]  # noise float32 (n, 64)
    """
    check_gan_arguments(image_shape=image_shape, num_classes=num_classes)
    check_at_least(1, noise_dim=noise_dim, filters=filters)
    check_share(dropout=dropout)

    # --- inputs
    inputs, x = noise_input(noise_dim=noise_dim, num_classes=num_classes)

    # --- trunk
    height, width, times = start_size(image_shape)
    x = layers.Dense(height * width * filters, name="start")(x)
    x = layers.Reshape((height, width, filters), name="start_grid")(x)  # (B, H / 2**times, W / 2**times, F)
    for i in range(1, times + 1):
        x = up_residual_block(x, filters=filters, name=f"block{i}")  # (B, 2 H', 2 W', F)
        x = Dropout(dropout, name=f"block{i}_dropout")(x)
    x = layers.ReLU(name="top_relu")(normalize(x, name="top_bn"))

    # --- heads
    x = Conv2D(image_shape[2], 3, padding="same", name="top")(x)  # (B, H, W, C)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model([*inputs.values()], {"image": image}, name=name)


@checked
def build_resnet_discriminator(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    classifies: bool = False,
    filters: int = 64,
    spectral: bool = True,
    dropout: float = 0.0,
    name: str = "discriminator",
) -> keras.Model:
    """Builds a discriminator of residual blocks, each of which halves the sides.

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4.
        num_classes: Number of classes, at least 2, if the class is an input or an output.
        classifies: Whether the class is an output instead of an input.
        filters: Filters of every block.
        spectral: Whether to divide each layer by its spectral norm.
        dropout: Share of features dropped after each block in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values -1 to 1; with classes "label" int32 (B,), but not
        with `classifies`. Out: "verdict" float32 (B, 1), the logit of the image being real; with `classifies` also
        "label" float32 (B, num_classes), logits, and "features" float32 (B, filters).

    Train with: `kerasapps.gan.model.GAN`, hinge loss.

    Raises:
        ValueError: If a side is not a multiple of 4, `filters` is under 1, `num_classes` is under 2 or missing where
            `classifies` needs it, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_resnet_discriminator(image_shape=(28, 28, 1))
        >>> model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        >>> model.fit({"image": digits / 127.5 - 1}, real, epochs=2)  # real float32 (n, 1): 1 for real, 0 for generated
        >>> model.predict({"image": digits / 127.5 - 1})["verdict"] > 0
    """
    check_gan_arguments(image_shape=image_shape, num_classes=num_classes, classifies=classifies)
    check_at_least(1, filters=filters)
    check_share(dropout=dropout)

    # --- inputs
    image = x = keras.Input(image_shape, name="image")  # (B, H, W, C)

    # --- trunk
    _, _, times = start_size(image_shape)
    for i in range(1, times + 1):
        x = down_residual_block(x, filters=filters, spectral=spectral, first=i == 1, name=f"block{i}")  # (B, H', W', F)
        x = Dropout(dropout, name=f"block{i}_dropout")(x)
    x = layers.ReLU(name="top_relu")(x)
    # Deviation: the paper sums over the image; the mean does not grow with its size.
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (B, F)

    # --- heads
    given, outputs = verdict_block(x, num_classes=num_classes, classifies=classifies, spectral=spectral)
    return NamedHeads([image, *given.values()], outputs, name=name)


def search_space_resnet_generator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_resnet_generator`; each default equals the builder's."""
    return {"filters": hp.Int("generator_filters", 16, 128, step=16, default=64)}


def search_space_resnet_discriminator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_resnet_discriminator`; each default equals the builder's."""
    return {
        "filters": hp.Int("discriminator_filters", 16, 128, step=16, default=64),
        "dropout": hp.Float("discriminator_dropout", 0.0, 0.5, step=0.25, default=0.0),
    }
