"""Reconstructs images with the network beside this file: its runtime and NumPy are enough for PNG files of its size.

python predict.py a.png b.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from pictures import each_square, scaled
from runtime import beside, show


def main():
    """Prints the reconstruction errors of images, and which are unusual."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", type=Path, help="image files, or folders of them")
    files = parser.parse_args().images
    network, codec = beside(__file__)
    side, _, channels = codec["image_shape"]
    stored, values = codec["stored_size"], codec.get("values")
    files, squares = zip(*each_square(files, side=stored, channels=channels, values=values), strict=True)
    pixels = np.round(scaled(np.stack(squares), side)) / np.float32(255)
    outputs = network({"image": pixels})["reconstruction"]
    errors = ((pixels - outputs) ** 2).reshape(len(files), -1).mean(1)
    unusual = ["unusual" if error > codec["unusual_error"] else "" for error in errors]
    show(["image", "error", ""], list(zip(map(str, files), [f"{1000 * e:.2f}" for e in errors], unusual, strict=True)))


if __name__ == "__main__":
    main()
