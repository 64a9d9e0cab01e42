"""Texts with labels as they are stored: the Adult census rows, and your own tables."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerasapps.data.archives import read_zip_member
from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.data.numbers import Numbers, parse_numbers
from kerasapps.data.tables import Table, as_floats, open_table, read_names, read_numbers, said_of, shown, some, summary
from kerasapps.errors import DataError
from kerasapps.heads import KINDS, Kind

FEW_VALUES = 20  # a column with no more distinct numbers than this holds classes
NEARLY = 0.9  # share of numbers in a column from which a person is asked what the others are

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
    path = find_adult()
    table = open_table(str(path), embedded="adult")
    absent = [name for name in ADULT_COLUMNS if name not in table.names]
    if absent:
        raise DataError(f"{path} is not the Adult data set: it has no column {absent[0]}.")
    return {name: column.to_numpy().astype(str) for name, column in table.columns(ADULT_COLUMNS).items()}


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
    """Reads a CSV, JSON or Parquet file with a column of text and columns of labels.

    Args:
        data: The file.
        text: Column of the text. Rows without text are left out.
        labels: "column" or "column=kind".
        author: Column of the author; by default every row has an author of its own.

    Raises:
        DataError: If the file cannot be read, a column is missing, or a label is not of its kind.
    """
    table = open_table(data, embedded="posts, adult")
    wanted = dict(part.split("=", 1) if "=" in part else (part, None) for part in labels)
    if not wanted:
        raise DataError(f"--labels must name columns of {table.path}: {some(table.names)}.")
    for name, kind in wanted.items():
        if kind is not None and kind not in KINDS:
            raise DataError(f"--labels {name}={kind}: the kind must be one of {', '.join(KINDS)}.")
    columns = table.columns((text, *wanted, *([author] if author else [])))
    there = read_names(columns[text]).values.is_not_null()
    rows = np.flatnonzero(there.to_numpy())
    columns = {name: column.filter(there) for name, column in columns.items()}
    values, kinds, said = {}, {}, {}
    for name, kind in wanted.items():
        if not name.isascii() or not name.isidentifier() or name in TAKEN:
            raise DataError(f"The label {name!r} cannot name an output: rename the column, to letters, digits and _.")
        kinds[name], values[name], said[name] = read_label(columns[name], kind, table=table, rows=rows)
    groups = np.arange(len(rows))
    if author:
        # A row without an author counts as an author of its own.
        names = read_names(columns[author])
        everyone = enumerate(names.values.to_list())
        groups = np.array([f"row {i}" if name is None else f"author {name}" for i, name in everyone])
        said[author] = f"{names.distinct:,} authors{names.missing()}"
    notes = (*table.notes, summary(len(there), dropped=len(there) - len(rows), lack=text, said=said))
    return Labelled(columns[text].to_list(), values, kinds, groups, notes, np.arange(len(rows)))


def _words(name: str, values: np.ndarray, *, numeric: bool) -> list[str]:
    """Makes a word of each value of a column; a number also gets a word for its rough size."""
    name = name.replace("_", "")
    if not numeric:
        return [name + "".join(filter(str.isalnum, value)) for value in values]
    size = values.astype(np.float64)
    # Eight steps to each doubling: similar numbers share a word, so that what is learned of one helps the other.
    rough = np.round(8 * np.log2(1 + size)).astype(int)
    return [f"{name}{int(exact)} {name}near{near}" for exact, near in zip(size, rough, strict=True)]


def read_label(column, kind: Kind | None, *, table: Table, rows: np.ndarray) -> tuple[Kind, np.ndarray, str]:
    """Returns the kind of a label, its values, and what to say about them."""
    names, numbers = read_names(column), parse_numbers(column, commas_are_decimal=table.european)
    kind = kind or _guess(column, names.values, numbers, table=table, rows=rows)
    if kind == "regression":
        numbers = read_numbers(column, table=table, rows=rows, cure=f", or say --labels {column.name}=classes")
        return kind, as_floats(numbers), said_of(numbers)
    if numbers.values.count() and not numbers.wrong.any():  # "-" is a class beside "+", and none beside 1 and 2
        names = replace(names, values=names.values.set(numbers.values.is_null(), None))
    return kind, np.array(names.values.to_list(), object), f"{names.distinct:,} classes{names.missing()}"


def _guess(column, names, numbers: Numbers, *, table: Table, rows: np.ndarray) -> Kind:
    """Guesses the kind of a label: two values, many numbers, or classes.

    Raises:
        DataError: If it may be one or the other: "02134" is a number or a name.
    """
    distinct = names.drop_nulls().unique()
    if len(distinct) == 2:
        return "binary"
    read = numbers.values.drop_nulls()
    if len(distinct) <= FEW_VALUES or len(read) < NEARLY * (len(read) + numbers.wrong.sum()):
        return "classes"
    odd = numbers.wrong if numbers.wrong.any() else names.str.contains(r"^0\d").fill_null(False)
    if not odd.any() and read.n_unique() < names.filter(numbers.values.is_not_null()).n_unique():
        odd = names.str.contains(r"\.\d*0$").fill_null(False)  # 3.1 and 3.10: one number, two names
    if odd.any():
        first = odd.arg_max()
        raise DataError(
            f"{table.path}, {table.where(int(rows[first]))}: {column.name} holds numbers, and {shown(column[first])}. "
            f"Say --labels {column.name}=regression (after correcting what is no number) or {column.name}=classes."
        )
    return "regression"
