"""A few images a class for training, the rest for validation and test."""

from collections.abc import Collection

import numpy as np


def draw_shots(labels: np.ndarray, shots: int, *, others: Collection[str], seed: int) -> dict[str, np.ndarray]:
    """Draws so many rows of each class for the training set.

    The validation set, which chooses epochs and hyperparameters, has a fifth as many: with more of them than there are
    to train on, "20 images a class" would not be the whole truth. The test set has the rest.

    Args:
        labels: Class of each row, int (n,).
        shots: Rows of a class in the training set; of a class that has too few all but those for the others.
        others: Which sets are drawn besides, of "validation" and "test".
        seed: Seed of the draw.

    Returns:
        Row numbers of "train" and of the other sets, ascending. A class with too few rows serves the training set, then
        the test set, then the validation set.
    """
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("train", *others)}
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        kept = min(shots, max(1, len(rows) - len(others)))
        left = len(rows) - kept
        if "test" in others:  # which has most of the rest, and at least one
            few = min(max(1, min(shots // 5, left // 4)), max(0, left - 1))
        else:
            few = min(max(1, shots // 5), left)
        count = few if "validation" in others else 0
        parts["train"].append(rows[:kept])
        if "validation" in others:
            parts["validation"].append(rows[kept : kept + count])
        if "test" in others:
            parts["test"].append(rows[kept + count :])
    return {name: np.sort(np.concatenate(rows)) for name, rows in parts.items()}
