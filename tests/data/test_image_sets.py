"""Named sets: what their files look like, what is refused, and where they are looked for."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasapps.data import image_sets
from kerasapps.data.image_sets import CIFAR10, CIFAR100, IDX_FILES, IMAGE_MAGIC, read_idx
from kerasapps.data.images import load_images
from kerasapps.errors import DataError

TEN = [f"class{i}" for i in range(10)]


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two empty places to look into, and no way out: an address at which nobody listens."""
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, source in image_sets.SOURCES.items():
        monkeypatch.setitem(image_sets.SOURCES, name, replace(source, url="http://127.0.0.1:9/"))
    return tmp_path / "data", tmp_path / "cache" / "kerasapps"


# --- digits


def test_digits_need_nothing():
    splits = load_images()
    assert splits.sizes == {"image_shape": (8, 8, 1), "num_classes": 10}
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [1258, 180, 359]
    assert splits.class_names == tuple("0123456789")
    images = splits.train.inputs["image"]
    assert images.dtype == np.uint8
    assert set(np.unique(images)) == {round(value * 255 / 16) for value in range(17)}
    counts = np.bincount(splits.train.targets["label"])
    assert counts.max() - counts.min() <= 7  # 174 to 183 of each in the whole


@pytest.mark.parametrize("size", [20, 5])
def test_named_sets_are_scaled_batch_by_batch_after_augmentation(size):
    shapes = []

    def augment(x, y, seed):
        shapes.append((x["image"].dtype, tuple(x["image"].shape[1:])))
        return x, y

    splits = load_images(size=size, augment=augment, limit=64)
    assert splits.sizes["image_shape"] == (size, size, 1)
    assert splits.train.inputs["image"].shape == (64, 8, 8, 1)
    for dataset in (splits.train.epochs(32, seed=0, first=0, last=1), splits.test.batches(32)):
        for x, _ in dataset.as_numpy_iterator():
            assert x["image"].shape == (32, size, size, 1)
            assert x["image"].dtype == np.float32
            assert x["image"].max() > 200
    assert shapes == [(np.uint8, (8, 8, 1))]


# --- MNIST


def idx(array, magic):
    return magic.to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_idx(folder, part, count=100, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(first, first + count, dtype=np.uint8) % 10
    images = np.zeros((count, 28, 28), np.uint8) + labels[:, None, None] * 10 + np.uint8(part == "test")
    for name, array, magic in zip(IDX_FILES[part], (images, labels), (0x803, 0x801), strict=True):
        (folder / name).write_bytes(gzip.compress(idx(array, magic)))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_official_parts_are_kept(places, name):
    write_idx(places[0] / name, "train", 200)
    write_idx(places[0] / name, "test")
    splits = load_images(name)
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [180, 20, 100]
    assert splits.sizes == {"image_shape": (28, 28, 1), "num_classes": 10}
    assert splits.notes == ()
    assert len(splits.class_names) == 10
    assert (splits.test.inputs["image"] % 10 == 1).all()
    for split in (splits.train, splits.validation):
        assert (split.inputs["image"][:, 3, 5, 0] == split.targets["label"] * 10).all()


def test_test_files_alone_are_split_and_said_to_be(places):
    write_idx(places[0] / "mnist", "test", 200)
    splits = load_images("mnist")
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [160, 20, 20]
    assert splits.notes == ("mnist here is only its 200 test images.", "mnist is split 160/20/20 by seed.")
    assert (np.bincount(splits.test.targets["label"]) == 2).all()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda b: b[:100], "holds 84 bytes where its header says 1,568"),
        (lambda b: b + b"\0", "holds 1,569 bytes"),
        (lambda b: b[:10], "is not an IDX file of images"),
        (lambda b: b"", "is not an IDX file of images"),
        (lambda b: b"\0\0\x08\x01" + b[4:], "is not an IDX file of images"),
        (lambda b: b[:4] + b"\xff\xff\xff\xff" * 3 + b[16:], "where its header says"),
        (lambda b: b[:4] + bytes(12), "holds 0 bytes"),
    ],
)
def test_malformed_idx_files_are_refused(tmp_path, damage, reason):
    contents = idx(np.zeros((2, 28, 28), np.uint8), IMAGE_MAGIC)
    (tmp_path / "images.gz").write_bytes(gzip.compress(contents))
    assert read_idx(tmp_path / "images.gz", IMAGE_MAGIC).shape == (2, 28, 28)
    (tmp_path / "images.gz").write_bytes(gzip.compress(damage(contents)))
    with pytest.raises(DataError, match=r"images\.gz is ") as error:
        read_idx(tmp_path / "images.gz", IMAGE_MAGIC)
    assert reason in str(error.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"<html>", lambda b: b[:30] + b"\xff" * 9 + b[39:]])
