"""What an experiment tells about its trained networks, so that they can be exported with all that predicting needs.

An experiment whose networks can be deployed has a module `exporting` with a function `deployable(saved)`.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from kerasapps.errors import UserError

from .runs import EXPERIMENTS, SavedRun

ROWS, SAMPLES = 64, 100  # of the test set, which are compared; of the training set, which set the ranges of int8
TESTED = 2000  # rows of the test set at most that tell what 8 bits cost

Rows = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One network of a deployable folder.

    Args:
        model: The network.
        rows: Inputs of the test set by name, which are compared.
        samples: Inputs by name that set the ranges of int8, of the training set where there are any; by default `rows`.
        label: Output with the probabilities of classes, None if there is none.
        tested: Returns more inputs of the test set by name, and their classes, int (n,), where there is a label.
        longest: Tokens of a text at most, where a format needs a fixed length.
    """

    model: keras.Model
    rows: Rows
    samples: Rows | None = None
    label: str | None = None
    tested: Callable[[], tuple[Rows, np.ndarray]] | None = None
    longest: int | None = None


@dataclass(frozen=True, kw_only=True)
class Deployable:
    """A trained network as it is deployed.

    Args:
        parts: Networks by the name of their files.
        script: The program that predicts, which becomes predict.py.
        modules: Modules that it imports, which import nothing but each other, NumPy and the standard library.
        codec: What codec.json holds.
        arguments: An example of its command line.
        files: Files that the example reads, by name.
        needs: Further packages that the program may need.
        limits: What a user should know, a sentence each.
    """

    parts: Mapping[str, Part]
    script: Path
    modules: tuple[ModuleType, ...] = ()
    codec: Mapping[str, Any]
    arguments: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


def deployable(saved: SavedRun) -> Deployable:
    """Returns how the network of a run is deployed.

    Raises:
        UserError: If its experiment has no such networks.
    """
    if not (EXPERIMENTS / saved.experiment / "exporting.py").is_file():
        raise UserError(f"{saved.folder} is a run of {saved.experiment}, which has no folder to deploy.")
    return importlib.import_module(f"..{saved.experiment}.exporting", __package__).deployable(saved)


def spread(total: int, count: int = ROWS) -> np.ndarray:
    """Returns the numbers of rows from all over a data set, which may be sorted by class; always the same ones."""
    if total <= count:
        return np.arange(total)
    return ((np.arange(count) + np.random.default_rng(0).random(count)) * total / count).astype(int)


def some_rows(arrays: Mapping[str, Any], count: int = ROWS) -> dict[str, np.ndarray]:
    """Returns rows of arrays by name, from all over them."""
    return {name: np.asarray(array)[spread(len(array), count)] for name, array in arrays.items()}


def prepared_rows(split, count: int = ROWS) -> dict[str, np.ndarray]:
    """Returns the inputs of rows of a split, from all over it, as a network takes them."""
    kept = split.take(spread(len(split), count))
    inputs = next(iter(kept.batches(len(kept))))[0]
    return {name: np.asarray(values) for name, values in inputs.items()}
