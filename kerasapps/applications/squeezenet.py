"""SqueezeNet: the accuracy of AlexNet with a fiftieth of its parameters, by convolutions on few channels.

Reference: Iandola et al., "SqueezeNet: AlexNet-Level Accuracy with 50x Fewer Parameters and <0.5MB Model Size",
arXiv:1602.07360, 2016; version 1.1 is from the authors' repository.
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_image_arguments, check_positive, checked
from kerasapps.blocks.conv import concatenate, conv_block, scaled
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# Filters and window of the first convolution, and the fire modules before which a pool halves the sides.
VERSIONS = {"1.0": (96, 7, (2, 5, 9)), "1.1": (64, 3, (2, 4, 6))}
SQUEEZE = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}  # filters of each fire module's first convolution
EXPAND = 4  # times as many has each of the two that read it


@checked
def build_squeezenet(
    *,
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    version: Literal["1.0", "1.1"] = "1.0",
    width: float = 1.0,
    small_images: bool = False,
    batch_norm: bool = False,
    dropout: float = 0.5,
    name: str = "squeezenet",
) -> keras.Model:
    """Builds SqueezeNet; layers are named as in the paper.

    Args:
        image_shape: Height, width and channels of the images; sides at least 21 for version 1.0, 17 for 1.1, 4 with
            `small_images`.
        num_classes: Number of classes, at least 2.
        version: "1.0" as in the paper, or "1.1", which needs 2.4 times fewer operations for the same accuracy.
        width: Factor on all numbers of filters, above 0.
        small_images: Whether the first convolution is 3x3 and keeps the size, without a pool, for images of about
            32x32.
        batch_norm: Whether to normalize after each convolution but the last; the paper does not.
        dropout: Share of the features dropped in training before the last convolution, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy and top-5 accuracy.

    Raises:
        ValueError: If a side is too small, `num_classes` under 2, `dropout` outside [0, 1), `version` unknown, or
            `width` not above 0.

    Example:
        >>> model = build_squeezenet(image_shape=(32, 32, 3), num_classes=10, small_images=True)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    stem, window, pools = VERSIONS[version]
    check_positive(width=width)
    smallest = 4 if small_images else 14 + window  # of the last map, one pixel remains
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=smallest)
    shared = {"batch_norm": batch_norm}

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, 224, 224, 3) by default
    # Deviation: the paper subtracts the mean color.
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    stem = scaled(stem, width)
    if small_images:
        x = conv_block(x, filters=stem, name="conv1", **shared)  # (B, H, W, F)
    else:
        x = conv_block(
            x, filters=stem, kernel_size=window, strides=2, padding="valid", name="conv1", **shared
        )  # (B, 109, 109, 96)
    for fire, filters in SQUEEZE.items():
        if fire in pools and not (small_images and fire == 2):
            x = pool_block(x, name=f"fire{fire}_pool")  # (B, 54, 54, F), (B, 27, 27, F), (B, 13, 13, F)
        x = fire_block(x, filters=scaled(filters, width), name=f"fire{fire}", **shared)  # (B, H, W, 8 * filters)
    x = Dropout(dropout, name="fire9_dropout")(x)

    # --- heads
    # There is no dense layer: a map for each class, whose mean is its score.
    maps = conv_block(x, filters=num_classes, kernel_size=1, batch_norm=False, name="conv10")  # (B, H, W, num_classes)
    scores = layers.GlobalAveragePooling2D(dtype="float32", name="scores")(maps)  # (B, num_classes)
    label = layers.Softmax(dtype="float32", name="label")(scores)
    return keras.Model([image], {"label": label}, name=name)


def pool_block(x, *, name: str):
    """Takes the maximum of 3x3 pixels with stride 2, up to the edge: (B, H, W, C) -> (B, H // 2, W // 2, C)."""
    # An even side gets a pixel more, or its last one would be in no window; after a ReLU zeros change no maximum.
    height, width = ((0, 1 - side % 2) for side in x.shape[1:3])
    x = layers.ZeroPadding2D((height, width), name=f"{name}_padding")(x)
    return layers.MaxPooling2D(3, strides=2, name=name)(x)


def fire_block(x, *, filters: int, batch_norm: bool, name: str):
    """Squeezes to few channels, which 1x1 and 3x3 convolutions read: (B, H, W, C) -> (B, H, W, 8 * filters)."""
    shared = {"batch_norm": batch_norm}
    x = conv_block(x, filters=filters, kernel_size=1, name=f"{name}_squeeze", **shared)  # (B, H, W, filters)
    one = conv_block(x, filters=EXPAND * filters, kernel_size=1, name=f"{name}_expand1x1", **shared)
    three = conv_block(x, filters=EXPAND * filters, kernel_size=3, name=f"{name}_expand3x3", **shared)
    return concatenate([one, three], name=f"{name}_joined")  # (B, H, W, 8 * filters)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_squeezenet`; each default equals the builder's."""
    return {
        "version": hp.Choice("version", [*VERSIONS], default="1.0"),
        "batch_norm": hp.Boolean("batch_norm", default=False),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
    }
