"""Your own tables: CSV, JSON lines, Parquet."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path

if TYPE_CHECKING:  # takes a while to import, and most experiments read no tables
    import polars

ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet")


def open_table(data: str, *, embedded: str) -> "polars.DataFrame":
    """Reads a table. Blank text and numbers that are not finite count as missing, as empty cells do.

    Args:
        data: A CSV, JSON-lines or Parquet file.
        embedded: Names of data sets that may be given instead, for the error.

    Raises:
        DataError: If it is none of these, or cannot be read.
    """
    import polars

    path = user_path(data)
    if path.suffix.lower() not in ENDINGS or not path.exists():
        raise DataError(f"{data} is neither {embedded} nor a file that ends in {', '.join(ENDINGS)}.")
    with reading_table(path):
        if path.suffix.lower() == ".csv":
            table = polars.read_csv(path, infer_schema_length=None)
        elif path.suffix.lower() == ".parquet":
            table = polars.read_parquet(path)
        else:
            table = polars.read_ndjson(path, infer_schema_length=None)
    blank = polars.selectors.string().str.strip_chars()
    known = polars.selectors.float().is_finite()
    return table.with_columns(
        polars.when(blank != "").then(polars.selectors.string()).name.keep(),
        polars.when(known).then(polars.selectors.float()).name.keep(),
    )


@contextmanager
def reading_table(path: Path) -> Iterator[None]:
    """Raises DataError for a path that is not a regular file, and for what polars cannot read of it."""
    import polars

    regular_file(path)
    try:
        yield
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from None


def check_columns(table: "polars.DataFrame", names: Iterable[str], *, source: str) -> None:
    """Raises DataError for a column that a table does not have."""
    for name in names:
        if name not in table.columns:
            raise DataError(f"{source} has no column {name}; it has {', '.join(table.columns)}.")


def read_numbers(column: "polars.Series", *, source: str) -> np.ndarray:
    """Returns a column as float64, NaN where it is empty.

    Raises:
        DataError: If a value is not a number.
    """
    numbers = as_numbers(column)
    if numbers is None:
        raise DataError(f"{source}: {column.name} holds neither text nor numbers.")
    wrong = column.filter(numbers.is_null() & column.is_not_null())
    if len(wrong):
        raise DataError(f"{source}: {column.name} is not a number in every row. Received: {wrong[0]!r}")
    return numbers.fill_null(float("nan")).to_numpy().astype(np.float64)


def as_numbers(column: "polars.Series") -> "polars.Series | None":
    """Returns a column as numbers, null where it has none; None where it holds lists or the like."""
    import polars

    try:
        return column.cast(polars.Float64, strict=False)
    except polars.exceptions.PolarsError:
        return None


def read_strings(column: "polars.Series", *, source: str) -> list[str | None]:
    """Returns a column as text, None where it is empty.

    Raises:
        DataError: If it holds lists or the like.
    """
    import polars

    try:
        return column.cast(polars.String).to_list()
    except polars.exceptions.PolarsError:
        raise DataError(f"{source}: {column.name} holds neither text nor numbers.") from None
