"""CSV as people have it: any customary encoding, separator, line end and way to quote, every cell as it was written.

A file of the ordinary kind (UTF-8, lines that end as on Unix or Windows, quotes within quotes doubled, as many cells in
each row) is checked at the speed of NumPy and read by polars. Any other goes through `parse`, cell by cell: it is read
in the first grammar that fits all of it, or refused with its line.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasapps.data.encodings import check_is_text, read_text
from kerasapps.errors import DataError

if TYPE_CHECKING:  # takes a while to import, and most experiments read no tables
    import polars

SEPARATORS = ",;\t|"
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
QUOTE, LINE_FEED, RETURN = b'"'[0], b"\n"[0], b"\r"[0]
CHUNK = 1 << 22  # bytes that are looked at together
SAMPLE = 1 << 16  # characters that show the separator
WEB_PAGE = re.compile(rb"\s*<(!doctype )?html", re.IGNORECASE)
LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Grammar:
    """How rows are written.

    Args:
        separator: Between cells.
        escapes: Whether a backslash escapes a quote within quotes, as Spark and MySQL write it.
        spaces: Whether blanks stand before cells.
    """

    separator: str = ","
    escapes: bool = False
    spaces: bool = False


class CsvFile:
    """A CSV file: its names, and its columns as text.

    Args:
        path: The file.

    Raises:
        DataError: If it is not a table in any grammar known here.
    """

    def __init__(self, path: Path):
        self.path = path
        self.notes: tuple[str, ...] = ()
        head = _head(path)
        self.plain = None if head is None else scan(path, head.separator, len(head.names))
        if self.plain is not None:
            self.grammar, self.names = Grammar(head.separator), head.names
        else:
            text, self.notes = read_text(path)
            self.grammar, rows = parse_best(text, path=path)
            (_, self.names), *rows = rows
            self.rows, self.lines = [cells for _, cells in rows], [line for line, _ in rows]
            self.notes += _said(self.grammar)
        self.names = [name.strip() for name in self.names]

    def read(self, numbers: Sequence[int]) -> list["polars.Series"]:
        """Returns columns, by number, as text; an empty cell is null or "" ."""
        import polars

        if self.plain is None:
            return [polars.Series(self.names[i], [row[i] for row in self.rows], polars.String) for i in numbers]
        table = polars.read_csv(
            self.path, separator=self.grammar.separator, columns=sorted(set(numbers)), infer_schema=False
        )
        if len(self.plain):
            table = table.filter(~polars.arange(table.height, eager=True).is_in(self.plain.tolist()))
        order = {number: i for i, number in enumerate(sorted(set(numbers)))}
        return [table.to_series(order[number]) for number in numbers]

    @cached_property
    def lines(self) -> list[int]:
        """The line on which each row begins; of a file of the ordinary kind only found when it is asked for."""
        text, _ = read_text(self.path)
        return [line for line, _ in parse(text, self.grammar, path=self.path)][1:]

    def where(self, row: int) -> str:
        """Returns the line on which a row begins, for an error about one of its cells."""
        return f"line {self.lines[row]}"


@dataclass(frozen=True)
class _Head:
    separator: str
    names: list[str]


def _head(path: Path) -> _Head | None:
    """Returns separator and names of a file of the ordinary kind; None if already its first line is not of it."""
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    check_is_text(path, start)
    if WEB_PAGE.match(start):
        raise DataError(f"{path} is a web page: download the file itself, which is often called raw.")
    try:
        text = start.decode("utf-8-sig", "ignore" if len(start) == SAMPLE else "strict")
        line = text[: LINE_END.search(text).start()] if LINE_END.search(text) else text
        if not line.strip() or line.startswith("sep="):
            return None
        separator = find_separator(text)
        ((_, names),) = parse(line, Grammar(separator), path=path)
    except (UnicodeDecodeError, DataError):
        return None
    return _Head(separator, names)


def find_separator(text: str) -> str:
    """Returns what separates the cells of a table: what divides its first rows most evenly."""
    lines = [line for line in LINE_END.split(re.sub(r'"[^"]*"', "", text[:SAMPLE]))[:-1] or [text] if line]

    def evenness(separator: str) -> tuple[float, int]:
        counts = [line.count(separator) for line in lines[:100]]
        return (sum(count == counts[0] for count in counts) / len(counts) if counts[0] else 0, counts[0])

    return max(SEPARATORS, key=evenness) if lines else ","


def scan(path: Path, separator: str, columns: int) -> np.ndarray | None:
    """Checks that a file is of the ordinary kind, which polars reads as it was written.

    Args:
        path: The file.
        separator: Between cells.
        columns: Cells in each row.

    Returns:
        Numbers of the blank lines among its rows, int (n,); None if it is of another kind.
    """
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    start = 3 if data[:3].tobytes() == b"\xef\xbb\xbf" else 0
    inside = cells = done = rows = 0
    blank, tail, first = [], b"", start
    before = start
    while start < len(data):
        chunk = data[start : start + CHUNK]
        tail = _utf8_tail(tail + chunk.tobytes())
        quotes = chunk == QUOTE
        outside = None
        if inside or quotes.any():
            within = np.bitwise_xor.accumulate(quotes.view(np.uint8)) ^ inside
            if not _quotes_fit(data, np.flatnonzero(quotes) + start, within[quotes], first, separator):
                return None
            inside, outside = int(within[-1]), within == 0
        is_end, is_separator, is_return = chunk == LINE_FEED, chunk == ord(separator), chunk == RETURN
        if outside is not None:
            is_end, is_separator, is_return = is_end & outside, is_separator & outside, is_return & outside
        ends = np.flatnonzero(is_end)
        returns = np.flatnonzero(is_return) + start
        if tail is None or (chunk == 0).any() or (data[np.minimum(returns + 1, len(data) - 1)] != LINE_FEED).any():
            return None
        counts = np.searchsorted(np.flatnonzero(is_separator), ends) + cells
        lengths = np.diff(ends + start, prepend=before - 1)
        returned = np.isin(ends + start - 1, returns, assume_unique=True) if len(returns) else 0
        empty = lengths - returned == 1
        if (np.diff(counts, prepend=done)[~empty] != columns - 1).any():
            return None
        blank.append(np.flatnonzero(empty) + rows)
        cells += int(is_separator.sum())
        if len(ends):
            rows, before, done = rows + len(ends), int(ends[-1]) + start + 1, int(counts[-1])
        start += CHUNK
    if inside or tail or not rows or (before < len(data) and cells - done != columns - 1):
        return None
    return np.concatenate(blank) - 1 if blank else np.zeros(0, int)


def _utf8_tail(content: bytes) -> bytes | None:
    """Returns the beginning of a character at the end of bytes; None if they are not UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content[error.start :] if error.reason == "unexpected end of data" else None
    return b""


