"""Separable classifier: depthwise separable convolutions, each far cheaper than a plain one.

Reference: the network of Chollet, "Deep Learning with Python", Manning 2017, section 7.3.1.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import (
    check_at_least,
    check_image_arguments,
    check_positive,
    checked,
    refusal,
)
from kerasapps.blocks.conv import Padding, scaled, separable_block
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

FILTERS = ((32, 64), (64, 128), (64, 128))  # of the course notes' network


@checked
def build_separable_classifier(
    *,
    image_shape: tuple[int, int, int] = (64, 64, 3),
    num_classes: int = 10,
    filters: Sequence[Sequence[int]] = FILTERS,
    width: float = 1.0,
    depth: int = 2,
    dense_units: int = 32,
    padding: Padding = "valid",
    batch_norm: bool = False,
    dropout: float = 0.0,
    name: str = "separable_classifier",
) -> keras.Model:
    """Builds an image classifier of separable convolutions; by default exactly that of the course notes.

    Args:
        image_shape: Height, width and channels in pixels.
        num_classes: Number of classes, at least 2.
        filters: For each stage, the filters of its convolutions and those of its last one. Between stages a max pool
            halves the sides.
        width: Factor on all `filters`, above 0.
        depth: Convolutions in each stage, at least 1.
        dense_units: Width of the layer before the head.
        padding: "valid", under which each convolution takes a pixel off every side, or "same".
        batch_norm: Whether to normalize after each convolution.
        dropout: Share of the dense layer's features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If `num_classes` is under 2, `filters` are not pairs, `depth` is under 1, `width` is not above
            0, `dropout` is outside [0, 1), or the images are too small for the stages.

    Example:
        >>> model = build_separable_classifier(image_shape=(64, 64, 3), num_classes=10)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": photos}, labels, epochs=2)  # photos float32 (n, 64, 64, 3), labels int32 (n,)
        >>> model.predict({"image": photos})["label"].argmax(-1)
    """
    if not filters or any(len(stage) != 2 for stage in filters):
        raise refusal("hold a pair of widths for each stage", filters=filters)
    for stage in filters:
        check_at_least(1, filters=stage)
    check_at_least(1, depth=depth, dense_units=dense_units)
    check_positive(width=width)
    smallest = smallest_side(len(filters), depth, padding)
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=smallest)

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    for stage, (first, last) in enumerate(filters, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)  # (B, H / 2, W / 2, F)
        for i in range(1, depth + 1):
            x = separable_block(
                x,
                filters=scaled(last if i == depth else first, width),
                padding=padding,
                batch_norm=batch_norm,
                name=f"stage{stage}_{i}",
            )  # (B, H', W', F)
    features = layers.GlobalAveragePooling2D(name="features")(x)  # (B, F)

    # --- heads
    features = layers.Dense(dense_units, activation="relu", name="hidden")(features)  # (B, dense_units)
    features = Dropout(dropout, name="head_dropout")(features)
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(features)
    return keras.Model([image], {"label": label}, name=name)


def smallest_side(stages: int, depth: int, padding: Padding) -> int:
    """Returns how many pixels each side of an image needs so that one is left after the last stage."""
    lost = 2 * depth if padding == "valid" else 0
    side = 1
    for stage in range(stages):
        side = (2 * side if stage else side) + lost
    return side


def search_space(hp: "HyperParameters", *, padding: Padding = "valid", batch_norm: bool = False) -> dict[str, Any]:
    """Returns arguments for `build_separable_classifier`; each default equals the builder's, unless one is given."""
    return {
        "width": hp.Float("width", 0.5, 3.0, step=0.5, default=1.0),
        "depth": hp.Int("depth", 1, 3, default=2),
        "dense_units": hp.Int("dense_units", 32, 256, step=32, default=32),
        "padding": hp.Choice("padding", ["valid", "same"], default=padding),
        "batch_norm": hp.Boolean("batch_norm", default=batch_norm),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
