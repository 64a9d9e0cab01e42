"""Speed of translators: training ours, plain Keras and PyTorch; writing with a step model and without.

    python -m benchmarks.translation --out runs/bench-translation.json --torch-python OTHER/VENV/bin/python

Training: the GRU with additive attention (256 units, tied output) and the transformer (256 units, 3 + 3 layers), 256
pairs of 16 tokens, vocabulary 5,000, dropout, label smoothing, Adam. Ours is compiled as the experiment does it, in the
precision that `--precision auto` chooses. Plain Keras has a `keras.layers.RNN` with a cell of one's own that carries
the encoder's states along, or `MultiHeadAttention`, without XLA, in float32 and bfloat16. PyTorch has its usual loop or
`nn.Transformer`, as they are and under `torch.compile`, in float32 and under bfloat16 autocast. The best of each
counts.

Writing: 64 texts of 32 tokens by the transformer, greedily, against a loop that reads the whole prefix again for each
token, all texts at once or, as Keras' example does, one at a time, and like it without a graph; and 1,000 texts with a
beam of 5.
"""

import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tyro

from benchmarks.harness import Implementation, compare, has_torch, report, run, write
from benchmarks.translation_data import (
    CASES,
    DROPOUT,
    EMBEDDING,
    FEEDFORWARD,
    HEADS,
    LAYERS,
    LENGTH,
    ROWS,
    SMOOTHING,
    UNITS,
    VOCABULARY,
    batches,
    count_flops,
)

KERAS = ("keras", "keras, bfloat16")
TORCH = [(how, precision) for how in ("plain", "compiled") for precision in ("float32", "bfloat16")]
WRITTEN, AT_ONCE, ONE_BY_ONE = 32, 64, 4  # tokens of a text, texts, and texts that are written one at a time
SEARCHED, BEAM = 1_000, 5


def main(
    *, out: Path, rounds: int = 5, steps: int = 25, torch_python: str = sys.executable, cases: tuple[str, ...] = CASES
) -> None:
    """Measures and writes records and ratios.

    Args:
        out: JSON file to write.
        rounds: Measurements of each implementation, in turn.
        steps: Training steps of a measurement, the first ten of which do not count.
        torch_python: An interpreter that has torch; it may belong to another environment.
        cases: Which networks are trained.
    """
    with_torch = has_torch(torch_python)
    if not with_torch:
        print("PyTorch is not installed here (pip install torch, or --torch-python): measuring the rest.")
    implementations = {
        case: [
            Implementation(name, ["-m", "benchmarks.translation", "--worker", name, case, str(steps)])
            for name in ("ours", *KERAS)
        ]
        for case in cases
    }
    for case in cases if with_torch else ():
        for how, precision in TORCH:
            command = ["-m", "benchmarks.translation_torch", case, how, precision, str(steps)]
            implementations[case].append(Implementation(f"torch, {how}, {precision}", command, torch_python))
    peak = run(Implementation("peak", ["-m", "benchmarks.profile", "--worker", "peak", "0"]))
    flops = {case: count_flops(case) for case in cases}
    result = compare(implementations, rounds=rounds, flops=flops, peak=max(peak.values()), batch=ROWS * LENGTH)
    result["writing"] = run(Implementation("writing", ["-m", "benchmarks.translation", "--writing"]))
    result["machine"] = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}"
    print(result["writing"])
    write(out, result)


def compile_ours(case: str, steps: int):
    """Returns our network, compiled as the experiment does it, and its precision."""
    from experiments.translation.network import TRANSFORMER, Recipe, make_model
    from kerasapps import runtime

    runtime.set_devices("matmul")
    precision = runtime.set_precision("auto", workload="matmul")
    params = {"embedding_dim": EMBEDDING, "units": UNITS} if case == "gru" else {"units": UNITS}
    model = make_model(
        arch="additive" if case == "gru" else "transformer",
        sizes={"source_vocab_size": VOCABULARY, "target_vocab_size": VOCABULARY},
        params=params,
        recipe=replace(Recipe() if case == "gru" else TRANSFORMER, optimizer="adam"),
        steps=steps,
    )
    return model, precision


def compile_plain(case: str, variant: str):
    """Returns the same network as a Keras user would build and compile it, and its precision."""
    import keras
    from keras import ops

    precision = "mixed_bfloat16" if "bfloat16" in variant else "float32"
    keras.config.set_dtype_policy(precision)
    source, target = (keras.Input((LENGTH,), dtype="int32", name=name) for name in ("source", "target"))
    logits = (plain_gru if case == "gru" else plain_transformer)(source, target)

    def loss(ids, logits):
        logits = ops.log_softmax(ops.cast(logits, "float32"))
        picked = ops.take_along_axis(logits, ops.cast(ids, "int32")[..., None], -1)[..., 0]
        losses = -(1 - SMOOTHING) * picked - SMOOTHING * ops.mean(logits, -1)
        real = ops.cast(ids != 0, "float32")
        return ops.sum(losses * real) / ops.sum(real)

    model = keras.Model({"source": source, "target": target}, {"next": logits})
    model.compile(keras.optimizers.Adam(), {"next": loss}, jit_compile=False)
    return model, precision


