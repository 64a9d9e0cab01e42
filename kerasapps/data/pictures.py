"""One image file as an array, whatever its format, color mode, depth and rotation."""

import contextlib
import io
import math
import struct
import zlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps

from kerasapps.data.image_files import BITS, SAMPLES, head, opened
from kerasapps.errors import DataError
from kerasapps.files import regular_file

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
DEEP = 65535.0
# A field of a TIFF file, and which of its values mean transparency; 999 is Corel Draw's.
EXTRA_SAMPLES = 338
TRANSPARENCY = {1, 2, 999}
NO_DATA = 42113  # a field of maps in TIFF files: the value, as text, that stands where nothing was measured
BANDS = {"RGBA": 4, "CMYK": 4, "RGB": 3, "YCbCr": 3, "LAB": 3, "LA": 2}
GRAY = (0.299, 0.587, 0.114)

Range = tuple[float, float]


@dataclass
class Seen:
    """What the files of a data set have that an array does not show; threads add to it.

    Args:
        sizes: Widths and heights.
        dropped: What was not read, once for each image that has it.
    """

    sizes: set[tuple[int, int]] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)


def read_picture(
    source: str | Path | bytes,
    *,
    size: int | None,
    channels: int,
    name: str | None = None,
    seen: Seen | None = None,
    values: Range | None = None,
) -> np.ndarray:
    """Reads a JPEG, PNG, WebP, BMP, GIF (its first frame) or TIFF image, and HEIC or AVIF where Pillow reads them.

    Transparency becomes white, and the rotation that the camera recorded is applied.

    Args:
        source: A file, or its contents.
        size: Side of the square that the image is center-cropped and scaled to; None keeps the image as it is.
        channels: 1 for gray, 3 for red, green and blue.
        name: What messages call the image, by default the file's path.
        seen: Collects what the file has.
        values: Which values of an image of more than 8 bits become 0 and 255; by default 0 and 65,535 for 16 bits, and
            for others what their largest value suggests.

    Returns:
        uint8 (H, W, C).

    Raises:
        DataError: If the file cannot be read, is damaged, or has more than `MAX_PIXELS` pixels.
        ValueError: If `size` is under 1, or `channels` neither 1 nor 3.
    """
    pixels, mode = _read(source, size=size, channels=channels, name=name, seen=seen)
    return to_bytes(pixels, values or _usual_range(pixels, mode))


def read_values(
    source: str | Path | bytes, *, size: int | None, channels: int, name: str | None = None, seen: Seen | None = None
) -> np.ndarray:
    """Reads an image as `read_picture` does, but one of more than 8 bits as float32 with the values of the file."""
    return _read(source, size=size, channels=channels, name=name, seen=seen)[0]


def to_bytes(pixels: np.ndarray, values: Range) -> np.ndarray:
    """Returns uint8 (H, W, C) as it is, and float32 with the values of `values` scaled to 0 to 255, others cut off."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = values
    narrow = np.empty(pixels.shape, np.uint8)
    for row, wide in zip(narrow, pixels, strict=True):  # row by row: the largest image would take a GiB
        row[:] = np.clip(np.round((wide - low) * (255 / (high - low))), 0, 255)
    return narrow


def range_of(low: float, high: float) -> Range:
    """Returns the values that become 0 and 255, for images whose values lie between two numbers.

    Sensors have 8 to 16 bits, and floats are shares of 1 by custom: the next such number above `high`. Where there are
    negative values, as in tomography or elevation, the two numbers themselves.
    """
    if low < 0:
        return low, max(high, low + 1)
    if 1 < high < 128:
        return 0.0, high
    return 0.0, 1.0 if high <= 1 else 2.0 ** max(
        8, math.ceil(round(math.log2(high + 1), 4))
    ) - 1  # rounded for what float32 loses


def one_range(bounds: Collection[Range], values: Range | None = None) -> tuple[Range | None, list[str]]:
    """Returns the values that become 0 and 255 in all images of more than 8 bits, and a sentence about them.

    Args:
        bounds: Least and largest value of each.
        values: The range, where it is given; else it is that of these images, None without any.
    """
    if not bounds:
        return values, []
    least, most = min(low for low, _ in bounds), max(high for _, high in bounds)
    values = values or range_of(least, most)
    return values, [
        f"Images of more than 8 bits: {len(bounds):,}, with values from {least:,.6g} to {most:,.6g}; "
        f"in all of them {values[0]:,.6g} becomes 0 and {values[1]:,.6g} becomes 255."
    ]


def left_out(seen: Seen) -> list[str]:
    """Returns a sentence about what was not read; nothing if all was."""
    if not seen.dropped:
        return []
    counts = [f"{what} in {count:,}" for what, count in sorted(Counter(seen.dropped).items())]
    return [f"Not read: {', '.join(counts)} {'image' if len(seen.dropped) == 1 else 'images'}."]


def _usual_range(pixels: np.ndarray, mode: str) -> Range:
    """Returns the range of one image alone, of which nothing else is known than how it was stored."""
    if mode.startswith("I;16") or pixels.dtype == np.uint8:
        return 0.0, DEEP
    top = float(pixels.max(initial=0))
    for usual in (1.0, 255.0) if mode == "F" else (255.0, DEEP):
        if top <= usual:
            return 0.0, usual
    return range_of(0.0, top)


def _read(
    source: str | Path | bytes, *, size: int | None, channels: int, name: str | None, seen: Seen | None
) -> tuple[np.ndarray, str]:
    """Returns uint8 or float32 (H, W, C), and how Pillow calls the way the image was stored."""
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
    if size is not None and size < 1:
        raise ValueError(f"`size` must be at least 1. Received: size={size}")
    with opened(source, name) as image:
        deep = _is_deep_color(image, source)
        mode = "I;16" if deep else image.mode
        if size is not None:
            image.draft(None, (2 * size, 2 * size))  # twice the size, so that the last step still smooths
        if seen is not None:
            seen.sizes.add(image.size)
            seen.dropped += _left_out(image)
        if deep:
            colors = _deep(source if isinstance(source, bytes) else Path(regular_file(source)).read_bytes())
            bands = [_upright(image, Image.fromarray(np.ascontiguousarray(colors[..., i]))) for i in range(3)]
        elif mode.startswith("I") or mode == "F":
            bands = [_upright(image, _floats(image))]
        else:
            bands = [_flat(_upright(image, _without_unknown_bands(image)), "L" if channels == 1 else "RGB")]
        if size is not None and bands[0].size != (size, size):
            # Bilinear as `tf.image.resize`, which scales the named sets; it smooths when it shrinks.
            bands = [ImageOps.fit(band, (size, size), Image.Resampling.BILINEAR) for band in bands]
        if bands[0].mode != "F":
            flat = bands[0]
            return np.frombuffer(flat.tobytes(), np.uint8).reshape(flat.height, flat.width, channels), mode
        pixels = np.stack([np.asarray(band) for band in bands], -1)  # (H, W, 1 or 3)
        if channels < pixels.shape[-1]:
            return (pixels @ np.float32(GRAY))[..., None], mode
        return np.broadcast_to(pixels, (*pixels.shape[:2], channels)), mode


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
    with opened(path, None) as image:
        profile = image.info.get("icc_profile")
        # The profile of a CMYK image does not apply to RGB.
        profile = profile if profile and profile[16:20] == b"RGB " else None
        image.load()  # reports damage in a sentence, whatever decodes it in the end
        data = Path(path).read_bytes() if image.format == "PNG" else b""
        if data[24:25] == b"\x10":  # the depth, in the header of every PNG file
            return Photo(_deep(data) / np.float32(257), 16, profile)
    return Photo(read_picture(path, size=None, channels=3).astype(np.float32), 8, profile)


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


def _upright(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """Returns the pixels of an image upright; one whose metadata cannot be read stays as it is."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # as for the image itself, Pillow raises nearly anything
        turn = None
    return pixels if turn is None else pixels.transpose(turn)


