"""Folders and archives of images: parts and classes, what is skipped or refused, and streaming from disk."""

import io
import os
import shutil
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerasapps.data import archives
from kerasapps.data.images import load_images
from kerasapps.errors import DataError

COLORS = {"blue": (0, 0, 200), "green": (0, 200, 0), "red": (200, 0, 0)}


def paint(path, color, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), tuple(min(255, value + number) for value in color)).save(path)


def fill(root, classes=COLORS, count=10, first=0):
    """Writes ROOT/<class>/<number>.png, each of its class's color and a little lighter than the one before."""
    for name in classes:
        for number in range(first, first + count):
            paint(root / name / f"{number:03}.png", COLORS.get(name, (90, 90, 90)), number)
    return root


def collect(dataset):
    batches = list(dataset.as_numpy_iterator())
    return np.concatenate([x["image"] for x, _ in batches]), np.concatenate([y["label"] for _, y in batches])


def parts(splits):
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


def refused(path, **options):
    with pytest.raises(DataError) as error:
        load_images(str(path), size=8, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- what is read


def test_a_folder_is_split_by_class(tmp_path):
    splits = load_images(str(fill(tmp_path, count=20)), size=8)
    assert splits.class_names == ("blue", "green", "red")
    assert splits.sizes == {"image_shape": (8, 8, 3), "num_classes": 3}
    assert splits.notes == ()
    assert [len(split) for split in parts(splits).values()] == [42, 6, 12]
    seen = []
    for split in parts(splits).values():
        images, labels = collect(split.batches(5))
        assert images.dtype == np.uint8
        assert images.shape[1:] == (8, 8, 3)
        assert len(set(np.bincount(labels))) == 1
        assert (images[:, 0, 0].argmax(-1) == np.array([2, 1, 0])[labels]).all()
        seen += [tuple(pixel) for pixel in images[:, 0, 0]]
    assert len(set(seen)) == 60


def test_the_seed_decides_the_parts(tmp_path):
    fill(tmp_path)
    first, again, other = (load_images(str(tmp_path), size=8, seed=seed).test.inputs["image"] for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_pictures_are_64_px_unless_told_otherwise(tmp_path):
    assert load_images(str(fill(tmp_path))).sizes["image_shape"] == (64, 64, 3)


def test_every_class_is_in_every_part_where_it_has_enough_pictures(tmp_path):
    fill(tmp_path, ["blue"], count=50)
    fill(tmp_path, ["green"], count=3)
    fill(tmp_path, ["red"], count=2)
    splits = load_images(str(tmp_path), size=8)
    counts = [np.bincount(split.targets["label"], minlength=3).tolist() for split in parts(splits).values()]
    assert counts == [[35, 1, 1], [5, 1, 0], [10, 1, 1]]
    assert splits.notes == (
        "The validation set has no image of 1 of 3 classes: "
        "a class needs at least 3 training images to be in every set.",
    )


def test_hidden_and_other_files_are_ignored(tmp_path):
    fill(tmp_path)
    fill(tmp_path / ".hidden", ["cat"])
    fill(tmp_path / "red" / ".thumbnails", ["cat"])
    for name in ("red/.1.png", "red/notes.txt", "readme.md", "red/Thumbs.db", "loose.png"):
        (tmp_path / name).write_bytes(b"no image")
    splits = load_images(str(tmp_path), size=8)
    assert splits.class_names == ("blue", "green", "red")
    assert sum(map(len, parts(splits).values())) == 30
    assert splits.notes == (
        "Images outside the class folders (ignored): 1.",
        "Files with other endings (ignored): 1.",
        "Hidden files and folders, or those of a system (ignored): 4 (.1.png, .hidden, .thumbnails, Thumbs.db).",
    )


def test_pictures_of_several_sizes_are_said_to_be_scaled(tmp_path):
    fill(tmp_path)
    Image.new("RGB", (40, 60)).save(tmp_path / "red" / "large.jpg")
    splits = load_images(str(tmp_path), size=8)
    assert splits.notes == ("The images have 2 sizes: each is center-cropped and scaled to one size.",)


@pytest.mark.parametrize("ending", ["jfif", "jpe"])
def test_rare_endings_of_jpeg_files(tmp_path, ending):
    fill(tmp_path)
    paint(tmp_path / "red" / "a.jpg", COLORS["red"])
    (tmp_path / "red" / "a.jpg").rename(tmp_path / "red" / f"a.{ending}")
    assert sum(map(len, parts(load_images(str(tmp_path), size=8)).values())) == 31


def test_suffixes_in_capitals_and_nested_folders_belong_to_the_class(tmp_path):
    fill(tmp_path)
    paint(tmp_path / "red" / "2020" / "may" / "A.JPG", COLORS["red"])
    splits = load_images(str(tmp_path), size=8)
    assert sum(map(len, parts(splits).values())) == 31


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Validation", "dev"])
def test_a_folder_may_have_its_own_parts(tmp_path, validation):
    fill(tmp_path / "train", count=5)
    fill(tmp_path / validation, count=2, first=5)
    fill(tmp_path / "test", count=3, first=7)
    splits = load_images(str(tmp_path), size=8)
    assert [len(split) for split in parts(splits).values()] == [15, 6, 9]
    assert splits.class_names == ("blue", "green", "red")
    images, labels = collect(splits.validation.batches(4))
    assert {int(pixel.max()) for pixel in images[:, 0, 0]} == {205, 206}
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_part_that_is_missing_is_taken_from_the_training_part(tmp_path):
    fill(tmp_path / "train", count=10)
    fill(tmp_path / "test", count=3, first=10)
    splits = load_images(str(tmp_path), size=8, validation=0.2)
    assert [len(split) for split in parts(splits).values()] == [24, 6, 9]
    shutil.rmtree(tmp_path / "test")
    (tmp_path / "test").mkdir()
    paint(tmp_path / "test" / "unlabelled.png", COLORS["red"])
    assert [len(split) for split in parts(load_images(str(tmp_path), size=8)).values()] == [21, 3, 6]


def test_parts_by_other_names(tmp_path):
    fill(tmp_path / "Training", count=10)
    fill(tmp_path / "Testing", count=3, first=10)
    splits = load_images(str(tmp_path), size=8)
    assert [len(split) for split in parts(splits).values()] == [27, 3, 9]
    assert splits.class_names == ("blue", "green", "red")


@pytest.mark.parametrize("strays", [["train"], ["test"], ["train", "test"], ["train", "test", "", "extra/green"]])
def test_pictures_beside_the_classes_of_the_parts_are_ignored(tmp_path, strays):
    fill(tmp_path / "train", count=10)
    fill(tmp_path / "test", count=3, first=10)
    for folder in strays:
        paint(tmp_path / folder / "overview.png", COLORS["red"])
    splits = load_images(str(tmp_path), size=8)
    assert [len(split) for split in parts(splits).values()] == [27, 3, 9]
    assert splits.class_names == ("blue", "green", "red")
    assert splits.notes == (f"Images outside the class folders (ignored): {len(strays)}.",)


@pytest.mark.parametrize("others", [["test/red", "val/red"], ["train/red", "extra"]])
def test_folders_that_are_parts_only_in_part_are_refused(tmp_path, others):
    fill(tmp_path, others)
    assert f"{others[0].split('/')[0]} looks like a training, validation or test set" in refused(tmp_path)


def test_a_class_may_be_named_like_a_part(tmp_path):
    fill(tmp_path, ["train", "test", "ship"])
    paint(tmp_path / "train" / "2020" / "steam.png", (90, 90, 90))
    assert load_images(str(tmp_path), size=8).class_names == ("ship", "test", "train")


def test_links_are_followed_and_loops_end(tmp_path):
    fill(tmp_path / "data", ["blue", "green"])
    fill(tmp_path / "elsewhere", ["red"])
    (tmp_path / "data" / "red").symlink_to(tmp_path / "elsewhere" / "red")
    (tmp_path / "data" / "blue" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "green" / "self").symlink_to(tmp_path / "data" / "green")
    (tmp_path / "data" / "knot").symlink_to(tmp_path / "data" / "knot")
    splits = load_images(str(tmp_path / "data"), size=8)
    assert splits.class_names == ("blue", "green", "red")
    assert sum(map(len, parts(splits).values())) == 30


def test_a_named_pipe_is_not_waited_for(tmp_path):
    fill(tmp_path)
    os.mkfifo(tmp_path / "red" / "pipe.png")
    assert sum(map(len, parts(load_images(str(tmp_path), size=8)).values())) == 30


def test_a_limit_is_shared_by_the_classes(tmp_path):
    fill(tmp_path, count=40)
    splits = load_images(str(tmp_path), size=8, limit=7)
    for split in parts(splits).values():
        assert sorted(np.bincount(split.targets["label"])) == [2, 2, 3]
        assert len(split.inputs["image"]) == 7


def test_the_digest_follows_what_may_be_trained_on(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", count=2, first=10)

    def digest(**options):
        return load_images(str(tmp_path), size=8, **options).digest

    first = digest()
    assert digest(seed=1, limit=3) == first
    paint(tmp_path / "test" / "red" / "more.png", COLORS["red"])
    assert digest() == first
    (tmp_path / "train" / "red" / "001.png").rename(tmp_path / "train" / "red" / "zzz.png")
    renamed = digest()
    assert renamed != first
    (tmp_path / "train" / "red" / "zzz.png").unlink()
    assert digest() not in (first, renamed)
    assert load_images("digits").digest == load_images("digits", size=20).digest


# --- what is skipped or refused


def test_damaged_files_are_named_counted_and_skipped(tmp_path):
    fill(tmp_path, count=20)
    (tmp_path / "red" / "001.png").write_bytes(b"not a image")
    whole = (tmp_path / "blue" / "002.png").read_bytes()
    (tmp_path / "blue" / "002.png").write_bytes(whole[:-30])
    (tmp_path / "blue" / "003.png").unlink()
    (tmp_path / "blue" / "003.png").symlink_to(tmp_path / "gone.png")
    splits = load_images(str(tmp_path), size=8)
    assert sum(map(len, parts(splits).values())) == 57
    (note,) = splits.notes
    assert "3 of 60 images (5.0%) cannot be read and are skipped" in note
    for name in ("red/001.png is not a", "blue/002.png is damaged", "blue/003.png cannot be read: No such file"):
        assert name in note


def test_more_than_one_in_twenty_damaged_files_are_too_many(tmp_path):
    fill(tmp_path, count=40)
    for number in range(7):
        (tmp_path / "red" / f"{number:03}.png").write_bytes(b"not a image")
    message = refused(tmp_path)
    assert "7 of 120 images (5.8%) cannot be read, more than 5%" in message
    assert message.count(".png is not a") == 5
    assert message.endswith("And 2 more.")


def test_only_pictures_of_a_class_count_as_damaged_or_not(tmp_path):
    fill(tmp_path / "train", count=10)
    for number in range(10):
        (tmp_path / "train" / "red" / f"{number:03}.png").write_bytes(b"not a image")
    for number in range(300):
        paint(tmp_path / "test" / f"{number}.png", COLORS["red"])  # without a class
    assert "10 of 30 images (33.3%) cannot be read" in refused(tmp_path)


def test_a_part_of_which_nothing_can_be_read_is_refused(tmp_path):
    fill(tmp_path / "train", count=40)
    fill(tmp_path / "test", count=1)
    for name in COLORS:
        (tmp_path / "test" / name / "000.png").write_bytes(b"not a image")
    assert "none of the images of the test set can be read" in refused(tmp_path)


def test_all_damaged_files_are_told_of(tmp_path):
    fill(tmp_path, count=60)
    for number in range(7):
        (tmp_path / "red" / f"{number:03}.png").write_bytes(b"not a image")
    splits = load_images(str(tmp_path), size=8)
    assert splits.notes[0].endswith("And 2 more.")
    assert [f"{number:03}.png is not a" in why for number, why in enumerate(splits.skipped)] == [True] * 7


@pytest.mark.parametrize("memory_mib", [1, 1024])
def test_a_folder_may_be_read_in_grey(tmp_path, memory_mib):
    splits = load_images(str(fill(tmp_path, count=20)), size=160, channels=1, memory_mib=memory_mib)
    assert splits.sizes["image_shape"] == (160, 160, 1)
    images, _ = collect(splits.train.batches(5))
    assert images.shape == (42, 160, 160, 1)


@pytest.mark.parametrize("count", [0, 1])
def test_a_class_of_fewer_than_two_pictures_is_refused(tmp_path, count):
    fill(tmp_path, ["blue", "green"], count=30)
    (tmp_path / "red").mkdir()
    fill(tmp_path, ["red"], count=count)
    assert f"class red has {count} readable training images; at least 2 are needed" in refused(tmp_path)


def test_damaged_pictures_do_not_count_for_their_class(tmp_path):
    fill(tmp_path, ["blue", "green"], count=30)
    fill(tmp_path, ["red"], count=2)
    (tmp_path / "red" / "001.png").write_bytes(b"not a image")
    assert "class red has 1 readable training images" in refused(tmp_path)


def test_one_class_is_refused(tmp_path):
    assert "has only one class, red, and at least 2 sub-folders are needed" in refused(fill(tmp_path, ["red"]))


def test_no_picture_at_all_is_refused(tmp_path):
    assert "holds no image in a sub-folder (.jpg, " in refused(tmp_path)
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "notes.txt").write_text("nothing")
    paint(tmp_path / "loose.png", COLORS["red"])
    assert "holds no image in a sub-folder" in refused(tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    message = refused(tmp_path / "none")
    assert "is neither a data set (digits, shapes, mnist, fashion_mnist, cifar10, cifar100, flowers, signs)" in message
    assert "is neither a data set" in refused("~nobody-of-this-name/images")


def test_classes_of_the_parts_must_agree(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", ["blue", "green"], first=10)
    assert "train and test must have the same classes, but only one of them has red" in refused(tmp_path)
    (tmp_path / "test" / "red").mkdir()
    assert load_images(str(tmp_path), size=8).notes == ("The test set has no image of 1 of 3 classes.",)


def test_too_few_pictures_for_three_parts_are_refused(tmp_path):
    message = refused(fill(tmp_path, count=2))
    assert "too few images: none is left for the validation set" in message
    assert "a class needs at least 3 training images" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "red").chmod(0)
    assert "red cannot be read: Permission denied" in refused(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"limit": 0},
        {"memory_mib": 0},
        {"validation": 0.0},
        {"test": 1.0},
        {"validation": 0.5, "test": 0.5},
    ],
)
def test_bad_arguments_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        load_images("digits", **options)


# --- from disk


def shift(x, y, seed):
    offset = tf.random.stateless_uniform([tf.shape(y["label"])[0], 1, 1, 1], seed, 0, 50, tf.int32)
    return x | {"image": tf.cast(tf.cast(x["image"], tf.int32) + offset, tf.uint8)}, y


def test_a_set_larger_than_memory_is_streamed_and_looks_the_same(tmp_path):
    fill(tmp_path, count=30)
    kept = load_images(str(tmp_path), size=80, augment=shift)
    streamed = load_images(str(tmp_path), size=80, augment=shift, memory_mib=1)  # 1.6 MiB decoded
    assert streamed.train.inputs["image"].ndim == 1
    assert kept.train.inputs["image"].ndim == 4
    for part in parts(kept):
        for one, other in zip(*(collect(parts(s)[part].batches(7)) for s in (kept, streamed)), strict=True):
            assert (one == other).all()
    epochs = [collect(s.train.epochs(7, seed=3, first=0, last=2)) for s in (kept, streamed)]
    assert (epochs[0][0] == epochs[1][0]).all()
    assert (epochs[0][1] == epochs[1][1]).all()
    resumed = collect(streamed.train.epochs(7, seed=3, first=1, last=2))
    assert (resumed[0] == epochs[1][0][len(streamed.train) :]).all()


def test_only_training_batches_are_augmented(tmp_path):
    fill(tmp_path)
    plain, shifted = (load_images(str(tmp_path), size=8, augment=augment) for augment in (None, shift))
    for part in ("validation", "test"):
        assert (collect(parts(plain)[part].batches(4))[0] == collect(parts(shifted)[part].batches(4))[0]).all()
    assert shifted.train.augment is shift
    assert shifted.validation.augment is shifted.test.augment is None


def test_a_damaged_file_is_skipped_in_streaming_too(tmp_path):
    fill(tmp_path, count=30)
    (tmp_path / "red" / "004.png").write_bytes(b"not a image")
    splits = load_images(str(tmp_path), size=80, memory_mib=1)
    assert "1 of 90 images" in splits.notes[0]
    assert sum(len(collect(split.batches(16))[1]) for split in parts(splits).values()) == 89


def test_streamed_batches_know_their_shape(tmp_path):
    splits = load_images(str(fill(tmp_path, count=30)), size=80, memory_mib=1)
    assert splits.train.batches(4).element_spec[0]["image"].shape == (None, 80, 80, 3)


# --- archives


def pack(folder, archive, mode="w:gz", arcname=""):
    with tarfile.open(archive, mode) as tar:
        for path in sorted(folder.rglob("*"), reverse=True):  # no order that a reader could rely on
            tar.add(path, arcname=f"{arcname}/{path.relative_to(folder)}".lstrip("/"), recursive=False)
    return archive


@pytest.mark.parametrize(("mode", "arcname"), [("w:gz", ""), ("w", "flowers/photos"), ("w:xz", "./")])
def test_an_archive_is_read_like_its_folder(tmp_path, mode, arcname):
    folder = load_images(str(fill(tmp_path / "data")), size=8)
    archive = load_images(str(pack(tmp_path / "data", tmp_path / "data.tar", mode, arcname)), size=8)
    assert archive.class_names == folder.class_names
    for part, split in parts(folder).items():
        assert (split.inputs["image"] == parts(archive)[part].inputs["image"]).all()
        assert (split.targets["label"] == parts(archive)[part].targets["label"]).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "data.tar"]