def plain_gru(source, target):
    """Builds the GRU with attention of Keras' layers and a cell for `keras.layers.RNN`."""
    import keras
    from keras import layers, ops

    class AttentionCell(layers.Layer):
        """A GRU cell that attends; memory and keys are states that do not change."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.cell = layers.GRUCell(UNITS)
            self.query, self.score = layers.Dense(UNITS, use_bias=False), layers.Dense(1, use_bias=False)
            self.state_size = [UNITS, (LENGTH, 2 * UNITS), (LENGTH, UNITS)]
            self.output_size = 3 * UNITS

        def call(self, word, states):
            """Returns state and context, and the states."""
            state, memory, keys = states
            scores = self.score(ops.tanh(keys + self.query(state)[:, None]))[..., 0]
            context = ops.matmul(ops.softmax(scores)[:, None], memory)[:, 0]
            state, _ = self.cell(ops.concatenate([word, context], 1), state)
            return ops.concatenate([state, context], 1), [state, memory, keys]

    x = layers.Dropout(DROPOUT)(layers.Embedding(VOCABULARY, EMBEDDING, mask_zero=True)(source))
    encoder = layers.Bidirectional(layers.GRU(UNITS, return_sequences=True, return_state=True))
    memory, ahead, back = encoder(x)
    memory = layers.Dropout(DROPOUT)(memory)
    state = layers.Dense(UNITS, activation="tanh")(layers.Concatenate()([ahead, back]))
    table = layers.ReversibleEmbedding(VOCABULARY, EMBEDDING)
    words = layers.Dropout(DROPOUT)(table(target))
    keys = layers.Dense(UNITS, use_bias=False)(memory)
    seen = layers.RNN(AttentionCell(), return_sequences=True)(words, initial_state=[state, memory, keys])
    features = layers.Dense(EMBEDDING, activation="tanh")(layers.Concatenate()([seen, words]))
    return table(keras.layers.Dropout(DROPOUT)(features), reverse=True)


def plain_transformer(source, target):
    """Builds the transformer of Keras' layers, normalized before each sublayer."""
    from keras import layers

    from kerasapps.blocks.transformer import Sinusoids

    def attention(x, keys=None, **options):
        normal = layers.LayerNormalization()(x)
        keys = normal if keys is None else keys
        seen = layers.MultiHeadAttention(HEADS, UNITS // HEADS)(normal, keys, **options)
        return layers.Add()([x, layers.Dropout(DROPOUT)(seen)])

    def feedforward(x):
        hidden = layers.Dense(FEEDFORWARD, activation="relu")(layers.LayerNormalization()(x))
        return layers.Add()([x, layers.Dropout(DROPOUT)(layers.Dense(UNITS)(hidden))])

    x = layers.Dropout(DROPOUT)(Sinusoids()(layers.Embedding(VOCABULARY, UNITS)(source)))
    for _ in range(LAYERS):
        x = feedforward(attention(x))
    memory = layers.LayerNormalization()(x)
    table = layers.ReversibleEmbedding(VOCABULARY, UNITS)
    x = layers.Dropout(DROPOUT)(Sinusoids()(table(target)))
    for _ in range(LAYERS):
        x = feedforward(attention(attention(x, use_causal_mask=True), memory))
    return table(layers.LayerNormalization()(x), reverse=True)


def worker(implementation: str, case: str, steps: int) -> None:
    """Trains one network and reports the moments at which its steps ended."""
    import keras
    import tensorflow as tf

    ours = implementation == "ours"
    model, precision = compile_ours(case, steps) if ours else compile_plain(case, implementation)
    source, target, following = (values.reshape(-1, LENGTH) for values in batches(steps))
    rows = tf.data.Dataset.from_tensor_slices(({"source": source, "target": target}, {"next": following}))
    times = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    model.fit(rows.batch(ROWS, drop_remainder=True).prefetch(2), verbose=0, callbacks=[clock])
    report(times, precision=precision)


def measure_writing() -> None:
    """Prints the seconds that writing takes with a transformer whose weights are random, so that no text ends early."""
    import json

    from kerasapps.applications import transformer
    from kerasapps.decoding import GREEDY, Beam, Writer

    model, _ = compile_ours("transformer", steps=1)
    # The end has no chance: every text is as long as allowed.
    writer = Writer(transformer.encoder_of(model), transformer.step_of(model), start=2, end=VOCABULARY)
    source = batches(-(-SEARCHED // ROWS))[0].reshape(-1, LENGTH)[:SEARCHED]

    def again(rows: np.ndarray) -> np.ndarray:
        written = np.full((len(rows), 1), 2, np.int32)
        for _ in range(WRITTEN):
            logits = model({"source": rows, "target": written}, training=False)["next"]
            written = np.concatenate([written, np.argmax(logits[:, -1], -1)[:, None].astype(np.int32)], 1)
        return written

    def cached(rows: np.ndarray, how) -> np.ndarray:
        parts = [rows[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE)]
        return np.concatenate([writer({"source": part}, how, max_length=WRITTEN)[0] for part in parts])

    def seconds(function) -> dict[str, float]:
        start, cpu = time.perf_counter(), time.process_time()
        function()
        return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}

    few = source[:AT_ONCE]
    jobs = {
        f"{AT_ONCE} texts, step by step": lambda: cached(few, GREEDY),
        f"{AT_ONCE} texts, the prefix again": lambda: again(few),
        f"{ONE_BY_ONE} texts one at a time, the prefix again": lambda: [
            again(few[i : i + 1]) for i in range(ONE_BY_ONE)
        ],
        f"{SEARCHED} texts, beam {BEAM}": lambda: cached(source, Beam(BEAM)),
    }
    cached(few, Beam(BEAM))
    readings = {}
    for name, job in jobs.items():
        times = [seconds(job) for _ in range(1 if "beam" in name else 4)][-3:]  # the first of several is traced
        readings[name] = {kind: float(np.median([one[kind] for one in times])) for kind in times[0]}
    print(json.dumps(readings))


if __name__ == "__main__":
    if "--worker" in sys.argv:
        name, case_name, training_steps = sys.argv[2:]
        worker(name, case_name, int(training_steps))
    elif "--writing" in sys.argv:
        measure_writing()
    else:
        tyro.cli(main)
