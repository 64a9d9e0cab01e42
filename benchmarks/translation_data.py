"""What benchmarks/translation.py and its PyTorch side both train, and on what."""

import numpy as np

from benchmarks.words import draw_ids

ROWS, LENGTH, VOCABULARY = 256, 16, 5_000  # 4,096 tokens of each language in a step, without padding
UNITS, EMBEDDING, DROPOUT, SMOOTHING = 256, 256, 0.3, 0.1
HEADS, FEEDFORWARD, LAYERS = 8, 512, 3
CASES = ("gru", "transformer")
FIRST = 4  # ids below are padding, unknown, start and end


def batches(steps: int):
    """Returns ids (steps, ROWS, LENGTH) of source, target and next tokens; the same for every implementation."""
    rng = np.random.default_rng(0)
    source, words = (
        FIRST - 1 + draw_ids(rng, (steps, ROWS, length), vocabulary=VOCABULARY - FIRST + 1)
        for length in (LENGTH, LENGTH + 1)
    )
    return source, words[..., :-1], words[..., 1:]


def count_flops(case: str) -> int:
    """Counts the operations of a training step: all products, also where an implementation saves some."""
    tokens, output = ROWS * LENGTH, EMBEDDING * VOCABULARY
    if case == "gru":
        encoder = 2 * 3 * UNITS * (EMBEDDING + UNITS)
        keys = 2 * UNITS * UNITS
        decoder = 3 * UNITS * (EMBEDDING + 2 * UNITS + UNITS) + UNITS * UNITS + LENGTH * (UNITS + 2 * UNITS)
        readout = (UNITS + 2 * UNITS + EMBEDDING) * EMBEDDING
        return 3 * 2 * tokens * (encoder + keys + decoder + readout + output)
    attention = 4 * UNITS * UNITS + 2 * LENGTH * UNITS
    return 3 * 2 * tokens * (LAYERS * (3 * attention + 4 * UNITS * FEEDFORWARD) + output)
