"""Reading a table of a million rows: seconds and peak memory, next to polars with its own guesses.

python -m benchmarks.tables --rows 1000000 --folder /tmp/tables

Each reading is a separate process. `ordinary` has quotes only where they are needed; `quoted` has line breaks and
quotes in every cell of text; `escaped` has them escaped by backslashes, which is read cell by cell.
"""

import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro

KINDS = {
    "ordinary": {},
    "quoted": {"quoting": csv.QUOTE_ALL},
    "escaped": {"quoting": csv.QUOTE_ALL, "doublequote": False, "escapechar": "\\"},
}
WORDS = "the day in harbour tide moored lovely all regatta flour oven dough rye, crumb train"
COLUMNS = ("text", "age", "income", "gender")


def write(path: Path, *, rows: int, kind: str) -> None:
    """Writes a table of posts with three labels."""
    rng = np.random.default_rng(0)
    words = np.array(WORDS.split())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, **KINDS[kind])
        writer.writerow(["id", *COLUMNS])
        for i in range(rows):
            text = " ".join(words[rng.integers(0, len(words), 12)])
            text = text if kind == "ordinary" else f'{text}\n"{text}"'
            writer.writerow([i, text, rng.integers(18, 78), f"{rng.normal(3, 1):.2f}", "ab"[i % 2]])


def read(path: Path, reader: str) -> dict[str, float]:
    """Reads it once, in this process."""
    started = time.perf_counter()
    if reader == "kerasapps":
        from kerasapps.data.numbers import parse_numbers
        from kerasapps.data.tables import open_table, read_names

        columns = open_table(str(path), embedded="nothing").columns(COLUMNS)
        found = [columns["text"], *(parse_numbers(columns[name]).values for name in ("age", "income"))]
        found.append(read_names(columns["gender"]).values)
    else:
        import polars

        table = polars.read_csv(path, infer_schema_length=None)
        found = [table[name] for name in COLUMNS]
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "rows": len(found[0])}


def main(
    *,
    rows: int = 1_000_000,
    rounds: int = 3,
    folder: Path = Path(tempfile.gettempdir()) / "tables",
    file: Path | None = None,
    reader: str = "kerasapps",
) -> None:
    """Prints a line for each kind of file and reader: medians over the rounds.

    Args:
        rows: Rows of each file.
        rounds: How often each is read, each time in a separate process.
        folder: Where the files are, which are written once.
        file: Read this one in this process instead, and print what it took.
        reader: The reader of that.
    """
    if file is not None:
        print(json.dumps(read(file, reader)))
        return
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        path = folder / f"{kind}-{rows}.csv"
        if not path.exists():
            write(path, rows=rows, kind=kind)
        readers = ("kerasapps",) if kind == "escaped" else ("kerasapps", "polars")
        readings = {reader: [] for reader in readers}
        for _ in range(rounds):
            for reader in readers:
                command = [sys.executable, "-m", "benchmarks.tables", "--file", str(path), "--reader", reader]
                readings[reader].append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        for reader, found in readings.items():
            middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
            print(
                f"{kind}, {path.stat().st_size / 2**20:.0f} MiB, {reader}: {middle['seconds']:.2f} s, "
                f"{middle['MiB']:.0f} MiB, {middle['rows']:,.0f} rows",
                flush=True,
            )


if __name__ == "__main__":
    tyro.cli(main)
