"""One simulated profile data set in seven languages: the accuracy must not depend on the script.

python -m benchmarks.scripts --rows 6000 --epochs 4

The words of the simulator are replaced one to one by made-up words of each script, which in Hindi and Arabic differ in
marks alone for many pairs, in German have umlauts in either composition, in Russian are sometimes in capitals, and in
Chinese and Thai have no spaces between them. Each data set is a CSV file that `train` reads as anybody's own.
"""

import argparse
import csv
import itertools
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

from kerasapps.data.posts import COMMON, PHRASES, TOPICS, simulate_people

# Consonants or syllables, and vowels or endings, of which words are made; and what stands between words.
SCRIPTS = {
    "English": (list("bdfgklmnprstvz"), ["a", "e", "i", "o", "u"], " "),
    "German": (list("bdfgklmnprstvz"), ["ä", "ö", "ü", "a", "o"], " "),
    "Russian": (list("бвгджзклмнпрст"), ["а", "е", "и", "о", "й"], " "),
    "Hindi": (list("कखगघचजटडतदनपबमरल"), ["ा", "ि", "ी", "े", "ो"], " "),
    "Arabic": (list("بتثجحدرسشفقكلم"), ["\u064e", "\u064f", "\u0650", "\u0627", "\u0648"], " "),
    "Chinese": (list("山水火土木金日月星云雨雪"), list("天地人大小上中下左"), ""),
    "Thai": (list("กขคงจชดตทนบปมร"), ["ี", "ู", "า", "่า", "้อ"], ""),
}


def words_of(script: str, count: int) -> list[str]:
    """Returns made-up words of a script."""
    first, second, _ = SCRIPTS[script]
    syllables = ["".join(pair) for pair in itertools.product(first, second)]
    return ["".join(pair) for pair in itertools.islice(itertools.product(syllables, syllables), 7, 7 + 11 * count, 11)]


def write(path: Path, script: str, *, rows: int) -> None:
    """Writes the simulated posts with the words of a script."""
    people = simulate_people(rows, seed=0)
    english = list(dict.fromkeys(f"{COMMON} {PHRASES} {' '.join(TOPICS.values())}".split()))
    made = dict(zip(english, words_of(script, len(english)), strict=True))
    between = SCRIPTS[script][2]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "age", "income", "gender"])
        for i, text in enumerate(people.texts):
            posts = [between.join(made[word] for word in post.split()) for post in text.split(".")]
            whole = ". ".join(filter(None, posts))
            whole = whole.upper() if script == "Russian" and i % 2 else whole
            whole = unicodedata.normalize("NFD", whole) if script == "German" and i % 2 else whole
            writer.writerow([whole, people.age[i], f"group {people.income[i]}", "ab"[people.gender[i]]])


def main() -> None:
    """Prints a row of a Markdown table for each script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--scripts", nargs="+", default=list(SCRIPTS), choices=list(SCRIPTS))
    parser.add_argument("--folder", type=Path, default=Path("/tmp/scripts"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for script in options.scripts:
        path, run = options.folder / f"{script}.csv", options.folder / f"{script}-run"
        write(path, script, rows=options.rows)
        labels = ["age=regression", "income=classes", "gender=binary"]
        command = [sys.executable, "-m", "experiments.profile", "train", "--data", str(path), "--labels", *labels]
        command += ["--epochs", str(options.epochs), "--precision", "float32", "--out", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads((run / "metrics.json").read_text())
        accuracies = " | ".join(f"{100 * found[f'{name}_accuracy']:.1f}" for name in ("income", "gender"))
        print(f"| {script} | {found['age_mae']:.2f} | {accuracies} |", flush=True)


if __name__ == "__main__":
    main()
