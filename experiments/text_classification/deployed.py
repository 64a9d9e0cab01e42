"""Classifies texts with the network beside this file: its runtime and NumPy are enough.

python predict.py --text "not half as dull as its title"
"""

import argparse
from pathlib import Path

from runtime import beside, likeliest, percent, read_text, show
from words import WordIds

START, SHOWN = 40, 3  # characters of a text, and classes, that are printed


def main():
    """Prints the most probable labels of texts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", nargs="+", default=[], help="texts")
    parser.add_argument("--file", type=Path, help="a file with a text a line")
    options = parser.parse_args()
    lines = read_text(options.file).splitlines() if options.file else []
    texts = [text for text in [*options.text, *lines] if text.strip()]
    if not texts:
        parser.error("give --text or --file")
    network, codec = beside(__file__)
    words, longest = WordIds.from_json(codec), codec.get("sentence_length")
    ids, _ = words.encode_sentences(texts, longest=longest) if longest else words.encode(texts)
    rows = []
    for text, probabilities in zip(texts, network({"text": ids})["label"], strict=True):
        (first, sure), *others = likeliest(probabilities, codec["class_names"], SHOWN)
        more = ", ".join(f"{name} {percent(share)}" for name, share in others)
        rows.append([text[:START] + "…" * (len(text) > START), first, percent(sure), more])
    show(["text", "label", "probability", "next"], rows)


if __name__ == "__main__":
    main()
