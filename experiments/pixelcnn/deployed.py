"""Draws images pixel by pixel with the network beside this file: its runtime and NumPy are enough.

python predict.py --n 16 --seed 0 --out samples.png
"""

import argparse
from pathlib import Path

import numpy as np
from runtime import beside
from sheets import png, sheet


def main():
    """Writes images into one PNG file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=36, help="how many images")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn")
    parser.add_argument("--temperature", type=float, default=1.0, help="less than 1 draws likelier images")
    parser.add_argument("--out", type=Path, default=Path("samples.png"), help="the PNG file")
    options = parser.parse_args()
    if options.n < 1 or not options.temperature > 0:
        parser.error("--n must be at least 1, and --temperature above 0")
    network, codec = beside(__file__)
    shape, levels = codec["image_shape"], codec["levels"]
    size = int(np.prod(shape))
    chances = np.random.default_rng(options.seed).random((options.n, size), np.float32)
    pixels = np.zeros((options.n, size), np.float32)
    for i in range(size):
        logits = network({"image": pixels.reshape(-1, *shape)})["level"].reshape(-1, size, levels)[:, i]
        pixels[:, i] = drawn(logits / options.temperature, chances[:, i])
    images = np.round(pixels * (255 / (levels - 1))).astype(np.uint8).reshape(-1, *shape)
    options.out.write_bytes(png(sheet(images, columns=max(1, round(options.n**0.5)))))
    print(options.out)


def drawn(logits, chances):
    """Returns a level for each row: the first whose share, with those of all before it, is above a chance."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares = np.cumsum(shares / shares.sum(-1, keepdims=True), -1)
    return np.minimum((shares <= chances[:, None]).sum(-1), logits.shape[-1] - 1)


if __name__ == "__main__":
    main()
