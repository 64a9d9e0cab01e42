"""Captions of images as others write them: Flickr8k's token files, Kaggle's captions.txt, COCO's and Karpathy's JSON.

1000268201_693b08cb0e.jpg#0<tab>A child in a pink dress .         Flickr8k.token.txt, results_20130124.token
1000268201_693b08cb0e.jpg,"A child , in a ""pink"" dress ."       captions.txt, below a line `image,caption`
{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}            COCO
{"images": [{"filename", "split", "sentences": [{"raw"}]}]}                            Karpathy and Fei-Fei 2015
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasapps.data.encodings import read_text
from kerasapps.data.image_layout import listed
from kerasapps.data.image_reading import Around, list_folder
from kerasapps.data.words import fold
from kerasapps.errors import DataError
from kerasapps.files import printable, read_json

# How files with captions are called; others are read where a person names them.
NAMES = re.compile(r"(captions|dataset).*\.json|captions\.txt|(captions|results)\.csv|.*(?<!lemma)[._]?token(\.txt)?")
LEMMATIZED = "lemma"  # Flickr8k has its captions a second time, as roots of words
LISTS = {"train": "train", "dev": "validation", "val": "validation", "test": "test"}
KARPATHY = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
TOKEN = re.compile(r"(.+?)#\d+\t(.*)")
MISSING, UNCLEAR = "Left out: {} with captions but no file", "Left out: {} whose name several folders have"
TWO_SETS = "{} in two sets, kept in the first of them"
HEADER = re.compile(r"\ufeff?\W*(image|file)\w*\W*([,;|\t]).*(caption|comment)\W*", re.IGNORECASE)


@dataclass
class Found:
    """What a file holds.

    Args:
        captions: Captions of each image, by its name as the file has it, in the file's order.
        parts: Set of those images that the file puts in one: "train", "validation" or "test".
        empty: Number of captions without a word.
        broken: Numbers of the lines that are not as they should be.
        strangers: Number of captions of images that the file does not list.
        notes: What to know about the file, a sentence each.
    """

    captions: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    empty: int = 0
    broken: list[int] = field(default_factory=list)
    strangers: int = 0
    notes: tuple[str, ...] = ()

    def add(self, image: str, caption: Any) -> None:
        """Adds a caption, its blanks as one each."""
        text = " ".join(caption.split()) if isinstance(caption, str) else ""
        captions = self.captions.setdefault(image, [])
        if clean(text):
            captions.append(text)
        else:
            self.empty += 1


def clean(caption: str) -> str:
    """Returns a caption as it is learned: in lower case, with single blanks, without the full stop at its end."""
    return " ".join(fold(caption).split()).rstrip(" .。")


@dataclass(frozen=True)
class Described:
    """Image files with their captions.

    Args:
        files: The files.
        captions: At least one of each.
        parts: Set of each, "" where the data do not say.
        notes: What to know about the data, a sentence each.
    """

    files: list[Path]
    captions: list[list[str]]
    parts: list[str]
    notes: tuple[str, ...]


def read_described(folder: Path, captions: Path | None) -> Described:
    """Reads a folder of images with captions.

    Args:
        folder: Holds the images, at any depth, and the captions where these are not given.
        captions: File with the captions; by default those of the folder that are called as usual.

    Raises:
        DataError: If there are no captions, they cannot be read, or belong to no image of the folder.
    """
    if not folder.is_dir():
        raise DataError(f"--data {printable(folder)} is neither scenes nor a folder of images.")
    paths = [captions] if captions is not None else find_captions(folder)
    found = [read_caption_file(path) for path in paths]
    by_name, by_place, several = _images(folder)
    texts: dict[Path, list[str]] = {}
    parts: dict[Path, str] = {}
    lacking: dict[str, list[str]] = {MISSING: [], UNCLEAR: [], TWO_SETS: []}
    listed_parts = _listed_parts(folder)
    for path, one in zip(paths, found, strict=True):
        whole = _part_of(path) if len(paths) > 1 else ""
        for name, own in one.captions.items():
            place = Path(name).name
            file = by_place.get(name) or by_name.get(place)
            if file is None:
                lacking[UNCLEAR if place in several else MISSING].append(name)
            elif own:
                part = one.parts.get(name) or listed_parts.get(place) or whole
                if parts.setdefault(file, part) not in ("", part) and part:
                    lacking[TWO_SETS].append(name)
                parts[file] = parts[file] or part
                texts.setdefault(file, []).extend(own)  # an image may have several names
    if not texts:
        nowhere = [*lacking[MISSING], *lacking[UNCLEAR]]
        raise DataError(
            f"{listed(paths)}: none of the {len(nowhere):,} images with captions is in "
            f"{printable(folder)}" + (f", such as {nowhere[0]}." if nowhere else ".")
        )
    bare = len(set(by_place.values()) - texts.keys())
    return Described([*texts], [*texts.values()], [*parts.values()], tuple(_sentences(paths, found, lacking, bare)))


def _sentences(paths: list[Path], found: list[Found], lacking: Mapping[str, list[str]], bare: int) -> Iterable[str]:
    """Yields what the files are noted for, and a sentence about each kind of thing that was left out."""
    for path, one in zip(paths, found, strict=True):
        yield from one.notes
        if one.broken:
            lines = counted(len(one.broken), "line")
            yield f"Left out: {lines} of {path.name} that cannot be read, such as line {one.broken[0]}."
    for what, names in lacking.items():
        if names:
            yield f"{what.format(counted(len(names), 'image'))}, such as {', '.join(names[:3])}."
    empty, strangers = sum(one.empty for one in found), sum(one.strangers for one in found)
    if bare:
        yield f"Left out: {counted(bare, 'image')} without a caption."
    if empty:
        yield f"Left out: {counted(empty, 'caption')} without a word."
    if strangers:
        yield f"Left out: {counted(strangers, 'caption')} of images that are not listed."


def counted(count: int, what: str) -> str:
    """Returns a number of things, such as "2 images"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def find_captions(folder: Path) -> list[Path]:
    """Returns the files with captions in a folder, or in the folders in it: one, or COCO's of several sets.

    Raises:
        DataError: If there is none, or it is not clear which.
    """
    paths = [path for below in ("*", "*/*") for path in sorted(folder.glob(below)) if path.is_file()]
    paths = [path for path in paths if NAMES.fullmatch(path.name) and LEMMATIZED not in path.name]
    sets = [path for path in paths if _part_of(path)]
    if len(paths) > 1 and len(sets) == len(paths) == len({_part_of(path) for path in paths}):
        return paths
    if not paths:
        raise DataError(
            f"{printable(folder)} has no captions: no captions.txt, no token file of Flickr, no captions*.json of COCO "
            "and no dataset*.json of Karpathy. Name another file with --captions FILE."
        )
    if len(paths) > 1:
        raise DataError(
            f"{printable(folder)} has several files with captions, {listed([path.name for path in paths])}: choose one "
            "with --captions FILE."
        )
    return paths


