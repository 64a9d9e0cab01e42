"""Images in folders, one sub-folder per class, and in tar archives of such folders.

ROOT/<class>/*.jpg    or    ROOT/train/<class>/*.jpg, ROOT/test/<class>/*.jpg, ROOT/val/<class>/*.jpg
"""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kerasapps.data.archives import members, open_tar, read_member
from kerasapps.data.pictures import SUFFIXES, read_picture
from kerasapps.errors import DataError
from kerasapps.files import printable

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

# Where a file lies under the root, as in ("train", "cat", "1.jpg").
Place = tuple[str, ...]
# An image's place, and its file, its contents, or why there are none.
Entry = tuple[Place, Path | bytes | DataError]


@dataclass(frozen=True)
class LabelledImages:
    """Images of one set, such as the training set.

    Args:
        images: uint8 (n, H, W, C), or names of files, bytes (n,).
        labels: Class of each, int32 (n,).
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ImageSet:
    """Images as they are stored.

    Args:
        parts: Training, validation and test set as far as the source itself has them, at least "train".
        class_names: Class by number.
        notes: What to know about them, a sentence each.
        skipped: Why each unreadable file was left out, a sentence each.
        test_share: Share of the images for the test set, where the source prescribes one.
        places: Paths of the images outside the test set, for sources whose files may be added or removed.
    """

    parts: dict[str, LabelledImages]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    test_share: float | None = None
    places: tuple[Place, ...] = ()


@dataclass
class Around:
    """What lies around the images: all folders, also empty ones, and the number of files with other endings."""

    folders: set[Place] = field(default_factory=set)
    others: int = 0


def read_tree(path: Path, *, size: int, memory_mib: int, channels: int = CHANNELS) -> ImageSet:
    """Reads all images of a folder or a tar archive once, which also finds the damaged ones.

    Args:
        path: Folder or archive.
        size: Side of the squares that the images are cropped and scaled to.
        memory_mib: If the decoded images are larger than this, a folder is kept as file names.
        channels: 1 for gray, 3 for red, green and blue.

    Returns:
        Training, validation and test set as far as there are any, in the order of the names. Notes name skipped files,
        count images outside the classes and files with other endings, and mention different sizes.

    Raises:
        DataError: If there are no images, fewer than two classes or fewer than two images in one, some folders are
            named train, test or val and others are not, the classes of these sets differ, more than 5 % of the files or
            all of a set are damaged, or an archive does not fit into `memory_mib`.
    """
    room = memory_mib * 2**20 // (size * size * channels)  # images
    around = Around()
    if path.is_dir():
        entries = list_folder(path, around)
        keep = len(entries) <= room
    else:
        entries, keep = read_archive(path, around), True
    # Of a file that is in an archive twice the last one counts, as when it is unpacked.
    found: dict[Place, np.ndarray | bytes | DataError] = {}
    sizes: set[tuple[int, int]] = set()
    for place, image in decode(entries, size=size, channels=channels, root=path, seen=sizes):
        readable = not isinstance(image, DataError)
        found[place] = os.fsencode(path.joinpath(*place)) if readable and not keep else image
        if keep and len(found) > room:
            raise DataError(f"{path} does not fit into {memory_mib} MiB: unpack it and pass the folder.")
    if not path.is_dir():
        top = _wrapping([place for place in found if len(place) > 1])
        found = {place[len(top) :] if len(place) > 1 else place: image for place, image in found.items()}
        around.folders = {place[len(top) :] for place in around.folders if place[: len(top)] == top != place}
    level = 1 if _has_parts(path, found) else 0  # at which the classes lie
    inside = {place: image for place, image in found.items() if len(place) > level + 1 and _part(place, level)}
    if not inside:
        raise DataError(f"{path} holds no image in a sub-folder ({', '.join(SUFFIXES)}).")
    problems = tuple(str(inside[place]) for place in sorted(inside) if isinstance(inside[place], DataError))
    share = f"{len(problems)} of {len(inside)} images ({len(problems) / len(inside):.1%}) cannot be read"
    if len(problems) > MAX_CORRUPT * len(inside):
        raise DataError(f"{path}: {share}, more than {MAX_CORRUPT:.0%}. {_some(problems)}")
    notes = (f"{share} and are skipped. {_some(problems)}",) if problems else ()
    if len(found) > len(inside):
        notes += (f"Images outside the class folders (ignored): {len(found) - len(inside)}.",)
    if around.others:
        notes += (f"Files with other endings (ignored): {around.others}.",)
    if len(sizes) > 1:
        notes += (f"The images have {len(sizes):,} sizes: each is center-cropped and scaled to one size.",)
    return replace(_arrange(path, inside, level, sorted(around.folders)), notes=notes, skipped=problems)


def list_folder(root: Path, around: Around) -> list[Entry]:
    """Returns the images in and below a folder, sorted by name, and records what lies around them.

    Hidden files and folders are skipped. Links to folders are followed, but no folder is visited twice.

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
            if _is_image(name) and not _is_special(Path(here, name)):
                entries.append(((*place, name), Path(here, name)))
            around.others += bool(place) and not name.startswith(".") and not _is_image(name)
    return sorted(entries)


