"""Inception v3: in each block branches of small windows, large ones being factorized into rows and columns.

Reference: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, check_positive, checked
from kerasapps.blocks.conv import AveragePooling2D, concatenate, conv_block, scaled
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# The smallest side by (small_images, auxiliary): one pixel of the last map, or five of what the auxiliary head reads.
SMALLEST = {(False, False): 75, (True, False): 7, (False, True): 299, (True, True): 35}
ROW, COLUMN = (1, 7), (7, 1)  # one after the other they see a window of 7x7, for 2/7 of its parameters


@checked
def build_inception_v3(
    *,
    image_shape: tuple[int, int, int] = (299, 299, 3),
    num_classes: int = 1000,
    pool_filters: Sequence[int] = (32, 64, 64),
    long_filters: Sequence[int] = (128, 160, 160, 192),
    last_blocks: int = 2,
    width: float = 1.0,
    small_images: bool = False,
    auxiliary: bool = False,
    dropout: float = 0.5,
    name: str = "inception_v3",
) -> keras.Model:
    """Builds Inception v3; the widths of the published network are the defaults.

    Args:
        image_shape: Height, width and channels of the images; sides at least 75, or 7 with `small_images`; with
            `auxiliary` 299 or 35.
        num_classes: Number of classes, at least 2.
        pool_filters: Filters after the average pool of each block at 35x35.
        long_filters: Filters of the inner 1x7 and 7x1 convolutions of each block at 17x17.
        last_blocks: Number of blocks at 8x8.
        width: Factor on all numbers of filters, above 0.
        small_images: Whether the layers before the blocks keep the size, so that images of about 32x32 reach them as
            those of 299x299 do.
        auxiliary: Whether a second head reads the blocks at 17x17. It is for training alone, with a smaller weight.
        dropout: Share of the features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes), and with `auxiliary` "auxiliary" of the same shape.

    Train with: sparse_categorical_crossentropy on class ids, for the auxiliary head times 0.4; accuracy.

    Raises:
        ValueError: If a side is too small, `num_classes` under 2, a number of filters under 1, `width` not above 0, or
            `dropout` outside [0, 1).

    Example:
        >>> sizes = {"image_shape": (32, 32, 3), "num_classes": 10, "small_images": True}
        >>> model = build_inception_v3(width=0.25, long_filters=(128,), last_blocks=1, **sizes)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_positive(width=width)
    check_at_least(1, pool_filters=pool_filters, long_filters=long_filters)
    check_at_least(0, last_blocks=last_blocks)
    smallest = SMALLEST[small_images, auxiliary]
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=smallest)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, 299, 299, 3) by default
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    # Deviation: the published network normalizes with an epsilon of 1e-3; here it is that of all networks.
    x = stem_block(x, width=width, small_images=small_images, name="stem")  # (B, 35, 35, 192)
    for i, filters in enumerate(pool_filters, 1):
        x = square_block(x, pool_filters=filters, width=width, name=f"stage1_block{i}")  # (B, 35, 35, 224 + filters)
    x = halving_block(x, first=[(384, 3)], second=[(64, 1), (96, 3), (96, 3)], width=width, name="half1")
    for i, filters in enumerate(long_filters, 1):
        x = long_block(x, filters=filters, width=width, name=f"stage2_block{i}")  # (B, 17, 17, 768)
    middle = x
    first, second = [(192, 1), (320, 3)], [(192, 1), (192, ROW), (192, COLUMN), (192, 3)]
    x = halving_block(x, first=first, second=second, width=width, name="half2")  # (B, 8, 8, 1280)
    for i in range(1, last_blocks + 1):
        x = wide_block(x, width=width, name=f"stage3_block{i}")  # (B, 8, 8, 2048)
    features = layers.GlobalAveragePooling2D(name="features")(x)  # (B, 2048)

    # --- heads
    features = Dropout(dropout, name="head_dropout")(features)
    head = {"units": num_classes, "activation": "softmax", "dtype": "float32"}
    outputs = {"label": layers.Dense(name="label", **head)(features)}  # (B, num_classes)
    if auxiliary:
        middle = auxiliary_block(middle, width=width, name="auxiliary")  # (B, 768)
        outputs["auxiliary"] = layers.Dense(name="auxiliary", **head)(middle)  # (B, num_classes)
    return (NamedHeads if auxiliary else keras.Model)([image], outputs, name=name)


def branch(x, steps: Sequence[tuple], *, width: float, name: str, last_strides: int = 1):
    """Convolves with filters and window of each step: (B, H, W, C) -> (B, H', W', F).

    With a last stride of 2 the last convolution is without padding.
    """
    for i, (filters, kernel_size) in enumerate(steps, 1):
        strides = last_strides if i == len(steps) else 1
        x = conv_block(
            x,
            filters=scaled(filters, width),
            kernel_size=kernel_size,
            strides=strides,
            padding="valid" if strides > 1 else "same",
            name=f"{name}{i}",
        )
    return x