@pytest.mark.parametrize("arcname", ["", "flowers"])
def test_an_archive_may_have_its_own_parts(tmp_path, arcname):
    fill(tmp_path / "data" / "train", count=5)
    fill(tmp_path / "data" / "test", count=3, first=5)
    splits = load_images(str(pack(tmp_path / "data", tmp_path / "a.tar.gz", arcname=arcname)), size=8)
    assert [len(split) for split in parts(splits).values()] == [12, 3, 9]


def test_a_picture_beside_the_folder_of_an_archive_is_ignored(tmp_path):
    fill(tmp_path / "data" / "flowers")
    paint(tmp_path / "data" / "cover.png", COLORS["red"])
    splits = load_images(str(pack(tmp_path / "data", tmp_path / "a.tar")), size=8)
    assert splits.class_names == ("blue", "green", "red")
    assert splits.notes == ("Images outside the class folders (ignored): 1.",)


def test_an_archive_without_pictures_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    assert "holds no image in a sub-folder" in refused(pack(tmp_path / "data", tmp_path / "a.tar"))


def test_damaged_pictures_in_an_archive_are_named(tmp_path):
    fill(tmp_path / "data", count=20)
    (tmp_path / "data" / "red" / "001.png").write_bytes(b"not a image")
    (note,) = load_images(str(pack(tmp_path / "data", tmp_path / "a.tar")), size=8).notes
    assert f"{tmp_path}/a.tar/red/001.png is not a JPEG" in note


