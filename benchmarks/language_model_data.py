"""What benchmarks/language_model.py and its PyTorch side both train, and on what."""

import numpy as np

ROWS, LENGTH, VOCABULARY = 32, 128, 67  # 4,096 characters in a step
UNITS, EMBEDDING, LAYERS = 256, 64, 2  # of the LSTM
WIDTH, HEADS, FEEDFORWARD, DEPTH = 128, 4, 512, 4  # of the transformer: nanoGPT's small size
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
        attention = 4 * WIDTH * WIDTH + 2 * LENGTH * WIDTH
        products = DEPTH * (attention + 2 * WIDTH * FEEDFORWARD) + WIDTH * VOCABULARY
    return 3 * 2 * ROWS * LENGTH * products
