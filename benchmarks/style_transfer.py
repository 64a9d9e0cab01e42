"""Style transfer: loss and gradient of VGG-16's taps next to PyTorch and the course notes' code; quality; memory.

    python -m benchmarks.style_transfer --out runs/bench-style.json --torch-python OTHER/VENV/bin/python

Taps up to block5_conv1, content and five style layers, random weights. Ours runs in the precision that `--precision
auto` picks. Plain Keras takes taps of `keras.applications.VGG16` and differentiates them under `tf.function`. PyTorch
is timed channels-first and channels-last, in float32 and bfloat16, and its best time counts. The code of the course
notes is the full network in float32 under scipy's L-BFGS on the host. Without torch the rest is measured.
"""

import json
import math
import platform
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

from benchmarks.harness import Implementation, compare, has_torch, measure_peak, report, run, write

LAYERS = tuple(f"block{i}_conv1" for i in range(1, 6))
CONTENT = "block4_conv2"
MODULE = "benchmarks.style_transfer"
OURS = ("ours", "ours, float32", "keras", "keras, bfloat16", "course notes")


def main(
    *,
    out: Path,
    rounds: int = 5,
    steps: int = 30,
    torch_python: str = sys.executable,
    sizes: tuple[int, ...] = (256, 512),
    quality_size: int = 512,
    memory_size: int = 2048,
    max_memory: str = "4GB",
) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Readings of each implementation, in turn.
        steps: Evaluations of a reading, the first ten of which do not count.
        torch_python: An interpreter that has torch; it may be in another environment.
        sizes: Sides of the square images.
        quality_size: Longer side at which the time to the loss of 500 Adam steps is measured; 0 leaves it out.
        memory_size: Longer side whose peak memory is measured, whole and in tiles; 0 leaves it out.
        max_memory: What the tiles are made for.
    """
    with_torch = has_torch(torch_python)
    if not with_torch:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    cases, flops = {}, {}
    for size in sizes:
        name = str(size)
        cases[name] = [Implementation(worker, ["-m", MODULE, "--worker", worker, name, str(steps)]) for worker in OURS]
        if with_torch:
            cases[name] += [
                Implementation(
                    f"torch, {layout}, {precision}",
                    ["-m", f"{MODULE}_torch", name, layout, precision, str(steps)],
                    torch_python,
                )
                for layout in ("channels-last", "channels-first")
                for precision in ("bfloat16", "float32")
            ]
        flops[name] = 2 * forward_flops(size)  # forward, and backward to the image
    peaks = run(Implementation("peak", ["-m", MODULE, "--worker", "peak", "0", "0"]))
    print(f"convolution peak: {peaks}")
    result = compare(cases, rounds=rounds, flops=flops, peak=max(peaks.values()), batch=1)
    result["peaks"] = peaks
    for record in result["records"]:
        dtype = "bfloat16" if "bfloat16" in record["precision"] else "float32"
        record["share_of_peak_of_its_format"] = flops[record["case"]] / record["seconds_per_step"] / peaks[dtype]
    if quality_size:
        result["quality"] = run(
            Implementation("quality", ["-m", MODULE, "--worker", "quality", str(quality_size), "500"])
        )
        print(f"time to quality: {result['quality']}")
    if memory_size:
        result["memory"] = {
            limit: run(Implementation("memory", ["-m", MODULE, "--worker", "memory", str(memory_size), limit]))
            for limit in ("none", max_memory)
        }
        print(f"memory: {result['memory']}")
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    write(out, result)


def forward_flops(size: int) -> float:
    """Returns the floating-point operations of the convolutions up to the deepest tap."""
    from kerasapps.applications.style_transfer import block_of, convolution_shapes

    total = 0.0
    for layer, (height, width, channels, filters) in convolution_shapes("vgg16").items():
        if layer <= max(LAYERS):
            total += 2 * height * width * channels * filters * (size // 2 ** (block_of(layer) - 1)) ** 2
    return total


def peak_of_convolution() -> None:
    """Reports the most floating-point operations a second of a 3x3 convolution of 256 channels, by precision."""
    import tensorflow as tf

    peaks = {}
    for dtype in (tf.float32, tf.bfloat16):
        x = tf.cast(tf.random.normal((1, 64, 64, 256)), dtype)
        kernel = tf.cast(tf.random.normal((3, 3, 256, 256)), dtype)
        convolve = tf.function(lambda x=x, kernel=kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
        flops = 2 * 64 * 64 * 9 * 256 * 256
        peaks[dtype.name] = measure_peak(lambda convolve=convolve: convolve().numpy(), flops, repeats=30)
    print(json.dumps(peaks))


def random_images(size: int):
    """Returns content, style and an image to optimize, float32 (size, size, 3)."""
    import numpy as np

    rng = np.random.default_rng(0)
    return [rng.uniform(0, 255, (size, size, 3)).astype(np.float32) for _ in range(3)]


def our_loss(size: int):
    """Returns our loss, with its targets set, and an image."""
    from kerasapps import build_style_taps
    from kerasapps.blocks.style import preprocess
    from kerasapps.styling import Objective
    from kerasapps.styling.objective import StyleLoss

    objective = Objective(content_layers={CONTENT: 1.0}, style_layers=dict.fromkeys(LAYERS, 1.0))
    loss = StyleLoss(build_style_taps(network="vgg16", layers=objective.layers), objective, [1.0])
    content, style, start = (preprocess(image)[None] for image in random_images(size))
    loss.aim(content, [style], None)
    return lambda x: loss(x)[:2], start


def keras_loss(size: int, *, full: bool):
    """Returns the loss as a Keras user writes it, and an image; `full` leaves the network uncut."""
    import keras
    import tensorflow as tf

    vgg = keras.applications.VGG16(include_top=False, weights=None)
    outputs = {name: vgg.get_layer(name).output for name in (*LAYERS, CONTENT)}
    if full:
        outputs["block5_pool"] = vgg.output
    taps = keras.Model(vgg.input, outputs)
    taps.trainable = False
    content, style, start = (tf.constant(image[None] - 120) for image in random_images(size))

    def gram(x):
        flat = tf.reshape(x, (-1, x.shape[-1]))
        return tf.matmul(flat, flat, transpose_a=True) / tf.cast(tf.size(x), x.dtype)

    wanted = taps(content)[CONTENT]
    grams = {name: gram(value) for name, value in taps(style).items() if name in LAYERS}

    @tf.function
    def evaluate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            features = taps(x)
            loss = tf.reduce_mean(tf.square(tf.cast(features[CONTENT] - wanted, tf.float32))) / 10
            for name in LAYERS:
                loss += tf.reduce_mean(tf.square(tf.cast(gram(features[name]) - grams[name], tf.float32)))
        # The last is returned too, or TensorFlow would skip what the loss does not need.
        return loss, tape.gradient(loss, x), features.get("block5_pool")

    return evaluate, start


def worker(implementation: str, size: int, steps: int) -> None:
    """Evaluates loss and gradient, and reports when each evaluation ended."""
    import keras
    import numpy as np
    from scipy.optimize import minimize

    from kerasapps import runtime

    runtime.set_devices("convolution")
    precision = "auto" if implementation == "ours" else "float32"
    precision = "mixed_bfloat16" if "bfloat16" in implementation else precision
    precision = runtime.set_precision(precision, workload="convolution")
    keras.utils.set_random_seed(0)
    ours = implementation.startswith("ours")
    evaluate, start = our_loss(size) if ours else keras_loss(size, full=implementation == "course notes")
    times = []
    if implementation == "course notes":

        def on_host(x):
            value, gradient, _ = evaluate(np.float32(x.reshape(start.shape)))
            times.append(time.perf_counter())
            return float(value), gradient.numpy().astype(np.float64).ravel()

        # Without tolerances, or it ends after a step: gradients of single pixels are small.
        options = {"maxfun": steps, "ftol": 0, "gtol": 0}
        minimize(on_host, start.numpy().ravel(), jac=True, method="L-BFGS-B", options=options)
    else:
        for _ in range(steps):
            evaluate(start)[1].numpy()
            times.append(time.perf_counter())
    report(times, precision=precision)


def quality(size: int, steps: int) -> None:
    """Reports how long the default settings take to the loss that so many Adam steps at one size reach, if they do."""
    import keras

    from experiments.style_transfer.network import prepare
    from experiments.style_transfer.options import Painting
    from kerasapps import runtime
    from kerasapps.styling import Adam

    runtime.set_precision("auto", workload="convolution")
    keras.utils.set_random_seed(0)
    canvas = prepare(Painting(size=size), seed=0)
    found, wanted = {}, -math.inf
    for name, changes in {"adam": {"optimizer": Adam(), "smallest": size, "steps": steps}, "default": {}}.items():
        start = time.perf_counter()
        for step in canvas.steps(**changes):
            seconds, total = time.perf_counter() - start, step.losses["total"]
            if max(step.scale) == size and total <= wanted:
                break
        found[name] = {"seconds": seconds, "total": total, "step": step.step}
        wanted = total
    reached = found["default"]["total"] <= found["adam"]["total"]
    found["share"] = found["default"]["seconds"] / found["adam"]["seconds"] if reached else None
    print(json.dumps(found))


def memory(size: int, limit: str) -> None:
    """Reports the peak memory of a few steps at one size, with the checkpoint that the command writes."""
    from experiments.style_transfer.network import paint, prepare
    from experiments.style_transfer.options import Painting
    from kerasapps.runs import Options
    from kerasapps.session import start

    painting = Painting(
        size=size, smallest=size, steps=3, network="vgg16", max_memory=None if limit == "none" else limit
    )
    with TemporaryDirectory() as folder:
        held = start("memory", {"options": Options(out=Path(folder))}, workload="convolution")
        outcome = paint(held, prepare(painting, seed=0))
        held.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_memory_mib": peak, "seconds": outcome.seconds, "precision": held.config["precision"]}))


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, side, number = sys.argv[2:]
        if name == "peak":
            peak_of_convolution()
        elif name == "quality":
            quality(int(side), int(number))
        elif name == "memory":
            memory(int(side), number)
        else:
            worker(name, int(side), int(number))
    else:
        tyro.cli(main)
