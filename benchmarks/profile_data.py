"""What benchmarks/profile.py and its PyTorch side both train on."""

import numpy as np

from benchmarks.words import draw_ids

BATCH, LENGTH, VOCABULARY, GROUPS = 128, 500, 50_000, 10


def batches(steps: int):
    """Returns token ids (steps, BATCH, LENGTH) and targets; the same for every implementation."""
    rng = np.random.default_rng(0)
    ids = draw_ids(rng, (steps, BATCH, LENGTH), vocabulary=VOCABULARY)
    age = rng.normal(40, 15, (steps, BATCH)).astype(np.float32)
    return ids, age, rng.integers(0, GROUPS, (steps, BATCH)), rng.integers(0, 2, (steps, BATCH)).astype(np.float32)
