"""The gradient of a convolution's weights: as kerasapps.blocks.fast_conv computes it, and as oneDNN does.

    python -m benchmarks.fast_conv --out runs/bench-fast-conv.json

In bfloat16, in turn, for layers of this project and for what lies on either side of the limits in that module. Above 1
ours is faster.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tyro

from benchmarks.harness import write
from kerasapps.blocks.fast_conv import kernel_gradient

# Name: batch, side of the larger picture, window, channels, filters, stride.
CASES = {
    "GAN, conv2 of the discriminator": (128, 14, 5, 64, 128, 2),
    "GAN, up1 of the generator": (64, 14, 5, 64, 128, 2),
    "quick residual, second stage": (128, 8, 3, 256, 256, 1),
    "quick residual, third stage": (128, 4, 3, 256, 256, 1),
    "VGG, last stage at 64 pixels": (64, 4, 3, 512, 512, 1),
    "residual, third stage": (64, 8, 3, 256, 256, 1),
    "residual, its first layer": (64, 16, 3, 128, 256, 2),
    "at the limits": (64, 8, 3, 64, 128, 1),
    "batches of 16": (16, 8, 3, 256, 256, 1),
    "half as wide": (64, 8, 3, 64, 64, 1),
    "twice as large": (64, 16, 3, 128, 128, 1),
}


def main(*, out: Path, rounds: int = 15) -> None:
    """Measures and writes milliseconds and ratios.

    Args:
        out: JSON file to write.
        rounds: Readings of each, in turn.
    """
    tf.config.set_visible_devices([], "GPU")
    records, ratios = [], {}
    for name, case in CASES.items():
        ours, theirs = measure(case, rounds)
        records.append({"case": name, "ours_ms": 1e3 * np.median(ours), "onednn_ms": 1e3 * np.median(theirs)})
        pairs = np.array(theirs) / np.array(ours)
        ratios[name] = {"vs_onednn": np.median(pairs), "vs_onednn_pairs": pairs.round(3).tolist()}
    write(out, {"records": records, "ratios": ratios})


def measure(case: tuple[int, ...], rounds: int) -> tuple[list[float], list[float]]:
    """Returns the seconds of each way."""
    batch, side, size, channels, filters, stride = case
    shape = (size, size, channels, filters)
    x = tf.cast(tf.random.normal((batch, side, side, channels)), tf.bfloat16)
    g = tf.cast(tf.random.normal((batch, side // stride, side // stride, filters)), tf.bfloat16)
    ways = (
        tf.function(lambda x, g: kernel_gradient(x, g, shape, (stride, stride), "SAME")),
        tf.function(
            lambda x, g: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=shape, out_backprop=g, strides=(1, stride, stride, 1), padding="SAME"
            )
        ),
    )
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for way, taken in zip(ways, seconds, strict=True):
            start = time.perf_counter()
            way(x, g).numpy()
            if number >= 2:  # before, it was traced and its memory laid out
                taken.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    tyro.cli(main)
