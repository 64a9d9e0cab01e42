"""Residual classifier for small images: three stages of blocks that add to their input.

References: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2; with `preactivation`
"Identity Mappings in Deep Residual Networks", ECCV 2016; with wider stages Zagoruyko and Komodakis, "Wide Residual
Networks", BMVC 2016.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, check_length, checked, refusal
from kerasapps.blocks.conv import conv_block, normalize, residual_block
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_residual_classifier(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 20,
    filters: Sequence[int] = (16, 32, 64),
    preactivation: bool = False,
    batch_norm: bool = True,
    dropout: float = 0.0,
    name: str = "residual_classifier",
) -> keras.Model:
    """Builds a residual network of 6n + 2 layers for images of about 32 pixels.

    Args:
        image_shape: Height, width and channels in pixels.
        num_classes: Number of classes, at least 2.
        depth: Layers with weights, 6n + 2 with n blocks in each of the three stages: 8, 14, 20, 26 ...
        filters: Filters of the three stages, which work at full, half and quarter size.
        preactivation: Whether a block normalizes and activates before its convolutions, not after them.
        batch_norm: Whether to normalize.
        dropout: Share of the features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If `num_classes` is under 2, `depth` is not 6n + 2, `filters` are not three, or `dropout` is outside
            [0, 1).

    Example:
        >>> model = build_residual_classifier(image_shape=(32, 32, 3), num_classes=10, depth=8)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=4)
    if depth < 8 or depth % 6 != 2:
        raise refusal("be 6n + 2 with n at least 1", depth=depth)
    check_length(3, filters=filters)
    check_at_least(1, filters=filters)

    # --- inputs
    image = keras.Input(image_shape, name="image")  # (B, H, W, C)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    # Deviation: where shapes differ the paper pads the shortcut with zeros; here it is projected, the paper's option B.
    x = conv_block(
        x,
        filters=filters[0],
        activation=None if preactivation else "relu",
        batch_norm=batch_norm and not preactivation,
        use_bias=not batch_norm,
        name="stem",
    )  # (B, H, W, F)
    for stage, width in enumerate(filters, start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            x = residual_block(
                x,
                filters=width,
                strides=2 if block == 1 and stage > 1 else 1,
                preactivation=preactivation,
                batch_norm=batch_norm,
                name=f"stage{stage}_block{block}",
            )  # (B, H / strides, W / strides, F)
    if preactivation:
        x = normalize(x, name="top_bn") if batch_norm else x
        x = layers.ReLU(name="top_relu")(x)
    features = layers.GlobalAveragePooling2D(name="features")(x)  # (B, F)

    # --- heads
    features = Dropout(dropout, name="head_dropout")(features)
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(features)
    return keras.Model([image], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_residual_classifier`; each default equals the builder's."""
    return {
        "depth": hp.Int("depth", 8, 32, step=6, default=20),
        "preactivation": hp.Boolean("preactivation", default=False),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
