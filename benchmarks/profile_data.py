"""What benchmarks/profile.py and its PyTorch side both train on."""

import numpy as np

BATCH, LENGTH, VOCABULARY, GROUPS = 128, 500, 50_000, 10


def batches(steps: int):
    """Returns token ids (steps, BATCH, LENGTH) and targets; the same for every implementation."""
    rng = np.random.default_rng(0)
    likely = 1 / np.arange(1, VOCABULARY)
    ids = 1 + rng.choice(VOCABULARY - 1, (steps, BATCH, LENGTH), p=likely / likely.sum()).astype(np.int32)
    age = rng.normal(40, 15, (steps, BATCH)).astype(np.float32)
    return ids, age, rng.integers(0, GROUPS, (steps, BATCH)), rng.integers(0, 2, (steps, BATCH)).astype(np.float32)
