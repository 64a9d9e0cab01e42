"""Sheets of drawn images, as programs of deployable folders write them: NumPy and the standard library are enough."""

import struct
import zlib

import numpy as np

PAPER, LEAST_SIDE = 255, 480  # pixels


def sheet(images, *, columns):
    """Puts images (n, H, W, C) side by side."""
    count, height, width, channels = images.shape
    made = np.full((-(-count // columns) * (height + 1) + 1, columns * (width + 1) + 1, channels), PAPER, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        made[top : top + height, left : left + width] = image
    return made


def png(image):
    """Returns an image, uint8 (H, W, 1 or 3), as a PNG file, its pixels repeated until a person can see them."""
    times = max(1, -(-LEAST_SIDE // max(image.shape[:2])))
    image = image.repeat(times, 0).repeat(times, 1)
    height, width, channels = image.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], 1)

    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    content = part(b"IHDR", header) + part(b"IDAT", zlib.compress(lines.tobytes(), 9)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content
