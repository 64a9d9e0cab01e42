"""ResNet: stages of blocks that add to their input, up to 152 layers deep.

References: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.1; with dilated stages Yu et
al., "Dilated Residual Networks", CVPR 2017.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import (
    check_at_least,
    check_choice,
    check_image_arguments,
    check_length,
    checked,
)
from kerasapps.blocks.conv import bottleneck_block, conv_block, residual_block, stem_block
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# Blocks in each stage, by number of layers with weights.
RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BOTTLENECK = 50  # From this depth on a block has three convolutions.


@checked
def build_resnet(
    *,
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    depth: int = 50,
    filters: Sequence[int] = (64, 128, 256, 512),
    small_images: bool = False,
    dilated_stages: int = 0,
    dropout: float = 0.0,
    name: str = "resnet",
) -> keras.Model:
    """Builds ResNet-18, -34, -50, -101 or -152, in the form that torchvision has the weights of.

    Args:
        image_shape: Height, width and channels of the images.
        num_classes: Number of classes, at least 2.
        depth: Number of layers with weights: 18, 34, 50, 101 or 152.
        filters: Widths of the four stages; the output of a stage is four times as wide from a depth of 50 on.
        small_images: Whether the first convolution is 3x3 and keeps the size, without a pool, for images of about
            32x32.
        dilated_stages: Number of last stages, up to 3, that keep the size of their input and read pixels further apart
            instead: larger maps from as many parameters, for what must be located.
        dropout: Share of the features dropped in training, in [0, 1); the paper has none.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy and top-5 accuracy.

    Raises:
        ValueError: If a side is under 1, `num_classes` under 2, `dropout` outside [0, 1), `depth` is unknown, `filters`
            are not four, or `dilated_stages` outside [0, 3].

    Example:
        >>> model = build_resnet(image_shape=(32, 32, 3), num_classes=10, depth=18, filters=(8, 16, 32, 64))
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=1)
    check_choice(RESNET_BLOCKS, depth=depth)
    check_length(4, filters=filters)
    check_at_least(1, filters=filters)
    check_choice(range(4), dilated_stages=dilated_stages)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, H, W, C)
    # Deviation: the paper subtracts each pixel's mean.
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    if small_images:
        x = conv_block(x, filters=filters[0], name="stem")  # (B, H, W, F)
    else:
        x = stem_block(x, filters=filters[0], batch_norm=True, name="stem")  # (B, H / 4, W / 4, F)
    dilation = 1
    for stage, (width, blocks) in enumerate(zip(filters, RESNET_BLOCKS[depth], strict=True), 1):
        dilated = stage > 4 - dilated_stages
        strides = 2 if stage > 1 and not dilated else 1
        # What replaces a convolution of stride 2 reads the pixels that it read; all after it read those twice as far.
        before, dilation = dilation, 2 * dilation if dilated else dilation
        for block in range(1, blocks + 1):
            shared = {"filters": width, "strides": strides if block == 1 else 1, "name": f"stage{stage}_block{block}"}
            first = before if block == 1 else dilation
            if depth >= BOTTLENECK:
                x = bottleneck_block(x, dilation=first, **shared)  # (B, H', W', 4 * width)
            else:
                x = residual_block(x, dilation=(first, dilation), padding="centered", **shared)  # (B, H', W', width)
    features = layers.GlobalAveragePooling2D(name="features")(x)  # (B, F)

    # --- heads
    features = Dropout(dropout, name="head_dropout")(features)
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(features)
    return keras.Model([image], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_resnet`; each default equals the builder's."""
    return {
        "depth": hp.Choice("depth", [*RESNET_BLOCKS], default=50),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
