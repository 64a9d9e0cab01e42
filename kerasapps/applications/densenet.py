"""DenseNet: within a block, each layer reads the features of all layers before it.

Reference: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017; here with bottlenecks and compression
(DenseNet-BC).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import (
    check_at_least,
    check_choice,
    check_image_arguments,
    check_numbers,
    checked,
    refusal,
)
from kerasapps.blocks.conv import activation_block, conv_block, dense_block, stem_block
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# Layers in each block, by number of layers with weights: the ImageNet networks of the paper, and the one that it
# published later, with a growth rate of 48.
DENSENET_BLOCKS = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}


@checked
def build_densenet(
    *,
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    depth: int = 121,
    blocks: Sequence[int] | None = None,
    growth_rate: int = 32,
    compression: float = 0.5,
    small_images: bool = False,
    batch_norm: bool = True,
    dropout: float = 0.0,
    name: str = "densenet",
) -> keras.Model:
    """Builds a DenseNet-BC; by default DenseNet-121 for ImageNet.

    DenseNet-161 is `build_densenet(depth=161, growth_rate=48)`. The paper's network of 0.8 million parameters for CIFAR
    is `build_densenet(image_shape=(32, 32, 3), num_classes=10, blocks=(16,) * 3, growth_rate=12, small_images=True)`.

    Args:
        image_shape: Height, width and channels of the images; sides at least 2 to the number of halvings: one
            between two blocks, and two before the first unless `small_images`.
        num_classes: Number of classes, at least 2.
        depth: Number of layers with weights: 121, 161, 169, 201 or 264.
        blocks: Number of layers in each block, in place of those that `depth` stands for.
        growth_rate: Number of features that each layer adds.
        compression: Share of the features that are kept between two blocks, in (0, 1].
        small_images: Whether the first convolution is 3x3 and keeps the size, for images of about 32x32.
        batch_norm: Whether to normalize before each convolution; the paper does.
        dropout: Share of features dropped in training, of what each layer adds and of what passes between blocks, in
            [0, 1). The paper uses 0.2 on CIFAR without augmentation, otherwise none.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy and top-5 accuracy.

    Raises:
        ValueError: If a side is too small, `num_classes` under 2, `dropout` outside [0, 1), `compression` outside
            (0, 1], `depth` unknown, or `blocks` empty or with a block of no layers.

    Example:
        >>> model = build_densenet(image_shape=(32, 32, 3), num_classes=10, blocks=(4, 4), small_images=True)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_choice(DENSENET_BLOCKS, depth=depth)
    blocks = DENSENET_BLOCKS[depth] if blocks is None else blocks
    check_numbers(1, blocks=blocks)
    check_at_least(1, growth_rate=growth_rate)
    if not 0 < compression <= 1:
        raise refusal("be in (0, 1]", compression=compression)
    smallest = 2 ** (len(blocks) - 1 + (0 if small_images else 2))
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=smallest)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, H, W, C)
    # Deviation: the paper subtracts each channel's mean and divides by its standard deviation.
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    filters = 2 * growth_rate
    if small_images:
        # Neither normalized nor rectified: each layer of the first block does that to its input.
        x = conv_block(
            x, filters=filters, activation=None, batch_norm=False, use_bias=not batch_norm, name="stem"
        )  # (B, H, W, 2k)
    else:
        x = stem_block(x, filters=filters, batch_norm=batch_norm, name="stem")  # (B, H / 4, W / 4, 2k)
    for i, count in enumerate(blocks, 1):
        if i > 1:
            filters = max(1, int(filters * compression))
            x = transition_block(x, filters=filters, batch_norm=batch_norm, dropout=dropout, name=f"transition{i - 1}")
        x = dense_block(
            x, num_layers=count, growth_rate=growth_rate, batch_norm=batch_norm, dropout=dropout, name=f"block{i}"
        )  # (B, H, W, filters + count * growth_rate)
        filters += count * growth_rate
    x = activation_block(x, batch_norm=batch_norm, name="final")
    x = layers.GlobalAveragePooling2D(name="features")(x)  # (B, filters)

    # --- heads
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)  # (B, num_classes)
    return keras.Model([image], {"label": label}, name=name)


def transition_block(x, *, filters: int, batch_norm: bool, dropout: float, name: str):
    """Mixes the features of a block into fewer and halves the sides: (B, H, W, C) -> (B, H // 2, W // 2, filters)."""
    x = activation_block(x, batch_norm=batch_norm, name=name)
    x = conv_block(
        x, filters=filters, kernel_size=1, activation=None, batch_norm=False, use_bias=not batch_norm, name=name
    )  # (B, H, W, filters)
    x = Dropout(dropout, name=f"{name}_dropout")(x)
    return layers.AveragePooling2D(2, name=f"{name}_pool")(x)  # (B, H // 2, W // 2, filters)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_densenet`; each default equals the builder's."""
    return {
        "depth": hp.Choice("depth", [*DENSENET_BLOCKS], default=121),
        "growth_rate": hp.Int("growth_rate", 8, 48, step=4, default=32),
        "dropout": hp.Float("dropout", 0.0, 0.4, step=0.1, default=0.0),
    }
