"""One image: every format and color that people have, and every way in which a file can be bad."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from kerasapps.data import image_files
from kerasapps.data.image_files import MAX_PIXELS
from kerasapps.data.pictures import Photo, encode_picture, read_photo, read_picture
from kerasapps.errors import DataError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FORMATS = {"PNG": 0, "WEBP": 3, "BMP": 0, "GIF": 0, "TIFF": 0, "JPEG": 3}  # how far colors may be off


def encode(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def halves(left=RED, right=BLUE, size=(32, 16), mode="RGB"):
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def close(pixel, color, tolerance=3):
    return np.abs(np.asarray(pixel, int) - color).max() <= tolerance


# --- what is read


@pytest.mark.parametrize(("format", "tolerance"), FORMATS.items())
def test_formats(tmp_path, format, tolerance):
    (tmp_path / "a.bin").write_bytes(encode(halves(), format, **({"lossless": True} if format == "WEBP" else {})))
    array = read_picture(tmp_path / "a.bin", size=None, channels=3)
    assert array.shape == (16, 32, 3)
    assert array.dtype == np.uint8
    assert close(array[8, 4], RED, tolerance)
    assert close(array[8, 28], BLUE, tolerance)
    assert (read_picture((tmp_path / "a.bin").read_bytes(), size=None, channels=3) == array).all()


def test_grey_and_color_turn_into_each_other():
    grey = read_picture(encode(Image.new("L", (4, 4), 77)), size=None, channels=3)
    assert (grey == 77).all()
    weighed = read_picture(encode(Image.new("RGB", (4, 4), GREEN)), size=None, channels=1)
    assert weighed.shape == (4, 4, 1)
    assert close(weighed[0, 0], 150, 1)  # 0.587 of 255
    assert read_picture(encode(Image.new("1", (4, 4), 1)), size=None, channels=1).max() == 255


def test_transparency_becomes_white():
    image = halves((255, 0, 0, 0), (0, 0, 255, 128), mode="RGBA")
    array = read_picture(encode(image), size=None, channels=3)
    assert close(array[0, 0], WHITE, 0)
    assert close(array[0, 30], (127, 127, 255), 1)
    grey = read_picture(encode(Image.new("LA", (4, 4), (0, 0))), size=None, channels=1)
    assert (grey == 255).all()


def test_palettes_with_and_without_transparency():
    palette = halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    assert close(read_picture(encode(palette), size=None, channels=3)[8, 4], RED, 1)
    clear = palette.getpixel((0, 0))
    array = read_picture(encode(palette, transparency=clear), size=None, channels=3)
    assert close(array[8, 4], WHITE, 0)
    assert close(array[8, 28], BLUE, 1)


def test_cmyk():
    array = read_picture(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), size=None, channels=3)
    assert close(array[8, 8], RED, 6)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(format):
    levels = np.array([[0, 257, 25_700, 65_535]], np.uint16)
    array = read_picture(encode(Image.fromarray(levels), format), size=None, channels=1)
    assert array[0, :, 0].tolist() == [0, 1, 100, 255]


def test_sixteen_bits_take_little_memory():
    side = 1000
    contents = encode(Image.fromarray(np.zeros((side, side), np.uint16)), "PNG")
    tracemalloc.start()
    try:
        read_picture(contents, size=8, channels=1)
        assert tracemalloc.get_traced_memory()[1] < 6 * side * side
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floats_are_shares_of_one_or_of_255(top):
    levels = np.array([[0, 0.2, 1, np.nan]], np.float32) * top
    array = read_picture(encode(Image.fromarray(levels), "TIFF"), size=None, channels=1)
    assert array[0, :, 0].tolist() == [0, 51, 255, 0]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_the_rotation_of_a_camera_is_applied(format):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: what is stored at the left comes to the top
    array = read_picture(encode(halves(), format, exif=exif), size=None, channels=3)
    assert array.shape == (32, 16, 3)
    assert close(array[2, 8], RED, 8)
    assert close(array[30, 8], BLUE, 8)


def test_the_rotation_is_applied_where_other_notes_of_the_camera_are_malformed():
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    notes = exif.tobytes().replace(b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02")  # a fraction as text
    array = read_picture(encode(halves(), "JPEG", exif=notes), size=None, channels=3)
    assert array.shape == (32, 16, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("notes", [b"garbage", b"II*\0\x08\0\0\0\xff\xff\x12\x01", b"MM\0*\0\0"])
def test_notes_of_a_camera_that_cannot_be_read_are_none(notes):
    array = read_picture(encode(halves(), "JPEG", exif=b"Exif\0\0" + notes), size=None, channels=3)
    assert array.shape == (16, 32, 3)


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    array = read_picture(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), size=None, channels=3)
    assert close(array[0, 0], RED, 0)


# --- size


def test_the_middle_square_is_cut_and_scaled():
    image = Image.new("RGB", (90, 30), RED)
    image.paste(GREEN, (30, 0, 60, 30))
    for format in ("PNG", "JPEG"):
        array = read_picture(
            encode(image, format, **({"quality": 95, "subsampling": 0} if format == "JPEG" else {})),
            size=10,
            channels=3,
        )
        assert array.shape == (10, 10, 3)
        assert close(array[5, 5], GREEN, 3)
        assert close(array[5, 1], GREEN, 30)
    assert read_picture(encode(image), size=64, channels=1).shape == (64, 64, 1)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_shrinking_smooths(format):
    checks = np.where(np.indices((256, 256)).sum(0) % 2, 255, 0).astype(np.uint8)
    array = read_picture(encode(Image.fromarray(checks), format), size=16, channels=1)
    assert array.min() > 110
    assert array.max() < 145


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`channels` must be 1 or 3. Received: channels=4"):
        read_picture(b"", size=None, channels=4)
    with pytest.raises(ValueError, match=r"`size` must be at least 1. Received: size=0"):
        read_picture(b"", size=0, channels=3)


# --- what is refused


def refused(tmp_path, contents, name="bad.png"):
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(DataError) as error:
        read_picture(tmp_path / name, size=8, channels=3)
    message = str(error.value)
    assert message.startswith(str(tmp_path / name))
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_file_that_is_cut_short_is_refused(tmp_path, format, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    whole = encode(noise, format)
    refused(tmp_path, whole[: int(share * len(whole))])


@pytest.mark.parametrize("contents", [b"", b"<html></html>", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_file_that_is_no_picture_is_refused(tmp_path, contents):
    assert "is not a JPEG, PNG, WebP, BMP, GIF or TIFF image" in refused(tmp_path, contents)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png cannot be read: No such file or directory\.$"):
        read_picture(tmp_path / "none.png", size=8, channels=3)
    with pytest.raises(DataError, match="is a folder, not a regular file"):
        read_picture(tmp_path, size=8, channels=3)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(DataError, match="cannot be read: Too many levels of symbolic links"):
        read_picture(tmp_path / "loop.png", size=8, channels=3)


def png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, data)
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_460, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    assert side**2 > MAX_PIXELS
    assert f"more than {MAX_PIXELS:,}" in refused(tmp_path, png_header(side, side))


def test_the_limit_of_pixels_is_our_own(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 511)
    assert "has 512 pixels, and more than 511 are refused" in refused(tmp_path, encode(halves()))


def test_names_that_are_not_text_can_be_printed(tmp_path):
    path = tmp_path / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    path.write_bytes(b"")
    with pytest.raises(DataError, match="caf\ufffd\\.png") as error:
        read_picture(path, size=8, channels=3)
    str(error.value).encode("utf-8")


def deep(pixels: np.ndarray, tmp_path, profile: bytes | None = None):
    path = tmp_path / "deep.png"
    path.write_bytes(encode_picture(Photo(pixels, bits=16, profile=profile), ".png"))
    return path


def test_sixteen_bits_go_through_a_file_exactly(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3))
    photo = read_photo(deep((values / 257).astype("float32"), tmp_path))
    assert photo.bits == 16
    np.testing.assert_array_equal(np.round(photo.pixels * 257), values)


def test_sixteen_bits_of_grey_and_of_transparency(tmp_path):
    import tensorflow as tf

    for channels in (1, 2, 4):
        values = np.full((2, 3, channels), 65535, np.uint16)
        values[..., -1] = 257 * 51
        (tmp_path / "deep.png").write_bytes(tf.io.encode_png(values).numpy())
        pixels = read_photo(tmp_path / "deep.png").pixels
        assert pixels.shape == (2, 3, 3)
        np.testing.assert_allclose(pixels, 51 if channels == 1 else 255, atol=1e-3)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_the_profile_goes_through_a_file(tmp_path, bits, suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / f"profile{suffix}"
    path.write_bytes(encode_picture(Photo(np.full((8, 8, 3), 90, "float32"), bits=bits, profile=profile), suffix))
    photo = read_photo(path)
    assert photo.profile == profile
    np.testing.assert_allclose(photo.pixels, 90, atol=3)


def test_the_profile_of_a_cmyk_picture_is_left_out(tmp_path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"CMYK"
    Image.new("CMYK", (4, 4)).save(tmp_path / "ink.jpg", icc_profile=bytes(profile))
    assert read_photo(tmp_path / "ink.jpg").profile is None


def test_a_damaged_photo_is_refused(tmp_path):
    whole = deep(np.random.default_rng(0).uniform(0, 255, (40, 40, 3)).astype("float32"), tmp_path)
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"deep\.png is damaged"):
        read_photo(whole)
    with pytest.raises(DataError, match="Images are written as"):
        encode_picture(Photo(np.zeros((2, 2, 3))), ".gif")


@pytest.mark.parametrize(("suffix", "longest"), [(".webp", 16_383), (".jpg", 65_500)])
def test_a_side_longer_than_the_format_can_have_is_refused(suffix, longest):
    assert encode_picture(Photo(np.zeros((1, longest, 3))), suffix)
    with pytest.raises(DataError, match=f"at most {longest} pixels a side. Received: {longest + 1}"):
        encode_picture(Photo(np.zeros((longest + 1, 1, 3))), suffix)
