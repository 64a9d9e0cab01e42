"""Images and their classes as splits: a named data set, your own folder or an archive of one."""

import hashlib
import os
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from kerasapps.data.image_folders import CHANNELS, ImageSet, LabelledImages, read_tree
from kerasapps.data.image_sets import NAMES, PHOTOGRAPHS, find_photographs, read_named
from kerasapps.data.pictures import Range, read_picture
from kerasapps.data.shots import draw_shots
from kerasapps.data.splits import Augment, Convert, Split, Splits, stratify
from kerasapps.errors import DataError
from kerasapps.files import user_path

FOLDER_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class ImageSplits(Splits):
    """Splits with what is needed to interpret a model trained on them.

    Args:
        class_names: Class by number.
        skipped: Why each unreadable file was left out, a sentence each.
        stored_size: Side of the squares in which images are kept, before they are scaled for the model.
        digest: Changes with number, name or class of the images outside the source's own test set.
        values: Which values of images of more than 8 bits became 0 and 255; None where there were none.
    """

    class_names: tuple[str, ...]
    skipped: tuple[str, ...]
    stored_size: int
    digest: str
    values: Range | None = None


def load_images(
    data: str = "digits",
    *,
    size: int | None = None,
    validation: float = 0.1,
    test: float = 0.2,
    shots: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    augment: Augment | None = None,
    memory_mib: int = 1024,
    channels: int = CHANNELS,
    classes: bool = True,
    values: Range | None = None,
) -> ImageSplits:
    """Loads images with their classes.

    Inputs of the model: "image" (B, H, W, C) from 0 to 255, float32 where images are scaled for each batch, else
    uint8. Targets: "label" int32 (B,).

    Args:
        data: "digits", "shapes", "mnist", "fashion_mnist", "cifar10", "cifar100", "flowers", "signs", or a folder with
            one sub-folder per class, or with such folders named train, test and val, or a tar or ZIP archive of one.
        size: Side of the images that the model gets; by default the data set's own, and 64 for folders.
        validation: Share of the images for the validation set, taken from the data set's training set where it has one.
        test: Share of the images for the test set, where the data set has none; a tenth for half of "mnist".
        shots: Images of each class in the training set; then the shares do not count, see `draw_shots`.
        seed: Seed of the split.
        limit: Maximum number of images in each of the three sets, taken evenly from all classes.
        augment: Changes training batches, at the size that images are stored in.
        memory_mib: A folder whose decoded images are larger than this stays on disk and is decoded batch by batch.
            Images in memory take twice their size in training: as arrays, and as the tensors that batches are made of.
        channels: Channels of a folder's or archive's images, 1 for gray or 3 for RGB; named data sets have their own.
        classes: Whether there must be classes. Without, images may lie flat or in one folder; then `class_names` is
            empty and all labels are 0.
        values: Which values of images of more than 8 bits become 0 and 255, such as those that a network was trained
            with; by default one range for all images of the data set.

    No image is in two sets: copies of one follow it into the training set, or are left out.

    Raises:
        DataError: If the data cannot be found or read, or is too little to split.
        ValueError: If a share is not above 0 or they leave nothing, `size`, `limit` or `shots` is under 1, or
            `channels` is neither 1 nor 3 for a folder.
    """
    _check(size=size, limit=limit, shots=shots, memory_mib=memory_mib, validation=validation, test=test)
    stored = read_set(data, size=size, memory_mib=memory_mib, channels=channels, classes=classes, values=values)
    parts = _complete(data, stored.parts, validation=validation, test=stored.test_share or test, shots=shots, seed=seed)
    notes = stored.notes + _gaps(data, stored, parts)
    if stored.test_share or shots:
        notes += (f"{data} is split {'/'.join(f'{len(images.labels):,}' for images in parts.values())} by seed.",)
    images = parts["train"].images
    on_disk = images.dtype.kind == "S"
    side = (size or FOLDER_SIZE) if on_disk else images.shape[1]
    channels = channels if on_disk else images.shape[3]
    read = _reader(side, channels, stored.values) if on_disk else None
    prepare = resizer(side, size) if size else None
    splits = {}
    for part, images in parts.items():
        inputs, targets = {"image": images.images}, {"label": images.labels}
        split = Split(inputs, targets, augment=augment if part == "train" else None, read=read, prepare=prepare)
        splits[part] = split if limit is None else split.take(_evenly(images.labels, limit))
    sizes = {"image_shape": (size or side, size or side, channels), "num_classes": len(stored.class_names)}
    return ImageSplits(
        **splits,
        sizes=sizes,
        class_names=stored.class_names,
        notes=notes,
        skipped=stored.skipped,
        stored_size=side,
        digest=_digest(stored),
        values=stored.values,
    )


