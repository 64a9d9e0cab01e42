"""Training speed of the two-LSTM question-answering network: ours, plain Keras and PyTorch.

    python -m benchmarks.qa --out runs/bench-qa.json --torch-python OTHER/VENV/bin/python

Vocabulary 10,000, text of 100 words, batch 128, Adam, float32, padding masked. Without torch the rest is measured.
"""

import json
import platform
import sys
import time
from pathlib import Path

import tyro

from benchmarks.harness import Implementation, compare, has_torch, measure_peak, report, run, write

BATCH, TEXT, VOCABULARY, ANSWERS = 128, 100, 10_000, 500
QUESTIONS = {"question_100": 100, "question_10": 10}


def main(*, out: Path, rounds: int = 5, steps: int = 60, torch_python: str = sys.executable) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Readings of each implementation, in turn.
        steps: Training steps of a reading.
        torch_python: An interpreter that has torch; it may be in another environment.
    """
    with_torch = has_torch(torch_python)
    if not with_torch:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    cases, flops = {}, {}
    for case, question in QUESTIONS.items():
        sizes = [str(question), str(steps)]
        cases[case] = [
            Implementation("ours", ["-m", "benchmarks.qa", "--worker", "ours", *sizes]),
            Implementation("keras", ["-m", "benchmarks.qa", "--worker", "keras", *sizes]),
        ]
        if with_torch:
            cases[case] += [
                Implementation(
                    f"torch, {threads} threads, {style}",
                    ["-m", "benchmarks.qa_torch", threads, style, *sizes],
                    torch_python,
                )
                for threads in ("1", "2")
                for style in ("batch-major", "time-major")
            ]
        # Products of input and state with the gates, for a word; training costs three times the forward pass.
        cells = TEXT * (64 + 32) * 4 * 32 + question * (32 + 16) * 4 * 16
        flops[case] = 3 * 2 * BATCH * (cells + (32 + 16) * ANSWERS)
    peak = run(Implementation("peak", ["-m", "benchmarks.qa", "--worker", "peak", "0", "0"]))["flops"]
    result = compare(cases, rounds=rounds, flops=flops, peak=peak, batch=BATCH)
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    write(out, result)


def peak_of_matmul() -> None:
    """Measures and reports the peak of the machine in float32."""
    import tensorflow as tf

    x = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.reduce_sum(x @ x))
    print(json.dumps({"flops": measure_peak(lambda: product().numpy(), 2 * 2048**3)}))


def worker(implementation: str, question: int, steps: int) -> None:
    """Trains one network and reports the moments at which its steps ended."""
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    from kerasapps import build_question_answering, runtime
    from kerasapps.optimizers import Adam

    if implementation == "ours":
        runtime.set_devices("recurrent")
    rng = np.random.default_rng(0)
    rows = BATCH * steps
    inputs = {
        "text": rng.integers(1, VOCABULARY, (rows, TEXT)).astype(np.int32),
        "question": rng.integers(1, VOCABULARY, (rows, question)).astype(np.int32),
    }
    targets = {"answer": rng.integers(0, ANSWERS, rows).astype(np.int32)}
    if implementation == "ours":
        model = build_question_answering(vocab_size=VOCABULARY, num_answers=ANSWERS)
        optimizer = Adam()
    else:
        text = keras.Input((None,), dtype="int32", name="text")
        asked = keras.Input((None,), dtype="int32", name="question")
        told = layers.LSTM(32)(layers.Embedding(VOCABULARY, 64, mask_zero=True)(text))
        wanted = layers.LSTM(16)(layers.Embedding(VOCABULARY, 32, mask_zero=True)(asked))
        answer = layers.Dense(ANSWERS, activation="softmax")(layers.Concatenate()([told, wanted]))
        model = keras.Model({"text": text, "question": asked}, {"answer": answer})
        optimizer = keras.optimizers.Adam()
    model.compile(optimizer, {"answer": "sparse_categorical_crossentropy"})
    times = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    batches = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(BATCH).prefetch(2)
    model.fit(batches, verbose=0, callbacks=[clock])
    report(times, precision="float32")


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, question_words, training_steps = sys.argv[2:]
        if name == "peak":
            peak_of_matmul()
        else:
            worker(name, int(question_words), int(training_steps))
    else:
        tyro.cli(main)
