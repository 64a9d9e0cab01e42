"""Folders of images as people have them: sets by structure, what systems leave, copies, depth, bands, archives."""

import io
import struct
import sys
import zipfile
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kerasapps.data import image_files
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.images import load_images
from kerasapps.data.pictures import range_of, read_picture
from kerasapps.errors import DataError
from tests.data.test_images import collect, fill, paint, parts, refused


def load(path, **options):
    return load_images(str(path), **{"size": 8} | options)


def note(splits, start):
    (found,) = [text for text in splits.notes if text.startswith(start)]
    return found


# --- sets by structure


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ("seg_train/seg_train", "seg_test/seg_test", "seg_test (test), seg_train (train)"),
        ("training_set", "test_set", "test_set (test), training_set (train)"),
        ("train", "test1", "test1 (test), train (train)"),
        ("trainset", "testset2", "testset2 (test), trainset (train)"),
        ("x/x/Train_Images", "x/x/Test_Images", "Test_Images (test), Train_Images (train)"),
        ("Trainingsdaten", "Testdaten", "Testdaten (test), Trainingsdaten (train)"),
        ("trainval", "test", "test (test), trainval (train)"),
        ("split_1_train", "split_1_test", "split_1_test (test), split_1_train (train)"),
    ],
)
def test_top_folders_with_the_same_sub_folders_are_sets(tmp_path, train, test, said):
    fill(tmp_path / train, ["blue", "red"], count=8)
    fill(tmp_path / test, ["blue", "red"], count=3, first=8)
    splits = load(tmp_path)
    assert splits.class_names == ("blue", "red")
    assert len(splits.test) == 6
    assert said in note(splits, "Taken for the sets")


def test_a_set_without_classes_beside_others_is_left_out(tmp_path):
    fill(tmp_path / "seg_train/seg_train", ["blue", "red"], count=8)
    fill(tmp_path / "seg_test/seg_test", ["blue", "red"], count=3, first=8)
    fill(tmp_path / "seg_pred", ["seg_pred"], count=4, first=20)
    splits = load(tmp_path)
    assert splits.class_names == ("blue", "red")
    assert "Images outside the class folders (ignored): 4." in splits.notes


@pytest.mark.parametrize(
    ("train", "others"),
    [
        ("asl_train/asl_train", ["asl_test/asl_test"]),
        ("train", ["test1"]),
        ("Train", ["Test", "Meta"]),
        ("x/training_set", ["x/test_set", "x/single_prediction"]),
    ],
)
def test_a_test_set_without_classes_is_left_out(tmp_path, train, others):
    fill(tmp_path / train, ["blue", "red"])
    for number, folder in enumerate(others):
        for i in range(3):
            paint(tmp_path / folder / f"{i}.png", (9, 9, 9), 10 * number + i)
    splits = load(tmp_path)
    assert splits.class_names == ("blue", "red")
    assert sum(map(len, parts(splits).values())) == 20
    assert f"Images outside the class folders (ignored): {3 * len(others)}." in splits.notes


def test_a_data_set_that_holds_itself_again_is_read_once(tmp_path):
    for top in ("chest", "chest/chest"):
        fill(tmp_path / top / "train", ["blue", "red"])
        fill(tmp_path / top / "test", ["blue", "red"], count=3, first=20)
    splits = load(tmp_path)
    assert splits.class_names == ("blue", "red")
    assert [len(split) for split in parts(splits).values()] == [18, 2, 6]
    assert "Images outside the class folders (ignored): 26." in splits.notes


def test_folds_are_neither_sets_nor_classes(tmp_path):
    for number in range(3):
        fill(tmp_path / f"fold{number}", ["blue", "red"], count=3, first=3 * number)
    assert "fold0, fold1, fold2 have the same sub-folders (blue, red)" in refused(tmp_path)


