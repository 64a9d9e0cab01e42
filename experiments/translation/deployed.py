"""Translates lines with the networks beside this file, always taking the likeliest token: their runtime and NumPy.

python predict.py --text "ein Hund läuft über die Wiese"
"""

import argparse
from pathlib import Path

import numpy as np
from runtime import beside, read_text, written
from subwords import END, START, pieces_from_json


def main():
    """Prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", nargs="+", help="texts")
    parser.add_argument("--file", type=Path, help="a file with a text a line; standard input by default")
    options = parser.parse_args()
    lines = options.text or lines_of(read_text(options.file))
    encoder, codec = beside(__file__, "encoder")
    step, _ = beside(__file__, "step")
    source, target = pieces_from_json(codec["source"]), pieces_from_json(codec["target"])
    for line in lines:
        ids = source.encode([line.strip()])[0]
        if len(ids) >= codec["max_length"]:
            raise SystemExit(
                f"A text has {len(ids) + 1} tokens, and {codec['max_length']} are the most: {line[:40]!r}…"
            )
        inputs, longest = {"source": np.array([[*ids, END]], np.int32)}, min(codec["max_length"], 2 * len(ids) + 12)
        made = written(encoder, step, inputs, start=START, end=END, longest=longest) if ids else []
        print(target.decode([made])[0].replace("\r", " ").replace("\n", " "), flush=True)


def lines_of(text):
    """Returns the lines of a text; nothing but line feeds ends one, so that each has its own in what is printed."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


if __name__ == "__main__":
    main()
