"""Predicts what a text tells about its author, with the network beside this file: its runtime and NumPy are enough.

python predict.py --text "my grandchildren visit the garden"
"""

import argparse
import contextlib
from pathlib import Path

import numpy as np
from runtime import beside, likeliest, percent, read_text
from words import WordIds


def main():
    """Prints a line for each output."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", required=True, help="the text, or the name of a file that holds it")
    text = parser.parse_args().text
    with contextlib.suppress(OSError):  # too long for the name of a file
        text = read_text(text) if Path(text).is_file() else text
    network, codec = beside(__file__)
    ids, _ = WordIds.from_json(codec).encode([text])
    if not (ids > 1).any():
        raise SystemExit("No training text has any of these words, so there is nothing to predict from.")
    shortest = codec["shortest_text"]  # the network has windows of words
    outputs = network({"text": np.pad(ids, ((0, 0), (0, max(0, shortest - ids.shape[1]))))})
    for name, head in codec["heads"].items():
        values = np.ravel(outputs[name][0]).astype(float)
        if head["kind"] == "regression":
            print(f"{name}: {values[0]:.1f}")
            continue
        values = np.concatenate([1 - values, values]) if head["kind"] == "binary" else values
        ((label, share),) = likeliest(values, codec["classes"][name], 1)
        print(f"{name}: {label} {percent(share, 0)}")


if __name__ == "__main__":
    main()
