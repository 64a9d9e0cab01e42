"""Training speed of the profile network: ours, plain Keras and PyTorch.

    python -m benchmarks.profile --out runs/bench-profile.json --torch-python OTHER/VENV/bin/python

The lectures' network at vocabulary 50,000, 500 tokens, batch 128, Adam; three heads with the lectures' weights. Tokens
are drawn by Zipf's law, as in language. Ours has the number format that `--precision auto` settles; plain Keras is
compiled with its defaults in float32; PyTorch is timed in float32 and under bfloat16 autocast, with a dense and a fused
Adam, and its best counts. Without torch the rest is measured.
"""

import json
import platform
import sys
import time
from pathlib import Path

import tyro

from benchmarks.harness import Implementation, compare, has_torch, measure_peak, report, run, write
from benchmarks.profile_data import BATCH, GROUPS, LENGTH, VOCABULARY, batches


def main(*, out: Path, rounds: int = 5, steps: int = 30, torch_python: str = sys.executable) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Readings of each implementation, in turn.
        steps: Training steps of a reading, the first ten of which do not count.
        torch_python: An interpreter that has torch; it may be in another environment.
    """
    workers = ["ours", "ours, lazy", "keras"]
    implementations = [
        Implementation(name, ["-m", "benchmarks.profile", "--worker", name, str(steps)]) for name in workers
    ]
    if has_torch(torch_python):
        implementations += [
            Implementation(
                f"torch, {precision}, {embedding}",
                ["-m", "benchmarks.profile_torch", precision, embedding, str(steps)],
                torch_python,
            )
            for precision in ("bfloat16", "float32")
            for embedding in ("dense", "sparse")
        ]
    else:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    # Multiplications of the convolutions: windows, width, channels in and out; training costs three forward passes.
    windows, channels, flops = LENGTH, 256, 0
    for stage, (filters, count) in enumerate(((128, 1), (256, 2), (256, 2))):
        windows = windows // 5 if stage else windows
        for _ in range(count):
            windows -= 4
            flops += 2 * windows * 5 * channels * filters
            channels = filters
    flops = {"profile": 3 * BATCH * flops}
    peak = run(Implementation("peak", ["-m", "benchmarks.profile", "--worker", "peak", "0"]))
    result = compare({"profile": implementations}, rounds=rounds, flops=flops, peak=max(peak.values()), batch=BATCH)
    result["peaks"] = peak
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    write(out, result)


def peak_of_matmul() -> None:
    """Reports the most floating-point operations a second of a matrix product, by number format."""
    import tensorflow as tf

    peaks = {}
    for dtype in (tf.float32, tf.bfloat16):
        x = tf.cast(tf.random.normal((2048, 2048)), dtype)
        product = tf.function(lambda x=x: tf.reduce_sum(x @ x))
        peaks[dtype.name] = measure_peak(lambda product=product: product().numpy(), 2 * 2048**3)
    print(json.dumps(peaks))


def worker(implementation: str, steps: int) -> None:
    """Trains one network and reports the moments at which its steps ended."""
    import keras
    import tensorflow as tf
    from keras import layers

    from kerasapps import build_profile, runtime
    from kerasapps.applications.multi_head_text import profile_heads
    from kerasapps.losses import compile_heads
    from kerasapps.optimizers import Adam, LazyAdam

    ids, age, income, gender = (values.reshape(-1, *values.shape[2:]) for values in batches(steps))
    weights = {"age": 0.25, "income": 1.0, "gender": 10.0}
    precision = "float32"
    if implementation == "keras":
        text = keras.Input((None,), dtype="int32", name="text")
        x = layers.Embedding(VOCABULARY, 256)(text)
        x = layers.MaxPooling1D(5)(layers.Conv1D(128, 5, activation="relu")(x))
        x = layers.Conv1D(256, 5, activation="relu")(layers.Conv1D(256, 5, activation="relu")(x))
        x = layers.MaxPooling1D(5)(x)
        x = layers.Conv1D(256, 5, activation="relu")(layers.Conv1D(256, 5, activation="relu")(x))
        x = layers.Dense(128, activation="relu")(layers.GlobalMaxPooling1D()(x))
        outputs = {
            "age": layers.Dense(1)(x),
            "income": layers.Dense(GROUPS, activation="softmax")(x),
            "gender": layers.Dense(1, activation="sigmoid")(x),
        }
        model = keras.Model({"text": text}, outputs)
        losses = {"age": "mse", "income": "sparse_categorical_crossentropy", "gender": "binary_crossentropy"}
        model.compile("adam", losses, loss_weights=weights)
    else:
        runtime.set_devices("matmul")
        precision = runtime.set_precision("auto", workload="matmul")
        optimizer = LazyAdam() if implementation.endswith("lazy") else Adam()
        model = compile_heads(build_profile(), optimizer, profile_heads(), loss_weights=weights)
    times = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    rows = tf.data.Dataset.from_tensor_slices(({"text": ids}, {"age": age, "income": income, "gender": gender}))
    model.fit(rows.batch(BATCH).prefetch(2), verbose=0, callbacks=[clock])
    report(times, precision=precision)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, training_steps = sys.argv[2:]
        if name == "peak":
            peak_of_matmul()
        else:
            worker(name, int(training_steps))
    else:
        tyro.cli(main)
