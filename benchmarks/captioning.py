"""Speed of captioners on the features of a frozen base: training our decoders and PyTorch's, and describing images.

    python -m benchmarks.captioning --out runs/bench-captioning.json --torch-python OTHER/VENV/bin/python

Training: the GRU with attention and the transformer of `build_captioner` with its defaults (256 units), 32 images with
49 places of 512 features and 5 captions each of 16 tokens, vocabulary 2,500, dropout, label smoothing, Adam. Ours is
compiled as the experiment does it, in the precision that `--precision auto` chooses. PyTorch has a loop over
`nn.GRUCell`, or `nn.TransformerDecoder`, each caption with the places of its image, as they are and under
`torch.compile`, in float32 and under bfloat16 autocast. The best of each counts.

Writing: 256 images with a beam of 3, 16 tokens each, from their features.
"""

import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import tyro

from benchmarks.captioning_data import (
    ATTENTION,
    CAPTIONS,
    CASES,
    DEPTH,
    DROPOUT,
    EMBEDDING,
    FEATURES,
    HEADS,
    IMAGES,
    LENGTH,
    SIDE,
    SMOOTHING,
    UNITS,
    VOCABULARY,
    batches,
    count_flops,
)
from benchmarks.harness import Implementation, compare, has_torch, report, run, write

TORCH = [(how, precision) for how in ("plain", "compiled") for precision in ("float32", "bfloat16")]
DESCRIBED, BEAM = 256, 3


def main(
    *, out: Path, rounds: int = 5, steps: int = 25, torch_python: str = sys.executable, cases: tuple[str, ...] = CASES
) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Measurements of each implementation, in turn.
        steps: Training steps of a measurement, the first ten of which do not count.
        torch_python: An interpreter that has torch; it may belong to another environment.
        cases: Which decoders are trained.
    """
    with_torch = has_torch(torch_python)
    if not with_torch:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    here, there = "benchmarks.captioning", "benchmarks.captioning_torch"
    implementations = {case: [Implementation("ours", ["-m", here, "--worker", case, str(steps)])] for case in cases}
    for case in cases if with_torch else ():
        for how, precision in TORCH:
            command = ["-m", there, case, how, precision, str(steps)]
            implementations[case].append(Implementation(f"torch, {how}, {precision}", command, torch_python))
    peak = run(Implementation("peak", ["-m", "benchmarks.profile", "--worker", "peak", "0"]))
    flops = {case: count_flops(case) for case in cases}
    result = compare(implementations, rounds=rounds, flops=flops, peak=max(peak.values()), batch=IMAGES * CAPTIONS)
    result["images_per_second"] = {case: run(Implementation(case, ["-m", here, "--writing", case])) for case in cases}
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    print(result["images_per_second"])
    write(out, result)


def compile_ours(case: str, steps: int):
    """Returns our network, compiled as the experiment does it, and its precision."""
    from experiments.captioning.network import Encoder, Recipe, make_model, make_network
    from kerasapps import runtime

    runtime.set_devices("matmul")
    precision = runtime.set_precision("auto", workload="matmul")
    sizes = {"vocab_size": VOCABULARY, "image_shape": (SIDE, SIDE, FEATURES), "precomputed": True}
    params = {"units": UNITS, "heads": HEADS, "depth": DEPTH, "dropout": DROPOUT, "embedding_dim": EMBEDDING}
    params["attention_units"] = ATTENTION

    def network():
        return make_network(arch=case, encoder=Encoder(), base=None, sizes=sizes, params=params)

    return make_model(
        network, recipe=Recipe(smoothing=SMOOTHING, optimizer="adam"), steps=steps, jit_compile=True
    ), precision


def worker(case: str, steps: int) -> None:
    """Trains one network and reports the moments at which its steps ended."""
    import keras
    import tensorflow as tf

    model, precision = compile_ours(case, steps)
    grids, target, following = batches(steps)
    rows = tf.data.Dataset.from_tensor_slices(({"grid": grids, "target": target}, {"next": following}))
    times = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    model.fit(rows.prefetch(2), verbose=0, callbacks=[clock])
    report(times, precision=precision)


def measure_writing(case: str) -> None:
    """Prints how many images a second are described by a network whose weights are random: no text ends early."""
    from kerasapps.applications.captioner import encoder_of, step_of
    from kerasapps.decoding import Beam, Writer

    model, _ = compile_ours(case, steps=1)
    writer = Writer(encoder_of(model), step_of(model), start=2, end=VOCABULARY)
    grids = batches(DESCRIBED // IMAGES)[0].reshape(-1, SIDE, SIDE, FEATURES)

    def describe():
        for i in range(0, DESCRIBED, 64):
            writer({"grid": grids[i : i + 64]}, Beam(BEAM), max_length=LENGTH)

    describe()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        describe()
        times.append(time.perf_counter() - start)
    print(json.dumps({"images_per_second": DESCRIBED / float(np.median(times))}))


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, training_steps = sys.argv[2:]
        worker(name, int(training_steps))
    elif "--writing" in sys.argv:
        measure_writing(sys.argv[2])
    else:
        tyro.cli(main)
