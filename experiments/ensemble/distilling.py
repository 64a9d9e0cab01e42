"""`distill`: one small network that learns what an ensemble predicts of rows that it has not seen.

Reference: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from kerasapps.data.splits import Splits
from kerasapps.errors import UserError
from kerasapps.reports import Table
from kerasapps.runs import Options, Run
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, ranged, settings_of

from ..shared import training
from ..shared.runs import SavedRun
from ..shared.training import Trained, finish
from .judging import scores
from .learning import EXPERIMENT, Learned, Learning, digest_of, inner_predictions, parts_for, read_predictions
from .members import NETWORKS, make_network, recipe_of
from .network import Data, Source, load, predict_split, truth_of
from .using import load_learned
from .weighing import weights_in


def distill(
    *,
    run: Path,
    student: str = "perceptron",
    share: ranged(float, least=0, most=1) = 0.7,
    epochs: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Distills an ensemble into one network, and compares it with the same network that learned from the labels alone.

    What it learns are the predictions of the cross-validation: those of the finished ensemble for its own training rows
    are nearly the labels.

    Args:
        run: A run folder of `train`.
        student: The network: as in --library.
        share: Share of the target that is what the ensemble predicts; the rest is the label.
        epochs: Epochs of the network; by default as suits it.
        options: Options that every experiment shares; data and split are those of the ensemble.
    """
    opened = start("Distillation", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    saved = load_learned(run, "distill an ensemble of `train`, which has predictions for all rows")
    data = load(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings))
    known = [*NETWORKS] if data.input[0] == "image" else ["perceptron"]
    if student not in known:
        raise UserError(f"--student must be one of {', '.join(known)}. Received: {student}")
    soft = soft_targets(saved, data)
    epochs = opened.options.shrink(epochs or 2, 2) if options.smoke else epochs
    plain = train_student(opened.part("plain", {}), data, student, None, share=share, epochs=epochs)
    trained = train_student(opened, data, student, soft, share=share, epochs=epochs)
    report_student(opened, saved, data, plain, trained, student=student)


def soft_targets(saved: SavedRun, data: Data) -> np.ndarray:
    """Returns what the ensemble predicts of each training row, by members that have not seen it.

    Raises:
        UserError: If the predictions of the cross-validation are no longer there, or of other data.
    """
    learning = from_settings(Learning, saved.settings)
    parts = parts_for(data, replace(learning, outer_folds=0), seed=saved.settings["seed"])
    learned, digest = {}, digest_of(data)
    for name, part in parts.items():
        path = saved.folder / name / "members" / "predictions.npz"
        if not path.is_file():
            raise UserError(f"{path} is missing: train the ensemble again.")
        learned[name] = Learned(part, read_predictions(path, digest), {}, {})
    _, _, predictions = inner_predictions(learned)
    return weights_in(saved.model, data.output).pooled(predictions)


def train_student(
    run: Run, data: Data, student: str, soft: np.ndarray | None, *, share: float, epochs: int | None
) -> Trained:
    """Trains the network on a mixture of what the ensemble predicts and the labels, or on the labels alone."""
    target = np.asarray(data.train.targets[data.output])
    if data.num_classes:
        hard = np.eye(data.num_classes, dtype=np.float32)[target]
        mixed = hard if soft is None else share * soft + (1 - share) * hard
    else:
        mixed = target if soft is None else share * soft[:, None] + (1 - share) * target
    train = replace(data.train, targets={data.output: mixed.astype(np.float32)})
    network = partial(compiled_student, student, data)
    recipe = recipe_of(student, data, epochs=epochs)
    return training.train(run, Splits(train, test=data.test, codec=data.codec), network, recipe, monitor="loss")


def compiled_student(kind: str, data: Data, **options) -> keras.Model:
    """Builds and compiles the network for targets that are probabilities."""
    model = make_network(kind, data, **options)
    if data.num_classes:
        model.compile(model.optimizer, {"label": "categorical_crossentropy"}, jit_compile=options["jit_compile"])
    return model


def report_student(run: Run, saved: SavedRun, data: Data, plain: Trained, trained: Trained, *, student: str) -> None:
    """Writes what the network keeps of the ensemble's gain."""
    truth = truth_of(data.test, data.output)
    networks = {"distilled": trained.model, "plain": plain.model, "ensemble": saved.model}
    found = {name: scores(predict_split(model, data.test, data.output), truth) for name, model in networks.items()}
    loss = "log_loss" if data.num_classes else "mse"
    metrics = dict(found["distilled"])
    for name in ("plain", "ensemble"):
        metrics |= {f"{key}_{name}": value for key, value in found[name].items()}
    gain = found["plain"][loss] - found["ensemble"][loss]
    said = "the ensemble is no better than the network by itself"
    if gain > 0:
        metrics["gain_kept"] = (found["plain"][loss] - found["distilled"][loss]) / gain
        said = f"it keeps {100 * metrics['gain_kept']:.0f} % of the ensemble's gain in {loss.replace('_', ' ')}"
    rows = [[f"the ensemble, {saved.model.count_params():,} parameters", *found["ensemble"].values()]]
    rows += [[f"{student}, distilled, {trained.model.count_params():,} parameters", *found["distilled"].values()]]
    rows += [[f"{student}, from the labels alone", *found["plain"].values()]]
    table = Table("On the test set", ["", *found["plain"]], rows, digits=4)
    finish(
        run,
        trained,
        metrics,
        [table],
        summary=f"{student} distilled from {saved.folder.name}: {said}.",
        headline=(loss, f"{loss}_plain", f"{loss}_ensemble", "accuracy"),
        table=table,
        conclusion=f"{said[0].upper()}{said[1:]}.",
    )
