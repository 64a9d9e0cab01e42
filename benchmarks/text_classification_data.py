"""What benchmarks/text_classification.py and its PyTorch side both train, and on what."""

import numpy as np

from benchmarks.words import draw_ids

BATCH, VOCABULARY, CLASSES = 64, 20_000, 2
CASES = {
    "text_cnn_200": ("text_cnn", 200),
    "text_cnn_400": ("text_cnn", 400),
    "lstm_200": ("lstm", 200),
    "lstm_400": ("lstm", 400),
}
VECTOR, FILTERS, WIDTHS, MAX_NORM = 300, 100, (3, 4, 5), 3.0  # of the text CNN
EMBEDDING, UNITS = 128, 128  # of the LSTM
DROPOUT = 0.5


def batches(steps: int, *, length: int):
    """Returns token ids (steps, BATCH, length) and labels (steps, BATCH); the same for every implementation."""
    rng = np.random.default_rng(0)
    return draw_ids(rng, (steps, BATCH, length), vocabulary=VOCABULARY), rng.integers(0, CLASSES, (steps, BATCH))


def count_flops(arch: str, length: int) -> int:
    """Counts the operations of a training step: the products of windows with filters, or of input and state with gates.

    They count as if each was computed, also where an implementation saves some; training costs three forward passes.
    """
    if arch == "text_cnn":
        return 3 * 2 * BATCH * length * sum(WIDTHS) * VECTOR * FILTERS
    return 3 * 2 * BATCH * length * (EMBEDDING + UNITS) * 4 * UNITS
