"""Draws new images with the generator beside this file: its runtime and NumPy are enough.

python predict.py --n 16 --seed 0 --out samples.png
"""

import argparse
import struct
import zlib
from pathlib import Path

import numpy as np
from runtime import beside

PAPER, LEAST_SIDE = 255, 480  # pixels


def main():
    """Writes images into one PNG file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=64, help="how many images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise")
    parser.add_argument("--label", help="name of a class, for networks with classes")
    parser.add_argument("--out", type=Path, default=Path("samples.png"), help="the PNG file")
    options = parser.parse_args()
    network, codec = beside(__file__)
    noise = np.random.default_rng(options.seed).standard_normal((options.n, codec["noise_dim"]), dtype=np.float32)
    inputs, names = {"noise": noise}, codec["class_names"]
    if "label" in network.inputs:
        every = np.arange(options.n) % len(names)
        if options.label is not None and options.label not in names:
            parser.error(f"--label must be one of {', '.join(names)}")
        inputs["label"] = (every if options.label is None else np.full(options.n, names.index(options.label))).astype(
            np.int32
        )
    elif options.label is not None:
        parser.error("--label: the network was trained without classes")
    images = next(iter(network(inputs).values()))
    pixels = np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
    options.out.write_bytes(png(sheet(pixels, columns=max(1, round(options.n**0.5)))))
    print(options.out)


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


if __name__ == "__main__":
    main()