@pytest.mark.parametrize("folders", [("train", "test1"), ("train/train", "test1/test1"), ("trainA", "valA", "testA")])
def test_flat_sets_are_not_classes(tmp_path, folders):
    fill(tmp_path, folders)
    assert "look like sets, not like classes" in refused(tmp_path)


@pytest.mark.parametrize("top", ["x/x", "data", "a/b/c"])
def test_folders_that_hold_everything_are_looked_through(tmp_path, top):
    fill(tmp_path / top)
    splits = load(tmp_path)
    assert splits.class_names == ("blue", "green", "red")
    assert note(splits, "Looked through").startswith(f"Looked through {top}")


def test_folders_that_may_be_sets_or_classes_are_refused(tmp_path):
    fill(tmp_path / "cats", ["2020", "2021"])
    fill(tmp_path / "dogs", ["2020", "2021"])
    assert "cats, dogs have the same sub-folders (2020, 2021)" in refused(tmp_path)
    fill(tmp_path / "birds", ["images"])
    (tmp_path / "cats" / "2021").rename(tmp_path / "birds" / "2021")
    for name in ("birds", "cats", "dogs"):  # only one sub-folder in common is none of the classes
        fill(tmp_path / name, ["images"], first=20)
    (tmp_path / "dogs" / "2020").rename(tmp_path / "dogs" / "old")
    assert load(tmp_path).class_names == ("birds", "cats", "dogs")


# --- what systems leave


@pytest.mark.parametrize(
    "place",
    [
        *("red/@eaDir/000.png/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/red/._000.png", "$RECYCLE.BIN/a.png"),
        *("lost+found/a.png", "red/.thumbnails/000.png", "red/._000.png", ".ipynb_checkpoints/000.png"),
        *("System Volume Information/a.png", "#recycle/red/a.png", "red/Thumbs.db", ".@__thumb/a.png"),
        *("FOUND.000/a.png", "LOST.DIR/a.png", "~snapshot/red/a.png", "@tmp/a.png", "red/_vti_cnf/000.png"),
    ],
)
def test_files_of_systems_are_left_out_and_counted(tmp_path, place):
    fill(tmp_path / "data")
    paint(tmp_path / "a.png", (90, 90, 90), 3)
    (tmp_path / "data" / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "a.png").rename(tmp_path / "data" / place)
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in sorted((tmp_path / "data").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "data"))
    for splits in (load(tmp_path / "data"), load(tmp_path / "data.zip")):
        assert splits.class_names == ("blue", "green", "red")
        assert sum(map(len, parts(splits).values())) == 30
        assert "ignored): 1 (" in note(splits, "Hidden files and folders, or those of a system")


# --- copies


def test_no_image_is_in_two_sets(tmp_path):
    fill(tmp_path, ["blue", "red"], count=20)
    for number in range(10):  # the same under other names
        (tmp_path / "red" / f"copy{number}.png").write_bytes((tmp_path / "red" / f"{number:03}.png").read_bytes())
    for seed in range(3):
        splits = load(tmp_path, seed=seed)
        seen = [{image.tobytes() for image in split.inputs["image"]} for split in parts(splits).values()]
        assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
        assert 40 <= sum(map(len, parts(splits).values())) < 50
    assert note(splits, "Images that are copies").startswith(
        "Images that are copies of others: 10, such as red/copy0.png"
    )


def test_links_are_copies_too(tmp_path):
    fill(tmp_path)
    (tmp_path / "red" / "again.png").symlink_to(tmp_path / "red" / "000.png")
    (tmp_path / "blue" / "again.png").hardlink_to(tmp_path / "blue" / "001.png")
    assert note(load(tmp_path), "Images that are copies").startswith("Images that are copies of others: 2, such as")


def test_the_test_set_of_a_source_stays_whole(tmp_path):
    fill(tmp_path / "train", count=10)
    fill(tmp_path / "test", count=3)  # copies of training images
    splits = load(tmp_path)
    assert len(splits.test) == 9
    assert len(splits.train) + len(splits.validation) == 21
    fill(tmp_path / "test", count=10)
    assert "all training images are also in another set" in refused(tmp_path)