def test_damaged_gzip_files_are_refused(tmp_path, damage):
    whole = gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (2, 28, 28), np.uint8), IMAGE_MAGIC))
    (tmp_path / "images.gz").write_bytes(damage(whole))
    with pytest.raises(DataError, match=r"images\.gz is damaged"):
        read_idx(tmp_path / "images.gz", IMAGE_MAGIC)


def test_labels_must_fit_their_pictures(places):
    write_idx(places[0] / "mnist", "test")
    labels = places[0] / "mnist" / IDX_FILES["test"][1]
    labels.write_bytes(gzip.compress(idx(np.zeros(99, np.uint8), 0x801)))
    with pytest.raises(DataError, match=r"has 100 images, and t10k-labels.* 99 labels"):
        load_images("mnist")
    labels.write_bytes(gzip.compress(idx(np.full(100, 10, np.uint8), 0x801)))
    with pytest.raises(DataError, match="has a label above 9"):
        load_images("mnist")


# --- CIFAR


def write_cifar(folder, layout, *, names=TEN, per_file=20, change=None):
    """Writes an archive whose images are red in their left half, and as bright as their label."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {layout.class_file: "\n".join(names).encode() + b"\n\n"}
    for part_files in layout.parts.values():
        for name in part_files:
            labels = np.arange(per_file, dtype=np.uint8) % len(names)
            planes = np.zeros((per_file, 3, 32, 32), np.uint8)
            planes[:, 0, :, :16] = labels[:, None, None] + 100
            head = np.stack([np.full(per_file, 9, np.uint8)] * (layout.labels - 1) + [labels], 1)
            files[name] = np.concatenate([head, planes.reshape(per_file, -1)], 1).tobytes()
    with tarfile.open(folder / layout.archive, "w:gz") as tar:
        for name, contents in (change(files) if change else files).items():
            member = tarfile.TarInfo(f"{layout.root}/{name}")
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))


@pytest.mark.parametrize(("name", "layout"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_binary_archives_are_read_as_they_are(places, name, layout):
    write_cifar(places[0] / name, layout, per_file=100 // len(layout.parts["train"]))
    splits = load_images(name)
    assert [len(split) for split in (splits.train, splits.validation)] == [90, 10]
    assert splits.class_names == tuple(TEN)
    assert splits.notes == ()
    images, labels = splits.train.inputs["image"], splits.train.targets["label"]
    assert (images[:, :, :16, 0] == labels[:, None, None] + 100).all()
    assert not images[:, :, 16:].any()
    assert not images[..., 1:].any()
    assert os.listdir(places[0] / name) == [layout.archive]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda f: f | {"test_batch.bin": f["test_batch.bin"][:-1]},
            "test_batch.bin is damaged: its 61,459 bytes are not",
        ),
        (lambda f: f | {"data_batch_2.bin": b""}, "data_batch_2.bin is damaged: its 0 bytes"),
        (lambda f: f | {"batches.meta.txt": b"a\nb"}, "has label 9, but there are 2 classes"),
        (lambda f: {k: v for k, v in f.items() if k != "data_batch_3.bin"}, "data_batch_3.bin is missing"),
        (lambda f: {k: v for k, v in f.items() if k != "batches.meta.txt"}, "batches.meta.txt is missing"),
    ],
)
def test_malformed_binary_archives_are_refused(places, change, reason):
    write_cifar(places[0] / "cifar10", CIFAR10, change=change)
    with pytest.raises(DataError) as error:
        load_images("cifar10")
    assert reason in str(error.value)
    assert str(error.value).startswith(str(places[0] / "cifar10" / CIFAR10.archive))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_archives_that_are_cut_short_are_refused(places, share):
    write_cifar(places[0] / "cifar10", CIFAR10)
    path = places[0] / "cifar10" / CIFAR10.archive
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is damaged, or not an archive"):
        load_images("cifar10")


def test_an_archive_of_jpeg_pictures_serves_as_cifar10_with_a_note(places, tmp_path):
    for part, count in (("train", 10), ("test", 2)):
        for i, name in enumerate(("cat", "dog")):
            (tmp_path / "c" / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (32, 32), (200 * i, 0, 0)).save(tmp_path / "c" / part / name / f"{number:04}.jpg")
    (places[0] / "cifar10").mkdir(parents=True)
    with tarfile.open(places[0] / "cifar10" / "cifar10_images.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "c", arcname="")
    splits = load_images("cifar10")
    assert splits.sizes == {"image_shape": (32, 32, 3), "num_classes": 2}
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [18, 2, 4]
    assert (splits.test.inputs["image"][..., 0].mean((1, 2)) > 100).tolist() == [False, False, True, True]
    assert "JPEG: expect an accuracy 1 to 2 points lower" in splits.notes[0]


# --- where they are looked for


def test_data_folder_comes_before_cache(places):
    for place, count in zip(places, (200, 300), strict=True):
        write_idx(place / "mnist", "train", count)
        write_idx(place / "mnist", "test")
    assert len(load_images("mnist").train) == 180
    (places[0] / "mnist" / IDX_FILES["test"][0]).unlink()
    assert len(load_images("mnist").train) == 270


def test_the_data_folder_need_not_be_set(places, monkeypatch):
    monkeypatch.delenv("KERASAPPS_DATA")
    write_cifar(places[1] / "cifar10", CIFAR10)
    assert len(load_images("cifar10").test) == 20


@pytest.mark.parametrize("name", image_sets.SOURCES)
def test_off_line_the_message_says_what_to_do(places, name):
    with pytest.raises(DataError) as error:
        load_images(name)
    message = str(error.value)
    source = image_sets.SOURCES[name]
    for part in (f"{source.title} is not on this machine", f"{source.url}{next(iter(source.files))}"):
        assert part in message
    for part in (f"DIR/{name} and set KERASAPPS_DATA=DIR", "`--data digits`"):
        assert part in message
    assert "\n" not in message


@pytest.fixture
def server(tmp_path, places, monkeypatch):
    """Serves `tmp_path/web` as the official address of MNIST."""
    (tmp_path / "web").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        for part in ("train", "test"):
            write_idx(tmp_path / "web", part)
        files = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (tmp_path / "web").iterdir()}
        source = replace(image_sets.SOURCES["mnist"], url=f"http://127.0.0.1:{web.server_port}/", files=files)
        monkeypatch.setitem(image_sets.SOURCES, "mnist", source)
        yield tmp_path / "web"
        web.shutdown()
        thread.join()


def test_download_once_into_the_cache(places, server):
    splits = load_images("mnist")
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [90, 10, 100]
    assert sorted(os.listdir(places[1] / "mnist")) == sorted(sum(IDX_FILES.values(), ()))
    for path in server.iterdir():
        path.unlink()
    assert len(load_images("mnist").train) == 90


def test_a_file_with_another_checksum_never_enters_the_cache(places, server):
    images = server / IDX_FILES["train"][0]
    images.write_bytes(images.read_bytes() + b"more")
    with pytest.raises(DataError, match="is not the official one: its checksum differs") as error:
        load_images("mnist")
    assert images.name in str(error.value)
    assert images.name not in os.listdir(places[1] / "mnist")


# --- the real files


def real(name, file_name):
    if not (Path(os.environ.get("KERASAPPS_DATA", "")) / name / file_name).is_file():
        pytest.skip(f"$KERASAPPS_DATA has no {file_name}")


@pytest.mark.real_data
def test_real_mnist():
    real("mnist", IDX_FILES["test"][0])
    splits = load_images("mnist")
    if splits.notes:
        assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [8000, 1000, 1000]
    means = [splits.train.inputs["image"][splits.train.targets["label"] == digit].mean() for digit in range(10)]
    assert means[0] == max(means)  # a nought has the most ink, a one the least
    assert means[1] == min(means)


@pytest.mark.real_data
def test_real_cifar10():
    real("cifar10", "cifar10_images.tar.gz")
    splits = load_images("cifar10")
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [45_000, 5_000, 10_000]
    assert splits.class_names == (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    assert splits.sizes["image_shape"] == (32, 32, 3)
    assert (np.bincount(splits.test.targets["label"]) == 1000).all()
    mean = splits.test.inputs["image"].mean((0, 1, 2))
    assert np.abs(mean - [126.0, 123.7, 114.9]).max() < 1.5
