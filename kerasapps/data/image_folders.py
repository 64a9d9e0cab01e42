"""Pictures in folders, one sub-folder a class, and in tar archives of such folders.

ROOT/<class>/*.jpg    or    ROOT/train/<class>/*.jpg, ROOT/test/<class>/*.jpg, ROOT/val/<class>/*.jpg
"""

import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasapps.data.pictures import SUFFIXES, printable, read_picture
from kerasapps.errors import DataError

PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}
MAX_CORRUPT = 0.05
NAMED = 5  # corrupt files named in a message; of the others only the number
CHANNELS = 3
CHUNK, CHUNK_BYTES = 256, 64 * 2**20  # read before they are decoded, whichever is reached first
SMALL = 16 * 1024  # bytes of a file below which threads cost more than they save

# Where a picture lies under the root, as in ("train", "cat", "1.jpg"), and its file or its contents.
Source = tuple[tuple[str, ...], Path | bytes]


@dataclass(frozen=True)
class Pictures:
    """Pictures of one part.

    Args:
        images: uint8 (n, H, W, C), or names of files, bytes (n,).
        labels: Class of each, int32 (n,).
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class PictureSet:
    """Pictures as they are stored.

    Args:
        parts: The parts that the source itself has, at least "train".
        class_names: Class by number.
        notes: What a person should know about them, a sentence each.
        test_share: Share of the pictures that become the test part, where it is custom.
    """

    parts: dict[str, Pictures]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    test_share: float | None = None


def read_tree(path: Path, *, size: int, memory_mib: int) -> PictureSet:
    """Reads all pictures of a folder or a tar archive once, so that damaged ones are known.

    Args:
        path: Folder or archive.
        size: Side of the squares that the pictures are cut and scaled to.
        memory_mib: Above this size of the decoded pictures a folder is kept as names of files.

    Returns:
        Pictures by part, in the order of their names; 3 channels. Notes name the files that were skipped.

    Raises:
        DataError: If there are no pictures, fewer than two classes or fewer than two pictures in one, the classes of
            the parts differ, more than 5 % of the files are damaged, or an archive does not fit into `memory_mib`.
    """
    room = memory_mib * 2**20 // (size * size * CHANNELS)  # pictures
    if path.is_dir():
        sources, folders = list_folder(path)
        keep = len(sources) <= room
    else:
        sources, folders, keep = read_archive(path), [], True
    places, images, problems = [], [], []
    for place, image in decode(sources, size=size, root=path):
        if isinstance(image, DataError):
            problems.append(str(image))
            continue
        places.append(place)
        images.append(image if keep else os.fsencode(path.joinpath(*place)))
        if keep and len(images) > room:
            raise DataError(
                f"{path} holds more than the {memory_mib} MiB that may be kept: unpack it, give the folder."
            )
    count = len(places) + len(problems)
    if not count:
        raise DataError(f"{path} holds no picture in a sub-folder ({', '.join(SUFFIXES)}).")
    skipped = f"{len(problems)} of {count} pictures ({len(problems) / count:.1%}) cannot be read"
    if len(problems) > MAX_CORRUPT * count:
        raise DataError(f"{path}: {skipped}, more than {MAX_CORRUPT:.0%}. {_some(problems)}")
    notes = (f"{skipped} and are skipped. {_some(problems)}",) if problems else ()
    return _arrange(path, places, images, folders, notes)


def list_folder(root: Path) -> tuple[list[Source], list[tuple[str, ...]]]:
    """Returns the pictures below the sub-folders of a folder and the folders themselves, both sorted by name.

    Hidden files and folders are left out. Links to folders are followed, but no folder is visited twice.

    Raises:
        DataError: If a folder cannot be read.
    """
    seen = {os.path.realpath(root)}
    sources, folders = [], []

    def refuse(error: OSError) -> None:
        raise DataError(f"{printable(error.filename)} cannot be read: {error.strerror}.")

    for here, inner, files in os.walk(root, followlinks=True, onerror=refuse):
        place = Path(here).relative_to(root).parts
        inner[:] = [name for name in sorted(inner) if not name.startswith(".") and _is_new(Path(here, name), seen)]
        folders += [(*place, name) for name in inner]
        names = [name for name in files if _is_picture(name) and not _is_special(Path(here, name))]
        if place:
            sources += [((*place, name), Path(here, name)) for name in names]
    return sorted(sources), sorted(folders)


def read_archive(path: Path) -> Iterator[Source]:
    """Yields the pictures in a tar archive, compressed or not, in the archive's order; nothing is unpacked.

    Raises:
        DataError: If it is no such archive, or a damaged one.
    """
    with open_archive(path) as archive:
        for member in archive:
            place = tuple(part for part in member.name.split("/") if part not in ("", "."))
            hidden = any(part.startswith(".") for part in place)
            if member.isfile() and len(place) > 1 and not hidden and _is_picture(place[-1]):
                yield place, archive.extractfile(member).read()


@contextmanager
def open_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """Opens a tar archive to be read in order; one that is no archive, or damaged, raises DataError."""
    try:
        with tarfile.open(path) as archive:
            yield archive
            while archive.fileobj.read(2**20):  # the checksum of the compressed data is at its end
                pass
    except DataError:
        raise
    except OSError as error:
        if error.strerror:
            raise DataError(f"{printable(path)} cannot be read: {error.strerror}.") from None
        raise DataError(f"{printable(path)} is damaged: {error}.") from None
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError):
        raise DataError(f"{printable(path)} is not a whole tar archive.") from None


def decode(
    sources: Iterable[Source], *, size: int, root: Path
) -> Iterator[tuple[tuple[str, ...], np.ndarray | DataError]]:
    """Yields each picture as uint8 (size, size, 3), or the error that says why it cannot be read."""

    def read(source: Source) -> np.ndarray | DataError:
        place, contents = source
        try:
            return read_picture(contents, size=size, channels=CHANNELS, name=printable(root.joinpath(*place)))
        except DataError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk in _chunks(sources):
            contents = chunk[0][1]
            small = isinstance(contents, bytes) and len(contents) < SMALL
            for (place, _), image in zip(chunk, (map if small else pool.map)(read, chunk), strict=True):
                yield place, image


def _chunks(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Yields the sources in lists that are short enough to be in memory at once."""
    chunk, used = [], 0
    for place, contents in sources:
        chunk.append((place, contents))
        used += len(contents) if isinstance(contents, bytes) else 0
        if len(chunk) == CHUNK or used > CHUNK_BYTES:
            yield chunk
            chunk, used = [], 0
    if chunk:
        yield chunk


