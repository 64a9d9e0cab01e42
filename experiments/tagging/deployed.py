"""Tags sequences with the network beside this file: its runtime and NumPy are enough.

python predict.py --text "today Lincoln Bank praised Victoria Ford ."
"""

import argparse
from pathlib import Path

import numpy as np
from runtime import beside, read_text


def main():
    """Prints each step with its tag, a line each, and a blank line between sequences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", nargs="+", default=[], help="sentences")
    parser.add_argument("--file", type=Path, help="a file with a sentence a line")
    parser.add_argument("--columns", type=Path, help="a file with the numbers of a step a line, for a network of these")
    options = parser.parse_args()
    network, codec = beside(__file__)
    if codec["feature_names"]:
        if not options.columns:
            parser.error("give --columns")
        read = [numbers_of(block, codec["feature_names"], parser) for block in blocks(options.columns)]
        shown = [[f"{codec['feature_names'][row.argmax()]} {row.max():.2f}" for row in steps] for steps in read]
        name = "features"
    elif options.columns:
        parser.error("--columns is for networks of numbers: give --text or --file")
    else:
        from words import tokenize

        lines = read_text(options.file).splitlines() if options.file else []
        shown = [words for words in (tokenize(text, "cased") for text in [*options.text, *lines]) if words]
        numbers = {word: i for i, word in enumerate(codec["words"], start=2)}  # 0 is padding, 1 any unknown word
        read = [np.array([numbers.get(word, 1) for word in words], np.int32) for words in shown]
        name = "text"
    if not read:
        parser.error("give --text or --file")
    tagged = []
    for steps, names in zip(read, shown, strict=True):
        best = network({name: steps[None]})["tags"][0].argmax(-1)
        tags = [codec["tag_names"][i] for i in best[: len(names)]]
        tagged.append("\n".join(f"{step}\t{tag}" for step, tag in zip(names, tags, strict=True)))
    print("\n\n".join(tagged))


def numbers_of(block, names, parser):
    """Returns the numbers of a sequence, (T, F)."""
    try:
        steps = np.loadtxt(block.splitlines(), np.float32, ndmin=2)
    except ValueError as error:
        parser.error(f"--columns takes numbers alone, with blank lines between sequences: {error}")
    if steps.shape[1] != len(names):
        parser.error(f"--columns takes {len(names)} numbers a step: {', '.join(names)}. Received: {steps.shape[1]}")
    return steps


def blocks(path):
    """Returns what stands between blank lines of a file."""
    text = "\n".join(line.strip() for line in read_text(path).splitlines())
    return [block for block in text.split("\n\n") if block.strip()]


if __name__ == "__main__":
    main()
