"""Answers a question about a story with the network beside this file: its runtime and NumPy are enough.

python predict.py --story story.txt --question "Where is the umbrella?"
"""

import argparse
import re
from pathlib import Path

import numpy as np
from runtime import beside, likeliest, percent, read_text
from words import tokenize, tokens_from_json

NUMBERED = re.compile(r"\s*(\d{1,9})[.:)]?\s+(.*)", re.DOTALL)
ANSWERS = 3  # that are printed


def main():
    """Prints the story with the sentences that the network attends to, and its answers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--story", type=Path, required=True, help="a text file, one sentence a line")
    parser.add_argument("--question", required=True, help="the question")
    options = parser.parse_args()
    network, codec = beside(__file__)
    tokens = tokens_from_json(codec.get("tokens", "words"))
    sentences = read(options.story)
    story, question = [tokenize(one, tokens) for one in sentences], tokenize(options.question, tokens)
    if not (story and question):
        parser.error("neither the story nor the question may be empty")
    outputs = network(encode(codec, story, question))
    hops = [outputs[name][0] for name in outputs if name != "answer"]
    if hops:
        kept = min(len(sentences), len(hops[0]))
        attention = np.max(hops, 0)[:kept]
        attention = np.pad(attention, (len(sentences) - kept, 0))  # of a long story the end is read
        for weight, sentence in zip(attention, sentences, strict=True):
            print(f"  {'●' if weight >= 0.5 else '○' if weight >= 0.15 else ' '} {weight:4.2f}  {sentence}")
    else:
        print("\n".join(f"  {sentence}" for sentence in sentences))
    likely = likeliest(outputs["answer"][0], codec["answers"], ANSWERS)
    print(f"  {options.question}  ->  {', '.join(f'{answer} {percent(share, 0)}' for answer, share in likely)}")


def read(path):
    """Returns the sentences of a file without questions; where all lines have numbers, those of its last story."""
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", read_text(path)) if line.strip()]
    numbered = [NUMBERED.fullmatch(line) for line in lines]
    if lines and all(numbered):
        numbers = [int(match[1]) for match in numbered]
        first = max(i for i, number in enumerate(numbers) if i == 0 or number <= numbers[i - 1])
        lines = [match[2] for match in numbered[first:]]
    elif lines and numbered[0] and int(numbered[0][1]) == 1 and 2 * sum(map(bool, numbered)) > len(lines):
        raise SystemExit(f"{path}: number all lines or none.")
    # A tab is between a question and its answer; of a file without numbers it may be a mere blank.
    told = [line for line in lines if "\t" not in line or not (all(numbered) or "?" in line.partition("\t")[0])]
    return [line.replace("\t", " ") for line in told if tokenize(line)]


def encode(codec, story, question):
    """Returns token ids: 0 is padding, 1 any word that no training story has."""
    numbers = {word: i for i, word in enumerate(codec["words"], start=2)}
    width = codec["sentence_length"]
    story = [[numbers.get(word, 1) for word in sentence] for sentence in story]
    asked = [numbers.get(word, 1) for word in question]
    inputs = {"question": padded([asked], width)}
    if codec["form"] == "story":
        return inputs | {"story": padded(story[-codec["max_sentences"] :], width)[None]}
    words = [number for sentence in story for number in sentence][-codec["max_words"] :]
    return inputs | {"text": padded([words], len(words))}


def padded(rows, width):
    """Returns rows of ids as one array, cut and padded at the end."""
    array = np.zeros((len(rows), width), np.int32)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row[:width]
    return array


if __name__ == "__main__":
    main()
