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
    """Reads a table.

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
            return polars.read_csv(path, infer_schema_length=None)
        if path.suffix.lower() == ".parquet":
            return polars.read_parquet(path)
        return polars.read_ndjson(path, infer_schema_length=None)
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
        DataError: If something in it is no number.
    """
    import polars

    numbers = column.cast(polars.Float64, strict=False)
    wrong = column.filter(numbers.is_null() & column.is_not_null())
    if len(wrong):
        raise DataError(f"{source}: {column.name} is no number in every row, such as {wrong[0]!r}.")
    return numbers.fill_null(float("nan")).to_numpy().astype(np.float64)