def stem_block(x, *, width: float, small_images: bool, name: str):
    """Convolves five times and pools, (B, 299, 299, C) -> (B, 35, 35, 192); the size stays for small images."""
    padding, strides = ("same", 1) if small_images else ("valid", 2)
    a, b, c, d, e = (scaled(filters, width) for filters in (32, 32, 64, 80, 192))
    x = conv_block(x, filters=a, strides=strides, padding=padding, name=f"{name}1")  # (B, 149, 149, 32)
    x = conv_block(x, filters=b, padding=padding, name=f"{name}2")  # (B, 147, 147, 32)
    x = conv_block(x, filters=c, name=f"{name}3")  # (B, 147, 147, 64)
    x = layers.MaxPooling2D(3, strides=strides, padding=padding, name=f"{name}_pool1")(x)  # (B, 73, 73, 64)
    x = conv_block(x, filters=d, kernel_size=1, name=f"{name}4")  # (B, 73, 73, 80)
    x = conv_block(x, filters=e, padding=padding, name=f"{name}5")  # (B, 71, 71, 192)
    return layers.MaxPooling2D(3, strides=strides, padding=padding, name=f"{name}_pool2")(x)  # (B, 35, 35, 192)


def pooled(x, steps: Sequence[tuple], *, width: float, name: str):
    """Averages 3x3 pixels and convolves: (B, H, W, C) -> (B, H, W, F)."""
    x = AveragePooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    return branch(x, steps, width=width, name=name)


def square_block(x, *, pool_filters: int, width: float, name: str):
    """Joins windows of 1x1, 5x5, twice 3x3, and a pool (figure 5): (B, H, W, C) -> (B, H, W, 224 + pool_filters)."""
    a = branch(x, [(64, 1)], width=width, name=f"{name}_a")
    b = branch(x, [(48, 1), (64, 5)], width=width, name=f"{name}_b")
    c = branch(x, [(64, 1), (96, 3), (96, 3)], width=width, name=f"{name}_c")
    d = pooled(x, [(pool_filters, 1)], width=width, name=f"{name}_d")
    return concatenate([a, b, c, d], name=f"{name}_joined")


def long_block(x, *, filters: int, width: float, name: str):
    """Joins windows of 1x1, 7x7, twice 7x7, factorized, and a pool (figure 6): (B, H, W, C) -> (B, H, W, 768)."""
    inner_row, inner_column = (filters, ROW), (filters, COLUMN)
    a = branch(x, [(192, 1)], width=width, name=f"{name}_a")
    b = branch(x, [(filters, 1), inner_row, (192, COLUMN)], width=width, name=f"{name}_b")
    twice = [(filters, 1), inner_column, inner_row, inner_column, (192, ROW)]
    c = branch(x, twice, width=width, name=f"{name}_c")
    d = pooled(x, [(192, 1)], width=width, name=f"{name}_d")
    return concatenate([a, b, c, d], name=f"{name}_joined")


def wide_block(x, *, width: float, name: str):
    """Joins windows that are a row and a column next to each other (figure 7): (B, H, W, C) -> (B, H, W, 2048)."""
    shared = {"width": width}
    a = branch(x, [(320, 1)], name=f"{name}_a", **shared)
    b = branch(x, [(384, 1)], name=f"{name}_b", **shared)
    c = branch(x, [(448, 1), (384, 3)], name=f"{name}_c", **shared)
    split = [
        branch(tensor, [(384, window)], name=f"{name}_{letter}_{side}", **shared)
        for letter, tensor in (("b", b), ("c", c))
        for side, window in (("row", (1, 3)), ("column", (3, 1)))
    ]
    d = pooled(x, [(192, 1)], name=f"{name}_d", **shared)
    return concatenate([a, *split, d], name=f"{name}_joined")


def halving_block(x, *, first: Sequence[tuple], second: Sequence[tuple], width: float, name: str):
    """Joins two branches and a pool that halve the sides: (B, H, W, C) -> (B, (H - 1) // 2, (W - 1) // 2, F + C)."""
    a = branch(x, first, width=width, last_strides=2, name=f"{name}_a")
    b = branch(x, second, width=width, last_strides=2, name=f"{name}_b")
    c = layers.MaxPooling2D(3, strides=2, name=f"{name}_pool")(x)
    return concatenate([a, b, c], name=f"{name}_joined")


def auxiliary_block(x, *, width: float, name: str):
    """Pools and convolves the blocks' features for a head of their own: (B, 17, 17, 768) -> (B, 768)."""
    inner, outer = (scaled(filters, width) for filters in (128, 768))
    x = layers.AveragePooling2D(5, strides=3, name=f"{name}_pool")(x)  # (B, 5, 5, 768)
    x = conv_block(x, filters=inner, kernel_size=1, name=f"{name}1")  # (B, 5, 5, 128)
    x = conv_block(x, filters=outer, kernel_size=5, padding="valid", name=f"{name}2")  # (B, 1, 1, 768)
    return layers.GlobalAveragePooling2D(name=f"{name}_features")(x)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_inception_v3`; each default equals the builder's."""
    return {
        "width": hp.Float("width", 0.25, 1.0, step=0.25, default=1.0),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
    }
