"""Pictures to choose from, each with a small one to show."""

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kerasapps.data.image_files import SUFFIXES, opened
from kerasapps.errors import DataError, UserError
from kerasapps.files import write_atomically

SIDE = 320  # pixels of a small picture
QUALITY = 85
RANGES = {"F": (1.0, 255.0), "I": (255.0, 65535.0)}  # of the values in an image of numbers, the smallest that fits


@dataclass(frozen=True)
class Style:
    """One picture of a gallery.

    Args:
        key: How forms and addresses call it.
        label: What a person reads.
        path: Its file; None for one that is drawn.
        draw: Draws one without a file, uint8 (h, w, 3).
    """

    key: str
    label: str
    path: Path | None = None
    draw: Callable[[], np.ndarray] | None = None

    def thumbnail(self) -> bytes:
        """Returns it small, as a JPEG file without metadata.

        Raises:
            DataError: If its file cannot be read any longer.
        """
        if self.path is None:
            return jpeg(Image.fromarray(self.draw()))
        return small(self.path, SIDE)


class Gallery:
    """Some pictures by their keys; small ones are made when they are first asked for, and kept.

    Args:
        styles: The pictures.
        kept: Where small ones are kept.
    """

    def __init__(self, styles: Sequence[Style], kept: Path):
        self.styles, self.kept = {style.key: style for style in styles}, kept

    def ready(self, key: str) -> Path | None:
        """Returns the small picture of a key if it was made before, and its file has not changed since."""
        style, path = self.styles.get(key), self.kept / f"{key}.jpg"
        if style is None or not path.is_file():
            return None
        changed = style.path is not None and style.path.is_file() and path.stat().st_mtime < style.path.stat().st_mtime
        return None if changed else path

    def thumbnail(self, key: str) -> Path | None:
        """Returns the small picture of a key; None if there is none."""
        path = self.ready(key)
        if path is None and key in self.styles:
            path = self.kept / f"{key}.jpg"
            self.kept.mkdir(parents=True, exist_ok=True)
            write_atomically(path, self.styles[key].thumbnail())
        return path


def styles_of(folder: Path) -> list[Style]:
    """Returns the image files of a folder, by name.

    Raises:
        UserError: If there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise UserError(f"--styles {folder} is no folder.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    styles = []
    for path in files:
        try:
            with opened(path, None):
                label = path.stem.replace("_", " ").replace("-", " ").strip().capitalize()
                styles.append(Style(_key(path), label, path.absolute()))
        except DataError as error:
            print(f"Left out of the gallery: {error}", flush=True)
    if not styles:
        raise UserError(f"--styles {folder} holds no image that can be read.")
    return styles


def _key(path: Path) -> str:
    """Returns a key that changes with the file: a cached small picture is never that of another."""
    found = path.stat()
    return hashlib.sha256(os.fsencode(path.absolute()) + f" {found.st_mtime_ns} {found.st_size}".encode()).hexdigest()[
        :16
    ]


def small(source: Path, side: int) -> bytes:
    """Returns an image upright and small, as a JPEG file without metadata but its colors' profile.

    Args:
        source: An image file.
        side: Longer side at most.
    """
    with opened(source, None) as image:
        image.draft("RGB", (2 * side, 2 * side))
        profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith(("I", "F")):
            upright = _bytes_of(upright)
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        upright = upright.convert("RGB")
        upright.thumbnail((side, side))
        return jpeg(upright, profile)


def _bytes_of(image: Image.Image) -> Image.Image:
    """Returns an image of integers or floats with values from 0 to 255."""
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    low, high = 0.0, float(values.max(initial=0))
    if image.mode.startswith("I;16"):
        high = RANGES["I"][-1]
    else:
        low = min(0.0, float(values.min(initial=0)))
        fitting = [usual for usual in RANGES[image.mode] if low == 0 and high <= usual]
        high = fitting[0] if fitting else high
    scaled = (values - low) * (255 / max(high - low, 1e-30))
    return Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, profile: bytes | None = None) -> bytes:
    """Returns an image as a JPEG file."""
    image.info.clear()  # Pillow would write comments and more of it
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, icc_profile=profile)
    return buffer.getvalue()
