"""Tagged sequences in columns, one step a line, as the shared tasks of CoNLL have them.

Blank lines, and the -DOCSTART- lines between documents, stand between sequences; columns are separated by tabs, or by
blanks in a file without tabs. Of CoNLL-U's ten columns the lines of words alone are read.

Reference: Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 Shared Task", 2003.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasapps.data.encodings import read_text
from kerasapps.data.words import composed
from kerasapps.errors import DataError
from kerasapps.files import printable, regular_file

DOCUMENT = "-DOCSTART-"
UNIVERSAL = 10  # columns of CoNLL-U, which numbers ranges such as 2-3 and words that are not there, such as 3.1
# What a sequence consists of: words, or numbers float32 (T, F).
Steps = tuple[str, ...] | np.ndarray


@dataclass(frozen=True)
class Columns:
    """Which columns of a file hold what, counted from 0, or from the end with -1.

    Args:
        word: That with the words.
        tag: That with the tags; None for a file without tags.
        numbers: Those with numbers, which then take the place of the words.
    """

    word: int = 0
    tag: int | None = -1
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class TaggedSequence:
    """A sequence with a tag a step.

    Args:
        steps: Its words, or its numbers (T, F).
        tags: The tag of each step.
    """

    steps: Steps
    tags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.steps)

    def pieces(self, longest: int) -> list["TaggedSequence"]:
        """Returns the sequence, or where it is longer than that several in its place."""
        starts = range(0, len(self), longest)
        return [TaggedSequence(self.steps[i : i + longest], self.tags[i : i + longest]) for i in starts]


def read_columns(data: str | Path, columns: Columns) -> tuple[list[TaggedSequence], tuple[str, ...]]:
    """Reads the sequences of a file.

    Args:
        data: The file.
        columns: What its columns hold.

    Returns:
        The sequences, and notes on how they were read.

    Raises:
        DataError: If the file cannot be read, holds no sequence, or a line lacks a column or holds something else than
            numbers where they are asked for.
    """
    path = regular_file(data)
    text, notes = read_text(path)
    sequences, width = [], 0
    for lines in _sequences(text):
        width = width or len(lines[0][1])
        _check_width(path, lines, width, columns)
        tags = () if columns.tag is None else tuple(_cells(path, lines, columns.tag))
        sequences.append(TaggedSequence(_steps(path, lines, columns), tags))
    if not sequences:
        raise DataError(f"{printable(path)} holds no sequences: it should have a step a line.")
    return sequences, notes


def _sequences(text: str) -> Iterator[list[tuple[int, list[str]]]]:
    """Yields the lines of each sequence: their numbers, and their cells."""
    tabs, lines = "\t" in text, []
    # Not by `splitlines`, which also cuts at characters that a word may have.
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        cells = line.split("\t") if tabs else re.split(" +", line.strip(" "))
        if tabs and line.startswith("#") and len(cells) == 1:  # a comment of CoNLL-U
            continue
        if tabs and len(cells) == UNIVERSAL and re.fullmatch(r"\d+[-.]\d+", cells[0]):
            continue
        if line.strip() and cells[0] != DOCUMENT:
            lines.append((number, cells))
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


def _check_width(path: Path, lines: Sequence[tuple[int, list[str]]], width: int, columns: Columns) -> None:
    """Refuses lines that lack a column: counted from the end, another would take its place.

    Raises:
        DataError: If a line has not so many columns, or tags would be read as what is tagged.
    """
    for number, cells in lines:
        if len(cells) != width:
            raise DataError(f"{printable(path)}, line {number}: {_count(cells)}, where the first line has {width}.")
    read, what = (columns.numbers, "--numbers") if columns.numbers else ((columns.word,), "--word")
    if columns.tag is not None and any(columns.tag in (at - width, at, at + width) for at in read):
        raise DataError(
            f"{printable(path)} has {_count(cells)}, and tags would be read from a column of {what} too: choose {what} "
            "and --tag, from 0 on."
        )


def _cells(path: Path, lines: Sequence[tuple[int, list[str]]], column: int) -> Iterator[str]:
    """Yields the cells of a column.

    Raises:
        DataError: If a line has none there.
    """
    for number, cells in lines:
        if not -len(cells) <= column < len(cells) or not cells[column].strip():
            there = f"it has {_count(cells)}, from 0 on"
            raise DataError(f"{printable(path)}, line {number}: nothing in column {column}; {there}.")
        yield composed(cells[column].strip())


def _steps(path: Path, lines: Sequence[tuple[int, list[str]]], columns: Columns) -> Steps:
    """Returns the words of lines, or their numbers."""
    if not columns.numbers:
        return tuple(_cells(path, lines, columns.word))
    rows = zip(*(_cells(path, lines, column) for column in columns.numbers), strict=True)
    found = []
    for (line, _), row in zip(lines, rows, strict=True):
        try:
            values = [float(cell) for cell in row]
        except ValueError:
            raise DataError(f"{printable(path)}, line {line}: {' '.join(row)} are not all numbers.") from None
        if not np.isfinite(values).all() or not any(values):
            raise DataError(
                f"{printable(path)}, line {line}: numbers must be finite, and not all of a step 0, which is padding."
            )
        found.append(values)
    return np.array(found, np.float32)


def _count(cells: Sequence[str]) -> str:
    """Returns how many columns a line has, in words."""
    return f"{len(cells)} column{'s' * (len(cells) != 1)}"
