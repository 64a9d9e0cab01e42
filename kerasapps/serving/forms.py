"""What a page asks for: fields with their kinds, and what was sent as checked values or one sentence."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import ExifTags

from kerasapps.data.image_files import head, opened
from kerasapps.errors import DataError, UserError

Kind = Literal["text", "lines", "number", "choice", "gallery", "image"]
LONGEST = 20_000  # characters of a text
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tiff"}
SUFFIXES |= {"AVIF": ".avif", "HEIF": ".heic", "MPO": ".jpg"}  # MPO: JPEG with more images behind, from phones
UPRIGHT = 1
SCAN, END = 0xDA, 0xD9  # markers of a JPEG file
MOST_SCANS = 200  # of a JPEG file; thousands of them, each as large as the image, take hours
DEPTH = 24  # the byte of a PNG file that says how many bits a color has


@dataclass(frozen=True)
class Field:
    """One question of a form.

    Args:
        name: Name of the value.
        label: What a person reads.
        kind: What is asked for: a line, several lines, a number, one of some words, one of some pictures, or a file.
        value: What stands there at first.
        hint: What helps to answer.
        choices: Value and label of each, for "choice" and "gallery".
        least: Smallest number.
        most: Largest number.
        required: Whether it must be answered.
    """

    name: str
    label: str
    kind: Kind = "text"
    value: str = ""
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    least: float = 0
    most: float = 2**31 - 1
    required: bool = True


@dataclass(frozen=True)
class Picture:
    """An image file that was sent and can be read.

    Args:
        path: Where it is kept, under a name of ours.
        name: What its owner calls it, to be shown and never used as a path.
        notes: What is to be known of how it is read, a sentence each.
    """

    path: Path
    name: str
    notes: tuple[str, ...] = ()


def read_values(fields: Sequence[Field], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the value of each field: text, a number, or what `sent` holds for an image (None without one).

    Args:
        fields: What was asked for.
        sent: Name to text, or to a `Picture`.

    Raises:
        UserError: If one is missing or not what its field takes.
    """
    return {field.name: _value(field, sent.get(field.name)) for field in fields}


def _value(field: Field, given: Any) -> Any:
    named = field.label[:1].lower() + field.label[1:]
    if field.kind == "image":
        if not isinstance(given, Picture) and field.required:
            raise UserError(f"Please choose {named}: no file was sent.")
        return given if isinstance(given, Picture) else None
    if given is not None and not isinstance(given, str):
        raise UserError(f"{field.label} takes text, and a file was sent.")
    text = (given if given is not None else field.value).replace("\r\n", "\n")
    if field.required and not text.strip():
        raise UserError(f"Please fill in {named}.")
    if len(text) > LONGEST:
        raise UserError(f"{field.label} takes at most {LONGEST:,} characters, and {len(text):,} were sent.")
    if field.choices and text not in dict(field.choices):
        raise UserError(f"{field.label} must be one of {', '.join(label for _, label in field.choices)}.")
    if field.kind == "number":
        with contextlib.suppress(ValueError):
            number = float(text)
            if field.least <= number <= field.most:
                return int(number) if number.is_integer() else number
        raise UserError(f"{field.label} must be a number from {field.least:g} to {field.most:g}.")
    return text


def shown_name(name: str | None) -> str:
    """Returns the name of a file as it can be shown: without folders and control characters, and not too long."""
    name = (name or "").replace("%22", '"')  # as browsers send it
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip()
    stem, dot, suffix = name.rpartition(".")
    if len(name) > 60:
        name = f"{(stem or suffix)[:50]}…{dot}{suffix[:8]}"
    return name or "picture"


def without_folders(text: str) -> str:
    """Returns a text in which absolute paths are names alone: folders of this machine are nobody's business.

    Example:
        >>> without_folders("/srv/runs/my_qa/config.json cannot be read; 1/2 and https://example.org/a/b stay.")
        'config.json cannot be read; 1/2 and https://example.org/a/b stay.'
    """
    return re.sub(r"(?<![\w/:.])/(?:[^\s/'\"]+/)+(?=[^\s/])", "", text)


def check_picture(path: Path, name: str, *, most_pixels: int) -> Picture:
    """Reads an image file that was sent, and gives it the suffix of its format.

    Raises:
        DataError: If it cannot be read or is too large.
    """
    if not path.stat().st_size:
        raise DataError(f"{name} is empty: 0 bytes were sent.")

    def check(image: Any) -> None:
        if image.format in ("JPEG", "MPO") and scans_of(path.read_bytes()) > MOST_SCANS:
            raise DataError(f"{name} is put together from too many layers: please save it anew.")
        pixels = image.width * image.height
        if pixels > most_pixels:
            limit = f"The limit is {most_pixels / 1e6:g} megapixels."
            raise DataError(f"{name} has {pixels / 1e6:.3g} megapixels. {limit}")

    try:
        with opened(path, name, check=check) as image:
            width, height = image.size
            notes = _notes(image, name, path)
            image.draft("RGB", (width // 8, height // 8))  # a JPEG file is then read to its end, but not unfolded
            image.load()  # reports damage
            suffix = SUFFIXES[image.format]
    except DataError as error:
        # What is for people who type commands does not help on a page.
        raise DataError(re.sub(r" \(`pip [^)]*\)", "", str(error).replace("install its reader, or ", ""))) from None
    return Picture(path.rename(path.with_suffix(suffix)), name, notes)


def scans_of(content: bytes) -> int:
    """Returns how many scans the image of a JPEG file has, what follows it left out; counts to just above the limit."""
    at, scans = 2, 0
    while at + 4 <= len(content) and scans <= MOST_SCANS:
        if content[at] != 0xFF:
            return scans  # damaged, which is told later
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == END:
            return scans
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 1:  # filling, and markers without a length
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + length
        if marker == SCAN:
            scans += 1
            at = content.find(b"\xff", at)
            while 0 <= at < len(content) - 1 and (content[at + 1] == 0 or 0xD0 <= content[at + 1] <= 0xD7):
                at = content.find(b"\xff", at + 2)
            if at < 0:
                return scans
    return scans


def _notes(image: Any, name: str, path: Path) -> tuple[str, ...]:
    """Returns sentences about how an image is read."""
    notes, turn = [], UPRIGHT
    with contextlib.suppress(Exception):  # metadata that cannot be read
        turn = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    if turn in range(2, 9):
        notes.append(f"{name} was turned upright, as its camera recorded.")
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append(f"{name} moves: only its first frame is used.")
    if image.mode == "CMYK":
        notes.append(f"{name} has colors for print (CMYK), which were converted to red, green and blue.")
    if image.has_transparency_data:
        notes.append(f"{name} is transparent in places, which become white.")
    if image.mode.startswith(("I", "F")) or (image.format == "PNG" and head(path)[DEPTH] == 16):
        notes.append(f"{name} has more than 8 bits for each color, all of which are used.")
    return tuple(notes)
