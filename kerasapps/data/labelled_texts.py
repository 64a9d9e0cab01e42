"""Texts with labels as they are stored: the Adult census rows, and your own tables."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasapps.data.archives import read_zip_member
from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.data.tables import as_numbers, check_columns, open_table, read_numbers, read_strings, reading_table
from kerasapps.errors import DataError
from kerasapps.heads import KINDS, Kind

FEW_VALUES = 20  # a column with no more distinct numbers than this holds classes

# Names that the network and its inputs use themselves.
TAKEN = {"text", "word_vectors", "mask", "words", "word_dropout", "features", "head_dropout", "uncertainty"}

ADULT_URL = "https://archive.ics.uci.edu/static/public/2/adult.zip"
ADULT_COLUMNS = (
    "age", "type_employer", "fnlwgt", "education", "education_num", "marital", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hr_per_week", "country", "income",
)  # fmt: skip
ADULT_ROWS = 30_162
ADULT_NUMBERS = {"fnlwgt", "education_num", "capital_gain", "capital_loss", "hr_per_week"}
ADULT_TARGETS = {"age": "age", "income": "income", "gender": "sex"}
ADULT_KINDS = {"age": "regression", "income": "classes", "gender": "binary"}


@dataclass(frozen=True)
class Labelled:
    """Texts and what is known about their authors.

    Args:
        texts: The texts.
        labels: For each label an array (n,): float64 for a number, NaN if missing; else text, None if missing.
        kinds: Kind of each label.
        groups: Author of each text, any dtype (n,).
        notes: What to know about the data, a sentence each.
        numbers: Number of each row in the whole data set, int (n,).
    """

    texts: list[str]
    labels: dict[str, np.ndarray]
    kinds: dict[str, Kind]
    groups: np.ndarray
    notes: tuple[str, ...]
    numbers: np.ndarray

    def take(self, rows: np.ndarray) -> "Labelled":
        """Returns these rows, in their order."""
        labels = {name: values[rows] for name, values in self.labels.items()}
        texts = [self.texts[i] for i in rows]
        return Labelled(texts, labels, self.kinds, self.groups[rows], self.notes, self.numbers[rows])


def read_adult() -> Labelled:
    """Reads the census rows of 30,162 people (Kohavi 1996) as words, without age, income and gender.

    Raises:
        DataError: If they can be neither found nor downloaded.
    """
    columns = adult_columns()
    inputs = [name for name in columns if name not in ADULT_TARGETS.values()]
    words = [_words(name, columns[name], numeric=name in ADULT_NUMBERS) for name in inputs]
    texts = [" ".join(row) for row in zip(*words, strict=True)]
    labels = {name: columns[column].astype(object) for name, column in ADULT_TARGETS.items()}
    labels["age"] = labels["age"].astype(np.float64)
    # A few rows are duplicates; one on either side of a split would have been seen in training.
    whole = np.array([" ".join(row) for row in zip(*columns.values(), strict=True)])
    groups = np.unique(whole, return_inverse=True)[1]
    return Labelled(texts, labels, ADULT_KINDS, groups, (), np.arange(len(texts)))


def adult_columns() -> dict[str, np.ndarray]:
    """Returns the census as text, column by column (n,)."""
    import polars

    path = find_adult()
    with reading_table(path):
        table = polars.read_csv(path, infer_schema=False)
    absent = [name for name in ADULT_COLUMNS if name not in table.columns]
    if absent:
        raise DataError(f"{path} is not the Adult data set: it has no column {absent[0]}.")
    return {name: table[name].to_numpy().astype(str) for name in ADULT_COLUMNS}


def find_adult() -> Path:
    """Returns the file of the census rows, downloaded if it is not on this machine."""
    for folder in data_folders("adult"):
        if (folder / "adult.csv").is_file():
            return folder / "adult.csv"
    cache = cache_folder("adult")
    advice = (
        "put a file adult.csv with these columns into a folder DIR/adult and set KERASAPPS_DATA=DIR, or use "
        "`--data posts`, which needs no download"
    )
    with downloading("Adult", ADULT_URL, cache=cache, advice=advice):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            # No checksum of this archive is published: its rows are counted instead.
            archive = fetch(ADULT_URL, Path(scratch), checksum=None)
            content = read_zip_member(archive, "adult.data", url=ADULT_URL).decode(errors="replace")
            lines = [line.replace(", ", ",") for line in content.splitlines()]
            complete = [line for line in lines if line and "?" not in line]
            if len(complete) != ADULT_ROWS:
                raise DataError(f"The archive from {ADULT_URL} is not the official one: {len(complete)} complete rows.")
            whole = Path(scratch) / "adult.csv"
            whole.write_text("\n".join([",".join(ADULT_COLUMNS), *complete, ""]))
            whole.replace(cache / "adult.csv")
    return cache / "adult.csv"


def read_table(data: str, *, text: str, labels: Sequence[str], author: str | None) -> Labelled:
    """Reads a CSV, JSON-lines or Parquet file with a column of text and columns of labels.

    Args:
        data: The file.
        text: Column of the text. Rows without text are left out.
        labels: "column" or "column=kind".
        author: Column of the author; by default every row has an author of its own.

    Raises:
        DataError: If the file cannot be read, a column is missing, or a label is not of its kind.
    """
    import polars

    table = open_table(data, embedded="posts, adult")
    path = Path(data)
    wanted = dict(part.split("=", 1) if "=" in part else (part, None) for part in labels)
    if not wanted:
        raise DataError(f"--labels must name columns of {path}: {', '.join(table.columns)}.")
    check_columns(table, (text, *wanted, *([author] if author else [])), source=data)
    everyone = len(table)
    table = table.filter(polars.col(text).is_not_null())
    values, kinds = {}, {}
    for name, kind in wanted.items():
        if kind is not None and kind not in KINDS:
            raise DataError(f"--labels {name}={kind}: the kind must be one of {', '.join(KINDS)}.")
        if not name.isascii() or not name.isidentifier() or name in TAKEN:
            raise DataError(f"The label {name!r} cannot name an output: rename the column, to letters, digits and _.")
        kinds[name] = kind or _guess(table[name])
        values[name] = _label(table[name], kinds[name], path=path)
    groups = np.arange(len(table))
    if author:
        # A row without an author counts as an author of its own.
        names = read_strings(table[author], source=data)
        groups = np.array([f"author {name}" if name is not None else f"row {i}" for i, name in enumerate(names)])
    left_out = everyone - len(table)
    notes = (f"{left_out:,} rows without text are left out.",) if left_out else ()
    texts = read_strings(table[text], source=data)
    return Labelled(texts, values, kinds, groups, notes, np.arange(len(texts)))


def _words(name: str, values: np.ndarray, *, numeric: bool) -> list[str]:
    """Makes a word of each value of a column; a number also gets a word for its rough size."""
    name = name.replace("_", "")
    if not numeric:
        return [name + "".join(filter(str.isalnum, value)) for value in values]
    size = values.astype(np.float64)
    # Eight steps to each doubling: similar numbers share a word, so that what is learned of one helps the other.
    rough = np.round(8 * np.log2(1 + size)).astype(int)
    return [f"{name}{int(exact)} {name}near{near}" for exact, near in zip(size, rough, strict=True)]


def _guess(column) -> Kind:
    """Guesses the kind of a label: two values, many numbers, or classes."""
    known = column.drop_nulls()
    numbers = as_numbers(known)
    if known.n_unique() == 2:
        return "binary"
    # Numbers that were stored in quotes are text that parses as numbers.
    numeric = numbers is not None and numbers.null_count() == 0
    return "regression" if numeric and known.n_unique() > FEW_VALUES else "classes"


def _label(column, kind: Kind, *, path: Path) -> np.ndarray:
    if kind != "regression":
        return np.array(read_strings(column, source=str(path)), object)
    return read_numbers(column, source=str(path))
