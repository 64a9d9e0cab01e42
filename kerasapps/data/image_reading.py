"""All images of a folder or an archive, decoded once in parallel, with what lies around them."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from kerasapps.data.archives import archive_members
from kerasapps.data.image_files import PHONE_SUFFIXES, SUFFIXES
from kerasapps.data.image_layout import Place, is_system
from kerasapps.data.pictures import Range, Seen, read_values
from kerasapps.errors import DataError
from kerasapps.files import printable

CHUNK, CHUNK_BYTES = 256, 64 * 2**20  # read before they are decoded, whichever is reached first
SMALL = 16 * 1024  # bytes of a file below which threads cost more than they save

# An image's place, and its file, its contents, or why there are none.
Entry = tuple[Place, Path | bytes | DataError]
Read = np.ndarray | DataError


@dataclass
class Around:
    """What lies around the images.

    Args:
        folders: All folders, also empty ones.
        lengths: Size of each file in bytes, in a folder.
        others: Number of files with other endings.
        system: Names of files and folders that a system put there, or that are hidden, once for each.
    """

    folders: set[Place] = field(default_factory=set)
    lengths: dict[Place, int] = field(default_factory=dict)
    others: int = 0
    system: Counter[str] = field(default_factory=Counter)


@dataclass
class Found:
    """Images as they were read.

    Args:
        images: uint8 (size, size, C), float32 where the file has more than 8 bits, or the name of the file as bytes; or
            the reason why an image cannot be read.
        bounds: Least and largest value of each image of more than 8 bits.
        digests: Digest of the contents of each image that may have copies.
        seen: What else the files have.
    """

    images: dict[Place, np.ndarray | bytes | DataError] = field(default_factory=dict)
    bounds: dict[Place, Range] = field(default_factory=dict)
    digests: dict[Place, bytes] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)


def read_images(path: Path, around: Around, *, size: int, channels: int, room: int) -> Found:
    """Reads the images of a folder or an archive, and records what lies around them.

    Raises:
        DataError: If it cannot be read, or an archive takes more than `room` bytes of memory.
    """
    is_folder, found, used = path.is_dir(), Found(), 0
    entries = list_folder(path, around) if is_folder else read_archive(path, around)
    keep = not is_folder or len(entries) * size * size * channels <= room
    # Of a file that is in an archive twice the last one counts, as when it is unpacked.
    for place, image, digest in decode(
        entries, found.seen, size=size, channels=channels, root=path, lengths=around.lengths
    ):
        is_array = isinstance(image, np.ndarray)
        if is_array and image.dtype != np.uint8:
            found.bounds[place] = float(image.min()), float(image.max())
        if digest and is_array:
            found.digests[place] = digest
        found.images[place] = image if keep or not is_array else _file_name(path, place)
        used += image.nbytes if keep and is_array else 0
        if used > room:  # an archive, or images of more than 8 bits, which take four times as much for now
            if not is_folder:
                raise DataError(f"{path} does not fit into {room // 2**20} MiB: unpack it and pass the folder.")
            keep, used = False, 0
            for before, kept in found.images.items():
                if isinstance(kept, np.ndarray):
                    found.images[before] = _file_name(path, before)
    return found


def _file_name(root: Path, place: Place) -> bytes:
    return os.fsencode(root.joinpath(*place))


def list_folder(root: Path, around: Around) -> list[Entry]:
    """Returns the images in and below a folder, sorted by name, and records what lies around them.

    What is hidden or put there by a system is left out. Links to folders are followed, but no folder is visited twice.

    Raises:
        DataError: If a folder cannot be read.
    """
    seen = {os.path.realpath(root)}
    entries = []

    def refuse(error: OSError) -> None:
        raise DataError(f"{printable(error.filename)} cannot be read: {error.strerror}.")

    for here, inner, files in os.walk(root, followlinks=True, onerror=refuse):
        place = Path(here).relative_to(root).parts
        around.system.update(name for name in (*inner, *files) if is_system(name))
        inner[:] = [name for name in sorted(inner) if not is_system(name) and _is_new(Path(here, name), seen)]
        around.folders.update((*place, name) for name in inner)
        for name in files:
            if is_system(name):
                continue
            if not _is_image(name):
                around.others += bool(place)
                continue
            length = _length(os.path.join(here, name))
            if length is not None:
                around.lengths[*place, name] = length
                entries.append(((*place, name), Path(here, name)))
    return sorted(entries)


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Returns files as they are given, and for each folder the images in and below it.

    Raises:
        DataError: If a folder cannot be read or holds no image.
    """
    files = []
    for path in paths:
        found = [file for _, file in list_folder(path, Around())] if path.is_dir() else [path]
        if not found:
            raise DataError(f"{printable(path)} holds no image ({', '.join(SUFFIXES)}).")
        files += found
    return files


