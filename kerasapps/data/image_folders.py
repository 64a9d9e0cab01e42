"""Images in folders, one sub-folder per class or all without classes, and in archives of such folders.

ROOT/<class>/*.jpg    or    ROOT/train/<class>/*.jpg, ROOT/test/<class>/*.jpg    or    ROOT/*.jpg
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasapps.data.image_files import SUFFIXES
from kerasapps.data.image_layout import Layout, Place, find_layout, listed
from kerasapps.data.image_reading import Around, Read, read_images
from kerasapps.data.pictures import Range, Seen, left_out, one_range, to_bytes
from kerasapps.errors import DataError
from kerasapps.files import printable

MAX_CORRUPT = 0.05
NAMED = 5  # corrupt files named in a message; of the others only the number
CHANNELS = 3

# The images of each class of each set.
Rows = dict[str, dict[str, list[Place]]]


@dataclass(frozen=True)
class LabelledImages:
    """Images of one set, such as the training set.

    Args:
        images: uint8 (n, H, W, C), or names of files, bytes (n,).
        labels: Class of each, int32 (n,); 0 where there are no classes.
        groups: A number for each that only its copies share, in all sets, int64 (n,); None where there are no copies.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "LabelledImages":
        """Returns some rows, by number or by mask."""
        groups = None if self.groups is None else self.groups[rows]
        return LabelledImages(self.images[rows], self.labels[rows], groups)


@dataclass(frozen=True)
class ImageSet:
    """Images as they are stored.

    Args:
        parts: Training, validation and test set as far as the source itself has them, at least "train".
        class_names: Class by number; empty where there are no classes.
        notes: What to know about them, a sentence each.
        skipped: Why each unreadable file was left out, a sentence each.
        test_share: Share of the images for the test set, where the source prescribes one.
        places: Paths of the images outside the test set, for sources whose files may be added or removed.
        values: Which values of images of more than 8 bits become 0 and 255; None where there are none.
    """

    parts: dict[str, LabelledImages]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    test_share: float | None = None
    places: tuple[Place, ...] = ()
    values: Range | None = None


def read_tree(
    path: Path,
    *,
    size: int,
    memory_mib: int,
    channels: int = CHANNELS,
    classes: bool = True,
    values: Range | None = None,
    copies: bool = False,
) -> ImageSet:
    """Reads all images of a folder or an archive once, which also finds the damaged ones.

    Args:
        path: Folder, or tar or ZIP archive.
        size: Side of the squares that the images are cropped and scaled to.
        memory_mib: If the decoded images are larger than this, a folder is kept as file names.
        channels: 1 for gray, 3 for red, green and blue.
        classes: Whether there must be classes.
        values: Which values of images of more than 8 bits become 0 and 255; by default the range of all such images
            outside the test set.
        copies: Whether copies of images count like others, as in data sets that others know as they are.

    Returns:
        Training, validation and test set as far as there are any, in the order of the names. Notes name skipped files,
        count what was left out, and mention what the arrays do not show.

    Raises:
        DataError: If there are no images, fewer than two classes or fewer than two images in one, sets and classes
            cannot be told apart, the classes of the sets differ, more than 5 % of the files or all of a set are
            damaged, or an archive does not fit into `memory_mib`.
    """
    around = Around()
    found = read_images(path, around, size=size, channels=channels, room=memory_mib * 2**20)
    layout = find_layout(path, found.images, classes=classes)
    inside = {place: image for place, image in found.images.items() if _belongs(layout, place)}
    if not inside:
        raise DataError(f"{path} holds no image ({', '.join(SUFFIXES)}).")
    problems = tuple(str(inside[place]) for place in sorted(inside) if isinstance(inside[place], DataError))
    share = f"{len(problems)} of {len(inside)} images ({len(problems) / len(inside):.1%}) cannot be read"
    if len(problems) > MAX_CORRUPT * len(inside):
        raise DataError(f"{path}: {share}, more than {MAX_CORRUPT:.0%}. {_some(problems)}")
    notes = (f"{share} and are skipped. {_some(problems)}",) if problems else ()
    rows = _rows(path, inside, layout, sorted(around.folders))
    names = _class_names(path, rows, required=classes) if layout.has_classes else []
    if not names:
        notes += ("The images have no classes.",)
    bounds = [bound for place, bound in found.bounds.items() if place in inside]
    training = [bound for place, bound in found.bounds.items() if _belongs(layout, place, outside="test")]
    values, said = one_range(bounds, values or (one_range(training)[0] if training else None))
    notes += tuple(said)
    numbers = {} if copies else _copies(inside, found.digests)
    notes += layout.notes(archive=path.is_file()) + _copy_notes(numbers, layout)
    notes += _around_notes(around, len(found.images) - len(inside)) + _seen_notes(found.seen)
    parts = {part: _labelled(inside, of_class, names, copies=numbers, values=values) for part, of_class in rows.items()}
    known = [place for part, of_class in rows.items() if part != "test" for place in _in_order(of_class)]
    return ImageSet(
        parts,
        tuple(printable(name) for name in names),
        notes,
        skipped=problems,
        places=tuple(place[len(layout.top) :] for place in known),
        values=values,
    )


# --- arranging


