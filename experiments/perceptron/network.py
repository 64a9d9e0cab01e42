"""The network of the perceptron experiment: which points, how it is built and trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import keras

from kerasapps.applications.classic import build_perceptron
from kerasapps.data.points import ADMISSIONS, PointCodec, load_points
from kerasapps.data.splits import Splits
from kerasapps.errors import UserError
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, Share, from_settings

from ..shared import training
from ..shared.params import build
from ..shared.runs import SavedRun
from ..shared.training import Trained, tell

CODEC = PointCodec


@dataclass(frozen=True)
class Source:
    """Which points of two classes.

    Args:
        data: "admissions" (simulated applicants), or a CSV, JSON or Parquet file.
        numbers: Two or three columns of numbers: of test, grades and rank, by default the first two; of a file by
            default all that hold numbers.
        target: Column of a file that holds the class, one of two.
        overlap: Share of the simulated applicants whose class is drawn at random, so that no line separates them.
    """

    data: str = ADMISSIONS
    numbers: tuple[str, ...] = ()
    target: str | None = None
    overlap: Share = 0.0


@dataclass(frozen=True)
class Recipe:
    """How neurons learn, that of Keras and those by hand.

    Args:
        epochs: Epochs over the training set; by hand at most 100, over at most 500 points.
        batch_size: Points in a step, over all devices; by hand it is always one.
        learning_rate: Learning rate of gradient descent, and of the perceptron rule.
    """

    epochs: Count = 20
    batch_size: Count = 1
    learning_rate: Positive = 0.1


def load(source: Source, *, options: Options) -> Splits:
    """Loads the points as the options say."""
    return load_points(**asdict(source), seed=options.seed, limit=options.rows)


def train_one(
    run: Run, *, source: Source, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network in a run folder."""
    splits = load(source, options=run.options)
    tell(splits.notes)
    network = partial(make_model, sizes=splits.sizes, params=params)
    return training.train(run, splits, network, recipe, patience=patience)


def splits_of(saved: SavedRun) -> Splits:
    """Loads the points that a run was trained on."""
    return load(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings))


def make_model(
    *, sizes: dict[str, int], params: dict[str, Any], recipe: Recipe, jit_compile: bool, steps: int | None = None
) -> keras.Model:
    """Builds and compiles; the learning rate does not depend on the number of `steps`."""
    model = build(
        *(build_perceptron, params),
        what="a network of points",
        given=sizes | {"output": "sigmoid"},
        usual={"dense_units": ()},
        decided=("image_shape",),
    )
    optimizer = keras.optimizers.SGD(recipe.learning_rate)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
    return model


def classes_of(saved: SavedRun, numbers: Sequence[float]) -> dict[str, float]:
    """Returns both classes of a point with their probabilities, the more probable first.

    Raises:
        UserError: If it has not a number for each column of the run.
    """
    names = list(saved.codec.numbers)
    if len(numbers) != len(names):
        received = " ".join(f"{value:g}" for value in numbers) or "none"
        raise UserError(f"--numbers takes {len(names)} numbers: {', '.join(names)}. Received: {received}")
    inputs = saved.codec.encode({name: [value] for name, value in zip(names, numbers, strict=True)})
    return saved.codec.decode(saved.outputs(inputs))[0]