def test_an_image_in_two_classes_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "red" / "odd.png").write_bytes((tmp_path / "blue" / "004.png").read_bytes())
    assert "In two classes: 1, such as red/odd.png and blue/004.png." in note(load(tmp_path), "Images that are copies")


# --- depth


def deep(path, values, kind):
    """Writes an image of many bits: float32 or int32 as TIFF, uint16 as PNG, and uint16 of three bands as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "color":
        import tensorflow as tf

        path.with_suffix(".png").write_bytes(tf.io.encode_png(np.stack([values.astype(np.uint16)] * 3, -1)).numpy())
        return
    dtype = {"uint16": np.uint16, "int32": np.int32, "float32": np.float32}[kind]
    Image.fromarray(values.astype(dtype)).save(path.with_suffix(".png" if kind == "uint16" else ".tif"))


@pytest.mark.parametrize(
    ("kind", "top", "scaled"),
    [
        *(("float32", 4095, 4095), ("uint16", 4095, 4095), ("int32", 255, 255), ("color", 4095, 4095)),
        *(("float32", 1, 1), ("float32", 1.3, 1.3), ("uint16", 65_535, 65_535), ("int32", 1_000_000, 2**20 - 1)),
    ],
)
def test_deep_images_have_one_range(tmp_path, kind, top, scaled):
    rng = np.random.default_rng(0)
    for number in range(12):
        for name, share in {"dark": 0.4, "light": 1.0}.items():
            values = rng.uniform(0, share, (8, 8)) * top
            values[0, 0] = share * top
            deep(tmp_path / "data" / name / f"{number:02}", values, kind)
    splits = load(tmp_path / "data", channels=1)
    assert splits.values == (0, pytest.approx(scaled))
    images, labels = collect(splits.train.batches(32))
    for label, share in enumerate((0.4, 1.0)):
        assert images[labels == label].max() == pytest.approx(255 * share * top / scaled, abs=1)
        assert images[labels == label].mean() == pytest.approx(127.5 * share, abs=12)
    assert f"{scaled:,.6g} becomes 255" in note(splits, "Images of more than 8 bits: 24")
    # `predict` scales a dark image as the training set was, by the codec alone.
    codec = ImageCodec.from_json(ImageCodec.of(splits).to_json())
    (file, *_) = sorted((tmp_path / "data" / "dark").iterdir())
    expected = read_picture(file, size=8, channels=1, values=splits.values)
    assert (codec.encode([file])["image"][0] == expected).all()
    assert expected.max() < 110


def test_deep_images_from_disk_look_the_same(tmp_path):
    for number in range(12):
        for name, top in {"dark": 1000, "light": 4095}.items():
            deep(tmp_path / name / f"{number:02}", np.linspace(number, top, 64).reshape(8, 8), "color")
    streamed, kept = (load(tmp_path, size=256, memory_mib=mib) for mib in (1, 1024))
    assert streamed.values == kept.values == (0, 4095)
    assert streamed.test.inputs["image"].dtype.kind == "S"
    assert (collect(streamed.test.batches(4))[0] == collect(kept.test.batches(4))[0]).all()


def test_the_range_is_that_of_the_images_outside_the_test_set(tmp_path):
    for part, top in {"train": 1000, "test": 60_000}.items():
        for name in ("a", "b"):
            for number in range(6):
                values = np.full((8, 8), top + number + 10 * (name == "b"))
                deep(tmp_path / part / name / f"{number}", values, "uint16")
    splits = load(tmp_path)
    assert splits.values == (0, 1023)
    assert load(tmp_path, values=(0.0, 65_535.0)).values == (0, 65_535)
    assert (splits.test.inputs["image"] == 255).all()


def tiff_of(values, fields=(), big=False):
    """Returns an uncompressed TIFF file of (H, W) or (H, W, bands), with more fields: number -> text."""
    end, (height, width), bands = "<>"[big], values.shape[:2], values.shape[2] if values.ndim == 3 else 1
    data, kind = values.astype(values.dtype.newbyteorder(end)).tobytes(), {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    short = {256: [width], 257: [height], 258: [8 * values.itemsize] * bands, 259: [1], 262: [2 if bands > 2 else 1]}
    short |= {273: [8], 277: [bands], 278: [height], 279: [len(data)], 339: [kind] * bands}
    entries = {tag: (3, len(of), struct.pack(f"{end}{len(of)}H", *of)) for tag, of in short.items()}
    entries |= {tag: (2, len(text) + 1, text.encode() + b"\0") for tag, text in dict(fields).items()}
    contents, table = bytearray((b"MM\0*" if big else b"II*\0") + bytes(4) + data), b""
    for tag, (type_, count, value) in sorted(entries.items()):
        if len(value) > 4:
            contents, value = contents + value, struct.pack(end + "I", len(contents))
        table += struct.pack(end + "HHI", tag, type_, count) + value.ljust(4, b"\0")
    contents[4:8] = struct.pack(end + "I", len(contents))
    return bytes(contents) + struct.pack(end + "H", len(entries)) + table + bytes(4)


RAMP = np.linspace(0, 4095, 64).reshape(8, 8)


@pytest.mark.parametrize(
    ("values", "fields", "big"),
    [
        (RAMP.astype(np.uint16), {}, True),
        (RAMP.astype(np.uint32), {}, False),
        (RAMP.astype(np.float32), {}, True),
        (np.where(RAMP < 100, -9999, RAMP).astype(np.float32), {42113: "-9999"}, False),
        (
            np.where(RAMP < 100, np.finfo(np.float32).min, RAMP).astype(np.float32),
            {42113: "-3.40282346638529e+38"},
            False,
        ),
        (np.where(RAMP < 100, 65_535, RAMP).astype(np.uint16), {42113: "65535"}, False),
        (np.where(RAMP < 100, np.inf, RAMP).astype(np.float32), {42113: "nothing"}, False),
    ],
    ids=["uint16 big", "uint32", "float32 big", "-9999", "least", "65535", "infinite"],
)
def test_depths_of_instruments_and_maps(tmp_path, values, fields, big):
    for name, share in {"dark": 0, "light": 1}.items():
        (tmp_path / name).mkdir()
        for number in range(8):
            (tmp_path / name / f"{number}.tif").write_bytes(
                tiff_of(values, fields, big) + bytes([number, share])  # different behind the end
            )
    splits = load(tmp_path, channels=1)
    assert splits.values == (0, 4095)
    image = splits.train.inputs["image"][0, ..., 0].astype(float)
    there = RAMP >= 100
    np.testing.assert_allclose(image[there], RAMP[there] * 255 / 4095, atol=1)
    assert image[~there].max() <= 7


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (RAMP, "1 band of 64 bits (floats), which cannot be read: save it with 8 or 16 bits, or as floats of 32 bits"),
        (RAMP.astype(np.float16), "1 band of 16 bits (floats), which cannot be read: save it with 8 or 16 bits, or as"),
        (np.zeros((4, 4, 3), np.float32), "3 bands of 32 bits (floats), which cannot be read: save it with 8 or 16"),
    ],
)
def test_depths_that_cannot_be_read_are_named_with_the_cure(tmp_path, values, what):
    assert f"is a TIFF image of {what}" in refused(fill_with(tmp_path, tiff_of(values)))


def test_ranges():
    assert range_of(-1000, 3000) == (-1000, 3000)
    assert range_of(0, 0) == (0, 1)
    assert range_of(0, 200) == (0, 255)
    assert range_of(3, 1023) == (0, 1023)
    assert range_of(0, 1024) == (0, 2047)


@pytest.mark.parametrize(("kind", "top"), [("float32", 4095), ("int32", 255)])
def test_a_deep_image_alone_is_not_white(tmp_path, kind, top):
    deep(tmp_path / "a", np.linspace(0, top, 64).reshape(8, 8), kind)
    assert read_picture(tmp_path / "a.tif", size=None, channels=1).mean() == pytest.approx(127.5, abs=1)


def test_codecs_of_older_runs_have_no_range():
    content = {"class_names": ["a", "b"], "image_shape": [8, 8, 1], "stored_size": 8, "digest": ""}
    assert ImageCodec.from_json(content).values is None
    for wrong in ([1, 1], [2, 1], ["nan", 1], [0]):
        with pytest.raises((ValueError, IndexError)):
            ImageCodec.from_json(content | {"values": wrong})


# --- what accompanies an image


def chunk(name, content, checksum=None):
    crc = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (200, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


LONG = zlib.compress(b"x" * 3 * 2**20)
BOMB = zlib.compress(b"\0" * 2**28)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + LONG),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB),
        chunk(b"iCCP", b"profile\0\0" + LONG),
        chunk(b"tEXt", b"Comment\0" + b"x" * 66 * 2**20),
        chunk(b"tEXt", b"Comment\0short", checksum=1),
        chunk(b"pHYs", b"abc"),
        chunk(b"gAMA", b"a"),
        chunk(b"sRGB", b""),
        chunk(b"tIME", b"abcdefg", checksum=1),
        chunk(b"prVt", b"x" * 4 * 2**20),
    ],
    ids=[
        *("zTXt", "iTXt", "bomb", "profile", "66 MiB", "checksum"),
        *("short size", "short gamma", "no intent", "time's checksum", "private"),
    ],
)
def test_pixels_are_read_whatever_accompanies_them(extra, behind):
    whole = png()
    at = -12 if behind else 33  # before the end, or after the header
    image = read_picture(whole[:at] + extra + whole[at:], size=None, channels=3)
    assert image.shape == (4, 6, 3)
    assert (image == (200, 0, 0)).all()


def test_transparency_and_rotation_stay_where_a_png_file_is_read_without_its_texts():
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    image = Image.new("P", (6, 4), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(buffer, "PNG", transparency=1, exif=exif)
    whole = buffer.getvalue()
    found = read_picture(whole[:33] + chunk(b"zTXt", b"Comment\0\0" + LONG) + whole[33:], size=None, channels=3)
    assert found.shape == (6, 4, 3)
    assert (found == 255).all()


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_what_follows_an_image_is_ignored(format):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 0, 0)).save(buffer, format)
    image = read_picture(buffer.getvalue() + b"MotionPhoto_Data" * 1000, size=None, channels=3)
    assert np.abs(image.astype(int) - (200, 0, 0)).max() <= 3


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xe1\xff\xffhttp://ns.adobe.com/xmp/extension/\0".ljust(2 + 65_535, b"x") * 60,
        b"\xff\xe2\x00\x16ICC_PROFILE\0\x02\x05broken".ljust(24, b"x"),
        b"\xff\xed\x00\x20Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff".ljust(34, b"x"),
        b"\xff\xe2\x00\x14MPF\0II*\0\x08\0\0\0\xff\xffju",
    ],
    ids=["long notes", "profile", "Photoshop", "more images"],
)
def test_jpeg_files_are_read_whatever_accompanies_them(segment):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 0, 0)).save(buffer, "JPEG")
    whole = buffer.getvalue()
    assert read_picture(whole[:2] + segment + whole[2:], size=None, channels=3).shape == (16, 16, 3)


def test_a_damaged_png_file_stays_damaged():
    whole = png()
    with pytest.raises(DataError, match="is damaged"):
        read_picture(whole[:45], size=None, channels=3)


# --- bands and frames


def tiff(bands, *, extra=None, bits=8):
    """Returns an uncompressed TIFF file of 4 x 4 pixels, each band 10 times its number."""
    pixel = b"".join((10 * i + 10).to_bytes(bits // 8, "little") for i in range(bands))
    fields = {256: [4], 257: [4], 258: [bits] * bands, 259: [1], 262: [2 if bands > 2 else 1], 273: [8]}
    fields |= {277: [bands], 278: [4], 279: [16 * len(pixel)]} | ({338: extra} if extra else {})
    contents, entries = bytearray(b"II*\0\0\0\0\0" + 16 * pixel), b""
    for tag, values in fields.items():
        value = struct.pack(f"<{len(values)}H", *values)
        if len(value) > 4:
            value, rest = struct.pack("<I", len(contents)), value
            contents += rest
        entries += struct.pack("<HHI", tag, 3, len(values)) + value.ljust(4, b"\0")
    contents[4:8] = struct.pack("<I", len(contents))
    return bytes(contents) + struct.pack("<H", len(fields)) + entries + bytes(4)


def fill_with(root, contents, count=8):
    for name in ("a", "b"):
        for number in range(count):
            (root / name).mkdir(parents=True, exist_ok=True)
            different = bytes([number, name == "b"])  # behind the end
            (root / name / f"{number}.tif").write_bytes(contents + different)
    return root


@pytest.mark.parametrize("extra", [None, (0,)])
def test_a_band_that_is_no_transparency_is_dropped_and_said(tmp_path, extra):
    splits = load(fill_with(tmp_path, tiff(4, extra=extra)))
    assert (splits.train.inputs["image"] == (10, 20, 30)).all()
    assert "Not read: band 4 in 16 images." in splits.notes


def test_transparency_that_the_file_declares_is_transparency(tmp_path):
    assert (read_picture(tiff(4, extra=(2,)), size=None, channels=3) > 200).all()


def test_more_bands_are_said(tmp_path, capfd):
    splits = load(fill_with(tmp_path / "six", tiff(6, extra=(0, 0, 0))))
    assert "Not read: bands 4 to 6 in 16 images." in splits.notes
    assert "is a TIFF image of 13 bands of 8 bits" in refused(fill_with(tmp_path / "many", tiff(13)))
    assert "is a TIFF image of 5 bands of 16 bits" in refused(fill_with(tmp_path / "deep", tiff(5, bits=16)))
    assert "is a TIFF image of 13 bands of 16 bits" in refused(fill_with(tmp_path / "both", tiff(13, bits=16)))
    assert "is a TIFF image of 2 bands of 8 bits" in refused(fill_with(tmp_path / "two", tiff(2)))
    splits = load(fill_with(tmp_path / "infrared", tiff(4, bits=16)))
    assert "Not read: band 4 in 16, the lower 8 of 16 bits in 16 images." in splits.notes
    assert "samples per pixel" not in capfd.readouterr().err  # as Pillow logs it, once for each file


def test_other_frames_are_said(tmp_path):
    frames = [Image.new("L", (4, 4), value) for value in (10, 20, 30)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    splits = load(fill_with(tmp_path, buffer.getvalue()))
    assert "Not read: all frames but the first in 16 images." in splits.notes


# --- formats of phones


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(40)


@pytest.mark.skipif("HEIF" in image_files._formats(), reason="pillow-heif is installed")
@pytest.mark.parametrize("ending", ["heic", "HEIF", "jpg"])
def test_heic_is_named_with_the_cure(tmp_path, ending):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(9):
            (tmp_path / name / f"{number}.{ending}").write_bytes(HEIC)
    message = refused(tmp_path)
    assert "18 of 18 images (100.0%) cannot be read" in message
    assert f"a/0.{ending} is a HEIC image: install its reader (`pip install pillow-heif`)" in message


def test_heic_is_read_where_there_is_a_reader(tmp_path, monkeypatch):
    def opener(file, name):
        number = file.read()[12]
        image = Image.new("RGB", (9, 9), (number, 0, 200))
        image.format = "HEIF"
        return image

    def register():
        Image.register_open("HEIF", opener, lambda start: start[4:12] == b"ftypheic")

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    image_files._formats.cache_clear()
    try:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            for number in range(9):
                contents = HEIC[:12] + bytes([number + 100 * (name == "b")]) + HEIC[13:]
                (tmp_path / name / f"{number}.HEIC").write_bytes(contents)
        assert sum(map(len, parts(load(tmp_path)).values())) == 18
    finally:
        image_files._formats.cache_clear()
        Image.OPEN.pop("HEIF", None)
        Image.ID.remove("HEIF")


@pytest.mark.skipif("AVIF" not in image_files._formats(), reason="Pillow without AVIF")
def test_avif_is_read(tmp_path):
    Image.new("RGB", (8, 8), (0, 0, 200)).save(tmp_path / "a.avif")
    assert read_picture(tmp_path / "a.avif", size=None, channels=3)[4, 4, 2] > 190


def test_avif_is_named_where_it_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "_formats", lambda: image_files.FORMATS)
    with pytest.raises(DataError, match=r"is an AVIF image: .*pip install -U pillow"):
        read_picture(b"\0\0\0\x1cftypavif" + bytes(40), size=None, channels=3)


# --- ZIP and other archives


def zipped(folder, archive, **options):
    with zipfile.ZipFile(archive, "w", **options) as file:
        for path in sorted(folder.rglob("*"), reverse=True):
            file.write(path, path.relative_to(folder.parent))
    return archive


def test_a_zip_archive_is_read_like_its_folder(tmp_path):
    folder = load(fill(tmp_path / "flowers"))
    archive = load(zipped(tmp_path / "flowers", tmp_path / "pics.zip", compression=zipfile.ZIP_DEFLATED))
    assert archive.class_names == folder.class_names
    assert archive.notes == ()
    for part, split in parts(folder).items():
        assert (split.inputs["image"] == parts(archive)[part].inputs["image"]).all()


def test_a_hostile_zip_archive_harms_nobody(tmp_path):
    zipped(fill(tmp_path / "flowers", count=30), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as file:
        file.writestr("../../red/evil.png", png())
        link = zipfile.ZipInfo("flowers/red/link.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
        file.writestr("flowers\\red\\windows.png", png())
    splits = load(tmp_path / "a.zip")
    assert sum(map(len, parts(splits).values())) == 91
    assert "red/link.png is a link" in splits.notes[0]
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:-200])
    assert "a.zip is damaged, or not an archive: " in refused(tmp_path / "a.zip")


@pytest.mark.parametrize(("start", "kind"), [(b"Rar!\x1a\x07\x01\0", "RAR"), (b"7z\xbc\xaf\x27\x1c", "7z")])
def test_archives_that_cannot_be_read_are_named_with_the_cure(tmp_path, start, kind):
    (tmp_path / "pics.zip").write_bytes(start + bytes(100))
    assert f"pics.zip is a {kind} archive: unpack it and pass the folder." in refused(tmp_path / "pics.zip")


# --- without classes


@pytest.mark.parametrize("place", ["", "faces", "x/x"])
def test_images_without_classes(tmp_path, place):
    for number in range(20):
        paint(tmp_path / place / f"{number}.png", (100, 0, 50), number)
    splits = load(tmp_path, classes=False)
    assert splits.class_names == ()
    assert splits.sizes["num_classes"] == 0
    assert [len(split) for split in parts(splits).values()] == [14, 2, 4]
    assert "The images have no classes." in splits.notes
    refused(tmp_path)


def test_sets_without_classes(tmp_path):
    fill(tmp_path, ["train"], count=12)
    fill(tmp_path, ["test1"], count=5, first=20)
    splits = load(tmp_path, classes=False)
    assert len(splits.test) == 5
    assert splits.class_names == ()


def test_classes_are_used_where_there_are_some(tmp_path):
    assert load(fill(tmp_path), classes=False).class_names == ("blue", "green", "red")
