"""Xception: separable convolutions with residual connections around each block.

Reference: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, check_length, check_numbers, checked
from kerasapps.blocks.conv import add, conv_block, separable_block
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_xception(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    stem: Sequence[int] = (32, 64),
    stem_strides: int = 2,
    entry: Sequence[int] = (128, 256, 728),
    middle_blocks: int = 8,
    exit_filters: Sequence[int] = (1024, 1536, 2048),
    batch_norm: bool = True,
    dropout: float = 0.0,
    name: str = "xception",
) -> keras.Model:
    """Builds Xception as in figure 5 of the paper; the widths of the paper are the defaults.

    Args:
        image_shape: Height, width and channels in pixels; 299, 299, 3 in the paper.
        num_classes: Number of classes, at least 2.
        stem: Filters of the two plain convolutions.
        stem_strides: Stride of the first; 1 suits images under 100 pixels.
        entry: Filters of the blocks that halve the sides.
        middle_blocks: Number of blocks that keep the size, as wide as the last of `entry`.
        exit_filters: Filters of the last block that halves the sides, and of the two convolutions after it.
        batch_norm: Whether to normalize after each convolution.
        dropout: Share of the features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If a side is under 8, `num_classes` under 2, `stem` are not two, `entry` is empty, `exit_filters`
            are not three, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_xception(image_shape=(32, 32, 3), num_classes=10, stem_strides=1, middle_blocks=2)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=8)
    check_length(2, stem=stem)
    check_length(3, exit_filters=exit_filters)
    check_numbers(1, entry=entry)
    check_at_least(1, stem=stem, stem_strides=stem_strides, exit_filters=exit_filters)
    check_at_least(0, middle_blocks=middle_blocks)
    shared = {"batch_norm": batch_norm}

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    # Deviation: the paper's stem is not padded; with padding it takes small images too.
    x = conv_block(x, filters=stem[0], strides=stem_strides, name="block1_1", **shared)  # (B, H / strides, ..., F)
    x = conv_block(x, filters=stem[1], name="block1_2", **shared)
    for block, width in enumerate(entry, start=2):
        x = _halving_block(x, filters=(width, width), activate=block > 2, name=f"block{block}", **shared)
    first = len(entry) + 2
    for block in range(first, first + middle_blocks):
        y = x
        for i in (1, 2, 3):
            y = layers.ReLU(name=f"block{block}_sepconv{i}_act")(y)
            y = separable_block(y, filters=entry[-1], activation=None, name=f"block{block}_{i}", **shared)
        x = add([x, y], name=f"block{block}_add")
    last = first + middle_blocks
    x = _halving_block(x, filters=(entry[-1], exit_filters[0]), activate=True, name=f"block{last}", **shared)
    for i, width in enumerate(exit_filters[1:], start=1):
        x = separable_block(x, filters=width, name=f"block{last + 1}_{i}", **shared)
    features = layers.GlobalAveragePooling2D(name="features")(x)  # (B, F)

    # --- heads
    features = Dropout(dropout, name="head_dropout")(features)
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(features)
    return keras.Model([image], {"label": label}, name=name)


def _halving_block(x, *, filters: Sequence[int], activate: bool, batch_norm: bool, name: str):
    """Two separable convolutions and a pool, added to a projected shortcut: (B, H, W, C) -> (B, H / 2, W / 2, F)."""
    shared = {"batch_norm": batch_norm, "activation": None}
    y = x
    for i, width in enumerate(filters, start=1):
        if activate or i > 1:
            y = layers.ReLU(name=f"{name}_sepconv{i}_act")(y)
        y = separable_block(y, filters=width, name=f"{name}_{i}", **shared)
    y = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(y)
    shortcut = conv_block(x, filters=filters[-1], kernel_size=1, strides=2, name=f"{name}_shortcut", **shared)
    return add([y, shortcut], name=f"{name}_add")


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_xception`; each default equals the builder's."""
    return {
        "middle_blocks": hp.Int("middle_blocks", 0, 8, default=8),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
