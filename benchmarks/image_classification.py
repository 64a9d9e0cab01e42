"""Training speed of the image classifiers: ours, plain Keras and PyTorch.

    python -m benchmarks.image_classification --out runs/bench-images.json --torch-python OTHER/VENV/bin/python

The separable network at 64 pixels, ResNet-20 and a wide residual network of 8 layers at 32 pixels, batch size 64. Ours
runs in the precision that `--precision auto` chooses; plain Keras is compiled with its defaults in float32; PyTorch is
timed channels first and last, in float32 and under bfloat16 autocast, and its best time counts. Without torch the rest
is measured.
"""

import json
import platform
import sys
import time
from pathlib import Path

import tyro

from benchmarks.harness import Implementation, compare, has_torch, measure_peak, report, run, write

BATCH, CLASSES = 64, 10
CASES = {
    "separable": {"arch": "separable", "size": 64},
    "resnet20": {"arch": "residual", "size": 32, "depth": 20, "filters": [16, 32, 64]},
    "wide_resnet8": {"arch": "residual", "size": 32, "depth": 8, "filters": [32, 128, 256]},
}


def main(
    *, out: Path, rounds: int = 5, steps: int = 30, torch_python: str = sys.executable, cases: tuple[str, ...] = ()
) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Measurements of each implementation, in turn.
        steps: Training steps of a measurement, the first ten of which do not count.
        torch_python: An interpreter that has torch; it may belong to another environment.
        cases: Which networks; by default all.
    """
    with_torch = has_torch(torch_python)
    if not with_torch:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    implementations, flops = {}, {}
    for name in cases or CASES:
        case = json.dumps(CASES[name])
        workers = ["ours", "keras", "keras, bfloat16"]
        implementations[name] = [
            Implementation(worker, ["-m", "benchmarks.image_classification", "--worker", worker, case, str(steps)])
            for worker in workers
        ]
        if with_torch:
            implementations[name] += [
                Implementation(
                    f"torch, {layout}, {precision}",
                    ["-m", "benchmarks.image_classification_torch", case, layout, precision, str(steps)],
                    torch_python,
                )
                for layout in ("channels-last", "channels-first")
                for precision in ("bfloat16", "float32")
            ]
        counted = run(
            Implementation("flops", ["-m", "benchmarks.image_classification", "--worker", "flops", case, "0"])
        )
        flops[name] = 3 * BATCH * counted["flops"]  # forward, backward to the input, backward to the weights
    peak = run(Implementation("peak", ["-m", "benchmarks.image_classification", "--worker", "peak", "{}", "0"]))
    print(f"convolution peak: {peak}")
    best = max(peak.values())
    result = compare(implementations, rounds=rounds, flops=flops, peak=best, batch=BATCH)
    result["peaks"] = peak
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    write(out, result)


def peak_of_convolution() -> None:
    """Prints the peak FLOP/s of a 3x3 convolution of 256 channels, by dtype."""
    import tensorflow as tf

    peaks = {}
    for dtype in (tf.float32, tf.bfloat16):
        x = tf.cast(tf.random.normal((BATCH, 16, 16, 256)), dtype)
        kernel = tf.cast(tf.random.normal((3, 3, 256, 256)), dtype)
        convolve = tf.function(lambda x=x, kernel=kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
        flops = 2 * BATCH * 16 * 16 * 9 * 256 * 256
        peaks[dtype.name] = measure_peak(lambda convolve=convolve: convolve().numpy(), flops)
    print(json.dumps(peaks))


def count(case: dict) -> None:
    """Prints the FLOPs of a forward pass for one image."""
    from kerasapps.complexity import count_flops

    print(json.dumps({"flops": count_flops(build(case))}))


def build(case: dict):
    """Builds our network for a case."""
    from kerasapps import build_residual_classifier, build_separable_classifier

    sizes = {"image_shape": (case["size"], case["size"], 3), "num_classes": CLASSES}
    if case["arch"] == "separable":
        return build_separable_classifier(**sizes)
    return build_residual_classifier(depth=case["depth"], filters=case["filters"], **sizes)


def build_plain(case: dict):
    """Builds the same network as a Keras user would, of Keras' own layers."""
    import keras
    from keras import layers

    image = keras.Input((case["size"], case["size"], 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    if case["arch"] == "separable":
        for filters in (32, 64, None, 64, 128, None, 64, 128):
            x = layers.SeparableConv2D(filters, 3, activation="relu")(x) if filters else layers.MaxPooling2D(2)(x)
        x = layers.Dense(32, activation="relu")(layers.GlobalAveragePooling2D()(x))
    else:

        def convolve(x, filters, kernel_size, strides):
            x = layers.Conv2D(filters, kernel_size, strides=strides, padding="same", use_bias=False)(x)
            return layers.BatchNormalization()(x)

        x = layers.ReLU()(convolve(x, case["filters"][0], 3, 1))
        for stage, filters in enumerate(case["filters"]):
            for block in range((case["depth"] - 2) // 6):
                strides = 2 if stage and not block else 1
                y = convolve(layers.ReLU()(convolve(x, filters, 3, strides)), filters, 3, 1)
                same = strides == 1 and x.shape[-1] == filters
                x = layers.ReLU()(layers.Add()([y, x if same else convolve(x, filters, 1, strides)]))
        x = layers.GlobalAveragePooling2D()(x)
    label = layers.Dense(CLASSES, activation="softmax", dtype="float32", name="label")(x)
    return keras.Model({"image": image}, {"label": label})


def worker(implementation: str, case: dict, steps: int) -> None:
    """Trains one network and prints when each of its steps ended."""
    import keras
    import numpy as np

    from kerasapps import runtime
    from kerasapps.data.splits import Split
    from kerasapps.optimizers import Adam

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * BATCH, case["size"], case["size"], 3), dtype=np.uint8)
    split = Split({"image": images}, {"label": rng.integers(0, CLASSES, 4 * BATCH).astype(np.int32)})
    separable = case["arch"] == "separable"
    if implementation == "ours":
        runtime.set_devices("convolution")
        precision = runtime.set_precision("auto", workload="convolution")
        model, adam = build(case), Adam
        compilation = {"jit_compile": runtime.use_xla(workload="convolution", distributed=False)}
    else:
        precision = "mixed_bfloat16" if "bfloat16" in implementation else "float32"
        keras.config.set_dtype_policy(precision)
        model, adam = build_plain(case), keras.optimizers.Adam
        # Keras compiles with XLA by default; the second variant has the best options that Keras offers.
        compilation = {"jit_compile": False} if "bfloat16" in implementation else {}
    optimizer = adam() if separable else keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model.compile(optimizer, {"label": "sparse_categorical_crossentropy"}, **compilation)
    times = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    batches = split.epochs(BATCH, seed=0, first=0, last=steps)
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[clock])
    report(times, precision=precision)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, case, training_steps = sys.argv[2:]
        if name == "peak":
            peak_of_convolution()
        elif name == "flops":
            count(json.loads(case))
        else:
            worker(name, json.loads(case), int(training_steps))
    else:
        tyro.cli(main)