def _floats(image: Image.Image) -> Image.Image:
    """Returns an image of integers or floats as floats, 0 where there is no number or the file says so."""
    floats = image if image.mode == "F" else image.convert("F")
    none = _no_data(image)
    if none is None and image.mode != "F":
        return floats
    values = np.asarray(floats)
    there = np.isfinite(values) if none is None else np.isfinite(values) & ~np.isclose(values, none, rtol=1e-6, atol=0)
    return floats if there.all() else Image.fromarray(np.where(there, values, np.float32(0)))


def _no_data(image: Image.Image) -> float | None:
    """Returns the value that stands where nothing was measured, if a file names one."""
    if image.format != "TIFF" or NO_DATA not in image.tag_v2:
        return None
    try:
        return float(str(image.tag_v2[NO_DATA]).strip(" \0"))
    except ValueError:
        return None


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Returns an image of 8 bits per channel without transparency."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)


# --- more bands, bits and frames than an array has


def _without_unknown_bands(image: Image.Image) -> Image.Image:
    """Returns the colors alone of a TIFF image whose last band Pillow takes for transparency and the file does not."""
    image.load()
    return image.convert(image.mode[:-1]) if _has_unknown_band(image) else image


def _has_unknown_band(image: Image.Image) -> bool:
    if image.format != "TIFF" or image.mode not in ("RGBA", "LA"):
        return False
    return not TRANSPARENCY & set(image.tag_v2.get(EXTRA_SAMPLES, ()))


def _left_out(image: Image.Image) -> list[str]:
    """Returns what of an image is not read, in a few words each."""
    found = []
    if image.format == "TIFF":
        bands, bits = image.tag_v2.get(SAMPLES, 1), image.tag_v2.get(BITS, (8,))
        read = BANDS.get(image.mode, 1) - _has_unknown_band(image)
        if bands > read:
            found.append(f"band {bands}" if bands == read + 1 else f"bands {read + 1} to {bands}")
        if read > 1 and max(bits) > 8:
            found.append(f"the lower {max(bits) - 8} of {max(bits)} bits")
    with contextlib.suppress(Exception):  # a damaged second frame does not matter
        if image.format in ("TIFF", "GIF", "PNG", "WEBP") and image.is_animated:
            found.append("all frames but the first")
    return found


def _is_deep_color(image: Image.Image, source: str | Path | bytes) -> bool:
    """Returns whether a file is a PNG file of colors of 16 bits, which Pillow would cut to 8."""
    # The depth is in the header of every PNG file.
    return image.format == "PNG" and image.mode in ("RGB", "RGBA", "LA") and head(source)[24:25] == b"\x10"


def _deep(data: bytes) -> np.ndarray:
    """Decodes a PNG file of 16 bits, which Pillow would cut to 8: float32 (H, W, 3), values 0 to 65,535."""
    values = tf.io.decode_png(data, dtype=tf.uint16).numpy().astype(np.float32)  # (H, W, 1 to 4)
    colors = values
    if values.shape[-1] in (2, 4):
        colors, alpha = values[..., :-1], values[..., -1:] / np.float32(DEEP)
        colors = colors * alpha + np.float32(DEEP) * (1 - alpha)
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
