"""The course notes' network for color images of 32 pixels: three convolutions, each followed by a pool.

Reference: the course notes, "CNN Implementation"; the network is of the kind of LeCun et al., "Gradient-Based Learning
Applied to Document Recognition", Proceedings of the IEEE 1998, with ReLU and dropout.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, check_numbers, checked
from kerasapps.blocks.conv import conv_block
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.perceptron import perceptron_block

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_cifar_network(
    *,
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    filters: Sequence[int] = (16, 32, 64),
    dense_units: int = 500,
    dropout: float = 0.25,
    name: str = "cifar_network",
) -> keras.Model:
    """Builds the course notes' network of 541,094 parameters for CIFAR-10.

    Args:
        image_shape: Height, width and channels of the images; sides at least 2 to the number of convolutions.
        num_classes: Number of classes, at least 2.
        filters: Widths of the convolutions, after each of which a pool halves the sides.
        dense_units: Width of the hidden dense layer.
        dropout: Share of the dense layer's inputs and of its features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If a side is too small, `num_classes` under 2, `dropout` outside [0, 1), or `filters` empty.

    Example:
        >>> model = build_cifar_network(image_shape=(32, 32, 3), num_classes=10)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_numbers(1, filters=filters)
    check_at_least(1, dense_units=dense_units)
    smallest = 2 ** len(filters)
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=smallest)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, 32, 32, 3) by default
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    for i, width in enumerate(filters, 1):
        x = conv_block(x, filters=width, batch_norm=False, name=f"stage{i}")
        x = layers.MaxPooling2D(2, name=f"stage{i}_pool")(x)  # (B, 16, 16, 16), (B, 8, 8, 32), (B, 4, 4, 64)
    x = layers.Flatten(name="flat")(x)  # (B, 1024)
    x = Dropout(dropout, name="flat_dropout")(x)
    x = perceptron_block(x, units=(dense_units,), dropout=dropout, name="dense")  # (B, 500)

    # --- heads
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)  # (B, num_classes)
    return keras.Model([image], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_cifar_network`; each default equals the builder's."""
    width = hp.Choice("filters", [8, 16, 32, 64], default=16)
    return {
        "filters": (width, 2 * width, 4 * width),
        "dense_units": hp.Int("dense_units", 100, 1000, step=100, default=500),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.05, default=0.25),
    }
