"""Pictures and their classes as splits: a named set, a folder of one's own or a tar archive of one."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasapps.data.image_folders import CHANNELS, Pictures, PictureSet, read_tree
from kerasapps.data.image_sets import NAMES, read_named
from kerasapps.data.pictures import read_picture
from kerasapps.data.splits import Augment, Convert, Split, Splits, stratify
from kerasapps.errors import DataError

FOLDER_SIZE = 64


@dataclass(frozen=True)
class ImageSplits(Splits):
    """Splits together with what a model trained on them needs to be understood.

    Args:
        class_names: Class by number.
        notes: What a person should know about the data, a sentence each.
        skipped: Why each of the files that are left out as damaged cannot be read, a sentence each.
        stored_size: Side of the squares in which pictures are kept, before they are scaled for the model.
        digest: Changes where the pictures outside a test part of their own do, in number, name or class.
    """

    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    skipped: tuple[str, ...]
    stored_size: int
    digest: str


def load_images(
    data: str = "digits",
    *,
    size: int | None = None,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
    augment: Augment | None = None,
    memory_mib: int = 1024,
    channels: int = CHANNELS,
) -> ImageSplits:
    """Loads pictures with their classes.

    Inputs of the model: "image" (B, H, W, C) from 0 to 255, float32 where pictures are scaled for each batch, else
    uint8. Targets: "label" int32 (B,).

    Args:
        data: "digits", "mnist", "fashion_mnist", "cifar10", "cifar100", or a folder with one sub-folder a class, or
            with such folders named train, test and val, or a tar archive of one.
        size: Side of the pictures that the model gets; by default the set's own, and 64 for folders.
        validation: Share of the pictures to validate on, taken from the training part where the set has parts.
        test: Share of the pictures to test on, where the set has no test part; a tenth for half of "mnist".
        seed: Decides which pictures.
        limit: Pictures of each part at most, taken evenly from all classes.
        augment: Changes training batches, at the size that pictures are stored in.
        memory_mib: A folder whose decoded pictures are larger than this stays on disk and is decoded for each batch.
            What is kept takes twice its size in training: as arrays, and as the tensors that batches are made of.
        channels: Of the pictures of a folder or archive, 1 for grey, 3 for red, green and blue; named sets have theirs.

    Raises:
        DataError: If the data cannot be had or read, or is too little to split.
        ValueError: If a share is not above 0 or they leave nothing, `size` or `limit` is under 1, or a folder is asked
            for with `channels` neither 1 nor 3.
    """
    _check(size=size, limit=limit, memory_mib=memory_mib, validation=validation, test=test)
    stored = read_set(data, size=size, memory_mib=memory_mib, channels=channels)
    parts = _complete(stored.parts, validation=validation, test=stored.test_share or test, seed=seed)
    notes = stored.notes + _gaps(data, stored, parts)
    if stored.test_share:
        notes += (f"{data} is split {'/'.join(f'{len(pictures.labels):,}' for pictures in parts.values())} by seed.",)
    images = parts["train"].images
    on_disk = images.dtype.kind == "S"
    side = (size or FOLDER_SIZE) if on_disk else images.shape[1]
    channels = channels if on_disk else images.shape[3]
    read = _reader(side, channels) if on_disk else None
    prepare = resizer(side, size) if size else None
    splits = {}
    for part, pictures in parts.items():
        inputs, targets = {"image": pictures.images}, {"label": pictures.labels}
        split = Split(inputs, targets, augment=augment if part == "train" else None, read=read, prepare=prepare)
        splits[part] = split if limit is None else split.take(_evenly(pictures.labels, limit))
    sizes = {"image_shape": (size or side, size or side, channels), "num_classes": len(stored.class_names)}
    return ImageSplits(
        **splits,
        sizes=sizes,
        class_names=stored.class_names,
        notes=notes,
        skipped=stored.skipped,
        stored_size=side,
        digest=_digest(stored),
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


def read_set(data: str, *, size: int | None, memory_mib: int, channels: int) -> PictureSet:
    """Reads a named set at its own size, or a folder or archive at the size asked for."""
    if data in NAMES:
        return read_named(data)
    path = Path(os.path.expanduser(data))  # `Path.expanduser` fails where there is no such person
    if not path.exists():
        raise DataError(f"{data} is neither a data set ({', '.join(NAMES)}) nor a folder or tar archive of pictures.")
    return read_tree(path, size=size or FOLDER_SIZE, memory_mib=memory_mib, channels=channels)


def _complete(parts: dict[str, Pictures], *, validation: float, test: float, seed: int) -> dict[str, Pictures]:
    """Takes the parts that a set does not have from its training part."""
    wanted = {part: share for part, share in {"test": test, "validation": validation}.items() if part not in parts}
    if not wanted:
        return {part: parts[part] for part in ("train", "validation", "test")}
    train = parts["train"]
    rows = stratify(train.labels, shares=list(wanted.values()), seed=seed)
    taken = {
        part: Pictures(train.images[taken], train.labels[taken])
        for part, taken in zip(("train", *wanted), rows, strict=True)
    }
    return {part: (parts | taken)[part] for part in ("train", "validation", "test")}


def _gaps(data: str, stored: PictureSet, parts: dict[str, Pictures]) -> tuple[str, ...]:
    """Returns a sentence for each part that lacks classes.

    Raises:
        DataError: If a part is empty.
    """
    taken = [part for part in parts if part not in stored.parts]
    needed = f"to be in every part a class needs at least {1 + len(taken)} pictures to train on"
    notes = []
    for part, pictures in parts.items():
        if not len(pictures.labels):
            raise DataError(f"{data} has too few pictures: none is left for the {part} part; {needed}.")
        lacking = len(stored.class_names) - len(np.unique(pictures.labels))
        if lacking:
            rule = f": {needed}" if part in taken else ""
            notes.append(f"The {part} part has no picture of {lacking} of {len(stored.class_names)} classes{rule}.")
    return tuple(notes)


def _digest(stored: PictureSet) -> str:
    """Returns a digest of what is trained and validated on, and tested on where the set has no test part."""
    digest = hashlib.blake2b("\n".join(map("/".join, stored.places)).encode("utf-8", "surrogateescape"), digest_size=8)
    for part in sorted(stored.parts.keys() - {"test"}):
        digest.update(part.encode() + stored.parts[part].labels.tobytes())
    return digest.hexdigest()


def _reader(size: int, channels: int) -> Convert:
    """Returns a function that decodes a batch of files: "image" bytes (B,) -> uint8 (B, H, W, C)."""

    def read_files(names: np.ndarray) -> np.ndarray:
        return np.stack([read_picture(os.fsdecode(name), size=size, channels=channels) for name in names])

    def read(inputs: dict) -> dict:
        # Several batches at once: Pillow lets go of Python's lock while it decodes.
        images = tf.numpy_function(read_files, [inputs["image"]], tf.uint8, stateful=False)  # (B, H, W, C)
        return inputs | {"image": tf.ensure_shape(images, (None, size, size, channels))}

    return read


def resizer(stored: int, size: int) -> Convert | None:
    """Returns a function that scales a batch of pictures: "image" (B, H, W, C) -> float32 (B, size, size, C).

    None where they are stored in that size.
    """
    if size == stored:
        return None

    def resize(inputs: dict) -> dict:
        return inputs | {"image": tf.image.resize(inputs["image"], (size, size), antialias=size < stored)}

    return resize


def _evenly(labels: np.ndarray, limit: int) -> np.ndarray:
    """Returns at most `limit` row numbers, as evenly as can be from all classes, the first ones of each."""
    rank = np.empty(len(labels), np.int64)  # of a row among those of its class
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    return np.sort(np.argsort(rank, kind="stable")[:limit])
