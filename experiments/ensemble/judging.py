"""How good an ensemble is, next to its members, their mean, the best of them and the base rate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from kerasapps.superlearner import (
    Method,
    Risk,
    Weights,
    base_rate,
    combined,
    fit_weights,
    mean_of,
    risk,
    row_losses,
)

from .learning import Learned, Way, inner_predictions
from .members import BASE

NO_BETTER = "No combination is better than the base rate, which is predicted instead."
FEWEST = 50  # rows from which on ways to pool are compared


@dataclass(frozen=True)
class Evidence:
    """What members predict of rows that they have not seen, and of the test set.

    Args:
        truth: Of the rows, classes int (n,) or numbers (n,).
        predictions: Of each member, NaN where it failed.
        groups: Group of each row.
        folds: Fold of each row, where there was a cross-validation.
        test_truth: Of the test set.
        test: Of each member, what it predicts there.
        failed: Why members failed, by name.
        seconds: How long each took to train, on all rows.
        pools: Whether logarithms can be pooled: all outputs of the networks are probabilities of two classes or more.
    """

    truth: np.ndarray
    predictions: dict[str, np.ndarray]
    groups: np.ndarray
    folds: np.ndarray | None
    test_truth: np.ndarray
    test: dict[str, np.ndarray]
    failed: dict[str, str]
    seconds: dict[str, float]
    pools: bool = True

    @property
    def loss(self) -> str:
        """Name of the loss that weights minimize, as metrics are called."""
        return "log_loss" if self.truth.dtype.kind in "iu" else "mse"

    @property
    def members(self) -> list[str]:
        """The members that can be used, without the base rate."""
        return [name for name, found in self.predictions.items() if name != BASE and np.isfinite(found).all()]


def weigh(evidence: Evidence, method: Way) -> Weights:
    """Returns the weight of each member, with a sentence for each that failed."""
    way = settled(evidence, method)
    found = fit_weights(evidence.predictions, evidence.truth, method=way, base=BASE, folds=evidence.folds)
    if method not in ("mean", "best") and not_better_than_base(evidence, way):
        only = {name: float(name == BASE) for name in evidence.predictions}
        found = Weights(only, (*found.notes, NO_BETTER))
    failed = tuple(f"{name} gets no weight, as it failed: {reason}" for name, reason in evidence.failed.items())
    others = tuple(note for note in found.notes if not note.startswith(tuple(f"{one} gets" for one in evidence.failed)))
    return replace(found, notes=failed + others)


def not_better_than_base(evidence: Evidence, method: Method) -> bool:
    """Tells whether rows that the weights were not fitted on are predicted as well by the base rate alone."""
    base = evidence.predictions.get(BASE)
    known = base is not None and np.isfinite(base).all() and len(evidence.truth) >= FEWEST
    return known and cross_fitted(evidence, method).mean >= risk(base, evidence.truth).mean


def settled(evidence: Evidence, method: Way) -> Method:
    """Returns how to weigh: of "auto", the mean or the mean of logarithms, by their risk without the rows' own fold."""
    if method != "auto":
        return method
    if evidence.loss != "log_loss" or not evidence.pools or len(evidence.truth) < FEWEST:
        return "convex"
    risks = {way: cross_fitted(evidence, way).mean for way in ("convex", "log_linear")}
    return min(risks, key=risks.get)


