"""Deep Dream: a step of ours next to one of the TensorFlow tutorial, on the same network and layers.

    python -m benchmarks.deep_dream --out runs/bench-dream.json

The tutorial's way is written down here: a loop in one `tf.function`, the sum of the mean activations of the layers,
the gradient divided by its standard deviation, float32. Both take the compact VGG with block4_conv2 and block3_conv2.
Ours runs in the precision that `--precision auto` picks, and in float32. Readings are taken in turn; their median
counts.
"""

import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tyro

from kerasapps import build_style_taps
from kerasapps.runtime import machine, set_precision
from kerasapps.styling.dream import Dream, Dreamer, DreamObjective, deep_dream

LAYERS = {"block4_conv2": 1.0, "block3_conv2": 0.5}


def dreamer_in(precision: str) -> tuple[Dreamer, str]:
    """Builds the network in a precision."""
    precision = set_precision(precision, workload="convolution")
    taps = build_style_taps(network="compact", weights="trained", layers=tuple(LAYERS), pooling="max")
    return Dreamer(taps), precision


def ours(objective: DreamObjective, image: np.ndarray) -> None:
    """Dreams at one size."""
    for _ in deep_dream(image, objective):
        pass


def tutorial(dreamer: Dreamer):
    """Returns the loop of the tutorial."""

    @tf.function
    def dream(image, steps, step_size):
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                tape.watch(image)
                activations = dreamer.features(image)
                loss = tf.add_n([tf.reduce_mean(tf.cast(activations[name], tf.float32)) for name in LAYERS])
            gradients = tape.gradient(loss, image)
            gradients /= tf.math.reduce_std(gradients) + 1e-8
            image = tf.clip_by_value(image + gradients * step_size, 0.0, 255.0)
        return image

    return lambda image, steps: dream(tf.constant(image)[None], tf.constant(steps), tf.constant(1.5)).numpy()


def main(*, out: Path, size: int = 320, steps: int = 10, rounds: int = 5) -> None:
    """Measures and writes seconds a step, and the ratios.

    Args:
        out: JSON file to write.
        size: Side of the square image.
        steps: Steps of a reading.
        rounds: Readings of each.
    """
    image = np.random.default_rng(0).uniform(0, 255, (size, size, 3)).astype(np.float32)
    whole, _ = dreamer_in("float32")
    fast, precision = dreamer_in("auto")
    keras.config.set_dtype_policy("float32")
    dream = Dream(LAYERS, octaves=1, steps=steps)
    whole_objective, fast_objective = (DreamObjective(one, dream) for one in (whole, fast))
    by_tutorial = tutorial(whole)
    ways = {
        f"ours, {precision}": lambda: ours(fast_objective, image),
        "ours, float32": lambda: ours(whole_objective, image),
        "tutorial, float32": lambda: by_tutorial(image, steps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):  # the first one traces
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if number:
                seconds[name].append((time.perf_counter() - started) / steps)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    pairs = {
        name: float(np.median(np.divide(seconds["tutorial, float32"], values))) for name, values in seconds.items()
    }
    for name, value in medians.items():
        print(f"{name:<24}{1000 * value:8.1f} ms a step, {pairs[name]:.2f} times the tutorial's speed")
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {"size": size, "seconds_per_step": medians, "vs_tutorial": pairs, "machine": machine()}
    out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    tyro.cli(main)