def _part_of(path: Path) -> str:
    """Returns the set that a file of COCO is about, as its name says."""
    found = re.match(r"captions_(train|val|test)", path.name)
    return LISTS[found[1]] if found else ""


def _images(folder: Path) -> tuple[dict[str, Path], dict[str, Path], set[str]]:
    """Returns the image files of a folder by name, where only one has it, by place, and the names that several have."""
    # A link is the file that it leads to.
    entries = [(place, Path(file).resolve()) for place, file in list_folder(folder, Around())]
    counts = Counter(name for name, _ in {(place[-1], file) for place, file in entries})
    by_name = {place[-1]: file for place, file in entries if counts[place[-1]] == 1}
    several = {name for name, count in counts.items() if count > 1}
    return by_name, {"/".join(place): file for place, file in entries}, several


def _listed_parts(folder: Path) -> dict[str, str]:
    """Returns the set of each image that is in a list such as Flickr_8k.trainImages.txt."""
    parts = {}
    for path in sorted([*folder.glob("*mages.txt"), *folder.glob("*/*mages.txt")]):
        found = re.search(r"(train|dev|val|test)Images\.txt$", path.name)
        if found:
            parts |= dict.fromkeys(map(str.strip, read_text(path)[0].splitlines()), LISTS[found[1]])
    return parts


