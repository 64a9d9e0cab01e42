"""Predicts with the ensemble beside this file: its runtime and NumPy are enough, but for most image files.

python predict.py --files cat.png
python predict.py --row age=39 education=HS-grad
python predict.py --text "not half as dull as its title"
"""

import argparse
from pathlib import Path

import numpy as np
from runtime import beside, likeliest, percent, show

UNKNOWN = ""
RANKS = ("first", "second", "third")
START = 40  # characters of a text that are printed


def main():
    """Prints the most probable classes of images, texts or a row of a table, or the number of a row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", nargs="+", default=[], type=Path, help="image files")
    parser.add_argument("--row", nargs="+", default=[], metavar="NAME=VALUE", help="what is known of a row")
    parser.add_argument("--text", nargs="+", default=[], help="texts")
    options = parser.parse_args()
    network, codec = beside(__file__)
    wanted = "files" if "image_shape" in codec else "row" if "numbers" in codec else "text"
    given = getattr(options, wanted)
    if not given:
        parser.error(f"this ensemble predicts from --{wanted}: give some")
    if wanted == "files":
        inputs, names = images(given, codec), [str(file) for file in given]
    elif wanted == "row":
        inputs, names = features(parser, given, codec), ["the row"]
    else:
        inputs, names = ids(given, codec), [text[:START] + "…" * (len(text) > START) for text in given]
    outputs = network(inputs)
    if "label" not in outputs:
        show(["", codec["target"]], [[names[0], f"{outputs['number'][0, 0]:,.3f}"]])
        return
    classes = codec["class_names"]
    rows = []
    for name, probabilities in zip(names, outputs["label"], strict=True):
        likely = likeliest(probabilities, classes, len(RANKS))
        rows.append([name, *(f"{one} {percent(share)}" for one, share in likely)])
    show(["", *RANKS[: len(classes)]], rows)


def images(files, codec):
    """Returns image files as the network takes them."""
    from pictures import read_square, scaled

    height, _, channels = codec["image_shape"]
    how = {"side": codec["stored_size"], "channels": channels, "values": codec.get("values")}
    return {"image": scaled(np.stack([read_square(file, **how) for file in files]), height)}


def ids(texts, codec):
    """Returns texts as the network takes them."""
    from words import WordIds

    words, longest = WordIds.from_json(codec), codec.get("sentence_length")
    return {"text": (words.encode_sentences(texts, longest=longest) if longest else words.encode(texts))[0]}


def features(parser, row, codec):
    """Returns a row as the network takes it: a number that is not given is the mean, a category is none of those known.

    Numbers are standardized, and each category is a 0 or 1.
    """
    values = dict(pair.partition("=")[::2] for pair in row)
    for name, value in values.items():
        if name not in codec["numbers"] and name not in codec["categories"]:
            parser.error(f"--row {name}: give NAME=VALUE with a name of {', '.join(columns(codec))}")
        if name in codec["categories"] and value not in codec["categories"][name]:
            print(f"No training row has the {name} {value}: it counts as unknown.")
    parts = []
    for name, (mean, scale) in codec["numbers"].items():
        try:
            parts.append(np.nan_to_num((float(values.get(name, "nan")) - mean) / scale))
        except ValueError:
            parser.error(f"--row {name}={values[name]}: {values[name]!r} is not a number.")
    for name, known in codec["categories"].items():
        parts += [values.get(name, UNKNOWN) == one for one in known]
    return {"features": np.array([parts], np.float32)}


def columns(codec):
    """Returns the names of the columns of a row."""
    return [*codec["numbers"], *codec["categories"]]


if __name__ == "__main__":
    main()
