"""Named data sets of images: digits and shapes without a download, MNIST, Fashion-MNIST, CIFAR, flowers and signs.

References: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998 (MNIST);
Xiao et al., "Fashion-MNIST", 2017; Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009 (CIFAR).
"""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from kerasapps.data.archives import members, open_tar, read_member
from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.data.image_folders import ImageSet, LabelledImages, read_tree
from kerasapps.data.shapes import CLASSES, draw_shapes
from kerasapps.errors import DataError

DIGITS = tuple("0123456789")
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
IMAGE_MAGIC, LABEL_MAGIC = 0x00000803, 0x00000801
CIFAR_SIZE = 32
JPEG_ARCHIVE = "cifar10_images.tar.gz"
JPEG_NOTE = "cifar10 here is re-encoded as JPEG: expect an accuracy 1 to 2 points lower than on the lossless images."


@dataclass(frozen=True)
class Download:
    """A data set to download: its name as people write it, its address and its files with their checksums."""

    title: str
    url: str
    files: dict[str, str]
    read: Callable[[Path], ImageSet | None]


def read_named(name: str) -> ImageSet:
    """Reads a data set of `NAMES` as it is stored: uint8, in its original size.

    Looks into $KERASAPPS_DATA/NAME, then into the cache, and downloads what is in neither.

    Raises:
        DataError: If the data set cannot be downloaded, or its files are damaged.
    """
    if name == "digits":
        return read_digits()
    if name == "shapes":
        return ImageSet({"train": LabelledImages(*draw_shapes())}, CLASSES)
    source = SOURCES[name]
    for folder in data_folders(name):
        found = source.read(folder)
        if found is not None:
            return found
    cache = cache_folder(name)
    for file_name, checksum in source.files.items():
        url = source.url + file_name
        advice = (
            f"put that file into a folder DIR/{name} and set KERASAPPS_DATA=DIR, or use `--data digits`, "
            f"which needs no download"
        )
        with downloading(source.title, url, cache=cache, advice=advice):
            cache.mkdir(parents=True, exist_ok=True)
            fetch(url, cache, checksum=f"md5:{checksum}")
    return source.read(cache)


def read_digits() -> ImageSet:
    """Returns scikit-learn's 1,797 handwritten digits: one set, uint8 (1797, 8, 8, 1)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    return ImageSet({"train": LabelledImages(images, digits.target.astype(np.int32))}, DIGITS)


# --- MNIST and Fashion-MNIST: IDX files


def read_idx_set(folder: Path, *, name: str, class_names: tuple[str, ...]) -> ImageSet | None:
    """Reads the four files of MNIST or Fashion-MNIST; None if the test files are missing.

    If there are only test files, these are split themselves, with a tenth for the test set.
    """
    parts = {}
    for part, (images, labels) in IDX_FILES.items():
        if (folder / images).is_file() and (folder / labels).is_file():
            parts[part] = LabelledImages(
                read_idx(folder / images, IMAGE_MAGIC)[..., np.newaxis], read_labels(folder / labels)
            )
            count = len(parts[part].images)
            if count != len(parts[part].labels):
                raise DataError(f"{folder / images} has {count} images, and {labels} {len(parts[part].labels)} labels.")
    if "test" not in parts:
        return None
    if "train" in parts:
        return ImageSet(parts, class_names)
    note = f"{name} here is only its {len(parts['test'].labels):,} test images."
    return ImageSet({"train": parts["test"]}, class_names, (note,), test_share=0.1)


def read_labels(path: Path) -> np.ndarray:
    """Reads labels from 0 to 9: int32 (n,)."""
    labels = read_idx(path, LABEL_MAGIC).astype(np.int32)
    if labels.max(initial=0) > 9:
        raise DataError(f"{path} is damaged: it has a label above 9.")
    return labels


def read_idx(path: Path, magic: int) -> np.ndarray:
    """Reads an IDX file, gzip-compressed: a magic number whose last byte is the rank, the shape, the bytes.

    Raises:
        DataError: If the file is truncated, or its magic number or length is wrong.
    """
    contents = _gunzip(path)
    rank = magic & 0xFF
    header = np.frombuffer(contents[: 4 * (1 + rank)], ">u4") if len(contents) >= 4 * (1 + rank) else np.zeros(1)
    if header[0] != magic:
        raise DataError(f"{path} is not an IDX file of {'images' if magic == IMAGE_MAGIC else 'labels'}.")
    shape = tuple(int(length) for length in header[1:])
    data = np.frombuffer(contents, np.uint8, offset=4 * (1 + rank))
    expected = int(np.prod(shape, dtype=object))
    if len(data) != expected or not expected:
        raise DataError(f"{path} is damaged: it holds {len(data):,} bytes where its header says {expected:,}.")
    return data.reshape(shape)


def _gunzip(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except OSError as error:
        if error.strerror:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        raise DataError(f"{path} is damaged: {error}.") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}.") from None


# --- CIFAR: records of one or two labels and an image, in a tar archive


@dataclass(frozen=True)
class Cifar:
    """How a CIFAR archive is laid out."""

    archive: str
    root: str
    parts: dict[str, tuple[str, ...]]
    class_file: str
    labels: int  # bytes before each image, the last of them its class


CIFAR10 = Cifar(
    archive="cifar-10-binary.tar.gz",
    root="cifar-10-batches-bin",
    parts={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    class_file="batches.meta.txt",
    labels=1,
)
CIFAR100 = Cifar(
    archive="cifar-100-binary.tar.gz",
    root="cifar-100-binary",
    parts={"train": ("train.bin",), "test": ("test.bin",)},
    class_file="fine_label_names.txt",
    labels=2,
)


def read_cifar(folder: Path, *, layout: Cifar) -> ImageSet | None:
    """Reads the official binary archive, or for CIFAR-10 one of JPEG images; None if there is neither."""
    if (folder / layout.archive).is_file():
        return read_cifar_archive(folder / layout.archive, layout)
    if layout is CIFAR10 and (folder / JPEG_ARCHIVE).is_file():
        stored = read_tree(folder / JPEG_ARCHIVE, size=CIFAR_SIZE, memory_mib=1024, copies=True)
        return replace(stored, notes=(JPEG_NOTE, *stored.notes))
    return None


def read_cifar_archive(path: Path, layout: Cifar) -> ImageSet:
    """Reads the images of a binary archive without unpacking it."""
    wanted = {f"{layout.root}/{name}": name for name in (layout.class_file, *sum(layout.parts.values(), ()))}
    contents = {}
    with open_tar(path) as archive:
        for member in members(archive):
            if member.name in wanted:
                contents[wanted[member.name]] = read_member(archive, member, name=f"{path}: {member.name}")
    missing = sorted(set(wanted.values()) - set(contents))
    if missing:
        raise DataError(f"{path} is not the official archive: {missing[0]} is missing.")
    names = tuple(contents[layout.class_file].decode("utf-8", "replace").split())
    parts = {}
    for part, files in layout.parts.items():
        blocks = [_records(contents[name], layout, source=f"{path}: {name}", classes=len(names)) for name in files]
        parts[part] = LabelledImages(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))
    return ImageSet(parts, names)


def _records(contents: bytes, layout: Cifar, *, source: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 (n, 32, 32, 3) and labels int32 (n,)."""
    length = layout.labels + 3 * CIFAR_SIZE**2
    if not contents or len(contents) % length:
        raise DataError(f"{source} is damaged: its {len(contents):,} bytes are not records of {length:,}.")
    records = np.frombuffer(contents, np.uint8).reshape(-1, length)
    labels = records[:, layout.labels - 1].astype(np.int32)
    if labels.max() >= classes:
        raise DataError(f"{source} is damaged: it has label {labels.max()}, but there are {classes} classes.")
    planes = records[:, layout.labels :].reshape(-1, 3, CIFAR_SIZE, CIFAR_SIZE)  # (n, C, H, W)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _idx_files(*checksums: str) -> dict[str, str]:
    return dict(zip((*IDX_FILES["train"], *IDX_FILES["test"]), checksums, strict=True))