def read_caption_file(path: Path) -> Found:
    """Reads a file with captions, whose format shows in what it holds.

    Raises:
        DataError: If it is in none of the formats, or damaged.
    """
    if path.suffix == ".json":
        return _read_json(path, read_json(path))
    if not path.is_file():
        raise DataError(f"{printable(path)} is no file with captions.")
    text, notes = read_text(path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    header = HEADER.fullmatch(lines[0])
    found = _read_table(lines, header[2]) if header else _read_tokens(lines)
    if found.broken and not found.captions:
        raise DataError(
            f"{printable(path)}, line {found.broken[0]}: neither a line such as image.jpg#0, a tab and a caption, nor "
            "one of a table that begins with image,caption."
        )
    found.notes = notes
    return found


def _read_tokens(lines: list[str]) -> Found:
    found = Found()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cut = TOKEN.fullmatch(line)
        if cut is None:
            found.broken.append(number)
        else:
            found.add(cut[1], cut[2])
    return found


def _read_table(lines: list[str], separator: str) -> Found:
    """Reads a table whose last column is the caption, which may hold separators and quotes, as is or doubled."""
    found, columns = Found(), lines[0].count(separator)
    number = 1
    while number < len(lines):
        line, first = lines[number], number + 1
        number += 1
        if not line.strip():
            continue
        cells = line.split(separator, columns)
        if len(cells) <= columns:
            found.broken.append(first)
            continue
        name, caption = cells[0].strip().strip('"'), cells[-1].strip()
        # A caption of several lines, if its quotes end before the next image.
        while caption.startswith('"') and caption.count('"') % 2 and number < len(lines):
            if re.match(rf"[^{separator}]+\.\w{{3,4}}\"?\s*{re.escape(separator)}", lines[number]):
                break
            caption += " " + lines[number]
            number += 1
        if len(caption) > 1 and caption[0] == caption[-1] == '"' and caption.count('"') % 2 == 0:
            caption = caption[1:-1]
        found.add(name, caption.replace('""', '"'))
    return found


def _read_json(path: Path, content: Any) -> Found:
    images = content.get("images") if isinstance(content, Mapping) else None
    try:
        if isinstance(images, list) and isinstance(content.get("annotations"), list):
            return _read_coco(images, content["annotations"])
        if isinstance(images, list):
            return _read_karpathy(images)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{printable(path)} is damaged: an entry of it is not as it should be ({error}).") from None
    raise DataError(f'{printable(path)} has no captions: neither "images" and "annotations" of COCO nor Karpathy\'s.')


def _read_coco(images: list, annotations: list) -> Found:
    found, names = Found(), {image["id"]: str(image["file_name"]) for image in images}
    found.captions = {name: [] for name in names.values()}
    for one in annotations:
        if one["image_id"] in names:
            found.add(names[one["image_id"]], one["caption"])
        else:
            found.strangers += 1
    return found


def _read_karpathy(images: list) -> Found:
    found = Found()
    for image in images:
        name = "/".join(part for part in (image.get("filepath"), image["filename"]) if part)
        found.captions[name] = []
        if image.get("split") in KARPATHY:
            found.parts[name] = KARPATHY[image["split"]]
        for sentence in image["sentences"]:
            found.add(name, sentence["raw"])
    return found
