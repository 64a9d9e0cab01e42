"""Images for models of their density: every pixel one of a few levels, and predicted from those before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.image_sets import NAMES, PHOTOGRAPHS
from kerasapps.data.images import ImageSplits, load_images
from kerasapps.data.pictures import Range
from kerasapps.data.splits import Split

# Those of the digits are all that the scanner told apart; MNIST is drawn in black and white, as it is published.
LEVELS = {"digits": 17, "mnist": 2, "fashion_mnist": 2}
USUAL_LEVELS = 8
MOST_LEVELS = 256
FOLDER_SIZE = 32  # an image is drawn pixel by pixel, each by a forward pass


@dataclass(frozen=True, kw_only=True)
class PixelCodec(ImageCodec):
    """Turns image files into levels, and levels into images.

    Args:
        levels: Values of a pixel.
    """

    levels: int

    @classmethod
    def of(cls, splits: ImageSplits) -> "PixelCodec":
        """Returns the codec of a data set."""
        return cls(**vars(ImageCodec.of(splits)), levels=splits.sizes["levels"])

    def encode(self, files: Sequence[Path]) -> dict[str, np.ndarray]:
        """Returns the input "image" uint8 (n, H, W, C), levels, of image files; each pixel gets the nearest level.

        Raises:
            DataError: If one cannot be read.
        """
        return {name: nearest_levels(images, self.levels) for name, images in super().encode(files).items()}

    def decode(self, levels: np.ndarray) -> np.ndarray:
        """Returns images, values 0 to 255, uint8 (n, H, W, C)."""
        return np.round(np.asarray(levels) * (255 / (self.levels - 1))).astype(np.uint8)

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of the output."""
        return {"level": self.levels}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PixelCodec":
        """Returns the codec that `to_json` described.

        Raises:
            KeyError, TypeError, ValueError: If it describes none.
        """
        codec = cls(**vars(ImageCodec.from_json(content)), levels=content["levels"])
        if not (isinstance(codec.levels, int) and 2 <= codec.levels <= MOST_LEVELS):
            raise ValueError(f"`levels` must be in [2, {MOST_LEVELS}]. Received: {codec.levels}")
        return codec


def load_pixels(
    data: str = "digits",
    *,
    size: int | None = None,
    levels: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    values: Range | None = None,
) -> ImageSplits:
    """Loads images as levels of their pixels.

    Inputs of the model: "image" uint8 (B, H, W, C), values 0 to levels - 1. Targets: "level", the same.

    Args:
        data: As for `load_images`; color images of folders become gray.
        size: Side of the images; by default the data set's own, and 32 for folders.
        levels: Values of a pixel; by default 17 for the digits, 2 for MNIST and Fashion-MNIST, 8 for others. For 2, a
            pixel is drawn once, white with its gray value as the probability; otherwise it gets the nearest level.
        seed: Seed of the split, and of pixels that are drawn.
        limit: Maximum number of images in each of the three sets.
        values: As for `load_images`.

    Raises:
        DataError: If the data cannot be found or read, or are too little to split.
        ValueError: If `levels` is outside [2, 256].
    """
    levels = levels or LEVELS.get(data, USUAL_LEVELS)
    if not 2 <= levels <= MOST_LEVELS:
        raise ValueError(f"`levels` must be in [2, {MOST_LEVELS}]. Received: levels={levels}")
    size = size or (None if data in NAMES and data not in PHOTOGRAPHS else FOLDER_SIZE)
    images = load_images(data, size=size, seed=seed, limit=limit, channels=1, classes=False, values=values)
    parts = {}
    for i, part in enumerate(("train", "validation", "test")):
        split = getattr(images, part)
        batches = [np.asarray(inputs["image"]) for inputs, _ in split.batches(256)]
        pixels = np.concatenate(batches)  # (n, H, W, C), 0 to 255
        drawn = black_and_white(pixels, seed=(seed, i)) if levels == 2 else nearest_levels(pixels, levels)
        parts[part] = Split({"image": drawn}, {"level": drawn})
    how = "drawn once, white with its gray value as the probability" if levels == 2 else f"one of {levels} levels"
    sizes = {"image_shape": images.sizes["image_shape"], "levels": levels}
    splits = replace(images, **parts, sizes=sizes, notes=(*images.notes, f"Each pixel is {how}."))
    return replace(splits, codec=PixelCodec.of(splits))


def nearest_levels(images: np.ndarray, levels: int) -> np.ndarray:
    """Returns the nearest level of each pixel: values 0 to 255 -> uint8, 0 to levels - 1."""
    return np.clip(np.round(images * ((levels - 1) / 255)), 0, levels - 1).astype(np.uint8)


def black_and_white(images: np.ndarray, *, seed: int | Sequence[int]) -> np.ndarray:
    """Draws each pixel white with its value as the probability: values 0 to 255 -> uint8, 0 or 1.

    Reference: Salakhutdinov and Murray, "On the Quantitative Analysis of Deep Belief Networks", ICML 2008.
    """
    chances = np.random.default_rng(seed).random(images.shape, dtype=np.float32)
    return (255 * chances < images).astype(np.uint8)


def histogram(images: np.ndarray, levels: int) -> np.ndarray:
    """Returns how often each pixel has each level, one more than it was seen: uint8 (n, H, W, C) -> (H, W, C, levels).

    The simplest density of images: pixels know nothing of each other. By the one more, Laplace's rule, no level that
    the training set lacks is impossible.
    """
    counts = np.stack([(images == level).sum(0) for level in range(levels)], -1)  # (H, W, C, levels)
    return (counts + 1) / (len(images) + levels)