def _arrange(
    path: Path,
    places: list[tuple[str, ...]],
    images: list[np.ndarray] | list[bytes],
    folders: list[tuple[str, ...]],
    notes: tuple[str, ...],
) -> PictureSet:
    """Sorts pictures into parts and classes, or raises DataError with the rule that the folder breaks."""
    places = places if path.is_dir() else _unwrapped(places)
    level = 1 if _has_parts(places) else 0  # at which the classes lie
    rows: dict[str, dict[str, list[int]]] = {}  # part -> class -> positions in `images`
    for i in sorted(range(len(places)), key=places.__getitem__):
        part = PARTS.get(places[i][0].lower()) if level else "train"
        if part and len(places[i]) > level + 1:
            rows.setdefault(part, {}).setdefault(places[i][level], []).append(i)
    for place in folders:
        part = PARTS.get(place[0].lower()) if level else "train"
        if part in rows and len(place) == level + 1:
            rows[part].setdefault(place[level], [])
    names = sorted(rows["train"])
    for part, classes in rows.items():
        odd = sorted(set(classes) ^ set(names))
        if odd:
            raise DataError(f"{path}: train and {part} must have the same classes, but only one of them has {odd[0]}.")
    if len(names) < 2:
        raise DataError(f"{path} has only one class, {names[0]}, and at least 2 sub-folders are needed.")
    for name in names:
        count = len(rows["train"][name])
        if count < 2:
            raise DataError(
                f"{path}: class {name} has {count} readable pictures to train on, and at least 2 are needed."
            )
    parts = {}
    for part, classes in rows.items():
        order = [i for name in names for i in classes[name]]
        labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(classes[name]) for name in names])
        parts[part] = Pictures(np.array([images[i] for i in order]), labels)
    return PictureSet(parts, tuple(printable(name) for name in names), notes)


def _unwrapped(places: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Takes off folders that hold everything else, as archives usually have one."""
    while all(len(place) > 2 and place[0] == places[0][0] for place in places) and places[0][0] not in PARTS:
        places = [place[1:] for place in places]
    return places


def _has_parts(places: list[tuple[str, ...]]) -> bool:
    """Tells whether the top folders are parts; there may well be a class named "train"."""
    tops = {place[0].lower() for place in places}
    nested = all(len(place) > 2 for place in places if place[0].lower() == "train")
    return "train" in tops and nested and (len(tops) == 1 or len(tops & set(PARTS)) > 1)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _is_special(path: Path) -> bool:
    """Tells whether a file is something like a named pipe, which would be waited for without end."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False  # a broken link, say: whoever opens it learns what is wrong


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Tells whether a folder has not been visited by another way, such as a link to its own parent."""
    target = os.path.realpath(folder)
    known = target in seen
    seen.add(target)
    return not known


def _some(problems: list[str]) -> str:
    more = f" And {len(problems) - NAMED} more." if len(problems) > NAMED else ""
    return " ".join(problems[:NAMED]) + more