def read_archive(path: Path, around: Around) -> Iterator[Entry]:
    """Yields the images in a tar archive, compressed or not, in the archive's order, and records what lies around them.

    Nothing is unpacked. What is not an ordinary file, such as a link, counts as an unreadable image.

    Raises:
        DataError: If it is not a tar archive, or a damaged one.
    """
    with open_tar(path) as archive:
        for member in members(archive):
            place = tuple(part for part in member.name.split("/") if part not in ("", "."))
            if any(part.startswith(".") for part in place):
                continue
            folder = place if member.isdir() else place[:-1]
            around.folders.update(folder[:i] for i in range(1, len(folder) + 1))
            if not place or member.isdir():
                continue
            if not _is_image(place[-1]):
                around.others += bool(folder) and member.isfile()
                continue
            try:
                contents = read_member(archive, member, name=printable(path.joinpath(*place)))
            except DataError as error:
                contents = error
            yield place, contents


def decode(
    entries: Iterable[Entry], *, size: int, channels: int, root: Path, seen: set[tuple[int, int]]
) -> Iterator[tuple[Place, np.ndarray | DataError]]:
    """Yields each image as uint8 (size, size, channels), or the reason why it cannot be read.

    `seen` collects the sizes that the images have in their files.
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


def _arrange(
    path: Path, images: dict[Place, np.ndarray | bytes | DataError], level: int, folders: list[Place]
) -> ImageSet:
    """Sorts images into sets and classes, or raises DataError with the rule that the folder breaks.

    Args:
        path: The folder, for messages.
        images: Images in class folders, damaged ones too.
        level: Depth of the class folders.
        folders: All folders; empty ones at that depth are classes without images.
    """
    rows: dict[str, dict[str, list[Place]]] = {}  # set -> class -> its images
    for place in sorted(images):
        of_class = rows.setdefault(_part(place, level), {}).setdefault(place[level], [])
        if not isinstance(images[place], DataError):
            of_class.append(place)
    for place in folders:
        if len(place) == level + 1 and _part(place, level) in rows:
            rows[_part(place, level)].setdefault(place[level], [])
    for part, classes in rows.items():
        if not any(classes.values()):
            raise DataError(f"{path}: none of the images of the {part} set can be read.")
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
            raise DataError(f"{path}: class {name} has {count} readable training images; at least 2 are needed.")
    parts, known = {}, []
    for part, classes in rows.items():
        order = [place for name in names for place in classes[name]]
        labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(classes[name]) for name in names])
        parts[part] = LabelledImages(np.array([images[place] for place in order]), labels)
        known += order if part != "test" else []
    return ImageSet(parts, tuple(printable(name) for name in names), places=tuple(known))


def _part(place: Place, level: int) -> str | None:
    """Returns which set a file belongs to, or None; where the classes are at the top there is only one."""
    return PARTS.get(place[0].lower()) if level else "train"


def _wrapping(places: list[Place]) -> Place:
    """Returns the folders that hold everything else; most archives have one."""
    depth = 0
    while (
        places
        and places[0][depth].lower() not in PARTS
        and all(len(place) > depth + 2 and place[depth] == places[0][depth] for place in places)
    ):
        depth += 1
    return places[0][:depth] if depth else ()


def _has_parts(path: Path, places: Collection[Place]) -> bool:
    """Returns whether the top folders are training, validation and test set; a class may be named "train", too.

    Raises:
        DataError: If one of them looks like such a set and the others do not.
    """
    tops = {place[0] for place in places if len(place) > 1}
    flat = {place[0] for place in places if len(place) == 2}
    training = {top for top in tops if PARTS.get(top.lower()) == "train"}
    others = {top for top in tops - training if top.lower() in PARTS}
    if training and not training & flat and (others or len(tops) == 1):
        return True
    # Images next to the class folders of a set do not make it a class, if another set has some of these classes too.
    classes = [{place[1] for place in places if len(place) > 2 and place[0] in part} for part in (training, others)]
    if set.intersection(*classes):
        return True
    odd = sorted(top for top in tops - flat if top.lower() in PARTS)
    if odd:
        raise DataError(
            f"{path}: {odd[0]} looks like a training, validation or test set, as its images are in sub-folders, but "
            "the top folders must be train alone, or train with test or val."
        )
    return False


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _is_special(path: Path) -> bool:
    """Returns whether a file is something like a named pipe, which may never end."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False  # a broken link, say: opening it gives the reason


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Returns whether a folder was not visited before, for instance through a link to its own parent."""
    target = os.path.realpath(folder)
    known = target in seen
    seen.add(target)
    return not known


def _some(problems: list[str]) -> str:
    more = f" And {len(problems) - NAMED} more." if len(problems) > NAMED else ""
    return " ".join(problems[:NAMED]) + more
