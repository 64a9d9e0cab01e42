"""Learning on parts of the rows: each is a job that trains all members and predicts the rows left out."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from kerasapps import runtime, saving
from kerasapps.data.splits import Splits
from kerasapps.errors import TrainingError, UserError, explain, is_out_of_memory
from kerasapps.files import atomic_file
from kerasapps.runs import Options, Run, save_model
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, ranged
from kerasapps.superlearner import Method
from kerasapps.workers.jobs import run_all

from ..shared import training
from ..shared.training import settings_for
from .folds import Part, parts_of
from .members import (
    BASE,
    NETWORKS,
    Member,
    features_network,
    fit_estimator,
    library_of,
    make_network,
    recipe_of,
)
from .network import BATCH_SIZE, Data, Source, load, predict_split, truth_of

EXPERIMENT = "ensemble"
Way = Literal["auto", Method]
DIGEST = "digest of the data"  # among predictions, where no member is called so


@dataclass(frozen=True)
class Learning:
    """What learns, and how it is weighed.

    Args:
        library: Members, such as separable,residual:3,quick_residual@4,boosting: three networks of other seeds, four
            snapshots of one training; by default five that suit the data.
        folds: Folds of the cross-validation that gives the predictions for the weights.
        outer_folds: Folds of a cross-validation of the whole procedure, which judges it; 0 for none.
        method: How members are weighed: "convex" minimizes the loss of their mean, "log_linear" that of the mean of
            their logarithms, "auto" takes whichever has the lower cross-validated risk; "nnls", "greedy", "validation"
            (by gain over the base rate), "mean", or "best" (one member, the discrete SuperLearner).
        epochs: Epochs of networks; by default 12 for images and 30 for rows.
    """

    library: tuple[str, ...] = ()
    folds: ranged(int, least=2, most=100) = 5
    outer_folds: ranged(int, least=0, most=100) = 0
    method: Way = "auto"
    epochs: or_none(Count) = None

    def shrunk(self, options: Options) -> "Learning":
        """Returns it as the options say: with --smoke few folds and epochs."""
        epochs = options.shrink(self.epochs or 2, 2) if options.smoke else self.epochs
        return replace(options.shrunk(self, folds=2, outer_folds=2), epochs=epochs)


@dataclass(frozen=True)
class Learned:
    """What the members of a part predict.

    Args:
        part: The rows.
        predictions: Of each member by name; NaN where it failed. Those of the test set for the part of all rows.
        failed: Why members failed, by name.
        seconds: How long each took.
    """

    part: Part
    predictions: dict[str, np.ndarray]
    failed: dict[str, str]
    seconds: dict[str, float]


def learn_all(run: Run, data: Data, learning: Learning, *, workers: int) -> dict[str, Learned]:
    """Trains all members on all parts in separate processes, and returns what they predict, by the part's name."""
    parts = parts_for(data, learning, seed=run.options.seed)
    calls = {
        name: {"folder": str(run.folder / name / "members"), "settings": settings_for(run), "part": name}
        for name in parts
    }
    learned, digest = {}, digest_of(data)
    for name, outcome in run_all(run, learn_part, calls, workers=workers):
        found = outcome.value
        predictions = read_predictions(run.folder / name / "members" / "predictions.npz", digest)
        learned[name] = Learned(parts[name], predictions, found["failed"], found["seconds"])
        print(f"{name}: {len(parts[name].train):,} rows, {sum(found['seconds'].values()):.0f} s", flush=True)
        for member, reason in found["failed"].items():
            print(f"{name}: {member} failed: {reason}", flush=True)
    return {name: learned[name] for name in parts}


def parts_for(data: Data, learning: Learning, *, seed: int) -> dict[str, Part]:
    """Returns all trainings by name; see `parts_of`."""
    truth = truth_of(data.train, data.output)
    return parts_of(truth, data.groups, folds=learning.folds, outer_folds=learning.outer_folds, seed=seed)


def learn_part(*, folder: str, settings: dict[str, Any], part: str) -> dict[str, Any]:
    """Trains all members on a part, in a separate process; leaves their models and predictions in the folder."""
    run = start(
        "Ensemble, members of one part",
        settings | {"out": folder},
        experiment=EXPERIMENT,
        workload="convolution",
        free=["workers"],
    )
    data, learning = load(from_settings(Source, settings), options=run.options), from_settings(Learning, settings)
    rows = parts_for(data, learning, seed=run.options.seed)[part]
    members = [Member(BASE, BASE), *library_of(learning.library, data)]
    learned = learn(run, data, members, rows, epochs=learning.epochs)
    write_predictions(run.path("predictions.npz"), learned.predictions, digest_of(data))
    run.close()
    return {"failed": learned.failed, "seconds": learned.seconds}


