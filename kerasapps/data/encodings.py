"""Text files in the encodings that people have: UTF-8, UTF-16 and UTF-32 with or without a mark, Windows-1252."""

import codecs
import re
from pathlib import Path

from kerasapps.errors import DataError

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# What else people have under the name of a text, by how it begins, and what to do about it.
OTHERS = {
    b"PK\x03\x04": "is an Excel workbook or a ZIP archive: open it and save its table as UTF-8 CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook: open it and save its table as UTF-8 CSV",
    b"\x1f\x8b": "is compressed with gzip: unpack it",
    b"BZh91AY&SY": "is compressed with bzip2: unpack it",
    b"\xfd7zXZ": "is compressed with xz: unpack it",
    b"%PDF-": "is a PDF: save its text as UTF-8",
    b"PAR1\x15": "is a Parquet file: name it so",
    b"SQLite format 3\0": "is an SQLite database: export its table as UTF-8 CSV",
    b"version https://git-lfs": "only points to a file in Git LFS: get the file itself with `git lfs pull`",
}
SAMPLE = 4_000  # bytes that show an encoding without a mark
PUNCTUATION = "…‘’“”•–—\xa0«»".encode("cp1252")
MOST_PAIRS = 0.1  # share of the bytes above 127 that follow another such byte, in texts of Western Europe


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """Reads a text file.

    Returns:
        The text without byte order mark, line ends as they are, and a note where it is not UTF-8.

    Raises:
        DataError: If it is no text, in another encoding, or holds NUL characters.
    """
    content = path.read_bytes()
    check_is_text(path, content[:SAMPLE])
    mark = next((mark for mark in MARKS if content.startswith(mark)), b"")
    encoding = MARKS[mark] if mark else _unmarked(content[:SAMPLE])
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or mark or not is_western(content):
            line = content.count(b"\n", 0, error.start) + 1
            shown = "".join(f"0x{byte:02x}" for byte in content[error.start : error.start + 1])
            raise DataError(
                f"{path}, line {line}: the byte {shown} is not {encoding.upper()} text. Save the file as UTF-8."
            ) from None
        text, encoding = content.decode("cp1252"), "Windows-1252"
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = len(re.findall(r"\r\n|\r|\n", text[: text.index("\0")])) + 1
        raise DataError(f"{path}, line {line}: a NUL character, which no text has. Save the file as UTF-8 text.")
    return text, () if encoding == "utf-8" else (
        f"{path} is read as {encoding.upper().replace('WINDOWS', 'Windows')}.",
    )


def check_is_text(path: Path, start: bytes) -> None:
    """Raises DataError if a file begins as one of another kind does."""
    for sign, what in OTHERS.items():
        if start.startswith(sign):
            raise DataError(f"{path} {what}.")


def _unmarked(start: bytes) -> str:
    """Returns the encoding of text without a mark: in UTF-16 nearly every other byte of Western text is NUL."""
    for encoding, places in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if places and 2 * places.count(0) > len(places) and places.count(0) > 0.9 * start.count(0):
            return encoding
    return "utf-8"


def is_western(content: bytes) -> bool:
    """Returns whether bytes are likely Windows-1252: letters with accents are few and stand alone.

    In other encodings, such as those of Cyrillic, Chinese and Japanese, bytes above 127 follow one another.
    """
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return False
    content = content.translate(None, PUNCTUATION)
    high = len(re.findall(rb"[\x80-\xff]", content))
    pairs = len(re.findall(rb"(?<=[\x80-\xff])[\x80-\xff]", content))
    return pairs <= MOST_PAIRS * high
