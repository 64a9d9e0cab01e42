"""What benchmarks/language_model.py and its PyTorch side both train, on what, and how both time a text."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.harness import report

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
WRITTEN = (128, 1_024)  # tokens that are written
TEXTS = 3  # of each length that count
FIRST = 2  # ids below are padding and unknown


def batches(steps: int) -> np.ndarray:
    """Returns ids (steps, ROWS, LENGTH + 1), the same for every implementation."""
    return np.random.default_rng(0).integers(FIRST, VOCABULARY, (steps, ROWS, LENGTH + 1)).astype(np.int32)


def count_flops(case: str, size: Size = SIZES["small"]) -> int:
    """Counts the operations of a training step: all products, also where an implementation saves some."""
    if case == "lstm":
        products = 4 * UNITS * (EMBEDDING + UNITS + (LAYERS - 1) * 2 * UNITS) + UNITS * VOCABULARY
    else:
        attention = 4 * size.width**2 + 2 * size.length * size.width
        products = size.depth * (attention + 2 * size.width * size.feedforward) + size.width * VOCABULARY
    return 3 * 2 * ROWS * LENGTH * products


def report_writing(text: Callable[[], None], *, length: int, precision: str) -> None:
    """Reports the seconds a token of a function that writes a text; the first time, when it is traced, does not count.

    A token is a step, so that a text counts as `length` of them.
    """
    times = []
    for _ in range(1 + TEXTS):
        text()
        times.append(time.perf_counter() / length)
    report(times, precision=precision, warm_up=0)
