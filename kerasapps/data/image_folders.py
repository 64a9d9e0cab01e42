"""Pictures in folders, one sub-folder a class, and in tar archives of such folders.

ROOT/<class>/*.jpg    or    ROOT/train/<class>/*.jpg, ROOT/test/<class>/*.jpg, ROOT/val/<class>/*.jpg
"""

import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kerasapps.data.pictures import SUFFIXES, printable, read_picture
from kerasapps.errors import DataError

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
MAX_CORRUPT = 0.05
NAMED = 5  # corrupt files named in a message; of the others only the number
CHANNELS = 3
CHUNK, CHUNK_BYTES = 256, 64 * 2**20  # read before they are decoded, whichever is reached first
SMALL = 16 * 1024  # bytes of a file below which threads cost more than they save
LARGEST = 256 * 2**20  # bytes of a file in an archive, which is read whole

# Where a picture lies under the root, as in ("train", "cat", "1.jpg").
Place = tuple[str, ...]
# A picture's place, and its file, its contents, or why there are none.
Entry = tuple[Place, Path | bytes | DataError]


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
        skipped: Why each of the files that are left out as damaged cannot be read, a sentence each.
        test_share: Share of the pictures that become the test part, where it is custom.
        places: Where the pictures outside the test part lie, where a person may add some or take some away.
    """

    parts: dict[str, Pictures]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    test_share: float | None = None
    places: tuple[Place, ...] = ()


@dataclass
class Surroundings:
    """What lies around the pictures: every folder, empty ones too, and the number of files with other endings."""

    folders: set[Place] = field(default_factory=set)
    others: int = 0


def read_tree(path: Path, *, size: int, memory_mib: int, channels: int = CHANNELS) -> PictureSet:
    """Reads all pictures of a folder or a tar archive once, so that damaged ones are known.

    Args:
        path: Folder or archive.
        size: Side of the squares that the pictures are cut and scaled to.
        memory_mib: Above this size of the decoded pictures a folder is kept as names of files.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        Pictures by part, in the order of their names. Notes name the files that were skipped, count pictures outside
        the classes and files whose endings are of no picture, and tell of several sizes.

    Raises:
        DataError: If there are no pictures, fewer than two classes or fewer than two pictures in one, a folder is named
            like a part but the others are not, the classes of the parts differ, more than 5 % of the files or all of a
            part are damaged, or an archive does not fit into `memory_mib`.
    """
    room = memory_mib * 2**20 // (size * size * channels)  # pictures
    around = Surroundings()
    if path.is_dir():
        entries = list_folder(path, around)
        keep = len(entries) <= room
    else:
        entries, keep = read_archive(path, around), True
    # What is in an archive twice counts once: the last one, as when it is unpacked.
    found: dict[Place, np.ndarray | bytes | DataError] = {}
    sizes: set[tuple[int, int]] = set()
    for place, image in decode(entries, size=size, channels=channels, root=path, seen=sizes):
        readable = not isinstance(image, DataError)
        found[place] = os.fsencode(path.joinpath(*place)) if readable and not keep else image
        if keep and len(found) > room:
            raise DataError(
                f"{path} holds more than the {memory_mib} MiB that may be kept: unpack it, give the folder."
            )
    if not path.is_dir():
        top = _wrapping([place for place in found if len(place) > 1])
        found = {place[len(top) :] if len(place) > 1 else place: image for place, image in found.items()}
        around.folders = {place[len(top) :] for place in around.folders if place[: len(top)] == top != place}
    level = 1 if _has_parts(path, found) else 0  # at which the classes lie
    inside = {place: image for place, image in found.items() if len(place) > level + 1 and _part(place, level)}
    if not inside:
        raise DataError(f"{path} holds no picture in a sub-folder ({', '.join(SUFFIXES)}).")
    problems = tuple(str(inside[place]) for place in sorted(inside) if isinstance(inside[place], DataError))
    share = f"{len(problems)} of {len(inside)} pictures ({len(problems) / len(inside):.1%}) cannot be read"
    if len(problems) > MAX_CORRUPT * len(inside):
        raise DataError(f"{path}: {share}, more than {MAX_CORRUPT:.0%}. {_some(problems)}")
    notes = (f"{share} and are skipped. {_some(problems)}",) if problems else ()
    if len(found) > len(inside):
        notes += (f"Pictures outside the folders of the classes, which are ignored: {len(found) - len(inside)}.",)
    if around.others:
        notes += (f"Files with other endings, which are ignored: {around.others}.",)
    if len(sizes) > 1:
        notes += (f"The pictures are of {len(sizes):,} sizes: of each the middle square is used, scaled to one size.",)
    return replace(_arrange(path, inside, level, sorted(around.folders)), notes=notes, skipped=problems)


def list_folder(root: Path, around: Surroundings) -> list[Entry]:
    """Returns the pictures in and below a folder, sorted by name, and notes what lies around them.

    Hidden files and folders are left out. Links to folders are followed, but no folder is visited twice.

    Raises:
        DataError: If a folder cannot be read.
    """
    seen = {os.path.realpath(root)}
    entries = []

    def refuse(error: OSError) -> None:
        raise DataError(f"{printable(error.filename)} cannot be read: {error.strerror}.")

    for here, inner, files in os.walk(root, followlinks=True, onerror=refuse):
        place = Path(here).relative_to(root).parts
        inner[:] = [name for name in sorted(inner) if not name.startswith(".") and _is_new(Path(here, name), seen)]
        around.folders.update((*place, name) for name in inner)
        for name in files:
            if _is_picture(name) and not _is_special(Path(here, name)):
                entries.append(((*place, name), Path(here, name)))
            around.others += bool(place) and not name.startswith(".") and not _is_picture(name)
    return sorted(entries)


def read_archive(path: Path, around: Surroundings) -> Iterator[Entry]:
    """Yields the pictures in a tar archive, compressed or not, in the archive's order, and notes what lies around them.

    Nothing is unpacked. A link, which may lead anywhere, is a picture that cannot be read.

    Raises:
        DataError: If it is no such archive, or a damaged one.
    """
    with open_archive(path) as archive:
        for member in archive:
            place = tuple(part for part in member.name.split("/") if part not in ("", "."))
            if any(part.startswith(".") for part in place):
                continue
            folder = place if member.isdir() else place[:-1]
            around.folders.update(folder[:i] for i in range(1, len(folder) + 1))
            if not place or not (member.isfile() or member.issym() or member.islnk()):
                continue
            name = printable(path.joinpath(*place))
            if not _is_picture(place[-1]):
                around.others += bool(folder) and member.isfile()
            elif not member.isfile():
                yield place, DataError(f"{name} is a link, and links in archives are not followed.")
            elif member.size > LARGEST:
                yield place, DataError(f"{name} is larger than {LARGEST // 2**20} MiB.")
            else:
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
    entries: Iterable[Entry], *, size: int, channels: int, root: Path, seen: set[tuple[int, int]]
) -> Iterator[tuple[Place, np.ndarray | DataError]]:
    """Yields each picture as uint8 (size, size, channels), or the error that says why it cannot be read; `seen` gets
    the sizes that they have in the files.
    """

    def read(entry: Entry) -> np.ndarray | DataError:
        place, contents = entry
        if isinstance(contents, DataError):
            return contents
        try:
            name = printable(root.joinpath(*place))
            return read_picture(contents, size=size, channels=channels, name=name, seen=seen)
        except DataError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk in _chunks(entries):
            contents = chunk[0][1]
            small = isinstance(contents, bytes) and len(contents) < SMALL
            for (place, _), image in zip(chunk, (map if small else pool.map)(read, chunk), strict=True):
                yield place, image


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yields the entries in lists that are short enough to be in memory at once."""
    chunk, used = [], 0
    for place, contents in entries:
        chunk.append((place, contents))
        used += len(contents) if isinstance(contents, bytes) else 0
        if len(chunk) == CHUNK or used > CHUNK_BYTES:
            yield chunk
            chunk, used = [], 0
    if chunk:
        yield chunk