SOURCES = {
    "mnist": Download(
        "MNIST",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        _idx_files(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        partial(read_idx_set, name="mnist", class_names=DIGITS),
    ),
    "fashion_mnist": Download(
        "Fashion-MNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        _idx_files(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        partial(read_idx_set, name="fashion_mnist", class_names=CLOTHES),
    ),
    "cifar10": Download(
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/",
        {CIFAR10.archive: "c32a1d4ab5d03f1284b67883e8d87530"},
        partial(read_cifar, layout=CIFAR10),
    ),
    "cifar100": Download(
        "CIFAR-100",
        "https://www.cs.toronto.edu/~kriz/",
        {CIFAR100.archive: "03b5dce01913d631647c71ecec9e9cb8"},
        partial(read_cifar, layout=CIFAR100),
    ),
}


# --- photographs in folders, one a class


@dataclass(frozen=True)
class Photographs:
    """A data set that is a folder, or an archive of one: its address, and whether that is the archive itself."""

    title: str
    url: str
    is_archive: bool


PHOTOGRAPHS = {
    "flowers": Photographs(
        "The flowers",
        "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
        is_archive=True,
    ),
    "signs": Photographs("Signs", "https://github.com/ardamavi/Sign-Language-Digits-Dataset", is_archive=False),
}
NAMES = ("digits", "shapes", *SOURCES, *PHOTOGRAPHS)


def find_photographs(name: str) -> Path:
    """Returns the folder or archive of a data set of `PHOTOGRAPHS`, which is downloaded where that is possible.

    Raises:
        DataError: If it is nowhere.
    """
    source = PHOTOGRAPHS[name]
    archive = source.url.rsplit("/", 1)[-1]
    for folder in data_folders(name):
        if source.is_archive and (folder / archive).is_file():
            return folder / archive
        if folder.is_dir() and any(path.is_dir() for path in folder.iterdir()):
            return folder
    put = f"put its class folders into a folder DIR/{name} and set KERASAPPS_DATA=DIR"
    if not source.is_archive:
        raise DataError(
            f"{source.title} are not on this machine: get them from {source.url}, {put}, or use `--data shapes`, which "
            "needs no file."
        )
    cache = cache_folder(name)
    with downloading(source.title, source.url, cache=cache, advice=f"{put}, or use `--data shapes`"):
        cache.mkdir(parents=True, exist_ok=True)
        return fetch(source.url, cache, checksum=None)
