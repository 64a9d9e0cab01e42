"""Inception classifier: at every level four branches with windows of different sizes read the same features.

References: the block with stride 2: Chollet, "Deep Learning with Python", Manning 2017, section 7.1.4; the others:
Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, checked, refusal
from kerasapps.blocks.conv import conv_block, googlenet_block, inception_block
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_inception_classifier(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    filters: Sequence[int] = (32, 64, 128),
    blocks: int = 1,
    batch_norm: bool = True,
    dropout: float = 0.2,
    name: str = "inception_classifier",
) -> keras.Model:
    """Builds a network of inception blocks: in each stage one that halves the sides, then some that keep them.

    Args:
        image_shape: Height, width and channels in pixels.
        num_classes: Number of classes, at least 2.
        filters: For each stage, filters of each of the four branches that halve the sides, a multiple of 8.
        blocks: Number of GoogLeNet's blocks after each of these.
        batch_norm: Whether to normalize after each convolution.
        dropout: Share of the features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If a side is under 8, `num_classes` under 2, `filters` is empty or holds other than multiples of 8,
            `blocks` is negative, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_inception_classifier(image_shape=(32, 32, 3), num_classes=10, filters=(16, 32))
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=8)
    if not filters or any(width < 8 or width % 8 for width in filters):
        raise refusal("hold multiples of 8, one a stage", filters=filters)
    check_at_least(0, blocks=blocks)

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    x = conv_block(x, filters=filters[0], batch_norm=batch_norm, name="stem")  # (B, H, W, F)
    for stage, width in enumerate(filters, start=1):
        x = inception_block(x, filters=width, batch_norm=batch_norm, name=f"stage{stage}_inception")
        for block in range(1, blocks + 1):
            # The proportions of GoogLeNet's block 3a, whose output is as wide as the block before it here.
            split = (width, 3 * width // 2, 2 * width, width // 4, width // 2, width // 2)
            x = googlenet_block(x, filters=split, batch_norm=batch_norm, name=f"stage{stage}_block{block}")
    features = layers.GlobalAveragePooling2D(name="features")(x)  # (B, F)

    # --- heads
    features = Dropout(dropout, name="head_dropout")(features)
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(features)
    return keras.Model([image], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_inception_classifier`; each default equals the builder's."""
    return {
        "blocks": hp.Int("blocks", 0, 2, default=1),
        "batch_norm": hp.Boolean("batch_norm", default=True),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2),
    }
