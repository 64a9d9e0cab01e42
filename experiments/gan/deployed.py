"""Draws new images with the generator beside this file: its runtime and NumPy are enough.

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


if __name__ == "__main__":
    main()
