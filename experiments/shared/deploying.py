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

from kerasapps.data import pieces, segments, words
from kerasapps.data.segments import Segmenter
from kerasapps.data.subwords import START, Subwords
from kerasapps.errors import UserError
from kerasapps.exporting.preparing import predictions

from .runs import EXPERIMENTS, SavedRun

ROWS, SAMPLES = 64, 100  # of the test set, which are compared; of the training set, which set the ranges of int8
TESTED = 2000  # rows of the test set at most that tell what 8 bits cost

WORDS = (words, segments, pieces)  # modules of programs that read texts

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


def needs_for(*tokens: Any) -> tuple[str, ...]:
    """Returns the packages that a program needs for how texts are cut into tokens."""
    return ("sentencepiece",) * any(isinstance(one, Segmenter | Subwords) for one in tokens)


def writing_parts(
    encoder: keras.Model, step: keras.Model, inputs: Rows, *, longest: int | None = None
) -> dict[str, Part]:
    """Returns the two networks that write: one reads, the other writes a token at a time; the second is compared.

    Args:
        encoder: The graph that reads.
        step: The graph of one step.
        inputs: What is read, (n, ...).
        longest: Tokens of a text that is read at most.
    """
    state = predictions(encoder, inputs)
    rows = len(next(iter(inputs.values())))
    first = {"token": np.full((rows, 1), START, np.int32)} | state
    for tensor in step.inputs:
        if tensor.name not in first:  # it grows by a step each time
            first[tensor.name] = np.zeros((rows, 0, tensor.shape[-1]), np.float32)
    after = predictions(step, first)
    second = {tensor.name: after.get(tensor.name, first[tensor.name]) for tensor in step.inputs}
    second["token"] = after["log_probs"].argmax(-1)[:, None].astype(np.int32)
    return {"encoder": Part(model=encoder, rows=inputs, longest=longest), "step": Part(model=step, rows=second)}


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
