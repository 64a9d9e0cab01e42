"""The end of every command that makes an ensemble: metrics, the report, and what is printed."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerasapps.data.splits import Split
from kerasapps.formats import format_share
from kerasapps.reports import Block
from kerasapps.runs import Run
from kerasapps.superlearner import Weights

from ..shared.classification import class_table
from ..shared.training import report
from .judging import Evidence, rivals, test_metrics
from .results import calibration_metrics, result_blocks, risk_table

FOLLOWING = {
    "Evaluate it on the test set": "evaluate --run RUN",
    "Distill it into one small network": "distill --run RUN",
}


def report_ensemble(
    run: Run,
    model: keras.Model,
    prediction: np.ndarray,
    evidence: Evidence,
    weights: Weights,
    *,
    test: Split,
    class_names: Sequence[str],
    what: str,
    notes: Sequence[str] = (),
    train_rows: int,
    more: Mapping[str, float] | None = None,
    following: Mapping[str, str] | None = None,
) -> None:
    """Writes metrics and report of an ensemble, and prints how it compares with its members.

    Args:
        run: The run folder.
        model: The ensemble.
        prediction: What it predicts for the test set: probabilities (n, classes), or numbers (n,).
        evidence: What its members predict.
        weights: Their weights, and what is to be known about them.
        test: The test set.
        class_names: Names of the classes; empty for numbers.
        what: What it is an ensemble of, for the head of the report.
        notes: What to know about the data.
        train_rows: Rows that its members were trained on.
        more: Further metrics.
        following: Commands that may come next.
    """
    prediction = np.asarray(prediction, np.float64)
    found = rivals(evidence, weights)
    metrics = test_metrics(evidence, found, prediction)
    metrics |= (calibration_metrics(evidence, prediction) if class_names else {}) | dict(more or {})
    metrics |= {"parameters": model.count_params(), "train_rows": train_rows, "test_rows": len(test)}
    table = risk_table(evidence, weights, prediction, found)
    for note in weights.notes:
        print(note, flush=True)
    blocks: list[Block | None] = [table, *result_blocks(evidence, weights, prediction, test, class_names)]
    if class_names:
        blocks.append(class_table(prediction, evidence.test_truth, class_names, unit="rows"))
    loss = evidence.loss
    said = f"{loss.replace('_', ' ') if loss != 'mse' else 'MSE'} {metrics[loss]:.4g} on {len(test):,} test rows, "
    said += f"{metrics[f'{loss}_best_member']:.4g} by the best member, {metrics[f'{loss}_mean']:.4g} by the mean of all"
    if class_names:
        said += f"; {format_share(metrics['accuracy'])} accuracy, {format_share(metrics['accuracy_best_member'])} by "
        said += "the best member"
    names = [loss, f"{loss}_best_member", f"{loss}_mean", "accuracy", "accuracy_best_member", f"{loss}_outer"]
    report(
        run,
        metrics,
        blocks,
        summary=" ".join([f"An ensemble of {what}: {said}.", *weights.notes, *notes]),
        headline=names,
        table=table,
        conclusion=f"{said[0].upper()}{said[1:]}.",
        following=following,
    )