def _check(*, validation: float, test: float, **counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise ValueError(
            f"`validation` and `test` must be above 0 and together under 1. "
            f"Received: validation={validation}, test={test}"
        )


def read_set(
    data: str,
    *,
    size: int | None,
    memory_mib: int,
    channels: int,
    classes: bool = True,
    values: Range | None = None,
) -> ImageSet:
    """Reads a named data set at its own size, or a folder or archive at the requested size."""
    if data in NAMES and data not in PHOTOGRAPHS:
        return read_named(data)
    path = find_photographs(data) if data in PHOTOGRAPHS else user_path(data)
    if not data or not path.exists():
        named = data or "''"
        raise DataError(f"{named} is neither a data set ({', '.join(NAMES)}) nor a folder or archive of images.")
    side = size or FOLDER_SIZE
    return read_tree(path, size=side, memory_mib=memory_mib, channels=channels, classes=classes, values=values)


def _complete(
    data: str, parts: dict[str, LabelledImages], *, validation: float, test: float, shots: int | None, seed: int
) -> dict[str, LabelledImages]:
    """Splits off the validation and test set, where the source has none, from its training set.

    Raises:
        DataError: If copies leave nothing to train on.
    """
    parts = _without_copies(parts)
    wanted = {part: share for part, share in {"test": test, "validation": validation}.items() if part not in parts}
    if not wanted and shots is None:
        return {part: parts[part] for part in ("train", "validation", "test")}
    train = parts["train"]
    # Of an image and its copies only the first is drawn; the copies follow it into the training set, where somebody may
    # have put them to balance classes, and are left out elsewhere.
    first = np.arange(len(train.labels)) if train.groups is None else np.unique(train.groups, return_index=True)[1]
    first = np.sort(first)
    if not len(first):
        raise DataError(f"{data}: all training images are also in another set.")
    if shots is None:
        drawn = stratify(train.labels[first], shares=list(wanted.values()), seed=seed)
    else:
        drawn = draw_shots(train.labels[first], shots, others=[*wanted], seed=seed).values()
    rows = [first[chosen] for chosen in drawn]
    if train.groups is not None and shots is None:
        rows[0] = np.flatnonzero(np.isin(train.groups, train.groups[rows[0]]))
    taken = {part: train.take(chosen) for part, chosen in zip(("train", *wanted), rows, strict=True)}
    return {part: (parts | taken)[part] for part in ("train", "validation", "test")}


def _without_copies(parts: dict[str, LabelledImages]) -> dict[str, LabelledImages]:
    """Returns the sets of a source without the images that are in its test set, and then in its validation set, too.

    Its test set stays whole, so that results can be compared with those of others.
    """
    kept, seen = {}, np.array([], np.int64)
    for part in ("test", "validation", "train"):
        if part in parts:
            images = parts[part]
            kept[part] = images if images.groups is None else images.take(~np.isin(images.groups, seen))
            seen = seen if images.groups is None else np.concatenate([seen, images.groups])
    return kept


def _gaps(data: str, stored: ImageSet, parts: dict[str, LabelledImages]) -> tuple[str, ...]:
    """Returns a sentence for each set that lacks classes.

    Raises:
        DataError: If a set is empty.
    """
    taken = [part for part in parts if part not in stored.parts]
    needed = f"a class needs at least {1 + len(taken)} training images to be in every set"
    notes = []
    for part, images in parts.items():
        if not len(images.labels):
            raise DataError(f"{data} has too few images: none is left for the {part} set; {needed}.")
        lacking = len(stored.class_names) - len(np.unique(images.labels))
        if stored.class_names and lacking:
            rule = f": {needed}" if part in taken else ""
            notes.append(f"The {part} set has no image of {lacking} of {len(stored.class_names)} classes{rule}.")
    return tuple(notes)


def _digest(stored: ImageSet) -> str:
    """Returns a digest of all images outside the source's own test set."""
    digest = hashlib.blake2b("\n".join(map("/".join, stored.places)).encode("utf-8", "surrogateescape"), digest_size=8)
    for part in sorted(stored.parts.keys() - {"test"}):
        digest.update(part.encode() + stored.parts[part].labels.tobytes())
        groups = stored.parts[part].groups
        if groups is not None and len(np.unique(groups)) < len(groups):  # copies decide the split
            digest.update(np.unique(groups, return_inverse=True)[1].tobytes())
    return digest.hexdigest()


def _reader(size: int, channels: int, values: Range | None) -> Convert:
    """Returns a function that decodes a batch of files: "image" bytes (B,) -> uint8 (B, H, W, C)."""

    def read_files(names: np.ndarray) -> np.ndarray:
        files = [os.fsdecode(name) for name in names]
        return np.stack([read_picture(file, size=size, channels=channels, values=values) for file in files])

    def read(inputs: dict) -> dict:
        # Several batches in parallel: Pillow releases Python's lock while it decodes.
        images = tf.numpy_function(read_files, [inputs["image"]], tf.uint8, stateful=False)  # (B, H, W, C)
        return inputs | {"image": tf.ensure_shape(images, (None, size, size, channels))}

    return read


def resizer(stored: int, size: int) -> Convert | None:
    """Returns a function that scales a batch of images: "image" (B, H, W, C) -> float32 (B, size, size, C).

    None if they are stored in that size.
    """
    if size == stored:
        return None

    def resize(inputs: dict) -> dict:
        return inputs | {"image": tf.image.resize(inputs["image"], (size, size), antialias=size < stored)}

    return resize


def colored_images(splits: ImageSplits) -> ImageSplits:
    """Returns gray images in three equal channels, as files of gray images are read for a network of color images."""
    *side, channels = splits.sizes["image_shape"]
    if channels != 1:
        return splits
    parts = {
        part: replace(split, inputs={"image": np.repeat(split.inputs["image"], CHANNELS, -1)})
        for part, split in (("train", splits.train), ("validation", splits.validation), ("test", splits.test))
    }
    return replace(splits, **parts, sizes=splits.sizes | {"image_shape": (*side, CHANNELS)})


def _evenly(labels: np.ndarray, limit: int) -> np.ndarray:
    """Returns at most `limit` row numbers, as evenly as possible from all classes, the first ones of each."""
    rank = np.empty(len(labels), np.int64)  # of a row among those of its class
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    return np.sort(np.argsort(rank, kind="stable")[:limit])
