"""SuperLearner next to its members: many seeds, three data sets, members that are cheap to train.

    python -m benchmarks.ensemble --out runs/bench-ensemble.json
    python -m benchmarks.ensemble --data adult posts --rows 100 400 1600 --seeds 10 --out runs/bench-rows.json
    python -m benchmarks.ensemble --data digits --members forest extra_trees boosting neighbors bayes --out FILE
    python -m benchmarks.ensemble --outer-folds 5 --seeds 5 --out runs/bench-outer.json

Each seed draws another training set; of everything else, at most 8,000 rows are the test set. Members are estimators
of scikit-learn, as `python -m experiments.ensemble train` fits them: weights come from a cross-validation of the
training set alone, and the test set is used once. A ratio is the loss of a way to combine them, on the test set, over
that of the best single member on that test set, which nobody could have chosen.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.ensemble.folds import Part, parts_of
from experiments.ensemble.judging import Evidence, cross_fitted, outer_risks, rivals, weigh
from experiments.ensemble.learning import Learned, inner_predictions
from experiments.ensemble.members import BASE, CLASSIFIERS, REGRESSORS, estimator_of
from experiments.ensemble.network import Data, Source, load, truth_of
from kerasapps.runs import Options
from kerasapps.runtime import machine
from kerasapps.superlearner import base_rate, risk
from kerasapps.workers.hardware import threads

METHODS = ("auto", "convex", "log_linear", "nnls", "greedy", "validation")
MEMBERS = {
    "digits": ("logistic", "forest", "boosting", "neighbors", "bayes"),
    "adult": ("logistic", "forest", "boosting", "neighbors", "bayes"),
    "posts": ("ridge", "forest", "extra_trees", "boosting", "neighbors"),
}
ROWS = {"digits": 400, "adult": 1000, "posts": 1000}
FOLDS = 5


def main(
    *,
    out: Path,
    data: tuple[str, ...] = tuple(ROWS),
    seeds: int = 20,
    rows: tuple[int, ...] = (),
    members: tuple[str, ...] = (),
    outer_folds: int = 0,
    workers: int = 2,
) -> None:
    """Measures, prints a table, and writes all readings.

    Args:
        out: JSON file to write.
        data: Data sets.
        seeds: Training sets of each.
        rows: Rows of a training set; by default 400 of digits and 1,000 of the others.
        members: Estimators in place of those of each data set.
        outer_folds: Folds of a cross-validation of the whole procedure; 0 for none.
        workers: Processes.
    """
    cases = [(name, count, seed) for name in data for count in rows or [ROWS[name]] for seed in range(seeds)]
    readings = []
    begin = time.perf_counter()
    # One thread for each process, which reads this as it starts: as several wait for each other, they take ten times
    # the processor time on so few rows.
    os.environ |= threads(1)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for reading in pool.map(measure, *zip(*cases, strict=True), repeat(outer_folds), repeat(members)):
            readings.append(reading)
            whole = {"machine": machine(), "seconds": time.perf_counter() - begin, "readings": readings}
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(whole, indent=1))
    for name in data:
        for count in rows or [ROWS[name]]:
            found = [one for one in readings if (one["data"], one["rows"]) == (name, count)]
            print(f"{name}, {count:,} rows, {len(found)} seeds")
            for line in lines_of(found):
                print(f"  {line}")


def lines_of(readings: Sequence[dict[str, Any]]) -> list[str]:
    """Returns what is to be read off the readings of one data set and size."""
    lines = []
    for way in ("discrete", "mean", *METHODS, "oracle", BASE):
        loss = np.array([one["loss"][way] for one in readings])
        ratio = loss / np.array([one["best_member"] for one in readings])
        lines.append(
            f"{way:<12}loss {loss.mean():9.4f}  ratio {ratio.mean():.3f} ({ratio.min():.3f} to {ratio.max():.3f})"
        )
    gap = np.mean([one["loss"]["auto"] - one["loss"]["oracle"] for one in readings])
    lines.append(f"gap of the weights to the best possible ones {gap:.4f}")
    for name in ("cv", "outer"):
        if name in readings[0]:
            off = np.array([(one["loss"]["auto"] - one[name]["mean"]) / one[name]["error"] for one in readings])
            lines.append(f"test loss minus its {name} estimate, in its standard errors: {off.mean():.2f} on average,")
            lines.append(f"  {np.abs(off).max():.2f} at most, within 2 in {(np.abs(off) <= 2).sum()} of {len(off)}")
    return lines


def measure(name: str, rows: int, seed: int, outer_folds: int, members: Sequence[str]) -> dict[str, Any]:
    """Returns the losses of all ways to combine the members on one training set."""
    data = drawn(name, rows, seed)
    truth, test_truth = (truth_of(part, data.output) for part in (data.train, data.test))
    parts = parts_of(truth, data.groups, folds=FOLDS, outer_folds=outer_folds, seed=seed)
    learned = {part.name: fitted(data, part, truth, members or MEMBERS[name], seed) for part in parts.values()}
    numbers, folds, predictions = inner_predictions(learned)
    test = learned["all"].predictions
    evidence = Evidence(truth[numbers], predictions, data.groups[numbers], folds, test_truth, test, {}, {})
    weights = {way: weigh(evidence, way) for way in METHODS}
    found = {way: one.pooled(test) for way, one in weights.items()} | rivals(evidence, weights["auto"])
    alone = {member: risk(test[member], test_truth).mean for member in evidence.members}
    cv = cross_fitted(evidence, "auto")
    outer = outer_risks(learned, truth, data.groups, "auto")
    return {
        "data": name,
        "rows": rows,
        "seed": seed,
        "loss": {way: risk(prediction, test_truth).mean for way, prediction in found.items()},
        "accuracy": {way: accuracy(prediction, test_truth) for way, prediction in found.items()},
        "members": alone,
        "best_member": min(alone.values()),
        "weights": weights["auto"].values,
        "cv": vars(cv),
        **({"outer": vars(outer["outer"])} if outer else {}),
    }


def accuracy(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """Returns the accuracy of probabilities; None for numbers."""
    return None if prediction.ndim == 1 else float((prediction.argmax(1) == truth).mean())


@cache
def whole(name: str) -> Data:
    """Returns all rows of a data set, as training set."""
    return load(Source(data=name, size=8 if name == "digits" else None, test_share=0.01), options=Options())


def drawn(name: str, rows: int, seed: int) -> Data:
    """Returns some rows as training set and the others, 8,000 at most, as test set; equal rows stay together."""
    data = whole(name)
    order = np.random.default_rng(seed).permutation(len(data.train))
    rest = order[rows:][~np.isin(data.groups[order[rows:]], data.groups[order[:rows]])][:8000]
    return replace(
        data, train=data.train.take(order[:rows]), test=data.train.take(rest), groups=data.groups[order[:rows]]
    )


def fitted(data: Data, part: Part, truth: np.ndarray, members: Sequence[str], seed: int) -> Learned:
    """Fits the members on the rows of a part and predicts the others."""
    features, test = (flat(split.inputs[data.input[0]]) for split in (data.train, data.test))
    left = test if part.predicted is None else features[part.predicted]
    count = data.num_classes
    rate = base_rate(truth[part.train], count)
    predictions = {BASE: np.broadcast_to(rate, (len(left), count) if count else (len(left),))}
    for kind in members:
        estimator = estimator_of(kind, data, seed=seed).fit(features[part.train], truth[part.train])
        if count:
            predictions[kind] = np.zeros((len(left), count))
            predictions[kind][:, estimator.classes_] = estimator.predict_proba(left)
        else:
            predictions[kind] = estimator.predict(left)
    return Learned(part, predictions, {}, {})


def flat(inputs: np.ndarray) -> np.ndarray:
    """Returns rows as vectors, images in units of their brightest value, float32 (n, F)."""
    vectors = np.asarray(inputs, np.float32).reshape(len(inputs), -1)
    return vectors / 255 if inputs.ndim == 4 else vectors


if __name__ == "__main__":
    assert all({*members} <= {*CLASSIFIERS, *REGRESSORS} for members in MEMBERS.values())
    tyro.cli(main)
