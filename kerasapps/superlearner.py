"""SuperLearner: how much each of several learners should count, from predictions of rows that they have not seen.

A prediction is an array of probabilities (n, classes) or of numbers (n,); the truth is int (n,) or float (n,).
`fit_weights` expects predictions of a cross-validation, or of a validation set: weights that are fitted on rows of the
training would favor whoever remembers them best.

References: van der Laan, Polley and Hubbard, "Super Learner", 2007; Breiman, "Stacked Regressions", 1996; Caruana et
al., "Ensemble Selection from Libraries of Models", ICML 2004.

Example:
    >>> weights = fit_weights({"forest": forest, "boosting": boosting}, labels)  # float (n, classes), int (n,)
    >>> risk(weights.pooled({"forest": forest, "boosting": boosting}), labels)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import logsumexp, softmax

Method = Literal["convex", "log_linear", "nnls", "greedy", "validation", "mean", "best"]
Loss = Literal["log_loss", "squared"]
Predictions = Mapping[str, np.ndarray]

SMALLEST = 1e-7  # what a loss takes a probability of zero for
ALIKE = 1e-9  # mean squared distance of two members in units of their spread, up to which one repeats the other
ROUNDS = 100  # of greedy selection
FAINT = 1e-6  # a weight below this is rounding
SPREAD = 1e-3  # share of a probability that is spread over all classes before logarithms: 0 would be a veto


@dataclass(frozen=True)
class Risk:
    """The mean loss over rows, with its standard error."""

    mean: float
    error: float


@dataclass(frozen=True)
class Weights:
    """How members are pooled.

    Args:
        values: The weight of each, at least 0; they sum to 1.
        notes: What is to be known about them, a sentence each.
        sharpness: None for the weighted mean. Otherwise the weighted mean of logarithms of probabilities is multiplied
            by it and made probabilities again: members that agree are then surer together than each by itself.
    """

    values: dict[str, float]
    notes: tuple[str, ...] = ()
    sharpness: float | None = None

    def pooled(self, predictions: Predictions) -> np.ndarray:
        """Returns what the members predict together; one without weight has no effect, whatever it predicts."""
        if self.sharpness is None:
            return combined(predictions, self.values)
        logs = {name: logarithms(predictions[name]) for name, weight in self.values.items() if weight > 0}
        return softmax(self.sharpness * combined(logs, self.values), axis=1)


def loss_of(truth: np.ndarray) -> Loss:
    """Returns the usual loss: log loss for classes, which are integers, squared error for numbers."""
    return "log_loss" if truth.dtype.kind in "iu" else "squared"


def row_losses(prediction: np.ndarray, truth: np.ndarray, *, loss: Loss | None = None) -> np.ndarray:
    """Returns the loss of each row, (n,).

    Args:
        prediction: Probabilities (n, classes), or numbers (n,).
        truth: Classes int (n,), or numbers (n,).
        loss: "log_loss", in nats; or "squared", of probabilities the Brier score, in [0, 2]. The usual one by default.
    """
    prediction = np.asarray(prediction, np.float64)
    if prediction.ndim == 1:
        return (prediction - truth) ** 2
    if (loss or loss_of(truth)) == "log_loss":
        return -np.log(np.maximum(prediction[np.arange(len(truth)), truth], SMALLEST))
    return ((prediction - one_hot(truth, prediction.shape[1])) ** 2).sum(1)


def risk(
    prediction: np.ndarray, truth: np.ndarray, *, loss: Loss | None = None, groups: np.ndarray | None = None
) -> Risk:
    """Returns the mean loss with its standard error, which counts rows of one group as one observation.

    Args:
        prediction: As for `row_losses`.
        truth: As there.
        loss: As there.
        groups: Group of each row, int (n,); each row by itself by default.
    """
    losses = row_losses(prediction, truth, loss=loss)
    return mean_of(losses, groups=groups)


def mean_of(losses: np.ndarray, *, groups: np.ndarray | None = None) -> Risk:
    """Returns the mean of the losses of rows (n,) with its standard error; see `risk`."""
    mean, deviations = losses.mean(), losses - losses.mean()
    if groups is not None:
        deviations = np.bincount(np.unique(groups, return_inverse=True)[1], deviations)
    count = len(deviations)
    spread = np.sqrt((deviations**2).sum() * count / (count - 1)) if count > 1 else np.nan
    return Risk(float(mean), float(spread / len(losses)))


def combined(predictions: Predictions, weights: Mapping[str, float]) -> np.ndarray:
    """Returns the weighted mean; a member without weight has no effect, whatever it predicts."""
    counted = {name: weight for name, weight in weights.items() if weight > 0}
    return sum(weight * np.asarray(predictions[name], np.float64) for name, weight in counted.items())


def fit_weights(
    predictions: Predictions,
    truth: np.ndarray,
    *,
    method: Method = "convex",
    loss: Loss | None = None,
    base: str | None = None,
    folds: np.ndarray | None = None,
) -> Weights:
    """Returns how much each member should count in their mean: at least 0, and 1 together.

    A member that failed (NaN), predicts the same for all rows, or repeats another one gets 0, and a note says so.

    Args:
        predictions: Name of each member to what it predicts for rows that it has not seen.
        truth: Classes int (n,), or numbers (n,).
        method: "convex" minimizes the loss of the mean over all weights that sum to 1. "nnls" is least squares over
            weights of at least 0, divided by their sum, as in the R package SuperLearner. "greedy" adds members one by
            one, repeatedly if need be. "validation" weighs members by how much they gain over predicting the mean of
            the truth. "mean" weighs all alike. "best" is the member of the lowest loss alone, the discrete
            SuperLearner. "log_linear" pools logarithms of probabilities, by what minimizes log loss (as the R package's
            NNloglik); for numbers it is "convex".
        loss: As for `row_losses`; "nnls" always is by squared error.
        base: Name of the member, if there is one, that predicts the base rate for all rows. It may get a weight, which
            draws the mean towards it, but not by "mean".
        folds: Fold of each row, int (n,), where the predictions are those of a cross-validation: there, a member that
            predicts the same for all rows does so in each fold.

    Raises:
        ValueError: If there is no member that can be used, or predictions and truth do not fit.
    """
    loss = loss if loss and loss_of(truth) == "log_loss" else loss_of(truth)
    usable, notes = usable_of(predictions, truth, base=base, folds=folds)
    if method == "mean" and len(usable) > 1:
        usable = [name for name in usable if name != base]
    if not usable:
        raise ValueError(f"`predictions` must be finite for one member. Received: {' '.join(notes) or 'none'}")
    given = {name: np.asarray(predictions[name], np.float64) for name in usable}
    found = METHODS[method](given, truth, loss)
    if not found.any():
        notes += (f"No member has a positive weight by {method}: the one of the lowest risk is taken.",)
        found = best(given, truth, loss)
    found = np.where(found < FAINT * found.sum(), 0, found)
    values = dict.fromkeys(predictions, 0.0) | dict(zip(usable, (found / found.sum()).tolist(), strict=True))
    logarithmic = method == "log_linear" and loss_of(truth) == "log_loss"
    return Weights(values, notes, float(found.sum()) if logarithmic else None)


def usable_of(
    predictions: Predictions, truth: np.ndarray, *, base: str | None = None, folds: np.ndarray | None = None
) -> tuple[list[str], tuple[str, ...]]:
    """Returns the members whose predictions can be used, and a sentence for each other one.

    Of several that predict the same, the first is used. A member that predicts the same for all rows is used only where
    there is no other, or if it is the base rate. Arguments as for `fit_weights`.

    Raises:
        ValueError: If predictions have another shape than the truth allows.
    """
    kept: dict[str, np.ndarray] = {}
    constant, notes = [], []
    for name, given in predictions.items():
        prediction = np.asarray(given, np.float64)
        if len(prediction) != len(truth) or prediction.ndim != (1 if truth.dtype.kind == "f" else 2):
            raise ValueError(
                f"`predictions` must have a row for each of {len(truth)}. Received: {name} with {prediction.shape}"
            )
        if not np.isfinite(prediction).all():
            rows = int((~np.isfinite(prediction.reshape(len(truth), -1))).any(1).sum())
            notes.append(f"{name} gets no weight: {rows:,} of its {len(truth):,} predictions are not finite.")
        elif name != base and _is_constant(prediction, folds):
            constant.append(name)
        elif twin := next((other for other, known in kept.items() if _repeats(prediction, known)), None):
            notes.append(f"{name} gets no weight: it predicts what {twin} does.")
        else:
            kept[name] = prediction
    if not kept and constant:
        kept = dict.fromkeys(constant[:1])
    notes += [f"{name} gets no weight: it predicts the same for all rows." for name in constant if name not in kept]
    return list(kept), tuple(notes)


def _is_constant(prediction: np.ndarray, folds: np.ndarray | None) -> bool:
    parts = [prediction] if folds is None else [prediction[folds == fold] for fold in np.unique(folds)]
    return len(prediction) > len(parts) and all(np.ptp(part, axis=0).max() == 0 for part in parts)


def _repeats(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.mean((one - other) ** 2) <= ALIKE * (np.var(one, axis=0).mean() + np.var(other, axis=0).mean()))


# --- methods: predictions, truth, loss -> a number of at least 0 for each member, (members,)


def convex(predictions: Predictions, truth: np.ndarray, loss: Loss) -> np.ndarray:
    """Minimizes the loss of the mean over the simplex, on which it is convex."""
    columns = np.stack([*predictions.values()], -1)  # (n, members) or (n, classes, members)
    if loss == "log_loss":
        of_truth = np.maximum(columns[np.arange(len(truth)), truth], SMALLEST)  # (n, members)

        def objective(weights):
            mean = of_truth @ weights  # (n,)
            return -np.log(mean).mean(), -(of_truth / mean[:, None]).mean(0)

    else:
        design, target = least_squares(predictions, truth)
        # The weights sum to 1, so that the mean of the errors is the error of the mean.
        errors = design - target[:, None]  # (rows, members)
        sums = (errors**2).sum(0)
        gram = errors.T @ errors / max(sums.min(), 1e-6 * sums.max())

        def objective(weights):
            return weights @ gram @ weights, 2 * gram @ weights

    return on_simplex(objective, len(predictions))


def log_linear(predictions: Predictions, truth: np.ndarray, loss: Loss) -> np.ndarray:
    """Minimizes the log loss of pooled logarithms over weights of at least 0, in which it is convex.

    On few rows that all members get right, the loss alone would ask for ever larger weights. So their sum has a normal
    prior around 1, the geometric mean, whose part shrinks with the number of rows.
    """
    if loss_of(truth) != "log_loss":
        return convex(predictions, truth, loss)
    columns = np.stack([logarithms(one) for one in predictions.values()], -1)  # (n, classes, members)
    of_truth = columns[np.arange(len(truth)), truth]  # (n, members)

    def objective(weights):
        scores = columns @ weights  # (n, classes)
        expected = np.einsum("nk,nkm->nm", softmax(scores, axis=1), columns)
        value = (logsumexp(scores, axis=1) - of_truth @ weights).mean()
        surplus = weights.sum() - 1
        return value + surplus**2 / (2 * len(truth)), (expected - of_truth).mean(0) + surplus / len(truth)

    count = len(predictions)
    found = minimize(objective, np.full(count, 1 / count), jac=True, method="L-BFGS-B", bounds=[(0, None)] * count)
    return np.maximum(found.x, 0)


def logarithms(probabilities: np.ndarray) -> np.ndarray:
    """Returns logarithms of probabilities (n, classes), none of them that of 0."""
    probabilities = np.asarray(probabilities, np.float64)
    return np.log((1 - SPREAD) * probabilities + SPREAD / probabilities.shape[1])


def on_simplex(objective: Callable, count: int) -> np.ndarray:
    """Minimizes a convex function of weights that are at least 0 and sum to 1.

    Args:
        objective: From weights (count,) to the value and the gradient.
        count: Number of weights.
    """
    begin = np.full(count, 1 / count)
    if count == 1:
        return begin
    found = minimize(
        objective,
        begin,
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    # Where it stops for rounding it is nearly there; a corner or the begin may still be lower.
    corners = np.eye(count)
    candidates = [np.clip(found.x, 0, 1), begin, *corners] if np.isfinite(found.x).all() else [begin, *corners]
    candidates = [weights / weights.sum() for weights in candidates if weights.sum() > 0]
    return min(candidates, key=lambda weights: objective(weights)[0])


def least_squares(predictions: Predictions, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the least-squares problem whose unknowns are the weights: (rows, members) and (rows,)."""
    columns = np.stack([np.asarray(one, np.float64) for one in predictions.values()], -1)
    target = truth if columns.ndim == 2 else one_hot(truth, columns.shape[1])
    return columns.reshape(-1, columns.shape[-1]), np.asarray(target, np.float64).reshape(-1)


