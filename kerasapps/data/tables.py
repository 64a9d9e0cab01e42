"""Tables of one's own: CSV, JSON lines, Parquet."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasapps.errors import DataError

if TYPE_CHECKING:  # takes a while to import, and most experiments read no tables
    import polars

ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet")


def open_table(data: str, *, embedded: str) -> "polars.DataFrame":
    """Reads a table, in which blank text and what is no finite number are missing, as empty cells are.

    Args:
        data: A CSV, JSON-lines or Parquet file.
        embedded: Names of data sets that may be given instead, for the error.

    Raises:
        DataError: If it is none of these, or cannot be read.
    """
    import polars

    path = Path(data).expanduser()
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        raise DataError(f"{data} is neither {embedded} nor a file that ends in {', '.join(ENDINGS)}.")
    try:
        if path.suffix.lower() == ".csv":
            table = polars.read_csv(path, infer_schema_length=None)
        elif path.suffix.lower() == ".parquet":
            table = polars.read_parquet(path)
        else:
            table = polars.read_ndjson(path, infer_schema_length=None)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from None
    blank = polars.selectors.string().str.strip_chars()
    known = polars.selectors.float().is_finite()
    return table.with_columns(
        polars.when(blank != "").then(polars.selectors.string()).name.keep(),
        polars.when(known).then(polars.selectors.float()).name.keep(),
    )


def check_columns(table: "polars.DataFrame", names: Iterable[str], *, source: str) -> None:
    """Raises DataError for a column that a table does not have."""
    for name in names:
        if name not in table.columns:
            raise DataError(f"{source} has no column {name}; it has {', '.join(table.columns)}.")


def read_numbers(column: "polars.Series", *, source: str) -> np.ndarray:
    """Returns a column as float64, NaN where it is empty.

    Raises:
        DataError: If something in it is no number.
    """
    numbers = as_numbers(column)
    if numbers is None:
        raise DataError(f"{source}: {column.name} holds neither text nor numbers.")
    wrong = column.filter(numbers.is_null() & column.is_not_null())
    if len(wrong):
        raise DataError(f"{source}: {column.name} is no number in every row, such as {wrong[0]!r}.")
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