def _arrange(
    path: Path, pictures: dict[Place, np.ndarray | bytes | DataError], level: int, folders: list[Place]
) -> PictureSet:
    """Sorts pictures into parts and classes, or raises DataError with the rule that the folder breaks.

    Args:
        path: The folder, for messages.
        pictures: Those in the folders of classes, damaged ones too.
        level: At which the classes lie.
        folders: All folders, of which empty ones are classes without pictures.
    """
    rows: dict[str, dict[str, list[Place]]] = {}  # part -> class -> its pictures
    for place in sorted(pictures):
        of_class = rows.setdefault(_part(place, level), {}).setdefault(place[level], [])
        if not isinstance(pictures[place], DataError):
            of_class.append(place)
    for place in folders:
        if len(place) == level + 1 and _part(place, level) in rows:
            rows[_part(place, level)].setdefault(place[level], [])
    for part, classes in rows.items():
        if not any(classes.values()):
            raise DataError(f"{path}: none of the pictures of the {part} part can be read.")
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
    parts, known = {}, []
    for part, classes in rows.items():
        order = [place for name in names for place in classes[name]]
        labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(classes[name]) for name in names])
        parts[part] = Pictures(np.array([pictures[place] for place in order]), labels)
        known += order if part != "test" else []
    return PictureSet(parts, tuple(printable(name) for name in names), places=tuple(known))


def _part(place: Place, level: int) -> str | None:
    """Returns the part that a place is of, or None; where classes lie at the top there is only one."""
    return PARTS.get(place[0].lower()) if level else "train"


def _wrapping(places: list[Place]) -> Place:
    """Returns the folders that hold everything else, as archives usually have one."""
    depth = 0
    while (
        places
        and places[0][depth].lower() not in PARTS
        and all(len(place) > depth + 2 and place[depth] == places[0][depth] for place in places)
    ):
        depth += 1
    return places[0][:depth] if depth else ()


def _has_parts(path: Path, places: Collection[Place]) -> bool:
    """Tells whether the top folders are parts; there may well be a class named "train", with pictures of its own.

    Raises:
        DataError: If one of them looks like a part, but they are not parts together.
    """
    tops = {place[0] for place in places if len(place) > 1}
    flat = {place[0] for place in places if len(place) == 2}
    training = {top for top in tops if PARTS.get(top.lower()) == "train"}
    others = {top for top in tops - training if top.lower() in PARTS}
    if training and not training & flat and (others or len(tops) == 1):
        return True
    # Pictures beside the classes of a part do not make it a class, where another part has some of these classes too.
    classes = [{place[1] for place in places if len(place) > 2 and place[0] in part} for part in (training, others)]
    if set.intersection(*classes):
        return True
    odd = sorted(top for top in tops - flat if top.lower() in PARTS)
    if odd:
        raise DataError(
            f"{path}: {odd[0]} looks like a part, as its pictures lie in sub-folders, but parts must be train alone "
            "or with test or val beside it."
        )
    return False


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
