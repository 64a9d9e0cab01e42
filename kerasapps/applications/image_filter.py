"""Image filters: fixed convolutions that find edges, sharpen, blur or emboss, as a network.

As in every convolutional network this is a correlation: the kernel is laid over the image as it is, not turned round.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

from kerasapps.blocks.arguments import check_at_least, checked, refusal
from kerasapps.blocks.borders import Border, BorderPadding2D
from kerasapps.blocks.heads import NamedHeads

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Matrix = Sequence[Sequence[float]]
# y grows downwards: `sobel_y` answers where an image is brighter below than above.
KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "sobel_x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel_y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "laplacian": ((0, -1, 0), (-1, 4, -1), (0, -1, 0)),
    "outline": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "blur": ((1 / 16, 1 / 8, 1 / 16), (1 / 8, 1 / 4, 1 / 8), (1 / 16, 1 / 8, 1 / 16)),
    "mean": ((1 / 9, 1 / 9, 1 / 9), (1 / 9, 1 / 9, 1 / 9), (1 / 9, 1 / 9, 1 / 9)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
}


@checked
def build_image_filter(
    *,
    kernels: Mapping[str, Matrix],
    channels: int = 1,
    border: Border = "reflect",
    separable: bool = True,
    name: str = "image_filter",
) -> keras.Model:
    """Builds fixed filters of images, each of which is one output.

    `KERNELS` has those that everybody knows: "sobel_x", "sobel_y", "laplacian", "outline", "sharpen", "blur", "mean"
    and "emboss".

    Args:
        kernels: Name of each filter to its kernel, a matrix with an odd number of rows and of columns.
        channels: Channels of the images, each of which is filtered by itself; at least 1.
        border: What lies beyond the edge: "zeros" is black; "extend" repeats the pixels of the edge; "reflect" mirrors
            the image there without repeating them (reflect-101, which needs sides of more than half a kernel); "crop"
            leaves out what would need it, so that the output is smaller.
        separable: Whether a kernel that is a column times a row is applied as these two, which takes fewer operations.
        name: Name of the model.

    Returns:
        Uncompiled model, of which nothing is trained. In: "image" float32 (B, H, W, channels).
        Out: a dict, name of each filter to float32 (B, H, W, channels), under "crop" smaller by the kernel's sides less
        1. Values have the unit of the input and may leave its range.

    Train with: nothing.

    Raises:
        ValueError: If `kernels` is empty, or one is not a matrix of finite numbers with odd sides; if `channels` is
            under 1.

    Example:
        >>> model = build_image_filter(kernels={"edges": KERNELS["sobel_y"]}, channels=3)
        >>> model.predict({"image": images})["edges"]  # images float32 (n, H, W, 3)
    """
    check_at_least(1, channels=channels)
    if not kernels or not all(kernels):
        raise refusal("name at least one filter", kernels=kernels)
    for matrix in kernels.values():
        sides = {len(row) for row in matrix}
        if len(matrix) % 2 == 0 or len(sides) != 1 or min(sides) % 2 == 0:
            raise refusal("be matrices with an odd number of rows and of columns", kernels=kernels)

    # --- inputs
    image = keras.Input((None, None, channels), name="image")  # (B, H, W, C)

    # --- heads
    outputs = {key: filter_block(image, matrix, border, separable, name=key) for key, matrix in kernels.items()}

    # --- weights
    model = NamedHeads([image], outputs, name=name)
    model.trainable = False
    for key, matrix in kernels.items():
        for part, values in parts_of(np.array(matrix, np.float64), separable).items():
            weights = np.repeat(values[..., None, None], channels, axis=2)  # (rows, columns, C, 1)
            model.get_layer(f"{key}{part}").set_weights([weights])
    return model


def filter_block(image, matrix: Matrix, border: Border, separable: bool, *, name: str):
    """Applies one filter, whose weights are set later; the last layer has its name: (B, H, W, C) -> (B, H', W', C)."""
    rows, columns = len(matrix), len(matrix[0])
    x = image
    if border != "crop":
        margins = rows // 2, columns // 2
        x = BorderPadding2D(margins, border=border, dtype="float32", name=f"{name}_border")(x)
    for part, values in parts_of(np.array(matrix, np.float64), separable).items():
        x = layers.DepthwiseConv2D(values.shape, use_bias=False, dtype="float32", name=f"{name}{part}")(x)
    return x


def parts_of(matrix: np.ndarray, separable: bool) -> dict[str, np.ndarray]:
    """Returns the kernels that are applied one after the other, by what their layers' names end in."""
    both = separate(matrix) if separable and min(matrix.shape) > 1 else None
    return {"": matrix} if both is None else {"_column": both[0], "": both[1]}


def separate(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns a column (rows, 1) and a row (1, columns) whose product is a matrix, or None if there are none."""
    i, j = np.unravel_index(np.abs(matrix).argmax(), matrix.shape)
    if not matrix[i, j]:
        return None
    column, row = matrix[:, j, None], matrix[i, None] / matrix[i, j]  # whole numbers stay so in a Sobel kernel
    return (column, row) if np.allclose(column * row, matrix, rtol=0, atol=1e-12 * abs(matrix[i, j])) else None


def to_gray(pixels: np.ndarray) -> np.ndarray:
    """Returns the luminance of colors, rounded: uint8 (..., 3) -> uint8 (...)."""
    return ((pixels.astype(np.int64) @ np.array([299, 587, 114]) + 500) // 1000).astype(np.uint8)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Rounds to whole numbers from 0 to 255; those beyond become the nearest of them."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_image_filter`; each default equals the builder's."""
    return {"border": hp.Choice("border", ["zeros", "crop", "extend", "reflect"], default="reflect")}
