"""What benchmarks/captioning.py and its PyTorch side both train, and on what."""

import numpy as np

from benchmarks.words import draw_ids

IMAGES, CAPTIONS, LENGTH, VOCABULARY = 32, 5, 16, 2_500  # 160 captions in a step, without padding
SIDE, FEATURES = 7, 512  # of the grid that a frozen base gave: 49 places
UNITS, EMBEDDING, ATTENTION, DROPOUT, SMOOTHING = 256, 128, 64, 0.3, 0.1
HEADS, FEEDFORWARD, DEPTH = 4, 512, 2
CASES = ("gru", "transformer")
FIRST = 4  # ids below are padding, unknown, start and end


def batches(steps: int):
    """Returns features (steps, IMAGES, SIDE, SIDE, FEATURES), and ids (steps, IMAGES, CAPTIONS, LENGTH) of the words
    before and of those that are predicted; the same for every implementation."""
    rng = np.random.default_rng(0)
    grids = rng.standard_normal((steps, IMAGES, SIDE, SIDE, FEATURES), np.float32)
    shape = (steps, IMAGES, CAPTIONS, LENGTH + 1)
    words = FIRST - 1 + draw_ids(rng, shape, vocabulary=VOCABULARY - FIRST + 1)
    return grids, words[..., :-1], words[..., 1:]


def count_flops(case: str) -> int:
    """Counts the operations of a training step: all products, also where an implementation saves some."""
    places, tokens, shown = IMAGES * SIDE**2, IMAGES * CAPTIONS * LENGTH, SIDE**2
    image = places * ((FEATURES + 2) * UNITS + 4 * UNITS**2 + 2 * shown * UNITS + 2 * UNITS * FEEDFORWARD)
    if case == "gru":
        gates = 3 * UNITS * (EMBEDDING + UNITS + UNITS)
        word = gates + UNITS * ATTENTION + shown * (ATTENTION + UNITS) + (2 * UNITS + EMBEDDING) * EMBEDDING
        return 3 * 2 * (image + places * UNITS * ATTENTION + tokens * (word + EMBEDDING * VOCABULARY))
    own = 4 * UNITS**2 + 2 * LENGTH * UNITS
    across = 2 * UNITS**2 + 2 * shown * UNITS
    word = DEPTH * (own + across + 2 * UNITS * FEEDFORWARD) + UNITS * VOCABULARY
    return 3 * 2 * (image + DEPTH * places * 2 * UNITS**2 + tokens * word)
