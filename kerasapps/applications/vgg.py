"""VGG: 3x3 convolutions in five blocks, twice as wide after each pooling, then large dense layers.

Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_choice, check_image_arguments, check_length, checked
from kerasapps.blocks.conv import normalize
from kerasapps.blocks.fast_conv import Conv2D
from kerasapps.blocks.perceptron import perceptron_block

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# Convolutions in each block, by number of layers with weights: configurations A, B, D and E of the paper.
VGG_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


@checked
def build_vgg(
    *,
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    depth: int = 16,
    filters: Sequence[int] = (64, 128, 256, 512, 512),
    dense_units: Sequence[int] = (4096, 4096),
    batch_norm: bool = False,
    dropout: float = 0.5,
    name: str = "vgg",
) -> keras.Model:
    """Builds VGG-11, -13, -16 or -19.

    Layers are named as in `keras.applications` ("block1_conv1", "block1_pool", "fc1"), so that taps carry over and the
    published weights of its convolutions fit. Those weights expect BGR images with the mean subtracted, which the layer
    "scaled_pixels" does not provide.

    Args:
        image_shape: Height, width and channels of the images; sides at least 32.
        num_classes: Number of classes, at least 2.
        depth: Number of layers with weights: 11, 13, 16 or 19.
        filters: Widths of the five blocks.
        dense_units: Widths of the dense layers.
        batch_norm: Whether to normalize after each convolution, as is usual since 2015; the paper does not. Then
            "block1_conv1" is the output before normalization and "block1_relu1" the features.
        dropout: Share of each dense layer's features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy and top-5 accuracy.

    Raises:
        ValueError: If a side is under 32, `num_classes` under 2, `dropout` outside [0, 1), `depth` is unknown, or
            `filters` are not five.

    Example:
        >>> model = build_vgg(image_shape=(32, 32, 3), num_classes=10, depth=11, dense_units=(256,))
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=32)
    check_length(5, filters=filters)
    check_at_least(1, filters=filters, dense_units=dense_units)
    check_choice(VGG_CONVOLUTIONS, depth=depth)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, H, W, C)
    # Deviation: the paper subtracts the mean color.
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    for i, (convolutions, width) in enumerate(zip(VGG_CONVOLUTIONS[depth], filters, strict=True), 1):
        x = vgg_block(x, convolutions=convolutions, filters=width, batch_norm=batch_norm, name=f"block{i}")
    x = layers.Flatten(name="flat")(x)  # (B, H // 32 * W // 32 * filters[-1])
    x = perceptron_block(x, units=dense_units, dropout=dropout, name="fc")  # (B, dense_units[-1])

    # --- heads
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)  # (B, num_classes)
    return keras.Model([image], {"label": label}, name=name)


def vgg_block(x, *, convolutions: int, filters: int, batch_norm: bool, name: str):
    """Convolves 3x3 with ReLU and halves the sides: (B, H, W, C) -> (B, H // 2, W // 2, filters)."""
    for i in range(1, convolutions + 1):
        # Deviation: the paper initializes the deep networks with weights of a trained shallow one. With He et al.'s
        # initialization they train from scratch.
        x = Conv2D(
            filters,
            3,
            padding="same",
            activation=None if batch_norm else "relu",
            kernel_initializer="he_normal",
            name=f"{name}_conv{i}",
        )(x)  # (B, H, W, filters)
        if batch_norm:
            # The convolution keeps its bias, which has no effect here, so that both forms take the same weights.
            x = normalize(x, name=f"{name}_bn{i}")
            x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return layers.MaxPooling2D(2, name=f"{name}_pool")(x)  # (B, H // 2, W // 2, filters)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_vgg`; each default equals the builder's."""
    width = hp.Choice("filters", [16, 32, 48, 64], default=64)
    units = hp.Choice("dense_units", [256, 512, 1024, 2048, 4096], default=4096)
    return {
        "depth": hp.Choice("depth", [*VGG_CONVOLUTIONS], default=16),
        "filters": tuple(width * scale for scale in (1, 2, 4, 8, 8)),
        "dense_units": (units, units),
        "batch_norm": hp.Boolean("batch_norm", default=False),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
    }