def _quotes_fit(data: np.ndarray, places: np.ndarray, opens: np.ndarray, first: int, separator: str) -> bool:
    """Returns whether every quote opens a cell, closes one, or is doubled within one."""
    bounds = [QUOTE, LINE_FEED, ord(separator)]
    opens = opens.astype(bool)
    opening, closing = places[opens], places[~opens]
    # A quote that opens right after one that closed is the second of a double one.
    ahead = data[np.maximum(opening - 1, 0)]
    after = data[np.minimum(closing + 1, len(data) - 1)]
    last = closing == len(data) - 1
    return bool(
        (np.isin(ahead, bounds) | (opening == first)).all() and (np.isin(after, [*bounds, RETURN]) | last).all()
    )


# --- files of another kind


def parse_best(text: str, *, path: Path) -> tuple[Grammar, list[tuple[int, list[str]]]]:
    """Reads rows, with the numbers of their lines, in the first grammar that fits all of them.

    Raises:
        DataError: If none does: what the first of them found, with its line.
    """
    named = re.match(r"sep=(.)\r?\n", text)
    separator = named[1] if named else find_separator(text)
    refusal = None
    for escapes in (False, True) if '\\"' in text else (False,):
        for spaces in (False, True):
            grammar = Grammar(separator, escapes, spaces)
            try:
                rows = list(parse(text, grammar, path=path, start=named.end() if named else 0))
            except DataError as error:
                refusal = refusal or error
            else:
                if not rows:
                    raise DataError(f"{path} is empty: its first row must name the columns.")
                return grammar, rows
    raise refusal