def non_negative(predictions: Predictions, truth: np.ndarray, loss: Loss) -> np.ndarray:
    """Solves least squares over weights of at least 0."""
    return nnls(*least_squares(predictions, truth))[0]


def greedy(predictions: Predictions, truth: np.ndarray, loss: Loss) -> np.ndarray:
    """Adds the member that lowers the loss of the mean most, again and again, and keeps the best mean on the way."""
    columns = np.stack([*predictions.values()])  # (members, n) or (members, n, classes)
    counts, total = np.zeros(len(columns)), np.zeros_like(columns[0])
    lowest, kept = np.inf, counts
    for size in range(1, ROUNDS + 1):
        risks = [row_losses((total + column) / size, truth, loss=loss).mean() for column in columns]
        chosen = int(np.argmin(risks))
        counts[chosen] += 1
        total += columns[chosen]
        if risks[chosen] < lowest:
            lowest, kept = risks[chosen], counts.copy()
    return kept


def by_gain(predictions: Predictions, truth: np.ndarray, loss: Loss) -> np.ndarray:
    """Weighs each member by how much lower its loss is than that of predicting the mean of the truth for all rows."""
    some = next(iter(predictions.values()))
    base = np.broadcast_to(base_rate(truth, some.shape[1] if some.ndim == 2 else None), some.shape)
    level = row_losses(base, truth, loss=loss).mean()
    return np.maximum([level - row_losses(one, truth, loss=loss).mean() for one in predictions.values()], 0)


def alike(predictions: Predictions, truth: np.ndarray, loss: Loss) -> np.ndarray:
    """Weighs all members alike."""
    return np.ones(len(predictions))


def best(predictions: Predictions, truth: np.ndarray, loss: Loss) -> np.ndarray:
    """Takes the member of the lowest loss, of equals the first."""
    risks = [row_losses(one, truth, loss=loss).mean() for one in predictions.values()]
    return np.eye(len(risks))[int(np.argmin(risks))]


METHODS: dict[Method, Callable[[Predictions, np.ndarray, Loss], np.ndarray]] = {
    "convex": convex,
    "log_linear": log_linear,
    "nnls": non_negative,
    "greedy": greedy,
    "validation": by_gain,
    "mean": alike,
    "best": best,
}


# --- what they share


def one_hot(truth: np.ndarray, classes: int) -> np.ndarray:
    """Returns classes int (n,) as float64 (n, classes)."""
    return np.eye(classes)[truth]


def base_rate(truth: np.ndarray, classes: int | None) -> np.ndarray | float:
    """Returns what to predict without looking at a row: the share of each class (classes,), or the mean of numbers."""
    return truth.mean() if classes is None else np.bincount(truth, minlength=classes) / len(truth)