def _belongs(layout: Layout, place: Place, *, outside: str | None = None) -> bool:
    """Returns whether an image belongs to a set, other than `outside`, and has a class where there are classes."""
    located = layout.locate(place)
    return located is not None and located[0] != outside and (len(located[1]) > 1 or not layout.has_classes)


def _rows(path: Path, images: dict[Place, Read | bytes], layout: Layout, folders: list[Place]) -> Rows:
    """Returns the readable images of each class of each set; empty folders at the depth of the classes are classes.

    Raises:
        DataError: If none of the images of a set can be read.
    """
    rows: Rows = {}
    for place in sorted(images):
        part, below = layout.locate(place)
        of_class = rows.setdefault(part, {}).setdefault(below[0] if layout.has_classes else "", [])
        if not isinstance(images[place], DataError):
            of_class.append(place)
    for place in folders:
        part, below = (place[: len(layout.top)] == layout.top and layout.locate(place)) or (None, ())
        if len(below) == 1 and part in rows and layout.has_classes:
            rows[part].setdefault(below[0], [])
    for part, classes in rows.items():
        if not any(classes.values()):
            raise DataError(f"{path}: none of the images of the {part} set can be read.")
    return rows


def _class_names(path: Path, rows: Rows, *, required: bool) -> list[str]:
    """Returns the classes; none if there is only one and they are not required.

    Raises:
        DataError: If sets have other classes than the training set, or a class has too few images.
    """
    if "train" not in rows:
        raise DataError(f"{path} has no training set, only {listed(sorted(rows))}.")
    names = sorted(rows["train"])
    for part, classes in rows.items():
        odd = sorted(set(classes) ^ set(names))
        if odd:
            raise DataError(
                f"{path}: train and {part} must have the same classes, but only one of them has {listed(odd)}."
            )
    if len(names) < 2:
        if not required:
            return []
        raise DataError(f"{path} has only one class, {printable(names[0])}, and at least 2 sub-folders are needed.")
    for name in names:
        count = len(rows["train"][name])
        if count < 2:
            raise DataError(
                f"{path}: class {printable(name)} has {count} readable training images; at least 2 are needed."
            )
    return names


def _in_order(of_class: dict[str, list[Place]]) -> list[Place]:
    """Returns the images of a set class by class."""
    return [place for name in sorted(of_class) for place in of_class[name]]


def _labelled(
    images: dict[Place, Read | bytes],
    of_class: dict[str, list[Place]],
    names: list[str],
    *,
    copies: dict[Place, int],
    values: Range | None,
) -> LabelledImages:
    """Returns the images of one set with their labels."""
    order = _in_order(of_class)
    counts = [len(of_class[name]) for name in names] or [len(order)]
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    found = (images[place] for place in order)
    stored = [to_bytes(image, values) if isinstance(image, np.ndarray) and values else image for image in found]
    groups = np.array([copies[place] for place in order], np.int64) if copies else None
    return LabelledImages(np.array(stored), labels, groups)


def _copies(images: dict[Place, Read | bytes], digests: dict[Place, bytes]) -> dict[Place, int]:
    """Returns a number for each image that only its copies share; nothing if there are no copies."""
    places = sorted(images)
    first: dict[bytes, int] = {}
    numbers = {place: first.setdefault(digests[place], i) if place in digests else i for i, place in enumerate(places)}
    return numbers if any(number != i for i, number in enumerate(numbers.values())) else {}


# --- what to know


def _copy_notes(copies: dict[Place, int], layout: Layout) -> tuple[str, ...]:
    """Returns how many images are copies of others, also in another class."""
    places = list(copies)
    pairs = [(place, places[number]) for place, number in copies.items() if places[number] != place]
    if not pairs:
        return ()
    (copy, original), *_ = pairs
    note = f"Images that are copies of others: {len(pairs)}, such as {_name(copy)} of {_name(original)}. "
    note += "No image is in two sets."
    classes = [tuple(layout.locate(place)[1][:1] for place in pair) for pair in pairs if layout.has_classes]
    odd = [pair for pair, (one, other) in zip(pairs, classes, strict=False) if one != other]
    if odd:
        note += f" In two classes: {len(odd)}, such as {_name(odd[0][0])} and {_name(odd[0][1])}."
    return (note,)


def _name(place: Place) -> str:
    return printable("/".join(place))


def _around_notes(around: Around, outside: int) -> tuple[str, ...]:
    """Returns what was left out."""
    notes = ()
    if outside:
        notes += (f"Images outside the class folders (ignored): {outside}.",)
    if around.others:
        notes += (f"Files with other endings (ignored): {around.others}.",)
    if around.system:
        count, names = sum(around.system.values()), listed(sorted(around.system))
        notes += (f"Hidden files and folders, or those of a system (ignored): {count} ({names}).",)
    return notes


def _seen_notes(seen: Seen) -> tuple[str, ...]:
    """Returns what the files have and the arrays do not."""
    notes = tuple(left_out(seen))
    if len(seen.sizes) > 1:
        notes += (f"The images have {len(seen.sizes):,} sizes: each is center-cropped and scaled to one size.",)
    return notes


def _some(problems: list[str]) -> str:
    more = f" And {len(problems) - NAMED} more." if len(problems) > NAMED else ""
    return " ".join(problems[:NAMED]) + more
