"""Reads image files for an exported network: PNG with NumPy alone, all other formats with Pillow.

This file stands by itself, and a copy of it lies in deployable folders of networks of images.
"""

import importlib.util
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

PHONES = (".avif", ".heic", ".heif", ".hif")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", *PHONES)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # of a PNG file, by its kind of color


def each_square(paths, **how):
    """Yields image files with their images, as `read_square` reads them, and what is in folders among them.

    Of several files, those that cannot be read are named on standard error. If none can be read, the program ends.
    """
    files = [one for path in paths for one in (_within(path) if Path(path).is_dir() else [Path(path)])]
    read = 0
    for file in files:
        try:
            image = read_square(file, **how)
        except SystemExit as error:
            if len(files) == 1:
                raise
            print(error, file=sys.stderr)
        else:
            read += 1
            yield file, image
    if not read:
        raise SystemExit("None of the images could be read.")


def _within(folder):
    """Returns the image files of a folder, in order."""
    found = [one for one in folder.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file()]
    found = sorted(one for one in found if not any(part.startswith(".") for part in one.relative_to(folder).parts))
    if not found:
        raise SystemExit(f"{folder} holds no image.")
    return found


def read_square(path, *, side, channels, values=None):
    """Returns an image, cropped at its center and scaled to a square, float32 (side, side, channels), 0 to 255.

    A file that cannot be read ends the program with a sentence.

    Args:
        path: A .npy file with (H, W, C), or an image file.
        side: Height and width.
        channels: 1 for gray, 3 for red, green and blue.
        values: Which values of an image of more than 8 bits become 0 and 255; by default as its depth suggests.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            image = np.load(path, allow_pickle=False)
        elif importlib.util.find_spec("PIL") is None:
            image = _png(path)
        else:
            image = _with_pillow(path, side, channels, values)
        height, width = image.shape[:2]
        image = np.asarray(image, np.float32).reshape(height, width, -1)
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises nearly anything for a damaged file, or one of too many pixels
        raise SystemExit(f"{path} is damaged: {error}") from None
    if image.shape[2] != channels:
        image = np.repeat(image, 3, 2) if channels == 3 else np.round(image @ np.float32([[0.299], [0.587], [0.114]]))
    if image.shape[:2] != (side, side):
        raise SystemExit(f"{path} has {image.shape[1]}x{image.shape[0]} pixels: pip install pillow to scale it.")
    return image


def _with_pillow(path, side, channels, values):
    """Returns an image as the networks of training read it."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        if _bits(path) == 16 and image.mode in ("RGB", "RGBA", "LA"):
            raise SystemExit(f"{path} has colors of 16 bits, of which only 8 would be read: save it with 8 bits.")
        image.draft(None, (2 * side, 2 * side))  # twice the size, so that the last step still smooths
        deep = image.mode if image.mode.startswith("I") or image.mode == "F" else None
        image = ImageOps.exif_transpose(image.convert("F") if deep else image)
    if not deep and image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if not deep:
        image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    pixels = np.nan_to_num(np.asarray(image), posinf=0, neginf=0) if deep else np.asarray(image)
    if deep:
        low, high = values or _usual_range(deep, float(pixels.max()))
        pixels = np.clip(np.round((pixels - low) * (255 / (high - low))), 0, 255)
        return np.repeat(pixels[..., None], channels, 2)
    return pixels.reshape(side, side, channels)


def _bits(path):
    """Returns the depth of a PNG file, None of others."""
    with open(path, "rb") as file:
        head = file.read(25)
    return head[24] if head[:8] == SIGNATURE and len(head) == 25 else None


def _usual_range(mode, top):
    """Returns which values of a single image of more than 8 bits become 0 and 255."""
    if mode.startswith("I;16"):
        return 0.0, 65535.0
    usual = [one for one in ((1.0, 255.0) if mode == "F" else (255.0, 65535.0)) if top <= one]
    return 0.0, usual[0] if usual else 2.0 ** np.ceil(np.log2(top + 1)) - 1


def scaled(images, side):
    """Scales squares (n, H, W, C) to another side as the training data were, by smoothed linear interpolation."""
    have = images.shape[1]
    if have == side:
        return images
    scale = have / side
    reach = max(scale, 1.0)
    places = (np.arange(side) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(have) - places[:, None]) / reach)
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)  # (side, H)
    return np.einsum("ih,nhwc,jw->nijc", weights, images, weights, optimize=True)


def _png(path):
    """Returns the pixels of a PNG file of 8 bits, without Pillow."""
    content = path.read_bytes()
    if content[:8] != SIGNATURE:
        raise SystemExit(f"{path} is no PNG file: pip install pillow to read others.")
    width, height, bits, kind, _, _, woven = struct.unpack(">IIBBBBB", content[16:29])
    if bits != 8 or kind not in CHANNELS or woven:
        raise SystemExit(f"{path} is a PNG file with a palette, 16 bits or interlacing: pip install pillow to read it.")
    data, at = b"", 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if content[at + 4 : at + 8] == b"tRNS":
            raise SystemExit(f"{path} has a transparent color: pip install pillow to read it.")
        if content[at + 4 : at + 8] == b"IDAT":
            data += content[at + 8 : at + 8 + length]
        at += 12 + length
    step = CHANNELS[kind]
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + width * step)
    image = np.zeros((height, width * step), np.uint8)
    above = np.zeros(width * step, np.uint8)
    for y, line in enumerate(lines):
        above = image[y] = _unfiltered(int(line[0]), line[1:], above, step)
    image = image.reshape(height, width, step)
    if step in (2, 4):  # transparency becomes white
        alpha = image[..., -1:] / np.float32(255)
        return np.round(image[..., :-1] * alpha + 255 * (1 - alpha))
    return image


def _unfiltered(kind, line, above, step):
    """Returns a line of pixels from its differences to its neighbors, by one of the five filters of PNG."""
    if kind == 0:
        return line
    if kind == 2:
        return line + above
    made = np.zeros(step + len(line), np.int32)  # with zeros to the left
    above = np.concatenate([np.zeros(step, np.int32), above.astype(np.int32)])
    for i, value in enumerate(line.tolist(), start=step):
        left, up, corner = made[i - step], above[i], above[i - step]
        if kind == 1:
            value += left
        elif kind == 3:
            value += (left + up) // 2
        else:
            far = [abs(left + up - corner - one) for one in (left, up, corner)]
            value += (left, up, corner)[far.index(min(far))]
        made[i] = value & 255
    return made[step:].astype(np.uint8)
