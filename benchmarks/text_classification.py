"""Training speed of the text CNN and the LSTM classifier: ours, plain Keras and PyTorch.

    python -m benchmarks.text_classification --out runs/bench-text.json --torch-python OTHER/VENV/bin/python

Texts of 200 and 400 words without padding, vocabulary 20,000, two classes, batch size 64. Words are drawn by Zipf's
law, as in language. Ours is compiled as the experiment does it, with `LazyAdam`, which updates the vectors in the batch
alone, in the precision that `--precision auto` chooses. Plain Keras has Adam and its defaults (float32; XLA for the
text CNN, which Keras itself leaves off for an LSTM), and also no XLA, in float32 and bfloat16. PyTorch is timed in
float32 and under bfloat16 autocast, with Adam, or `SparseAdam` for the word vectors; the text CNN with its texts as
one-dimensional signals or as channels-last images, the LSTM batch-major and time-major with one thread and two, but in
float32, which took 30 times as long on a processor with AMX, in one setting alone. The best time of each counts.
Without torch the rest is measured.
"""

import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tyro

from benchmarks.harness import Implementation, compare, has_torch, report, run, write
from benchmarks.text_classification_data import (
    BATCH,
    CASES,
    CLASSES,
    DROPOUT,
    EMBEDDING,
    FILTERS,
    MAX_NORM,
    UNITS,
    VECTOR,
    VOCABULARY,
    WIDTHS,
    batches,
    count_flops,
)

KERAS = {
    "text_cnn": ("keras", "keras, no XLA", "keras, no XLA, bfloat16"),
    "lstm": ("keras", "keras, bfloat16"),
}
PRECISIONS = ("float32", "bfloat16")
# Threads, layout, Adam and precision.
TORCH = {
    "text_cnn": [
        ("2", *setting, precision)
        for setting in (("conv1d", "dense"), ("conv1d", "sparse"), ("channels-last", "dense"))
        for precision in PRECISIONS
    ],
    "lstm": [
        ("2", "time-major", "dense", "float32"),
        *((threads, layout, "dense", "bfloat16") for threads in ("1", "2") for layout in ("batch-major", "time-major")),
        *((threads, "time-major", "sparse", "bfloat16") for threads in ("1", "2")),
    ],
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
        cases: Which networks and lengths; by default all.
    """
    with_torch = has_torch(torch_python)
    if not with_torch:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    implementations = {}
    for case in cases or CASES:
        implementations[case] = [
            Implementation(name, ["-m", "benchmarks.text_classification", "--worker", name, case, str(steps)])
            for name in ("ours", *KERAS[CASES[case][0]])
        ]
        if with_torch:
            implementations[case] += torch_settings(case, steps, torch_python)
    flops = {case: count_flops(*CASES[case]) for case in implementations}
    peak = run(Implementation("peak", ["-m", "benchmarks.profile", "--worker", "peak", "0"]))
    result = compare(implementations, rounds=rounds, flops=flops, peak=max(peak.values()), batch=BATCH)
    result["peaks"] = peak
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    write(out, result)


def torch_settings(case: str, steps: int, python: str) -> Iterator[Implementation]:
    """Yields PyTorch in each of its settings."""
    for threads, *setting in TORCH[CASES[case][0]]:
        command = ["-m", "benchmarks.text_classification_torch", case, threads, *setting, str(steps)]
        yield Implementation(f"torch, {threads} threads, {', '.join(setting)}", command, python)


def compile_ours(arch: str, steps: int):
    """Returns our network, compiled as the experiment does it, and its precision."""
    from dataclasses import replace

    from experiments.text_classification.network import BUILDERS, RECIPES, Recipe, make_model
    from kerasapps import runtime

    workload = BUILDERS[arch].workload
    runtime.set_devices(workload)
    precision = runtime.set_precision("auto", workload=workload)
    model = make_model(
        arch=arch,
        sizes={"vocab_size": VOCABULARY, "num_classes": CLASSES},
        params={},
        recipe=replace(RECIPES.get(arch, Recipe()), batch_size=BATCH),
        steps=steps,
        jit_compile=runtime.use_xla(workload=workload, distributed=False),
    )
    return model, precision


def compile_plain(arch: str, variant: str):
    """Returns the same network as a Keras user would build and compile it, and its precision."""
    import keras
    from keras import layers

    precision = "mixed_bfloat16" if "bfloat16" in variant else "float32"
    keras.config.set_dtype_policy(precision)
    text = keras.Input((None,), dtype="int32", name="text")
    constraint = None
    if arch == "text_cnn":
        x = layers.Embedding(VOCABULARY, VECTOR)(text)
        matches = [layers.Conv1D(FILTERS, width, padding="same", activation="relu")(x) for width in WIDTHS]
        x = layers.Concatenate()([layers.GlobalMaxPooling1D()(match) for match in matches])
        constraint = keras.constraints.MaxNorm(MAX_NORM, axis=0)
    else:
        x = layers.LSTM(UNITS)(layers.Embedding(VOCABULARY, EMBEDDING, mask_zero=True)(text))
    x = layers.Dropout(DROPOUT)(x)
    label = layers.Dense(CLASSES, activation="softmax", kernel_constraint=constraint, dtype="float32", name="label")(x)
    model = keras.Model({"text": text}, {"label": label})
    loss, metrics = {"label": "sparse_categorical_crossentropy"}, {"label": ["accuracy"]}
    compilation = {"jit_compile": False} if "no XLA" in variant else {}
    model.compile(keras.optimizers.Adam(), loss, metrics=metrics, **compilation)
    return model, precision


def worker(implementation: str, case: str, steps: int) -> None:
    """Trains one network and reports the moments at which its steps ended."""
    import keras
    import tensorflow as tf

    arch, length = CASES[case]
    if implementation == "ours":
        model, precision = compile_ours(arch, steps)
    else:
        model, precision = compile_plain(arch, implementation)
    ids, labels = batches(steps, length=length)
    rows = tf.data.Dataset.from_tensor_slices(({"text": ids.reshape(-1, length)}, {"label": labels.reshape(-1)}))
    times = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    model.fit(rows.batch(BATCH).prefetch(2), verbose=0, callbacks=[clock])
    report(times, precision=precision)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, case_name, training_steps = sys.argv[2:]
        worker(name, case_name, int(training_steps))
    else:
        tyro.cli(main)