@cache
def _cell(grammar: Grammar) -> re.Pattern:
    """Returns the pattern of a cell and what ends it; a cell that begins with a quote must end with one."""
    body = r'(?>[^"\\]+|""|\\.)*+' if grammar.escapes else r'(?>[^"]+|"")*+'
    separator = re.escape(grammar.separator)
    spaces = " *" if grammar.spaces else ""
    end = rf"({separator}|\r\n|\r|\n|\Z)"
    return re.compile(rf'{spaces}(?:"({body})"{spaces}|([^{separator}\r\n"][^{separator}\r\n]*)?){end}', re.DOTALL)


def parse(text: str, grammar: Grammar, *, path: Path, start: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a table with the numbers of their lines; blank lines are none.

    Args:
        text: The whole file.
        grammar: How it is written.
        path: The file, for errors.
        start: Where the table begins.

    Raises:
        DataError: If a row is not in the grammar, or has more or fewer cells than the first.
    """
    match, line, width = _cell(grammar).match, 1 + text.count("\n", 0, start), 0
    cells: list[str] = []
    place = begun = start
    while place <= len(text):
        found = match(text, place)
        if found is None:
            line += len(LINE_END.findall(text, begun, place))
            raise DataError(f"{path}, line {line}: {_why(text, place, grammar)}")
        quoted, bare, end = found.groups()
        if quoted is not None:
            cells.append(_unescape(quoted, grammar))
        else:
            if grammar.escapes and bare and "\\\\" in bare:
                line += len(LINE_END.findall(text, begun, place))
                raise DataError(f"{path}, line {line}: a cell with two backslashes in a row must be in quotes.")
            cells.append(bare or "")
        place = found.end()
        if end == grammar.separator:
            continue
        if len(cells) > 1 or quoted is not None or cells[0].strip():
            width = width or len(cells)
            if len(cells) != width:
                raise DataError(f"{path}, line {line}: {_ragged(len(cells), width, grammar)}")
            yield line, cells
        if not end:
            return
        line += len(LINE_END.findall(text, begun, place))
        cells, begun = [], place


def _unescape(quoted: str, grammar: Grammar) -> str:
    if grammar.escapes and "\\" in quoted:
        return re.sub(r'\\(["\\])|"(")', lambda match: match[1] or match[2], quoted)
    return quoted.replace('""', '"') if '""' in quoted else quoted


def _why(text: str, place: int, grammar: Grammar) -> str:
    shown = repr(re.split(r"[\r\n]", text[place : place + 40])[0])
    open_end = re.compile(r'"(?:[^"]|"")*+\Z').match(text, place)
    rule = "is never closed" if open_end else "closes before the end of its cell"
    return (
        f"the quote of the cell {shown} {rule}. Put cells with quotes, {NAMES.get(grammar.separator, 'separators')} or "
        'line breaks in quotes, and double the quotes in them ("").'
    )


def _ragged(found: int, due: int, grammar: Grammar) -> str:
    between = NAMES.get(grammar.separator, repr(grammar.separator))
    return (
        f"the row has {found} {'cell' if found == 1 else 'cells'}, the first row has {due}. Cells are separated by "
        f"{between}; put those that hold some in quotes."
    )


def _said(grammar: Grammar) -> tuple[str, ...]:
    """Returns how a file of another kind was read."""
    said = [
        "a backslash before a quote escapes it" if grammar.escapes else "",
        "blanks before cells are left out" if grammar.spaces else "",
    ]
    return tuple(f"Read so that {what}." for what in said if what)
