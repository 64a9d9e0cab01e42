"""Speed of language models: training ours and PyTorch, and writing with caches and without.

    python -m benchmarks.language_model --out runs/bench-language.json --torch-python OTHER/VENV/bin/python

Training: an LSTM of two layers of 256 units, and a transformer of nanoGPT's small size (4 layers, 128 wide), 32
windows of 128 characters, Adam with clipped gradients. Ours is compiled as the experiment does it, in the precision
that `--precision auto` chooses. PyTorch has `nn.LSTM`, and blocks with `scaled_dot_product_attention` as nanoGPT has
them, as they are and under `torch.compile`, in float32 and under bfloat16 autocast. The best of each counts.

Writing: one text of 128 and of 1,024 tokens by each of our networks, and by a transformer of 6 layers, 192 wide, that
sees 256 tokens, in float32 and with one thread as `generate` has them; against nanoGPT's loop with both sizes, with one
thread and two, which reads the last window again for each new token. Tokens a second at each length show whether the
cost of one grows.
"""

import itertools
import platform
import sys
import time
from pathlib import Path
from typing import Any

import tyro

from benchmarks.harness import Implementation, compare, has_torch, report, run, write
from benchmarks.language_model_data import (
    CASES,
    EMBEDDING,
    FIRST,
    LAYERS,
    LENGTH,
    ROWS,
    SIZES,
    UNITS,
    VOCABULARY,
    WRITTEN,
    Size,
    batches,
    count_flops,
    report_writing,
)

TORCH = [(how, precision) for how in ("plain", "compiled") for precision in ("float32", "bfloat16")]
WRITERS = ("lstm", "small"), ("transformer", "small"), ("transformer", "full")
LSTM = {"embedding_dim": EMBEDDING, "units": UNITS, "depth": LAYERS, "dropout": 0.0}


def params_of(case: str, size: Size) -> dict[str, Any]:
    """Returns the builder's arguments."""
    if case == "lstm":
        return LSTM
    return {
        "units": size.width,
        "heads": size.heads,
        "feedforward": size.feedforward,
        "depth": size.depth,
        "dropout": 0.0,
    }


def main(
    *, out: Path, rounds: int = 5, steps: int = 40, torch_python: str = sys.executable, cases: tuple[str, ...] = CASES
) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Measurements of each implementation, in turn.
        steps: Training steps of a measurement, the first ten of which do not count.
        torch_python: An interpreter that has torch; it may belong to another environment.
        cases: Which networks are trained; writing is always measured.
    """
    with_torch = has_torch(torch_python)
    if not with_torch:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    here, there = "benchmarks.language_model", "benchmarks.language_model_torch"
    implementations = {case: [Implementation("ours", ["-m", here, "--worker", case, str(steps)])] for case in cases}
    for case in cases if with_torch else ():
        for how, precision in TORCH:
            command = ["-m", there, "train", case, how, precision, str(steps)]
            implementations[case].append(Implementation(f"torch, {how}, {precision}", command, torch_python))
    peak = max(run(Implementation("peak", ["-m", "benchmarks.profile", "--worker", "peak", "0"])).values())
    flops = {case: count_flops(case) for case in cases}
    result = compare(implementations, rounds=rounds, flops=flops, peak=peak, batch=ROWS * LENGTH)
    writers, flops = {}, {}
    for length, (case, size) in itertools.product(WRITTEN, WRITERS):
        job = f"{case}, {size}, {length:,} tokens"
        flops[job] = count_flops(case, SIZES[size]) / (3 * ROWS * LENGTH)  # forward, one token
        writers[job] = [Implementation("ours", ["-m", here, "--writing", case, size, str(length)])]
        for threads in (1, 2) if with_torch and case == "transformer" else ():
            command = ["-m", there, "write", size, str(length), str(threads)]
            writers[job].append(Implementation(f"torch, {threads} threads", command, torch_python))
    writing = compare(writers, rounds=rounds, flops=flops, peak=peak, batch=1)
    result["records"] += writing["records"]
    result["ratios"] |= writing["ratios"]
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    write(out, result)


def compile_ours(case: str, steps: int, *, precision: str = "auto", size: Size = SIZES["small"]):
    """Returns our network, compiled as the experiment does it, and its precision."""
    from experiments.language_model.network import WORKLOADS, Recipe, make_model
    from kerasapps import runtime

    runtime.set_devices(WORKLOADS[case])
    precision = runtime.set_precision(precision, workload=WORKLOADS[case])
    model = make_model(
        arch=case,
        sizes={"vocab_size": VOCABULARY},
        params=params_of(case, size),
        recipe=Recipe(optimizer="adam"),
        steps=steps,
        context=size.length,
    )
    return model, precision


def worker(case: str, steps: int) -> None:
    """Trains one network and reports the moments at which its steps ended."""
    import keras
    import tensorflow as tf

    model, precision = compile_ours(case, steps)
    ids = batches(steps).reshape(-1, LENGTH + 1)
    rows = tf.data.Dataset.from_tensor_slices(({"text": ids[:, :-1]}, {"next": ids[:, 1:]}))
    times = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    model.fit(rows.batch(ROWS, drop_remainder=True).prefetch(2), verbose=0, callbacks=[clock])
    report(times, precision=precision)


def measure_writing(case: str, size: Size, length: int) -> None:
    """Writes a text several times and reports the moments at which it was at an end."""
    from experiments.language_model.network import module_of
    from kerasapps import runtime
    from kerasapps.decoding import Sampling
    from kerasapps.generation import Generator

    runtime.set_devices("recurrent")  # as `generate` does, before any other
    model, precision = compile_ours(case, steps=1, precision="float32", size=size)
    generator = Generator(module_of(case).step_of(model), context=size.length if case == "transformer" else None)

    def text() -> None:
        for _ in generator.stream([FIRST], Sampling(), rows=1, length=length):
            pass

    report_writing(text, length=length, precision=precision)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker(sys.argv[2], int(sys.argv[3]))
    elif "--writing" in sys.argv:
        measure_writing(sys.argv[2], SIZES[sys.argv[3]], int(sys.argv[4]))
    else:
        tyro.cli(main)
