"""One image file as an array, whatever its format, color mode and rotation."""

import contextlib
import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from kerasapps.errors import DataError
from kerasapps.files import printable, regular_file

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Listed, because Pillow would otherwise try formats that run other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# A quarter of a GiB in RGB. A file of a few kilobytes can claim to hold more, and would fill the memory.
MAX_PIXELS = 89_478_485
LONGEST = {"WEBP": 16_383, "JPEG": 65_500}  # pixels of a side
# What turns an image upright, by the orientation that the camera recorded.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_picture(
    source: str | Path | bytes,
    *,
    size: int | None,
    channels: int,
    name: str | None = None,
    seen: set[tuple[int, int]] | None = None,
) -> np.ndarray:
    """Reads a JPEG, PNG, WebP, BMP, GIF (its first frame) or TIFF image.

    Transparency becomes white, 16-bit gray is scaled to 8 bits, and the rotation that the camera recorded is applied.

    Args:
        source: A file, or its contents.
        size: Side of the square that the image is center-cropped and scaled to; None keeps the image as it is.
        channels: 1 for gray, 3 for red, green and blue.
        name: What messages call the image, by default the file's path.
        seen: Collects width and height of the image in the file.

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
    with _opened(source, name) as image:
        if seen is not None:
            seen.add(image.size)
        if size is not None:
            image.draft(None, (2 * size, 2 * size))  # twice the size, so that the last step still smooths
        image = _flat(_upright(image), "L" if channels == 1 else "RGB")
        if size is not None and image.size != (size, size):
            # Bilinear as `tf.image.resize`, which scales the named sets; it smooths when it shrinks.
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
        return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, channels)


@dataclass(frozen=True)
class Photo:
    """An image with all color information of its file.

    Args:
        pixels: Red, green and blue, 0 to 255, float32 (H, W, 3).
        bits: Bits per channel in the file, 8 or 16; with 16 the pixels have fractions.
        profile: The ICC color profile, where there is one.
    """

    pixels: np.ndarray
    bits: int = 8
    profile: bytes | None = None


def read_photo(path: str | Path) -> Photo:
    """Reads an image as `read_picture` does, but PNG with all of its 16 bits, and with its ICC profile.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(path, None) as image:
        profile = image.info.get("icc_profile")
        # The profile of a CMYK image does not apply to RGB.
        profile = profile if profile and profile[16:20] == b"RGB " else None
        image.load()  # reports damage in a sentence, whatever decodes it in the end
        data = Path(path).read_bytes() if image.format == "PNG" else b""
        if data[24:25] == b"\x10":  # the depth, in the header of every PNG file
            return Photo(_deep(data), 16, profile)
        return Photo(np.asarray(_flat(_upright(image), "RGB"), np.float32), 8, profile)


def encode_picture(photo: Photo, suffix: str) -> bytes:
    """Returns a file's contents, in 16 bits only for PNG.

    Args:
        photo: The image.
        suffix: ".png", ".jpg", ".jpeg", ".webp", ".tif" or ".tiff".

    Raises:
        DataError: If `suffix` is none of these, or a side is longer than the format allows.
    """
    if suffix == ".png" and photo.bits == 16:
        return _deep_png(np.round(np.clip(photo.pixels, 0, 255) * 257).astype(np.uint16), photo.profile)
    formats = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
    if suffix not in formats:
        raise DataError(f"Images are written as {', '.join(formats)}. Received: {suffix or 'no suffix'}")
    longest, limit = max(photo.pixels.shape[:2]), LONGEST.get(formats[suffix], math.inf)
    if longest > limit:
        raise DataError(f"{formats[suffix]} images have at most {limit} pixels a side. Received: {longest}")
    buffer = io.BytesIO()
    image = Image.fromarray(np.round(np.clip(photo.pixels, 0, 255)).astype(np.uint8))
    options = {"quality": 95} if formats[suffix] in ("JPEG", "WEBP") else {}
    image.save(buffer, formats[suffix], icc_profile=photo.profile, **options)
    return buffer.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    """Returns the image upright; one whose metadata cannot be read stays as it is."""
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # as for the image itself, Pillow raises nearly anything
        turn = None
    return image if turn is None else image.transpose(turn)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Returns the image with 8 bits per channel and without transparency."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        # Pillow would clip. Floats are shares of 1 or of 255 by custom, integers 16 bits wide.
        top = 65535.0 if image.mode != "F" else 1.0 if np.nanmax(values, initial=0) <= 1 else 255.0
        narrow = np.empty(values.shape, np.uint8)
        for row, wide in zip(narrow, values, strict=True):  # row by row: the largest image would take a GiB
            row[:] = np.clip(np.round(np.nan_to_num(wide.astype(np.float32)) * (255 / top)), 0, 255)
        image = Image.fromarray(narrow)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)


@contextlib.contextmanager
def _opened(source: str | Path | bytes, name: str | None) -> Iterator[Image.Image]:
    """Opens an image, and reports whatever goes wrong while it is used in one sentence."""
    if name is None:
        name = "The image" if isinstance(source, bytes) else printable(source)
    if not isinstance(source, bytes):
        source = regular_file(source)
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise DataError(f"{name} has {pixels:,} pixels, and more than {MAX_PIXELS:,} are refused.")
            yield image
    except (DataError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name} has more than {MAX_PIXELS:,} pixels and is refused.") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is not a JPEG, PNG, WebP, BMP, GIF or TIFF image.") from None
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{name} cannot be read: {error.strerror}.") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name} is damaged: {reason.rstrip('.')}.") from None


def _deep(data: bytes) -> np.ndarray:
    """Decodes a PNG file of 16 bits, which Pillow would cut to 8: float32 (H, W, 3)."""
    values = tf.io.decode_png(data, dtype=tf.uint16).numpy() / np.float32(257)  # (H, W, 1 to 4)
    colors, alpha = values, np.float32(1)
    if values.shape[-1] in (2, 4):
        colors, alpha = values[..., :-1], values[..., -1:] / np.float32(255)
    colors = colors * alpha + 255 * (1 - alpha)
    return np.broadcast_to(colors, (*colors.shape[:2], 3)).astype(np.float32)


def _deep_png(values: np.ndarray, profile: bytes | None) -> bytes:
    """Encodes uint16 (H, W, 3) as PNG, which Pillow cannot, with the profile behind the header."""
    data = tf.io.encode_png(values).numpy()
    if profile is None:
        return data
    content = b"iCCP" + b"ICC profile\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    header = 33  # bytes: signature and IHDR
    return data[:header] + chunk + data[header:]
