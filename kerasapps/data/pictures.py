"""One picture file as an array, whatever its format, colours and rotation."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from kerasapps.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Named, because Pillow would otherwise try formats that run other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# A quarter of a GiB in RGB. A few kilobytes of a file can claim to be more, and would fill the memory.
MAX_PIXELS = 89_478_485
# What brings a picture upright again, by the orientation that a camera noted.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_picture(source: str | Path | bytes, *, size: int | None, channels: int, name: str | None = None) -> np.ndarray:
    """Reads a JPEG, PNG, WebP, BMP, GIF (its first frame) or TIFF picture.

    Transparent parts become white, 16 bits of grey are scaled to 8, and the rotation that a camera noted is applied.

    Args:
        source: A file, or its contents.
        size: Side of the square that the middle of the picture is cut and scaled to; None keeps the picture as it is.
        channels: 1 for grey, 3 for red, green and blue.
        name: What messages call the picture, by default the file's path.

    Returns:
        uint8 (H, W, C).

    Raises:
        DataError: If the file cannot be read, is damaged, or has more than `MAX_PIXELS` pixels.
        ValueError: If `size` is under 1, or `channels` neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
    if size is not None and size < 1:
        raise ValueError(f"`size` must be at least 1. Received: size={size}")
    if name is None:
        name = "The picture" if isinstance(source, bytes) else printable(source)
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise DataError(f"{name} has {pixels:,} pixels, and more than {MAX_PIXELS:,} are refused.")
            if size is not None:
                image.draft(None, (2 * size, 2 * size))  # twice the size, so that the last step still smooths
            image = _flat(_upright(image), "L" if channels == 1 else "RGB")
            if size is not None and image.size != (size, size):
                # Bilinear as `tf.image.resize`, which scales the named sets; it smooths when it shrinks.
                image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
            return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, channels)
    except (DataError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name} has more than {MAX_PIXELS:,} pixels and is refused.") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is not a JPEG, PNG, WebP, BMP, GIF or TIFF picture.") from None
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{name} cannot be read: {error.strerror}.") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name} is damaged: {reason.rstrip('.')}.") from None


def printable(path: str | Path) -> str:
    """Returns a path as text that can be printed; file names may hold any bytes."""
    return os.fsencode(path).decode("utf-8", "replace")


def _upright(image: Image.Image) -> Image.Image:
    """Returns the picture as the camera was held; one whose notes cannot be read stays as it is."""
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # as for the picture itself, Pillow raises nearly anything
        turn = None
    return image if turn is None else image.transpose(turn)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Returns the picture in 8 bits a channel, without transparency."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, np.float32))
        # Pillow would clip. Floats are shares of 1 or of 255 by custom, integers 16 bits wide.
        top = 65535.0 if image.mode != "F" else 1.0 if values.max() <= 1 else 255.0
        image = Image.fromarray(np.clip(np.round(values * (255 / top)), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)
