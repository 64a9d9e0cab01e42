"""PixelCNN: the probability of an image as a product over its pixels, each given those before it.

References: van den Oord et al., "Pixel Recurrent Neural Networks", ICML 2016, section 3.5; with `gated` van den Oord
et al., "Conditional Image Generation with PixelCNN Decoders", NeurIPS 2016.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked, refusal
from kerasapps.blocks.masked_conv import MaskedConv2D, gated_block, masked_residual_block

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_pixelcnn(
    *,
    image_shape: tuple[int, int, int],
    levels: int,
    filters: int = 36,
    depth: int = 6,
    window: int = 7,
    gated: bool = True,
    dropout: float = 0.0,
    name: str = "pixelcnn",
) -> keras.Model:
    """Builds a density model of images: of each pixel the logits of its levels, from the pixels before it.

    Pixels come row by row, each row from left to right, and the channels of a pixel one after the other. The sum of the
    log-probabilities of all pixels is the exact log-likelihood of the image.

    Args:
        image_shape: Height, width and channels of the images.
        levels: Values that a pixel may have, at least 2.
        filters: Features of each pixel, a multiple of the channels of the image.
        depth: Blocks after the first layer.
        window: Side of the first layer's window, odd, at least 3; the others have 3.
        gated: Whether two stacks with gates see all pixels before; otherwise it is a stack of residual blocks, which
            has a blind spot above and to the right of each pixel.
        dropout: Share of features dropped in each block in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), whole values from 0 to levels - 1.
        Out, a dict: "level" float32 logits (B, H, W, C, levels).

    Train with: SparseCategoricalCrossentropy(from_logits=True) on the image itself, in nats a pixel.

    Raises:
        ValueError: If a size or `depth` is under 1, `levels` under 2, `window` is even or under 3, `filters` are no
            multiple of the channels, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_pixelcnn(image_shape=(28, 28, 1), levels=2, filters=12, depth=2)
        >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> black_and_white = (digits > 127).astype("int32")  # digits float32 (n, 28, 28, 1), values 0 to 255
        >>> model.fit({"image": black_and_white}, {"level": black_and_white}, epochs=2)
    """
    height, width, channels = image_shape
    check_at_least(1, image_shape=image_shape, depth=depth, filters=filters)
    check_at_least(2, levels=levels)
    check_share(dropout=dropout)
    if window < 3 or window % 2 == 0:
        raise refusal("be odd and at least 3", window=window)
    if filters % channels:
        raise refusal(f"be a multiple of the {channels} channels of the image", filters=filters)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, H, W, C)
    x = layers.Rescaling(2 / (levels - 1), offset=-1, name="scaled_levels")(image)

    # --- trunk
    blocks = {"filters": filters, "channels": channels, "dropout": dropout}
    if gated:
        above, x = gated_block(x, x, size=window, first=True, name="first", **blocks)  # both (B, H, W, F)
        for block in range(1, depth + 1):
            above, x = gated_block(above, x, name=f"block{block}", **blocks)
    else:
        x = MaskedConv2D(2 * filters, window, mask="A", channels=channels, name="first_conv")(x)  # (B, H, W, 2 F)
        for block in range(1, depth + 1):
            x = masked_residual_block(x, name=f"block{block}", **blocks)

    # --- heads
    x = layers.ReLU(name="top1_relu")(x)
    x = MaskedConv2D(2 * filters, 1, channels=channels, name="top1_conv")(x)  # (B, H, W, 2 F)
    x = layers.ReLU(name="top2_relu")(x)
    x = MaskedConv2D(levels * channels, 1, channels=channels, dtype="float32", name="top2_conv")(x)
    x = layers.Reshape((height, width, levels, channels), dtype="float32", name="levels_of_channels")(x)
    level = layers.Permute((1, 2, 4, 3), dtype="float32", name="level")(x)  # (B, H, W, C, levels)
    return keras.Model([image], {"level": level}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_pixelcnn`; each default equals the builder's."""
    return {
        "filters": hp.Int("filters", 12, 72, step=12, default=36),
        "depth": hp.Int("depth", 2, 12, step=2, default=6),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
