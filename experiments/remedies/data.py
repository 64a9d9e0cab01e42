"""The data of the remedies: few rows, some labels wrong, and columns of noise next to those that mean something."""

from dataclasses import dataclass

import numpy as np

from kerasapps.data.images import load_images
from kerasapps.data.rows import NAMES, load_rows
from kerasapps.data.splits import Split, Splits
from kerasapps.data.tables import ENDINGS
from kerasapps.errors import UserError
from kerasapps.files import user_path
from kerasapps.runs import Options
from kerasapps.settings import Share, Text, or_none, ranged

MOST_TESTED = 1000  # rows of the test set, which every epoch is measured on


@dataclass(frozen=True)
class Source:
    """Which data, and what is done to them so that there is something to remedy.

    Args:
        data: "digits" (embedded), "adult", "posts" (simulated), or a CSV, JSON or Parquet file.
        target: Column of a table with the classes to predict; by default the income of "adult".
        rows: Rows of a training set: few, so that a network can learn them by heart. The validation set has as many.
        noise: Columns of random numbers that are added, so that it is known which columns mean nothing.
        wrong: Share of the training labels that are replaced by others.
    """

    data: Text = "digits"
    target: or_none(Text) = None
    rows: ranged(int, least=2) = 256
    noise: ranged(int, least=0, most=1000) = 64
    wrong: Share = 0.05


@dataclass(frozen=True)
class Sets:
    """Training, validation and test set: features float32 (n, F) and labels int32 (n,) of each."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Pool:
    """Rows that training and validation sets are drawn from, and the test set.

    Args:
        features: With the columns of noise last, float32 (n, F).
        labels: Classes, int32 (n,).
        test: Features and labels of the test set.
        rows: Rows of a training set, and of a validation set.
        wrong: Share of the training labels that are replaced by others.
        noise: Columns of noise.
        num_classes: Number of classes.
        notes: What to know about the data, a sentence each.
    """

    features: np.ndarray
    labels: np.ndarray
    test: tuple[np.ndarray, np.ndarray]
    rows: int
    wrong: float
    noise: int
    num_classes: int
    notes: tuple[str, ...]

    def draw(self, seed: int) -> Sets:
        """Draws a training set, some of its labels wrong, and a validation set, all of them right."""
        rng = np.random.default_rng([seed, 1])
        train, validation = rng.permutation(len(self.labels))[: 2 * self.rows].reshape(2, -1)
        labels = self.labels[train]
        mistaken = rng.permutation(self.rows)[: round(self.wrong * self.rows)]
        labels[mistaken] += rng.integers(1, self.num_classes, len(mistaken), dtype=np.int32)
        labels %= self.num_classes
        return Sets((self.features[train], labels), (self.features[validation], self.labels[validation]), self.test)


def read(source: Source) -> Splits:
    """Reads the data as they are.

    Raises:
        UserError: If there are none of that name, or no class to predict.
    """
    if source.data == "digits":
        if source.target is not None:
            raise UserError(f"--target names a column of a table, and digits are images. Received: {source.target}")
        return load_images("digits", validation=0.01, test=0.5)
    if source.data not in NAMES and user_path(source.data).suffix.lower() not in ENDINGS:
        names = ", ".join(["digits", *NAMES])
        raise UserError(f"{source.data} is neither {names} nor a file that ends in {', '.join(ENDINGS)}.")
    splits = load_rows(source.data, target=source.target)
    if "label" not in splits.train.targets:
        target = splits.codec.target
        raise UserError(f"--target {target} is a number, and the networks predict classes: try {target}=classes.")
    return splits


def load(source: Source, *, options: Options) -> Pool:
    """Loads the data as the options say.

    Raises:
        UserError: If there are none, no class to predict, or too few rows.
    """
    splits = read(source)
    (train, labels), (test, truth) = (flat(split) for split in (splits.train, splits.test))
    rows = min(source.rows, options.rows or source.rows)
    if len(labels) < 2 * rows:
        raise UserError(f"--rows {rows} is more than half of the {len(labels):,} rows that are not tested on.")
    # As loud as the columns that mean something, on average, so that it is not their scale that gives them away.
    scale, rng = train.std(0).mean(), np.random.default_rng([options.seed, 2])
    train, test = (
        np.concatenate([known, rng.normal(0, scale, (len(known), source.noise))], 1).astype(np.float32)
        for known in (train, test)
    )
    kept = slice(min(MOST_TESTED, options.rows or MOST_TESTED))
    classes = splits.sizes["num_classes"]
    tested = test[kept], truth[kept]
    return Pool(train, labels, tested, rows, source.wrong, source.noise, classes, splits.notes)


def flat(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns features (n, F), pixels from -1 to 1, and labels (n,)."""
    ((name, values),) = split.inputs.items()
    values = values.reshape(len(values), -1)
    return (values / 127.5 - 1 if name == "image" else values), split.targets["label"]
