"""Residual classifier for small images that learns in few epochs: in each stage a convolution with a pool, and a
convolution that adds to its output.

References: Page, "How to Train Your ResNet", 2018, for the pools, the global maximum and the scaled scores; Jordan,
"94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, for convolutions that are initialized as the identity.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, check_numbers, check_positive, checked
from kerasapps.blocks.conv import add, conv_block
from kerasapps.blocks.initializers import IdentityKernel
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_quick_residual_classifier(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    stem_filters: int = 32,
    filters: Sequence[int] = (64, 256, 256),
    score_scale: float = 1 / 9,
    dropout: float = 0.0,
    name: str = "quick_residual_classifier",
) -> keras.Model:
    """Builds a residual network of eight layers for images of about 32 pixels.

    Args:
        image_shape: Height, width and channels in pixels.
        num_classes: Number of classes, at least 2.
        stem_filters: Filters of the convolution before the stages.
        filters: Filters of the stages, each of which halves the sides.
        score_scale: Factor on the scores before the softmax, above 0; unscaled, they would saturate it from the start.
        dropout: Share of the features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If `num_classes` is under 2, a size is under 1, there are no `filters`, `score_scale` is not above
            0, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_quick_residual_classifier(image_shape=(32, 32, 3), num_classes=10)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=1)
    check_at_least(1, stem_filters=stem_filters)
    check_numbers(1, filters=filters)
    check_positive(score_scale=score_scale)

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    x = conv_block(x, filters=stem_filters, name="stem")  # (B, H, W, F)
    for stage, width in enumerate(filters, start=1):
        x = conv_block(
            x, filters=width, pool=2, kernel_initializer=IdentityKernel(), name=f"stage{stage}_1"
        )  # (B, H / 2, W / 2, width)
        y = conv_block(x, filters=width, kernel_initializer=IdentityKernel(), name=f"stage{stage}_2")
        x = add([x, y], name=f"stage{stage}_add")
    features = layers.GlobalMaxPooling2D(name="features")(x)  # (B, F)

    # --- heads
    features = Dropout(dropout, name="head_dropout")(features)
    scores = layers.Dense(num_classes, use_bias=False, dtype="float32", name="scores")(features)
    scores = layers.Rescaling(score_scale, dtype="float32", name="scaled_scores")(scores)
    label = layers.Softmax(dtype="float32", name="label")(scores)
    return keras.Model([image], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_quick_residual_classifier`; each default equals the builder's."""
    return {
        "stem_filters": hp.Int("stem_filters", 16, 48, step=8, default=32),
        "score_scale": hp.Choice("score_scale", [1 / 27, 1 / 9, 1 / 3], default=1 / 9),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
