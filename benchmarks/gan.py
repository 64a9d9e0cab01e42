"""Training speed of the course notes' GAN: our compiled step, the textbook loop as the notes write it, and PyTorch.

    python -m benchmarks.gan --out runs/bench-gan.json --torch-python OTHER/VENV/bin/python

Batch 64 of 28 x 28 x 3; a step is one update of the discriminator on real and on generated images and two of the
generator. Ours runs in the precision that `--precision auto` picks. The textbook loop calls predict and train_on_batch,
after a first step without which Keras 3 would not train the discriminator at all. PyTorch is timed channels-first and
channels-last, in float32 and under bfloat16 autocast, and its best time counts. Without torch the rest is measured.
"""

import json
import platform
import sys
import time
from pathlib import Path

import tyro

from benchmarks.harness import Implementation, compare, has_torch, report, run, write

BATCH, SHAPE, NOISE = 64, (28, 28, 3), 64


def main(*, out: Path, rounds: int = 5, steps: int = 30, torch_python: str = sys.executable) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Readings of each implementation, in turn.
        steps: Training steps of a reading, the first ten of which do not count.
        torch_python: An interpreter that has torch; it may be in another environment.
    """
    workers = ["ours", "keras, textbook loop"]
    implementations = [
        Implementation(worker, ["-m", "benchmarks.gan", "--worker", worker, str(steps)]) for worker in workers
    ]
    if has_torch(torch_python):
        script = ["-m", "benchmarks.gan_torch"]
        implementations += [
            Implementation(f"torch, {layout}, {precision}", [*script, layout, precision, str(steps)], torch_python)
            for layout in ("channels-last", "channels-first")
            for precision in ("bfloat16", "float32")
        ]
    else:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    flops = run(Implementation("flops", ["-m", "benchmarks.gan", "--worker", "flops", "0"]))["flops"]
    images = ["-m", "benchmarks.image_classification", "--worker", "peak", "{}", "0"]
    peak = run(Implementation("peak", images))
    print(f"convolution peak: {peak}")
    result = compare(
        {"gan": implementations}, rounds=rounds, flops={"gan": flops}, peak=max(peak.values()), batch=BATCH
    )
    result["peaks"] = peak
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    write(out, result)


def networks():
    """Builds the networks of the course notes, with their last kernel of 1 x 1."""
    from kerasapps import build_discriminator, build_generator

    return build_generator(image_shape=SHAPE, noise_dim=NOISE, last_kernel_size=1), build_discriminator(
        image_shape=SHAPE
    )


def count() -> None:
    """Reports the floating-point operations of a step.

    Forward, backward to the input and backward to the weights cost the same each. The discriminator's update: the
    generator forward, the discriminator all three for real and for generated images. The generator's: the generator all
    three, the discriminator forward and backward to its input.
    """
    from kerasapps.complexity import count_flops

    generator, discriminator = (count_flops(network) for network in networks())
    once = (generator + 2 * 3 * discriminator) + 2 * (3 * generator + 2 * discriminator)
    print(json.dumps({"flops": BATCH * once}))


def worker(implementation: str, steps: int) -> None:
    """Trains, and reports when each step ended."""
    import keras
    import numpy as np

    from kerasapps import runtime

    images = np.random.default_rng(0).uniform(-1, 1, (4 * BATCH, *SHAPE)).astype(np.float32)
    times: list[float] = []
    if implementation == "ours":
        from kerasapps.data.splits import Split
        from kerasapps.gan.losses import Rules
        from kerasapps.gan.model import GAN
        from kerasapps.optimizers import Adam

        runtime.set_devices("convolution")
        precision = runtime.set_precision("auto", workload="convolution")
        model = GAN(*networks(), rules=Rules(real_labels=(0.7, 1.2), fake_labels=(0.0, 0.3), generator_steps=2))
        xla = runtime.use_xla(workload="convolution", distributed=False)
        model.compile(Adam(2e-4, beta_1=0.5), Adam(2e-4, beta_1=0.5), jit_compile=xla)
        split = Split({"image": images}, {"label": np.zeros(len(images), np.int32)})
        clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
        batches = split.epochs(BATCH, seed=0, first=0, last=steps)
        model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[clock])
    else:
        precision = "float32"
        train_as_written(images, steps, times)
    report(times, precision=precision)


def train_as_written(images, steps: int, times: list[float]) -> None:
    """Trains by the textbook loop, with the trainable flag."""
    import keras
    import numpy as np

    generator, discriminator = networks()
    noise = keras.Input((NOISE,), name="noise")
    combined = keras.Model(noise, discriminator(generator({"noise": noise}))["verdict"])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    discriminator.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), {"verdict": loss})
    # One step before the flag is set, or it would have nothing to train.
    discriminator.train_on_batch({"image": images[:BATCH]}, {"verdict": np.ones((BATCH, 1), np.float32)})
    discriminator.trainable = False
    combined.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), loss)
    rng = np.random.default_rng(0)

    def draw():
        return rng.normal(size=(BATCH, NOISE)).astype(np.float32)

    def labels(low: float, high: float):
        return rng.uniform(low, high, (BATCH, 1)).astype(np.float32)

    for _ in range(steps):
        real = images[rng.integers(0, len(images), BATCH)]
        fake = generator.predict({"noise": draw()}, verbose=0)["image"]
        discriminator.train_on_batch({"image": real}, {"verdict": labels(0.7, 1.2)})
        discriminator.train_on_batch({"image": fake}, {"verdict": labels(0.0, 0.3)})
        for _ in range(2):
            combined.train_on_batch(draw(), labels(0.7, 1.2))
        times.append(time.perf_counter())


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, training_steps = sys.argv[2:]
        if name == "flops":
            count()
        else:
            worker(name, int(training_steps))
    else:
        tyro.cli(main)