def scores(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Returns the metrics of predictions: log loss, accuracy and Brier score of classes, MSE and MAE of numbers."""
    if prediction.ndim == 1:
        error = prediction - truth
        return {"mse": float((error**2).mean()), "mae": float(np.abs(error).mean())}
    return {
        "log_loss": risk(prediction, truth).mean,
        "accuracy": float((prediction.argmax(1) == truth).mean()),
        "brier": risk(prediction, truth, loss="squared").mean,
    }


def rivals(evidence: Evidence, weights: Weights) -> dict[str, np.ndarray]:
    """Returns what others than an ensemble of these weights predict for the test set.

    "mean" is that of all members, "discrete" the member of the lowest risk before the test set was seen, "oracle" the
    mean whose weights are fitted on the test set itself, which none could know. The base rate is always among them.
    """
    test, members = evidence.test, evidence.members
    usable = {name: test[name] for name in (*members, BASE) if name in test}
    way = "convex" if weights.sharpness is None else "log_linear"
    found = {
        "mean": combined(test, dict.fromkeys(members, 1 / len(members))) if members else test[BASE],
        "discrete": weigh(evidence, "best").pooled(test),
        "oracle": fit_weights(usable, evidence.test_truth, base=BASE, method=way).pooled(test),
    }
    return found | {BASE: test[BASE] if BASE in test else base_of(evidence)}


def base_of(evidence: Evidence) -> np.ndarray:
    """Returns the base rate of the rows that weights are fitted on, for each row of the test set."""
    shape = next(iter(evidence.test.values())).shape
    return np.broadcast_to(base_rate(evidence.truth, shape[1] if len(shape) == 2 else None), shape)


def test_metrics(evidence: Evidence, others: Mapping[str, np.ndarray], prediction: np.ndarray) -> dict[str, float]:
    """Returns the metrics of an ensemble on the test set, each followed by those of others, as `rivals` gives them.

    "best_member" is, for each metric by itself, the best value of any member on the test set: the hardest rival, which
    is known only afterwards.
    """
    truth = evidence.test_truth
    metrics = scores(prediction, truth)
    alone = [scores(evidence.test[name], truth) for name in evidence.members]
    for name in list(metrics):
        best = max if name == "accuracy" else min
        metrics[f"{name}_best_member"] = best([one[name] for one in alone], default=metrics[name])
    for rival, found in others.items():
        metrics |= {f"{name}_{rival}": value for name, value in scores(found, truth).items()}
    metrics[f"{evidence.loss}_standard_error"] = risk(prediction, truth).error
    metrics["members"] = len(evidence.members)
    return metrics


def cross_fitted(evidence: Evidence, method: Way) -> Risk:
    """Returns the risk of the ensemble where the weights for each fold are fitted on the other folds.

    Without folds, rows take turns in five.
    """
    losses, own = np.empty(len(evidence.truth)), evidence.folds
    folds = np.arange(len(losses)) % 5 if own is None else own
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        seen = {name: one[inside] for name, one in evidence.predictions.items()}
        given = None if own is None else own[inside]
        known = replace(evidence, truth=evidence.truth[inside], predictions=seen, groups=evidence.groups[inside])
        several = given is not None and len(np.unique(given)) > 1
        way = settled(replace(known, folds=given if several else None), method)  # without this fold, as the weights
        weights = fit_weights(seen, known.truth, method=way, base=BASE, folds=given)
        left = {name: one[outside] for name, one in evidence.predictions.items()}
        losses[outside] = row_losses(weights.pooled(left), evidence.truth[outside])
    return mean_of(losses, groups=evidence.groups)


def outer_risks(learned: Mapping[str, Learned], truth: np.ndarray, groups: np.ndarray, method: Way) -> dict[str, Risk]:
    """Returns the risks of whole procedures by the outer cross-validation: of the ensemble, and of the best member."""
    prefixes = sorted({name.split("_")[0] for name in learned if name.startswith("outer")})
    losses = {"outer": np.empty(len(truth)), "outer_discrete": np.empty(len(truth))} if prefixes else {}
    for prefix in prefixes:
        rows, folds, predictions = inner_predictions(learned, f"{prefix}_")
        outside = learned[f"{prefix}_all"]
        for name, way in (("outer", method), ("outer_discrete", "best")):
            seen = Evidence(truth[rows], predictions, groups[rows], folds, truth[:0], {}, {}, {})
            weights, held_out = weigh(seen, way), outside.part.predicted
            losses[name][held_out] = row_losses(weights.pooled(outside.predictions), truth[held_out])
    return {name: mean_of(found, groups=groups) for name, found in losses.items()}


def risk_metrics(loss: str, risks: Mapping[str, Risk]) -> dict[str, float]:
    """Returns risks by name as metrics, each with its standard error."""
    means = {f"{loss}_{name}": found.mean for name, found in risks.items()}
    return means | {f"{loss}_{name}_standard_error": found.error for name, found in risks.items()}
