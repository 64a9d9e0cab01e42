"""Translates lines with the networks beside this file, always taking the likeliest token: their runtime and NumPy.

python predict.py --text "ein Hund läuft über die Wiese"
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from runtime import beside
from subwords import END, START, pieces_from_json


def main():
    """Prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", nargs="+", help="texts")
    parser.add_argument("--file", type=Path, help="a file with a text a line; standard input by default")
    options = parser.parse_args()
    content = sys.stdin.read() if not (options.text or options.file) else ""
    lines = options.text or (options.file.read_text(encoding="utf-8-sig") if options.file else content).splitlines()
    encoder, codec = beside(__file__, "encoder")
    step, _ = beside(__file__, "step")
    source, target = pieces_from_json(codec["source"]), pieces_from_json(codec["target"])
    for line in lines:
        ids = source.encode([line.strip()])[0]
        if len(ids) >= codec["max_length"]:
            raise SystemExit(
                f"A text has {len(ids) + 1} tokens, and {codec['max_length']} are the most: {line[:40]!r}…"
            )
        written = write(encoder, step, [*ids, END], longest=codec["max_length"]) if ids else []
        print(target.decode([written])[0].replace("\n", " "), flush=True)


def write(encoder, step, ids, *, longest):
    """Returns the ids of a translation, without its end."""
    state = encoder({"source": np.array([ids], np.int32)})
    for name, shape in step.inputs.items():
        if name not in state and name != "token":  # it grows by a step each time
            state[name] = np.zeros((1, 0, shape[-1]), np.float32)
    made, token = [], START
    for _ in range(min(longest, 2 * len(ids) + 10)):
        outputs = step(state | {"token": np.array([[token]], np.int32)})
        token = int(outputs["log_probs"][0].argmax())
        if token == END:
            break
        made.append(token)
        state |= {name: outputs[name] for name in outputs if name in state}
    return made


if __name__ == "__main__":
    main()
