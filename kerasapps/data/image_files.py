"""Files of images: opened, or refused in a sentence that says what they are and what to do about it."""

import contextlib
import functools
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, features

from kerasapps.errors import DataError
from kerasapps.files import printable, regular_file

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Read where there is a reader for them, and named where there is none.
PHONE_SUFFIXES = (".heic", ".heif", ".hif", ".avif")
# Listed, because Pillow would otherwise try formats that run other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# A quarter of a GiB in RGB. A file of a few kilobytes can claim to hold more, and would fill the memory.
MAX_PIXELS = 89_478_485
PNG = b"\x89PNG\r\n\x1a\n"
NEEDED = {b"tRNS", b"eXIf"}  # chunks of a PNG file with a small letter first that its pixels depend on
BITS, SAMPLES, KIND = 258, 277, 339  # fields of a TIFF file
FLOATS = 3  # the kind of numbers in its bands


@functools.cache
def _formats() -> tuple[str, ...]:
    """Returns the formats that can be read here."""
    # Pillow logs why it cannot read a TIFF file, for every file; we report what the file is.
    logging.getLogger("PIL.TiffImagePlugin").addHandler(logging.NullHandler())
    found = FORMATS + (("AVIF",) if features.check("avif") else ())
    try:
        import pillow_heif
    except ImportError:
        return found
    pillow_heif.register_heif_opener()
    return (*found, "HEIF")


@contextlib.contextmanager
def opened(
    source: str | Path | bytes, name: str | None, *, check: Callable[[Image.Image], None] | None = None
) -> Iterator[Image.Image]:
    """Opens an image, and reports whatever goes wrong while it is used in one sentence.

    Args:
        source: A file, or its contents.
        name: How errors call it.
        check: Called before anything is decoded; what it raises refuses the image.
    """
    if name is None:
        name = "The image" if isinstance(source, bytes) else printable(source)
    if not isinstance(source, bytes):
        source = regular_file(source)
    try:
        with _open(source, name, check) as image:
            yield image
    except (DataError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name} has more than {MAX_PIXELS:,} pixels and is refused.") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} {_what_it_is(source)}") from None
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{name} cannot be read: {error.strerror}.") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name} is damaged: {reason.rstrip('.')}.") from None


def _open(source: Path | bytes, name: str, check: Callable[[Image.Image], None] | None) -> Image.Image:
    """Opens an image that is not too large; of a PNG file whose texts or the like are refused the pixels alone."""

    def checked(file: Path | io.BytesIO) -> Image.Image:
        image = Image.open(file, formats=_formats())
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise DataError(f"{name} has {pixels:,} pixels, and more than {MAX_PIXELS:,} are refused.")
        if check is not None:
            check(image)
        if image.format == "PNG":
            image.load()  # texts may follow the pixels
        return image

    try:
        return checked(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (DataError, MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise
    except Exception:
        # Pillow refuses texts and profiles above a MiB, as they may be bombs, and what it does not understand, be it
        # only the size of a pixel in inches. Left out, it is not looked at.
        if not head(source).startswith(PNG):
            raise
        return checked(_without_notes(source))


def _without_notes(source: Path | bytes) -> io.BytesIO:
    """Returns a PNG file without texts, color profile and the like, which are skipped unread."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        kept = [file.read(len(PNG))]
        while len(start := file.read(8)) == 8:  # length and name of a chunk; its checksum follows the content
            length = int.from_bytes(start[:4]) + 4
            if start[4:5].islower() and start[4:] not in NEEDED:
                file.seek(length, io.SEEK_CUR)
            else:
                kept.append(start + file.read(length))
    return io.BytesIO(b"".join(kept))


def head(source: str | Path | bytes) -> bytes:
    """Returns the first bytes of a file."""
    if isinstance(source, bytes):
        return source[:32]
    with open(regular_file(source), "rb") as file:
        return file.read(32)


def _what_it_is(source: Path | bytes) -> str:
    """Returns what a file is that Pillow cannot read, and what to do about it."""
    start = head(source)
    if start[4:8] == b"ftyp" and start[8:11] == b"avi":
        return "is an AVIF image: read it with a newer Pillow (`pip install -U pillow`), or convert it to JPEG."
    if start[4:8] == b"ftyp" and start[8:11] in (b"hei", b"hev", b"mif", b"msf"):
        if "HEIF" in _formats():
            return "is a HEIC image, and damaged."
        return "is a HEIC image: install its reader (`pip install pillow-heif`), or convert it to JPEG."
    if start[:4] in (b"II*\0", b"MM\0*"):
        with (
            contextlib.suppress(Exception),
            io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file,
        ):
            fields = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
            file.seek(fields.next)
            fields.load(file)
            bands, bits = fields.get(SAMPLES, 1), fields.get(BITS, (1,))[0]
            of = f"{bands} {'band' if bands == 1 else 'bands'} of {bits} bits"
            if FLOATS in fields.get(KIND, ()):
                of += " (floats)"
            cure = "save one band, or red, green and blue"
            if bands in (1, 3):
                cure = "save it with 8 or 16 bits" + (", or as floats of 32 bits" if bands == 1 else "")
            return f"is a TIFF image of {of}, which cannot be read: {cure}."
    return "is not a JPEG, PNG, WebP, BMP, GIF or TIFF image."
