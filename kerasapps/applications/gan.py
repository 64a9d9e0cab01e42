"""Generative adversarial network: a generator, a discriminator, and both in one graph.

Reference: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_gan_arguments, check_share, checked
from kerasapps.blocks.fast_conv import Conv2D, Conv2DTranspose
from kerasapps.blocks.gan import linear, noise_input, verdict_block
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.noise import ByteDropout, GaussianNoise

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_generator(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    noise_dim: int = 64,
    units: int = 1024,
    filters: int = 64,
    kernel_size: int = 5,
    last_kernel_size: int = 5,
    dropout: float = 0.25,
    dropout_at_sampling: bool = False,
    name: str = "generator",
) -> keras.Model:
    """Builds the course notes' generator: two dense layers, then two transposed convolutions that double the sides.

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4.
        num_classes: Number of classes, at least 2, if the class is to be chosen.
        noise_dim: Length of the noise vector.
        units: Width of the first dense layer.
        filters: Filters of the first transposed convolution; the layer before it has twice as many.
        kernel_size: Side of its window.
        last_kernel_size: Side of the last window. At 1, as in the course notes, three of four pixels are constant.
        dropout: Share of features dropped in training, in [0, 1).
        dropout_at_sampling: Whether to drop features when sampling as well.
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
        >>> generator = build_generator(image_shape=(28, 28, 1))
        >>> gan = GAN(generator, build_discriminator(image_shape=(28, 28, 1)))
        >>> gan.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> gan.fit(digits / 127.5 - 1, epochs=2)  # digits float32 (n, 28, 28, 1), values 0 to 255
        >>> generator.predict({"noise": noise})["image"]  # noise float32 (n, 64)
    """
    check_gan_arguments(image_shape=image_shape, num_classes=num_classes)
    check_at_least(1, noise_dim=noise_dim, units=units, filters=filters)
    check_at_least(1, kernel_size=kernel_size, last_kernel_size=last_kernel_size)
    check_share(dropout=dropout)

    def finish(x, name: str):
        x = layers.LeakyReLU(name=f"{name}_relu")(x)
        drop = ByteDropout(dropout, name=f"{name}_dropout")
        return drop(x, training=True) if dropout_at_sampling else drop(x)

    # --- inputs
    inputs, x = noise_input(noise_dim=noise_dim, num_classes=num_classes)

    # --- trunk
    height, width, channels = image_shape[0] // 4, image_shape[1] // 4, image_shape[2]
    x = finish(layers.Dense(units, name="dense1")(x), "dense1")  # (B, units)
    x = finish(layers.Dense(height * width * 2 * filters, name="dense2")(x), "dense2")
    x = layers.Reshape((height, width, 2 * filters), name="start_grid")(x)  # (B, H / 4, W / 4, 2 F)
    x = Conv2DTranspose(filters, kernel_size, strides=2, padding="same", name="up1")(x)  # (B, H / 2, W / 2, F)
    x = finish(x, "up1")

    # --- heads
    # Deviation: in the course notes the last window has a side of 1. With strides of 2 it covers every fourth pixel,
    # and all others have the same gray.
    x = Conv2DTranspose(channels, last_kernel_size, strides=2, padding="same", name="up2")(x)  # (B, H, W, C)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model([*inputs.values()], {"image": image}, name=name)


@checked
def build_discriminator(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    classifies: bool = False,
    noise: float = 0.2,
    filters: int = 64,
    units: int = 1024,
    kernel_size: int = 5,
    spectral: bool = False,
    dropout: float = 0.25,
    name: str = "discriminator",
) -> keras.Model:
    """Builds the course notes' discriminator: noise, two convolutions with stride 2, a dense layer.

    Args:
        image_shape: Height, width and channels of the images; both sides multiples of 4.
        num_classes: Number of classes, at least 2, if the class is an input or an output.
        classifies: Whether the class is an output instead of an input.
        noise: Standard deviation of the noise added to images in training.
        filters: Filters of the first convolution; the second has twice as many.
        units: Width of the dense layer.
        kernel_size: Side of the convolutions' windows.
        spectral: Whether to divide each layer by its spectral norm (Miyato et al. 2018).
        dropout: Share of features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values -1 to 1; with classes "label" int32 (B,), but not
        with `classifies`. Out: "verdict" float32 (B, 1), the logit of the image being real; with `classifies` also
        "label" float32 (B, num_classes), logits, and "features" float32 (B, units).

    Train with: `kerasapps.gan.model.GAN`; by itself, binary cross-entropy from logits.

    Raises:
        ValueError: If a side is not a multiple of 4, a size is under 1, `num_classes` is under 2 or missing where
            `classifies` needs it, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_discriminator(image_shape=(28, 28, 1))
        >>> model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        >>> model.fit({"image": digits / 127.5 - 1}, real, epochs=2)  # real float32 (n, 1): 1 for real, 0 for generated
        >>> model.predict({"image": digits / 127.5 - 1})["verdict"] > 0
    """
    check_gan_arguments(image_shape=image_shape, num_classes=num_classes, classifies=classifies)
    check_at_least(1, filters=filters, units=units, kernel_size=kernel_size)
    check_at_least(0, noise=noise)
    check_share(dropout=dropout)

    def finish(x, name: str):
        return ByteDropout(dropout, name=f"{name}_dropout")(layers.LeakyReLU(name=f"{name}_relu")(x))

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)
    x = GaussianNoise(noise, name="noise")(image)

    # --- trunk
    convolution = {"kernel_size": kernel_size, "strides": 2, "padding": "same", "spectral": spectral}
    x = finish(linear(Conv2D, filters, name="conv1", **convolution)(x), "conv1")  # (B, H / 2, W / 2, F)
    x = finish(linear(Conv2D, 2 * filters, name="conv2", **convolution)(x), "conv2")  # (B, H / 4, W / 4, 2 F)
    x = layers.Flatten(name="flat")(x)
    x = finish(linear(layers.Dense, units, spectral=spectral, name="hidden")(x), "hidden")  # (B, units)

    # --- heads
    # Deviation: the course notes end in a sigmoid. Losses are more exact on its input, the logit, and most need it.
    given, outputs = verdict_block(x, num_classes=num_classes, classifies=classifies, spectral=spectral)
    return NamedHeads([image, *given.values()], outputs, name=name)


@checked
def build_gan(*, generator: keras.Model, discriminator: keras.Model, name: str = "gan") -> keras.Model:
    """Joins a generator and a discriminator in one graph that shares their weights.

    Args:
        generator: Any of this package, or one with the same inputs and outputs.
        discriminator: One that takes the generator's outputs.
        name: Name of the model.

    Returns:
        Uncompiled model. In: those of the generator, "noise" float32 (B, noise_dim) and with classes "label" int32
        (B,). Out: those of the discriminator, "verdict" float32 (B, 1) and, where it classifies, others.

    Train with: `kerasapps.gan.model.GAN`, or as `kerasapps.gan.textbook.train_alternately` does, never by `fit`,
    which would train both networks towards the same goal.

    Raises:
        ValueError: If the discriminator does not take the generator's outputs, or both have the same name.

    Example:
        >>> generator = build_generator(image_shape=(28, 28, 1))
        >>> discriminator = build_discriminator(image_shape=(28, 28, 1))
        >>> model = build_gan(generator=generator, discriminator=discriminator)
        >>> model.predict({"noise": noise})["verdict"]  # noise float32 (n, 64)
    """
    if generator.name == discriminator.name:
        raise ValueError(f"`generator` and `discriminator` must differ in name. Received: {generator.name!r}")
    inputs = {
        tensor.name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in generator.inputs
    }
    made = generator(inputs)
    known = inputs | made
    wanted = {tensor.name: tuple(tensor.shape[1:]) for tensor in discriminator.inputs}
    given = {name: tuple(known[name].shape[1:]) for name in wanted if name in known}
    if given != wanted or not made.keys() <= wanted.keys():
        outputs = {name: tuple(tensor.shape[1:]) for name, tensor in made.items()}
        raise ValueError(
            f"`discriminator` must take the outputs of `generator`. Received: generator with the outputs {outputs}, "
            f"discriminator with the inputs {wanted}"
        )
    return NamedHeads([*inputs.values()], discriminator({name: known[name] for name in wanted}), name=name)


def search_space_generator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_generator`; each default equals the builder's."""
    return {
        "units": hp.Int("generator_units", 256, 1024, step=256, default=1024),
        "filters": hp.Int("generator_filters", 32, 96, step=32, default=64),
        "dropout": hp.Float("generator_dropout", 0.0, 0.5, step=0.25, default=0.25),
    }


def search_space_discriminator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_discriminator`; each default equals the builder's."""
    return {
        "filters": hp.Int("discriminator_filters", 32, 96, step=32, default=64),
        "spectral": hp.Boolean("discriminator_spectral", default=False),
        "dropout": hp.Float("discriminator_dropout", 0.0, 0.5, step=0.25, default=0.25),
    }
