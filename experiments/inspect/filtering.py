"""`filter`: one image through one fixed convolution."""

import json
from pathlib import Path

import numpy as np
import tyro

from kerasapps.applications.image_filter import KERNELS, build_image_filter, to_bytes, to_gray
from kerasapps.blocks.borders import Border
from kerasapps.data.image_files import SUFFIXES
from kerasapps.data.pictures import Photo, encode_picture, read_picture
from kerasapps.errors import UserError
from kerasapps.files import write_atomically
from kerasapps.settings import Text


def filter(  # what it is called on the command line
    image: tyro.conf.Positional[Path],
    /,
    *,
    kernel: Text = "sobel_y",
    border: Border = "reflect",
    color: bool = False,
    out: Path = Path("filtered.png"),
) -> None:
    """Filters an image, as grays of 8 bits: what is below 0 becomes black, and above 255 white.

    Args:
        image: An image file.
        kernel: sobel_x, sobel_y, laplacian, outline, sharpen, blur, mean or emboss, or a matrix with odd sides as JSON,
            such as [[0,-1,0],[-1,4,-1],[0,-1,0]]. It is laid over the image as it is (correlation).
        border: What lies beyond the edge: zeros (black), crop (leave out what would need it), extend (repeat the
            pixels of the edge) or reflect (mirror at the edge, as OpenCV does).
        color: Filter red, green and blue by themselves.
        out: The image file to write.
    """
    matrix = matrix_of(kernel)
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out must name an image, such as edges.png. Received: {out}")
    if out.exists():
        raise UserError(f"{out} exists already. Choose another --out.")
    pixels = read_picture(image, size=None, channels=3)  # (H, W, 3)
    given = pixels if color else to_gray(pixels)[..., None]
    margins = len(matrix) // 2, len(matrix[0]) // 2
    if border == "reflect" and any(side <= margin for side, margin in zip(given.shape, margins, strict=False)):
        raise UserError(f"{image} has {given.shape[1]} x {given.shape[0]} pixels, too few for --border reflect.")
    if border == "crop" and any(side <= 2 * margin for side, margin in zip(given.shape, margins, strict=False)):
        raise UserError(f"{image} has {given.shape[1]} x {given.shape[0]} pixels, of which --border crop leaves none.")
    model = build_image_filter(kernels={"filtered": matrix}, channels=given.shape[-1], border=border)
    filtered = to_bytes(np.asarray(model({"image": given[None].astype(np.float32)})["filtered"])[0])
    written = np.broadcast_to(filtered, (*filtered.shape[:2], 3)).astype(np.float32)
    write_atomically(out, encode_picture(Photo(written), out.suffix.lower()))
    print(out)


def matrix_of(kernel: str) -> tuple[tuple[float, ...], ...]:
    """Returns a kernel by name or from JSON.

    Raises:
        UserError: If it is neither.
    """
    if kernel in KERNELS:
        return KERNELS[kernel]
    rule = f"--kernel takes {', '.join(KERNELS)}, or a matrix with odd sides as JSON. Received: {kernel}"
    try:
        matrix = np.array(json.loads(kernel), np.float64)
    except (ValueError, TypeError):
        raise UserError(rule) from None
    if matrix.ndim != 2 or not all(side % 2 for side in matrix.shape) or not np.isfinite(matrix).all():
        raise UserError(rule)
    return tuple(map(tuple, matrix.tolist()))
