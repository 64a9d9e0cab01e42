"""Describes images with the networks beside this file, always taking the likeliest token: their runtime and NumPy.

python predict.py photo.png
"""

import argparse
from pathlib import Path

from pictures import each_square
from runtime import beside, written
from subwords import END, START, pieces_from_json


def main():
    """Prints a caption for each image, after its name and a tab."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", type=Path, help="image files, or folders of them")
    files = parser.parse_args().images
    encoder, codec = beside(__file__, "encoder")
    step, _ = beside(__file__, "step")
    (side, _, channels), pieces = codec["image_shape"], pieces_from_json(codec["pieces"])
    for file, image in each_square(files, side=side, channels=channels):
        inputs = {"image": image[None]}
        made = written(encoder, step, inputs, start=START, end=END, longest=codec["max_length"])
        print(f"{file}\t{pieces.decode([made])[0]}", flush=True)


if __name__ == "__main__":
    main()