def test_paths_that_lead_out_of_an_archive_are_ignored(tmp_path):
    pack(fill(tmp_path / "data"), tmp_path / "a.tar", "w")
    with tarfile.open(tmp_path / "a.tar", "a") as tar:
        contents = (tmp_path / "data" / "red" / "001.png").read_bytes()
        member = tarfile.TarInfo("../red/evil.png")
        member.size = len(contents)
        tar.addfile(member, io.BytesIO(contents))
        link = tarfile.TarInfo("red/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    splits = load_images(str(tmp_path / "a.tar"), size=8)
    assert sum(map(len, parts(splits).values())) == 30
    assert splits.class_names == ("blue", "green", "red")
    (note,) = splits.notes
    assert note.startswith("1 of 31 images (3.2%) cannot be read and are skipped.")
    assert "a.tar/red/link.png is a link" in note


@pytest.mark.parametrize("arcname", ["", "flowers"])
def test_a_class_without_a_readable_picture_is_refused_in_an_archive_too(tmp_path, arcname):
    fill(tmp_path / "data", ["blue", "green"], count=30)
    (tmp_path / "data" / "red").mkdir()
    pack(tmp_path / "data", tmp_path / "empty.tar", arcname=arcname)
    assert "class red has 0 readable training images" in refused(tmp_path / "empty.tar")
    (tmp_path / "data" / "red" / "1.png").write_bytes(b"not a image")
    pack(tmp_path / "data", tmp_path / "damaged.tar", arcname=arcname)
    assert "class red has 0 readable training images" in refused(tmp_path / "damaged.tar")


def test_of_a_picture_that_an_archive_has_twice_the_last_one_counts(tmp_path):
    pack(fill(tmp_path / "data"), tmp_path / "a.tar", "w")
    Image.new("RGB", (12, 10), "white").save(tmp_path / "white.png")
    with tarfile.open(tmp_path / "a.tar", "a") as tar:
        tar.add(tmp_path / "white.png", arcname="./red/001.png")
    splits = load_images(str(tmp_path / "a.tar"), size=8)
    images = np.concatenate([split.inputs["image"] for split in parts(splits).values()])
    assert len(images) == 30
    assert (images == 255).all((1, 2, 3)).sum() == 1


def test_a_huge_file_in_an_archive_is_not_read(tmp_path, monkeypatch):
    pack(fill(tmp_path / "data", count=20), tmp_path / "a.tar", "w")
    with tarfile.open(tmp_path / "a.tar", "a") as tar:
        member = tarfile.TarInfo("red/huge.png")
        member.size = 2**20
        tar.addfile(member, io.BytesIO(bytes(2**20)))
    monkeypatch.setattr(archives, "LARGEST", 2**20 - 1)
    (note,) = load_images(str(tmp_path / "a.tar"), size=8).notes
    assert "a.tar/red/huge.png is larger than" in note


def test_files_with_other_endings_are_counted_in_an_archive_too(tmp_path):
    fill(tmp_path / "data")
    (tmp_path / "data" / "red" / "scan.psd").write_text("")
    (tmp_path / "data" / "readme.md").write_text("")
    archive = pack(tmp_path / "data", tmp_path / "a.tar")
    assert load_images(str(archive), size=8).notes == ("Files with other endings (ignored): 1.",)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_an_archive_that_is_cut_short_is_refused(tmp_path, share):
    whole = pack(fill(tmp_path / "data"), tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: int(share * len(whole))])
    assert refused(tmp_path / "a.tar.gz").startswith(f"{tmp_path}/a.tar.gz is damaged, or not an archive: ")


def test_an_archive_with_another_checksum_is_refused(tmp_path):
    whole = pack(fill(tmp_path / "data"), tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:])
    assert "a.tar.gz is damaged, or not an archive: CRC check failed" in refused(tmp_path / "a.tar.gz")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    assert refused(tmp_path / "table.csv").startswith(f"{tmp_path}/table.csv is damaged, or not an archive: ")


def test_an_archive_larger_than_memory_is_refused(tmp_path):
    pack(fill(tmp_path / "data", count=30), tmp_path / "a.tar")
    with pytest.raises(DataError, match="does not fit into 1 MiB: unpack it"):
        load_images(str(tmp_path / "a.tar"), size=80, memory_mib=1)
