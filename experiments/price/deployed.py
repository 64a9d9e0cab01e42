"""Estimates a price with the network beside this file: its runtime and NumPy are enough, but for image files.

python predict.py --numbers years=3 --categories kind=coat --text "a warm wool coat"
"""

import argparse
import unicodedata
from pathlib import Path

import numpy as np
from runtime import beside


def main():
    """Prints the estimated price of one thing, from as much of it as is known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--numbers", nargs="+", default=[], metavar="NAME=VALUE")
    parser.add_argument("--categories", nargs="+", default=[], metavar="NAME=VALUE")
    parser.add_argument("--text", help="its description")
    parser.add_argument("--image", type=Path, help="an image of it")
    options = parser.parse_args()
    network, codec = beside(__file__)
    for name, given, there in (
        ("--text", options.text, "words" in codec),
        ("--image", options.image, codec["image_shape"]),
    ):
        if given and not there:
            parser.error(f"{name}: this network was trained without.")
    numbers = pairs(parser, options.numbers, codec["numbers"])
    categories = pairs(parser, options.categories, codec["categories"])
    inputs = {}
    if codec["numbers"]:
        known = []
        for name, (mean, _) in codec["numbers"].items():
            value = number(parser, name, numbers.get(name, mean))
            known.append(value if np.isfinite(value) else mean)  # what is unknown, or no number, is the mean
        inputs["numbers"] = np.array([known], np.float32)
    if codec["categories"]:
        # A value of no training row is 0.
        ids = []
        for name, values in codec["categories"].items():
            value = unicodedata.normalize("NFC", categories.get(name, "").strip())
            ids.append(values.index(value) + 1 if value in values else 0)
            if name in categories and not ids[-1]:
                print(f"No training row has the {name} {categories[name]}: it counts as unknown.")
        inputs["categories"] = np.array([ids], np.int32)
    if "words" in codec:
        from words import WordIds

        inputs["text"] = WordIds.from_json(codec).encode([options.text or ""])[0]
    if codec["image_shape"]:
        inputs["image"] = read(options.image, codec["image_shape"], codec.get("values"))
    price = np.exp(network(inputs)["log_price"][0, 0])
    half = codec["percent_error"]
    print(f"Estimated price: {price:,.2f}. Half of the test estimates were within {half:.0f} %.")


def pairs(parser, given, names):
    """Splits NAME=VALUE where the name is one of those that there are."""
    for pair in given:
        if "=" not in pair or pair.partition("=")[0] not in names:
            parser.error(f"{pair}: give NAME=VALUE with a name of {', '.join(names)}")
    return dict(pair.split("=", 1) for pair in given)


def number(parser, name, value):
    """Returns a number that was typed."""
    try:
        return float(value)
    except ValueError:
        parser.error(f"--numbers {name}={value}: {value!r} is not a number.")


def read(path, shape, values):
    """Returns an image as the network takes it, values 0 to 255; -1 where there is none."""
    if path is None:
        return np.full((1, *shape), -1, np.float32)
    from pictures import read_square

    return read_square(path, side=shape[0], channels=shape[2], values=values)[None]


if __name__ == "__main__":
    main()
