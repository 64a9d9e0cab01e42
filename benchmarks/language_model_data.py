"""What benchmarks/language_model.py and its PyTorch side both train, and on what."""

from dataclasses import dataclass

import numpy as np

ROWS, LENGTH, VOCABULARY = 32, 128, 67  # 4,096 characters in a step
UNITS, EMBEDDING, LAYERS = 256, 64, 2  # of the LSTM


@dataclass(frozen=True)
class Size:
    """Of a transformer; `length` is how many tokens it sees."""

    width: int
    heads: int
    feedforward: int
    depth: int
    length: int


SIZES = {"small": Size(128, 4, 512, 4, LENGTH), "full": Size(192, 6, 768, 6, 256)}  # the small one is nanoGPT's
CASES = ("lstm", "transformer")
WRITTEN = (128, 512, 2_048)  # tokens that are written
FIRST = 2  # ids below are padding and unknown


def batches(steps: int) -> np.ndarray:
    """Returns ids (steps, ROWS, LENGTH + 1), the same for every implementation."""
    return np.random.default_rng(0).integers(FIRST, VOCABULARY, (steps, ROWS, LENGTH + 1)).astype(np.int32)


def count_flops(case: str) -> int:
    """Counts the operations of a training step: all products, also where an implementation saves some."""
    if case == "lstm":
        products = 4 * UNITS * (EMBEDDING + UNITS + (LAYERS - 1) * 2 * UNITS) + UNITS * VOCABULARY
    else:
        size = SIZES["small"]
        attention = 4 * size.width**2 + 2 * LENGTH * size.width
        products = size.depth * (attention + 2 * size.width * size.feedforward) + size.width * VOCABULARY
    return 3 * 2 * ROWS * LENGTH * products
