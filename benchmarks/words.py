"""Words for benchmarks of networks that read text."""

import numpy as np


def draw_ids(rng: np.random.Generator, shape: tuple[int, ...], *, vocabulary: int) -> np.ndarray:
    """Draws token ids from 1 up by Zipf's law, as in language: id k is k times as rare as id 1. 0 is padding."""
    likely = 1 / np.arange(1, vocabulary)
    return 1 + rng.choice(vocabulary - 1, shape, p=likely / likely.sum()).astype(np.int32)
