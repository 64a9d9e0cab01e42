"""Your own tables, read as they are written: CSV, JSON and Parquet.

Nothing guesses a type. A column that is used as a name, a class, an author or a path stays the text that it is, and
only a column that is used as numbers is parsed, by `kerasapps.data.numbers`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasapps.data.csv_files import LINE_END, CsvFile
from kerasapps.data.encodings import SAMPLE, check_is_text, read_text
from kerasapps.data.numbers import MARKERS, Numbers, parse_numbers
from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path

if TYPE_CHECKING:  # takes a while to import, and most experiments read no tables
    import polars

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
MOST_NAMES = 10
LONGEST = 60  # characters of a value that an error shows


@dataclass(frozen=True)
class Table:
    """A table whose columns are read when they are asked for.

    Args:
        path: The file.
        names: Its columns.
        notes: How it was read, a sentence each.
        read: Columns by number -> their cells as text.
        where: Row by number -> where it is, for errors.
        european: Whether cells are separated by semicolons, as where commas are decimal.
    """

    path: Path
    names: Sequence[str]
    notes: tuple[str, ...]
    read: Callable[[Sequence[int]], list["polars.Series"]]
    where: Callable[[int], str]
    european: bool = False

    def columns(self, wanted: Iterable[str]) -> dict[str, "polars.Series"]:
        """Returns columns as text, as it is written.

        Raises:
            DataError: If there is none of that name, or more than one.
        """
        wanted = list(dict.fromkeys(wanted))
        for name in wanted:
            if self.names.count(name) != 1:
                there = "no column" if name not in self.names else f"{self.names.count(name)} columns"
                raise DataError(f"{self.path} has {there} {name}; it has {some(self.names) or 'none'}.")
        return dict(zip(wanted, self.read([self.names.index(name) for name in wanted]), strict=True))


def some(names: Iterable[str]) -> str:
    """Returns names for a sentence, at most ten of them, with nothing that a terminal would obey."""
    names = [name if name.isprintable() else repr(name) for name in (name[:LONGEST] for name in names)]
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def shown(value: str) -> str:
    """Returns a value in quotes for a sentence, cut."""
    return repr(value if len(value) <= LONGEST else f"{value[: LONGEST - 3]}...")


def open_table(data: str, *, embedded: str) -> Table:
    """Opens a table.

    Args:
        data: A CSV, JSON or Parquet file.
        embedded: Names of data sets that may be given instead, for the error.

    Raises:
        DataError: If it is none of these, or cannot be read.
    """
    path = user_path(data)
    if path.suffix.lower() not in ENDINGS or not path.exists():
        raise DataError(f"{data} is neither {embedded} nor a file that ends in {', '.join(ENDINGS)}.")
    regular_file(path)
    try:
        if path.suffix.lower() in (".csv", ".tsv"):
            file = CsvFile(path)
            return Table(path, file.names, file.notes, file.read, file.where, file.grammar.separator == ";")
        return _open_parquet(path) if path.suffix.lower() == ".parquet" else _open_json(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _open_parquet(path: Path) -> Table:
    import polars

    def read(numbers: Sequence[int]) -> list["polars.Series"]:
        table = polars.read_parquet(path, columns=[names[i] for i in numbers])
        return [_as_text(table[names[i]], path) for i in numbers]

    try:
        names = polars.read_parquet_schema(path).names()
    except polars.exceptions.PolarsError:
        with path.open("rb") as file:
            check_is_text(path, file.read(SAMPLE))
        raise DataError(
            f"{path} cannot be read as a table: it is no Parquet file, or a damaged one. Write it again, or as CSV."
        ) from None
    return Table(path, names, (), read, lambda row: f"row {row + 1}")


def _as_text(column: "polars.Series", path: Path) -> "polars.Series":
    import polars

    try:
        if column.dtype.is_float():
            column = column.set(~column.is_finite(), None)
        return column.cast(polars.String)
    except polars.exceptions.PolarsError:
        raise DataError(f"{path}: {column.name} holds neither text nor numbers.") from None


def _open_json(path: Path) -> Table:
    """Opens objects, one a line or in an array; numbers stay the text that they are."""
    import polars

    text, notes = read_text(path)
    # NaN and Infinity are no JSON, and yet Python and others write them.
    decode = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).decode
    array = text.lstrip()[:1] == "["
    lines = [(1, text)] if array else [(i, one) for i, one in enumerate(LINE_END.split(text), 1) if one.strip()]
    places, rows = [], []
    for line, one in lines:
        try:
            found = decode(one.strip())
        except (ValueError, RecursionError) as error:
            at = getattr(error, "lineno", 1) + line - 1 if array else line
            raise DataError(f"{path}, line {at}: not JSON. Write an object a line, or an array of objects.") from None
        found = found if array else [found]
        places += [f"entry {i}" if array else f"line {line}" for i in range(1, len(found) + 1)]
        rows += found
        if not all(isinstance(row, dict) for row in found):
            place = places[[isinstance(row, dict) for row in rows].index(False)]
            raise DataError(f"{path}, {place}: not an object, such as " + '{"text": "...", "age": 30}.')
    names = list(dict.fromkeys(name for row in rows for name in row))

    def read(numbers: Sequence[int]) -> list["polars.Series"]:
        columns = {names[i]: [_json_text(row.get(names[i])) for row in rows] for i in numbers}
        for name, values in columns.items():
            wrong = next((i for i, value in enumerate(values) if isinstance(value, list | dict)), None)
            if wrong is not None:
                raise DataError(f"{path}, {places[wrong]}: {name} holds neither text nor numbers.")
        return [polars.Series(name, values, polars.String) for name, values in columns.items()]

    return Table(path, names, notes, read, places.__getitem__)


def _json_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    # JSON can hold half of a character, and no text can.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


# --- columns by their use


@dataclass(frozen=True)
class Names:
    """A column read as names: of classes, authors, files.

    Args:
        values: Text, without blanks around it, null where it is missing.
        markers: How often each marker of a missing value was there.
    """

    values: "polars.Series"
    markers: Mapping[str, int]

    @property
    def distinct(self) -> int:
        """How many different names there are."""
        return self.values.drop_nulls().n_unique()

    def missing(self) -> str:
        """Returns how many are missing and how that was written, in brackets, for a summary; nothing if none is."""
        count = self.values.null_count()
        written = f": {some(self.markers)}" if self.markers else ""
        return f" ({count:,} missing{written})" if count else ""


def read_names(column: "polars.Series", *, composed: bool = True) -> Names:
    """Reads a column as names, each as it is written, without blanks around it and markers of missing values.

    Args:
        column: The column, as text.
        composed: Whether names with the same letters are the same, whether or not these are composed; not for files.
    """
    text = column.str.strip_chars()
    if composed and (text.str.len_bytes() != text.str.len_chars()).any():
        text = text.str.normalize("NFC")  # two spellings that nobody can tell apart are one name
    marked = text.is_in(list(MARKERS))
    markers = Counter(text.filter(marked).to_list())
    return Names(text.set(marked | (text == ""), None), markers)


def read_numbers(column: "polars.Series", *, table: Table, rows: np.ndarray, cure: str = "") -> Numbers:
    """Reads a column as numbers.

    Args:
        column: Rows of a column of a table, as text.
        table: The table.
        rows: Numbers of these rows in it.
        cure: What else to do about a value that is no number.

    Raises:
        DataError: If a value is not a number, or may be one or another.
    """
    numbers = parse_numbers(column, commas_are_decimal=table.european)
    if numbers.ambiguous is not None:
        place = table.where(int(rows[(column.str.strip_chars() == numbers.ambiguous).arg_max()]))
        raise DataError(
            f"{table.path}, {place}: {column.name} is {shown(numbers.ambiguous)}, with a comma for thousands or for "
            "decimals. Write numbers without thousands separators and with a decimal point."
        )
    if numbers.wrong.any():
        first = numbers.wrong.arg_max()
        raise DataError(
            f"{table.path}, {table.where(int(rows[first]))}: {column.name} is not a number in every row. Received: "
            f"{shown(column[first])}. Correct it, or leave the cell empty{cure}."
        )
    return numbers


def as_floats(numbers: Numbers) -> np.ndarray:
    """Returns numbers as float64, NaN where there is none."""
    return numbers.values.fill_null(float("nan")).to_numpy().astype(np.float64)


def said_of(numbers: Numbers) -> str:
    """Returns what a column of numbers is, for a summary."""
    more = [f"{numbers.missing:,} missing" if numbers.missing else "", numbers.style]
    more = ", ".join(filter(None, more))
    return f"numbers ({more})" if more else "numbers"


def summary(rows: int, *, dropped: int, lack: str, said: Mapping[str, str]) -> str:
    """Returns what was understood of a table, in a sentence.

    Args:
        rows: Rows of the table.
        dropped: How many of them are left out, as they have nothing in the column `lack`.
        lack: That column.
        said: Columns, and what each of them holds.
    """
    without = f", {dropped:,} dropped: no {lack}" if dropped else ""
    columns = ", ".join(f"{name}: {what}" for name, what in said.items() if what)
    return f"{rows:,} rows{without}{'; ' if columns else ''}{columns}."