def learn(run: Run, data: Data, members: Sequence[Member], part: Part, *, epochs: int | None) -> Learned:
    """Trains members on the rows of a part, and predicts the others; one that fails stops none of the others."""
    predicted = data.test if part.predicted is None else data.train.take(part.predicted)
    seen = replace(data, train=data.train.take(part.train))
    shape = (len(predicted), data.num_classes) if data.num_classes else (len(predicted),)
    features = features_network(data).predict(seen.train.batches(BATCH_SIZE), verbose=0)
    predictions, failed, seconds = {}, {}, {}
    for member in members:
        begin = time.perf_counter()
        try:
            made = dict(networks_of(run, seen, member, features, epochs=epochs))
            found = {name: predict_split(model, predicted, data.output) for name, model in made.items()}
        except Exception as error:  # scikit-learn and Keras raise whatever they do not like about the rows
            if not is_of_member(error):
                raise
            found = dict.fromkeys(member.names, np.full(shape, np.nan, np.float32))
            failed |= dict.fromkeys(member.names, explain(error) or f"{type(error).__name__}: {str(error)[:200]}")
        predictions |= found
        seconds |= dict.fromkeys(member.names, (time.perf_counter() - begin) / len(member.names))
        keras.backend.clear_session()
    return Learned(part, predictions, failed, seconds)


def is_of_member(error: Exception) -> bool:
    """Tells whether a member is at fault, not the machine or what was asked for: a full disk would stop all others."""
    if isinstance(error, UserError):
        return isinstance(error, TrainingError)
    return not (isinstance(error, OSError) or is_out_of_memory(error))


def digest_of(data: Data) -> str:
    """Returns what changes where the rows do, of the training or the test set."""
    return data.train.digest().hex() + data.test.digest().hex()


def write_predictions(path: Path, predictions: Mapping[str, np.ndarray], digest: str) -> None:
    """Writes what members predict, with the digest of the data."""
    with atomic_file(path) as file:
        np.savez(file, **predictions, **{DIGEST: digest})


def read_predictions(path: Path, digest: str) -> dict[str, np.ndarray]:
    """Reads what members predict, by name.

    Raises:
        UserError: If it is of other data.
    """
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    if str(found.pop(DIGEST, "")) != digest:
        raise UserError(f"{path} is of other data: they have changed since, so train the ensemble again.")
    return found


def networks_of(
    run: Run, data: Data, member: Member, features: np.ndarray, *, epochs: int | None
) -> Iterator[tuple[str, keras.Model]]:
    """Yields what a member gives, by name; each model is saved in the run folder."""
    seed = run.options.seed + member.seed
    if member.kind not in NETWORKS:
        model = fit_estimator(member.kind, data, features, truth_of(data.train, data.output), seed=seed)
        save_model(model, run.path(member.name, "model.keras"))
        yield member.name, model
        return
    runtime.set_seed(seed)
    inner = run.part(member.name, {"seed": seed})
    cycles = member.snapshots
    recipe = recipe_of(member.kind, data, epochs=epochs, cycles=cycles)
    # Snapshots round --epochs up: what a resumed run planned before is rounded alike.
    before = inner.resumed and recipe_of(member.kind, data, epochs=inner.resumed.get("epochs"), cycles=cycles).epochs
    inner = replace(
        inner,
        options=replace(run.options, seed=seed),
        resumed=inner.resumed and inner.resumed | {"epochs": before},
    )
    network = partial(make_network, member.kind, data, cycles=cycles)
    snapshots = Snapshots(inner, recipe.epochs // cycles)
    splits = Splits(data.train)
    trained = training.train(
        inner, splits, network, recipe, monitor="loss", callbacks=[snapshots] if cycles > 1 else []
    )
    if cycles == 1:
        yield member.name, trained.model
        return
    for number, name in enumerate(member.names, 1):
        trained.model.load_weights(snapshots.path(number))
        save_model(trained.model, run.path(name, "model.keras"))
        yield name, saving.load_model(run.path(name, "model.keras"))


class Snapshots(keras.callbacks.Callback):
    """Keeps the weights at the end of each cycle of the learning rate.

    Reference: Huang et al., "Snapshot Ensembles: Train 1, Get M for Free", ICLR 2017.
    """

    def __init__(self, run: Run, every: int):
        super().__init__()
        self.run, self.every = run, every

    def path(self, number: int) -> Path:
        """Returns the file of a snapshot."""
        return self.run.path(f"cycle{number}.weights.h5")

    def on_epoch_end(self, epoch, logs=None):
        """Keeps the weights."""
        if (epoch + 1) % self.every == 0:
            self.model.save_weights(self.path((epoch + 1) // self.every), overwrite=True)


def inner_predictions(learned: Mapping[str, Learned], prefix: str = "") -> tuple[np.ndarray, np.ndarray, dict]:
    """Returns what members predict of rows that they have not seen, from the parts of a cross-validation.

    Args:
        learned: The parts.
        prefix: "" for the cross-validation of all rows, "outer2_" for that within an outer fold.

    Returns:
        Numbers of the rows (n,), the fold of each (n,), and of each member its predictions, NaN where it failed in any
        part or on all rows.
    """
    folds = [one for name, one in learned.items() if name.startswith(f"{prefix}fold")]
    final = learned[f"{prefix}all"]
    rows = np.concatenate([one.part.predicted for one in folds])
    fold = np.concatenate([np.full(len(one.part.predicted), i) for i, one in enumerate(folds)])
    order = np.argsort(rows)
    predictions = {}
    for name in final.predictions:
        found = np.concatenate([one.predictions[name] for one in folds])[order].astype(np.float64)
        predictions[name] = found if np.isfinite(final.predictions[name]).all() else np.full_like(found, np.nan)
    return rows[order], fold[order], predictions
