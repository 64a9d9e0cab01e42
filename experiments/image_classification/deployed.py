"""Classifies images with the network beside this file: its runtime and NumPy are enough for PNG files of its size.

python predict.py cat.png dog.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from pictures import each_square, scaled
from runtime import beside, likeliest, show

RANKS = ("top class", "second", "third")


def main():
    """Prints the most probable classes of images."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", type=Path, help="image files, or folders of them")
    files = parser.parse_args().images
    network, codec = beside(__file__)
    height, _, channels = codec["image_shape"]
    how = {"side": codec["stored_size"], "channels": channels, "values": codec.get("values")}
    files, images = zip(*each_square(files, **how), strict=True)
    images = np.stack(images)
    names = codec["class_names"]
    rows = []
    for file, probabilities in zip(files, network({"image": scaled(images, height)})["label"], strict=True):
        likely = likeliest(probabilities, names, len(RANKS))
        rows.append([str(file), *(cell for name, share in likely for cell in (name, f"{100 * share:.1f}"))])
    show(["image", *(cell for rank in RANKS[: len(names)] for cell in (rank, "%"))], rows)


if __name__ == "__main__":
    main()
