"""Which rows a member learns from, and which it predicts: cross-validation, and one around it."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from kerasapps.errors import DataError


@dataclass(frozen=True)
class Part:
    """Rows to learn from and rows to predict.

    Args:
        name: Such as "fold2", or "outer1_fold2" within a cross-validation of the whole procedure.
        train: Numbers of the rows that members learn from, int (n,).
        predicted: Numbers of those that they predict; None for the test set.
    """

    name: str
    train: np.ndarray
    predicted: np.ndarray | None


def folds_of(truth: np.ndarray, groups: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """Returns the fold of each row, int (n,): groups stay together, and classes are spread as evenly as that allows.

    Where there are fewer groups than folds, or fewer rows in every class, there are as many folds as those.

    Args:
        truth: Classes int (n,), or numbers.
        groups: Group of each row, int (n,).
        folds: Number of folds at most.
        seed: Seed of the choice.

    Raises:
        DataError: If two folds cannot be made.
    """
    classes = truth.dtype.kind in "iu"
    many = len(np.unique(groups))
    folds = min(folds, many, *([int(np.bincount(truth).max())] if classes else []))
    if folds < 2:
        raise DataError(f"{len(truth):,} rows in {many:,} groups are too few for a cross-validation.")
    options = {"n_splits": folds, "shuffle": True, "random_state": seed}
    alone = many == len(truth)
    if classes:
        splitter = StratifiedKFold(**options) if alone else StratifiedGroupKFold(**options)
    else:
        splitter = KFold(**options) if alone else GroupKFold(**options)
    fold = np.empty(len(truth), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than folds is none's fault
        for number, (_, rows) in enumerate(splitter.split(truth, truth, groups)):
            fold[rows] = number
    return fold


def parts_of(truth: np.ndarray, groups: np.ndarray, *, folds: int, outer_folds: int, seed: int) -> dict[str, Part]:
    """Returns all trainings by name: a fold each, all rows, and with outer folds both for each of these.

    Args:
        truth: As for `folds_of`.
        groups: As there.
        folds: Folds whose predictions the weights are fitted on.
        outer_folds: Folds that the whole procedure is judged on; 0 for none.
        seed: Seed of the folds.
    """
    everything = np.arange(len(truth))
    parts = _around(truth, groups, everything, None, folds=folds, seed=seed, prefix="")
    if outer_folds:
        outer = folds_of(truth, groups, folds=outer_folds, seed=seed + 1)
        for number in np.unique(outer):
            inside, outside = everything[outer != number], everything[outer == number]
            parts += _around(truth, groups, inside, outside, folds=folds, seed=seed, prefix=f"outer{number}_")
    return {part.name: part for part in parts}


def _around(
    truth: np.ndarray,
    groups: np.ndarray,
    rows: np.ndarray,
    others: np.ndarray | None,
    *,
    folds: int,
    seed: int,
    prefix: str,
) -> list[Part]:
    """Returns the trainings on some rows: without a fold each, and on all of them, to predict others."""
    fold = folds_of(truth[rows], groups[rows], folds=folds, seed=seed)
    inner = [Part(f"{prefix}fold{i}", rows[fold != i], rows[fold == i]) for i in np.unique(fold)]
    return [*inner, Part(f"{prefix}all", rows, others)]
