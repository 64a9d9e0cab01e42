"""The data of the ensemble experiment: images or rows of a table, in a part to learn from and a test set."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerasapps.data import rows
from kerasapps.data.augmentation import picture_augment
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.images import load_images
from kerasapps.data.rows import RowCodec, load_rows
from kerasapps.data.splits import Split, Splits
from kerasapps.data.tables import ENDINGS
from kerasapps.errors import UserError
from kerasapps.files import user_path
from kerasapps.runs import Options
from kerasapps.settings import Share, Side, Text, or_none

from ..shared.image_classifier import UPRIGHT

BATCH_SIZE = 256
SIZES = {"digits": 16}  # at their own 8 pixels convolutions learn them worse, at 32 they take four times as long
SIZE = 32


@dataclass(frozen=True)
class Source:
    """Which data.

    Args:
        data: "digits" (embedded), "mnist", "fashion_mnist", "cifar10", "cifar100", a folder or archive of images;
            "adult", "posts" (simulated), or a CSV, JSON or Parquet file.
        target: Column of a table that is to be predicted, such as price=regression or stars=classes; without the kind
            it is guessed. By default the income of "adult" and the age of "posts", which also has income and gender.
        group: Column of a table with the group of each row, such as a patient: no group is split.
        size: Side of images in pixels; by default 16 for digits, and else 32.
        test_share: Share of the data for the test set, where they have none.
    """

    data: Text = "digits"
    target: or_none(Text) = None
    group: or_none(Text) = None
    size: or_none(Side) = None
    test_share: Share = 0.2


@dataclass(frozen=True)
class Data:
    """What an ensemble learns from, and what it is tested on.

    Args:
        train: Rows to learn from: members on some of them, weights on predictions of the others.
        test: Test set.
        groups: Group of each training row, int (n,); rows of one group stay together.
        codec: What a model file does not hold.
        notes: What to know about the data, a sentence each.
    """

    train: Split
    test: Split
    groups: np.ndarray
    codec: Any
    notes: tuple[str, ...] = ()

    @property
    def input(self) -> tuple[str, tuple[int, ...]]:
        """Name and shape of the input."""
        return next(iter(self.codec.inputs().items()))

    @property
    def output(self) -> str:
        """Name of the output: "label" has probabilities, "number" numbers (B, 1)."""
        return next(iter(self.train.targets))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; empty for numbers."""
        return tuple(self.codec.class_names) if self.output == "label" else ()

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None for numbers."""
        return len(self.class_names) or None


class EnsembleCodec:
    """Reads the codec of whatever the ensemble is of: images, rows, or the runs of another experiment."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Any:
        """Returns the codec that was written."""
        if "experiment" in content:
            network = importlib.import_module(f"..{content['experiment']}.network", __package__)
            return network.CODEC.from_json(content["codec"])
        return (ImageCodec if "image_shape" in content else RowCodec).from_json(content)


CODEC = EnsembleCodec


@dataclass(frozen=True)
class CodecOf:
    """The codec of runs of another experiment, as it is written."""

    experiment: str
    codec: Any

    def to_json(self) -> dict[str, Any]:
        """Returns what `EnsembleCodec` reads."""
        return {"experiment": self.experiment, "codec": self.codec.to_json()}


def is_table(data: str) -> bool:
    """Tells whether data are rows of a table, not images."""
    return data in rows.NAMES or user_path(data).suffix.lower() in ENDINGS


def load(source: Source, *, options: Options) -> Data:
    """Loads the data as the options say.

    Raises:
        UserError: If a column is named where there is no table, or the data cannot be read.
    """
    if is_table(source.data):
        given = {"target": source.target, "group": source.group, "test": source.test_share}
        splits = load_rows(source.data, **given, seed=options.seed, limit=options.rows)
        return Data(splits.train, splits.test, splits.groups, splits.codec, splits.notes)
    for option, given in (("--target", source.target), ("--group", source.group)):
        if given is not None:
            raise UserError(f"{option} names a column of a table, and {source.data} is images. Received: {given}")
    splits = load_images(
        source.data,
        size=source.size or SIZES.get(source.data, SIZE),
        test=source.test_share,
        seed=options.seed,
        limit=options.rows,
        augment=picture_augment(flip=source.data not in UPRIGHT, shift=0.125),
    )
    train = joined(splits)
    return Data(train, splits.test, same_rows(train), ImageCodec.of(splits), splits.notes)


def joined(splits: Splits) -> Split:
    """Returns training and validation set in one: cross-validation needs no other."""
    parts = (splits.train, splits.validation)
    inputs, targets = (
        {name: np.concatenate([getattr(part, kind)[name] for part in parts]) for name in getattr(splits.train, kind)}
        for kind in ("inputs", "targets")
    )
    return replace(splits.train, inputs=inputs, targets=targets)


def same_rows(split: Split) -> np.ndarray:
    """Returns a number for each row, the same for equal ones, int (n,)."""
    seen: dict[bytes, int] = {}
    columns = [np.asarray(array) for array in split.inputs.values()]
    keys = (b"|".join(column[i].tobytes() for column in columns) for i in range(len(split)))
    return np.array([seen.setdefault(key, i) for i, key in enumerate(keys)])


def predict_split(model: keras.Model, split: Split, output: str) -> np.ndarray:
    """Returns the probabilities (n, classes) of rows, or numbers (n,), float32."""
    # An output may be bfloat16, which NumPy cannot save.
    predicted = np.asarray(model.predict(split.batches(BATCH_SIZE), verbose=0)[output], np.float32)
    return predicted if output == "label" else predicted[:, 0]


def truth_of(split: Split, output: str) -> np.ndarray:
    """Returns the classes of rows, int (n,), or their numbers, float64 (n,)."""
    target = np.asarray(split.targets[output])
    return target.astype(np.int64) if output == "label" else target.reshape(len(target)).astype(np.float64)
