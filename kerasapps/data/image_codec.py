"""What a network of images does not hold: its classes, and how files become its inputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasapps.data.images import ImageSplits, resizer
from kerasapps.data.pictures import Range, read_picture

LARGEST = 16_384  # pixels of a side


@dataclass(frozen=True)
class ImageCodec:
    """Turns image files into inputs, and probabilities into class names.

    Args:
        class_names: Class by number.
        image_shape: Height, width and channels of the images that the network takes.
        stored_size: Side of the squares that images are read as, before they are scaled for the network.
        digest: Changes where the images that it was trained on do; see `ImageSplits`.
        values: Which values of images of more than 8 bits become 0 and 255; None where it was trained on none.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    stored_size: int
    digest: str
    values: Range | None = None

    @classmethod
    def of(cls, splits: ImageSplits) -> "ImageCodec":
        """Returns the codec of a data set."""
        return cls(splits.class_names, splits.sizes["image_shape"], splits.stored_size, splits.digest, splits.values)

    def encode(self, files: Sequence[Path]) -> dict[str, np.ndarray]:
        """Returns the input "image" (n, H, W, C), values 0 to 255, of image files.

        Raises:
            DataError: If one cannot be read.
        """
        height, _, channels = self.image_shape
        side = self.stored_size
        images = [read_picture(file, size=side, channels=channels, values=self.values) for file in files]
        inputs = {"image": np.stack(images)}
        # As the training images were scaled: in two steps where these are stored in another size.
        scale = resizer(self.stored_size, height)
        return {name: np.asarray(value) for name, value in (scale(inputs) if scale else inputs).items()}

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
        """Returns for each row its classes by name with their probabilities, the most probable first."""
        order = np.argsort(-outputs["label"], axis=-1, kind="stable")
        rows = zip(order, outputs["label"], strict=True)
        return [{self.class_names[i]: float(row[i]) for i in ranks} for ranks, row in rows]

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of each output: of a classifier, or of a generator."""
        return {"label": len(self.class_names), "image": self.image_shape[-1]}

    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of the input of a classifier."""
        return {"image": self.image_shape}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        content = asdict(self)
        if self.values is None:  # as it was before there was a range
            del content["values"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ImageCodec":
        """Returns the codec that `to_json` described.

        Raises:
            KeyError, TypeError, ValueError: If it describes none.
        """
        values = content.get("values")  # older runs have none
        codec = cls(
            tuple(content["class_names"]),
            tuple(content["image_shape"]),
            content["stored_size"],
            content["digest"],
            values and (float(values[0]), float(values[1])),
        )
        height, width, channels = codec.image_shape
        sizes = (height, width, channels, codec.stored_size)
        if not all(isinstance(size, int) and 0 < size <= LARGEST for size in sizes):
            raise ValueError(f"sizes must be in [1, {LARGEST}]. Received: {sizes}")
        if not all(isinstance(text, str) for text in (*codec.class_names, codec.digest)):
            raise ValueError("`class_names` and `digest` must be text.")
        if codec.values and not -math.inf < codec.values[0] < codec.values[1] < math.inf:
            raise ValueError(f"`values` must be two numbers that rise. Received: {codec.values}")
        return codec
