"""One data set in several scripts: the accuracy must not depend on the script.

python -m benchmarks.scripts profile --rows 6000 --epochs 4
python -m benchmarks.scripts babi --data tasks_1-20_v1-2/en --epochs 10

The words of simulated profiles, or of the bAbI questions, are replaced one to one by made-up words of each script,
which in Hindi and Arabic differ in marks alone for many pairs. In the profiles German has its umlauts in either
composition, Russian is sometimes in capitals, and Chinese and Thai have no spaces. Each data set is a file, or a
folder, that `train` reads as anybody's own.
"""

import csv
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import tyro

from kerasapps.data.posts import COMMON, PHRASES, TOPICS, simulate_people

# Consonants or syllables, and vowels or endings, of which words are made; and what stands between words.
SCRIPTS = {
    "English": (list("bdfgklmnprstvz"), ["a", "e", "i", "o", "u"], " "),
    "German": (list("bdfgklmnprstvz"), ["ä", "ö", "ü", "a", "o"], " "),
    "Russian": (list("бвгджзклмнпрст"), ["а", "е", "и", "о", "й"], " "),
    "Hindi": (list("कखगघचजटडतदनपबमरल"), ["ा", "ि", "ी", "े", "ो"], " "),
    "Arabic": (list("بتثجحدرسشفقكلم"), ["\u064e", "\u064f", "\u0650", "\u0627", "\u0648"], " "),
    # Most Chinese words have two of some thousands of characters.
    "Chinese": ([chr(0x4E00 + 7 * i) for i in range(150)], [""], ""),
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


def profile(
    *,
    rows: int = 6_000,
    epochs: int = 4,
    scripts: tuple[str, ...] = tuple(SCRIPTS),
    seeds: int = 1,
    keep: Path | None = None,
) -> None:
    """Prints a row of a Markdown table for each script: medians over the seeds, and lowest to highest.

    Args:
        rows: People who wrote something.
        epochs: Epochs of each training.
        scripts: Which languages.
        seeds: Trainings of each, with seeds from 0 on.
        keep: Folder for data and runs; a temporary one by default.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = keep or Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for script in scripts:
            write(folder / f"{script}.csv", script, rows=rows)
            found = [train(folder / f"{script}.csv", folder / f"{script}-{i}", epochs, seed=i) for i in range(seeds)]
            print(f"| {script} | {' | '.join(map(told, zip(*found, strict=True)))} |", flush=True)


def babi(*, data: Path, epochs: int = 10, scripts: tuple[str, ...] = ("English", "Hindi"), seed: int = 0) -> None:
    """Prints for each script the test accuracy of a memory network trained on all twenty bAbI tasks.

    Args:
        data: The folder of the English tasks.
        epochs: Epochs of each training.
        scripts: Which languages.
        seed: Seed of the trainings.
    """
    if not sorted(data.glob("qa*.txt")):
        sys.exit(f"--data must be a folder with the bAbI tasks, qa*.txt. Received: {data}")
    with tempfile.TemporaryDirectory() as folder:
        for script in scripts:
            translate(data, Path(folder, script), script)
            command = [sys.executable, "-m", "experiments.qa", "train", "--data", str(Path(folder, script))]
            run = Path(folder, f"{script}-run")
            command += ["--epochs", str(epochs), "--seed", str(seed), "--out", str(run)]
            subprocess.run(command, check=True, capture_output=True)
            metrics = json.loads((run / "metrics.json").read_text())
            print(f"| {script} | {100 * metrics['accuracy']:.1f} |", flush=True)


def translate(data: Path, folder: Path, script: str) -> None:
    """Writes the bAbI files of a folder with the words of a script; words of every script stay apart here."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(data.glob("qa*.txt"))}
    found = list(dict.fromkeys(re.findall("[A-Za-z]+", " ".join(texts.values()).lower())))
    made = dict(zip(found, words_of(script, len(found)), strict=True))
    folder.mkdir()
    for name, text in texts.items():
        translated = re.sub("[A-Za-z]+", lambda word: made[word[0].lower()], text)
        (folder / name).write_text(translated.replace(".", "।") if script == "Hindi" else translated, encoding="utf-8")


def train(path: Path, run: Path, epochs: int, *, seed: int) -> tuple[float, ...]:
    """Trains on a file, and returns the error of age, and the accuracies of income and gender in percent."""
    labels = ["age=regression", "income=classes", "gender=binary"]
    command = [sys.executable, "-m", "experiments.profile", "train", "--data", str(path), "--labels", *labels]
    command += ["--epochs", str(epochs), "--seed", str(seed), "--precision", "float32", "--out", str(run)]
    subprocess.run(command, check=True, capture_output=True)
    metrics = json.loads((run / "metrics.json").read_text())
    return metrics["age_mae"], 100 * metrics["income_accuracy"], 100 * metrics["gender_accuracy"]


def told(values: tuple[float, ...]) -> str:
    """Returns the median of some values, with the range of several."""
    reach = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.2f}{reach}"


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"profile": profile, "babi": babi})