def read_archive(path: Path, around: Around) -> Iterator[Entry]:
    """Yields the images in an archive, in its order, and records what lies around them.

    Nothing is unpacked. What is not an ordinary file, such as a link, counts as an unreadable image.

    Raises:
        DataError: If it is not a tar or ZIP archive, or a damaged one.
    """
    system = set()
    for member in archive_members(path):
        place = tuple(part for part in member.name.split("/") if part not in ("", "."))
        hidden = next((i for i, part in enumerate(place) if is_system(part)), None)
        if hidden is not None:
            if ".." not in place and place[: hidden + 1] not in system:
                system.add(place[: hidden + 1])
                around.system[place[hidden]] += 1
            continue
        folder = place if member.is_folder else place[:-1]
        around.folders.update(folder[:i] for i in range(1, len(folder) + 1))
        if not place or member.is_folder:
            continue
        if not _is_image(place[-1]):
            around.others += bool(folder) and member.is_file
            continue
        try:
            contents = member.read(printable(path.joinpath(*place)))
        except DataError as error:
            contents = error
        yield place, contents


def decode(
    entries: Iterable[Entry], seen: Seen, *, size: int, channels: int, root: Path, lengths: dict[Place, int]
) -> Iterator[tuple[Place, Read, bytes | None]]:
    """Yields each image as an array, or the reason why it cannot be read, and a digest of its file.

    Args:
        entries: The images.
        seen: Collects what their files have.
        size: Side of the squares that they are cropped and scaled to.
        channels: 1 or 3.
        root: Folder or archive, for messages.
        lengths: Size of each file in a folder; one whose size no other has needs no digest.
    """
    shared = {length for length, count in Counter(lengths.values()).items() if count > 1}

    def read(entry: Entry) -> tuple[Read, bytes | None]:
        place, contents = entry
        if isinstance(contents, DataError):
            return contents, None
        name, digest = printable(root.joinpath(*place)), None
        try:
            if isinstance(contents, bytes) or lengths[place] in shared:
                contents, digest = _with_digest(contents, whole=lengths.get(place, 0) <= CHUNK_BYTES // CHUNK)
            return read_values(contents, size=size, channels=channels, name=name, seen=seen), digest
        except DataError as error:
            return error, None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk in _chunks(entries):
            contents = chunk[0][1]
            small = isinstance(contents, bytes) and len(contents) < SMALL
            for (place, _), result in zip(chunk, (map if small else pool.map)(read, chunk), strict=True):
                yield place, *result


def _with_digest(contents: Path | bytes, *, whole: bool) -> tuple[Path | bytes, bytes | None]:
    """Returns an image's file, or with `whole` its contents, so that they are read once, and a digest of them."""
    digest = partial(hashlib.blake2b, digest_size=16)
    try:
        if whole and isinstance(contents, Path):
            contents = contents.read_bytes()
        if isinstance(contents, bytes):
            return contents, digest(contents).digest()
        with contents.open("rb") as file:
            return contents, hashlib.file_digest(file, digest).digest()
    except OSError:
        return contents, None  # whoever decodes it gives the reason


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yields the entries in lists that are short enough to be held in memory."""
    chunk, used = [], 0
    for place, contents in entries:
        chunk.append((place, contents))
        used += len(contents) if isinstance(contents, bytes) else 0
        if len(chunk) == CHUNK or used > CHUNK_BYTES:
            yield chunk
            chunk, used = [], 0
    if chunk:
        yield chunk


def _is_image(name: str) -> bool:
    return name.lower().endswith((*SUFFIXES, *PHONE_SUFFIXES))


def _length(path: str) -> int | None:
    """Returns the size of a file in bytes; None for something like a named pipe, which may never end."""
    try:
        found = os.stat(path)
    except OSError:
        return 0  # a broken link, say: opening it gives the reason
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Returns whether a folder was not visited before, for instance through a link to its own parent."""
    target = os.path.realpath(folder)
    known = target in seen
    seen.add(target)
    return not known
