"""The networks of the copy task: a neural Turing machine, and an LSTM of the same size."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from kerasapps import distribution
from kerasapps.applications.neural_turing_machine import build_neural_turing_machine
from kerasapps.blocks.recurrent import LSTM
from kerasapps.data.copying import draw_copies, load_copying
from kerasapps.data.splits import Splits
from kerasapps.losses import BitCrossentropy
from kerasapps.optimizers import Adam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, ranged

from ..shared import training
from ..shared.params import build
from ..shared.runs import outputs_of, traced
from ..shared.training import Trained

Arch = Literal["turing", "lstm"]
TRIES = 64  # sequences of each length that a network is tried on


@dataclass(frozen=True)
class Source:
    """Which sequences.

    Args:
        bits: Bits of a step.
        longest: Steps of the longest training sequence; test sequences have up to half as many more.
        rows: Training sequences in an epoch, whose bits are drawn anew in each.
    """

    bits: ranged(int, least=1, most=64) = 8
    longest: ranged(int, least=1, most=1_000) = 10
    rows: Count = 3_200


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        epochs: Epochs over the training set.
        batch_size: Sequences in a step, over all devices.
        learning_rate: Peak learning rate of Adam, reached after a tenth of the steps; then it falls to nearly 0.
        clipnorm: Norm to which larger gradients are shortened.
    """

    epochs: Count = 25
    batch_size: Count = 32
    learning_rate: Positive = 5e-3
    clipnorm: Positive = 10.0


def load(source: Source, *, options: Options) -> Splits:
    """Draws the sequences as the options say."""
    return load_copying(**asdict(source), seed=options.seed, limit=options.rows)


def train_one(
    run: Run,
    *,
    source: Source,
    arch: Arch = "turing",
    params: dict[str, Any],
    recipe: Recipe,
    patience: int | None = None,
) -> Trained:
    """Trains one network in a run folder."""
    splits = load(source, options=run.options)
    # Dozens of small operations a step: compiled, they take half of the time on a CPU too. The LSTM has its own kernel.
    compiled = arch == "turing" and not distribution.is_distributed(run.strategy)
    network = partial(make_model, arch=arch, sizes=splits.sizes, params=params, compiled=compiled)
    return training.train(run, splits, network, recipe, patience=patience)


def make_model(
    *,
    arch: Arch,
    sizes: dict[str, Any],
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    compiled: bool,
    jit_compile: bool = False,
) -> keras.Model:
    """Builds and compiles.

    Args:
        arch: Which network.
        sizes: Arguments of the builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        compiled: Whether XLA compiles the step on a CPU too.
        jit_compile: Whether it does in general.
    """
    builder = {"turing": build_neural_turing_machine, "lstm": lstm_network}[arch]
    model = build(builder, params, what="this network", given=sizes)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    model.compile(
        Adam(rate, global_clipnorm=recipe.clipnorm),
        {"bits": BitCrossentropy()},
        weighted_metrics={"bits": [keras.metrics.BinaryAccuracy(name="accuracy")]},
        jit_compile=compiled or jit_compile,
    )
    return model


def lstm_network(*, input_bits: int, output_bits: int, units: int = 36, name: str = "lstm") -> keras.Model:
    """Builds an LSTM that does the same without a memory; 36 units are as many weights as the machine has."""
    sequence = keras.Input((None, input_bits), name="sequence")  # (B, T, D)
    features = LSTM(units, return_sequences=True, name="lstm")(sequence)  # (B, T, U)
    bits = keras.layers.Dense(output_bits, activation="sigmoid", dtype="float32", name="bits")(features)
    return keras.Model([sequence], {"bits": bits}, name=name)


def units_like(model: keras.Model) -> int:
    """Returns how many units give the LSTM as many weights as a network has, or nearly so."""
    inputs, outputs = model.inputs[0].shape[-1], model.output["bits"].shape[-1]
    # 4 u (inputs + u + 1) weights of the LSTM and (u + 1) outputs of the output layer: a quadratic equation in u.
    linear = 4 * (inputs + 1) + outputs
    return max(1, round((-linear + np.sqrt(linear**2 + 16 * (model.count_params() - outputs))) / 8))


def errors_by_length(
    model: keras.Model, lengths: Sequence[int], *, bits: int, seed: int, tries: int = TRIES
) -> dict[int, np.ndarray]:
    """Returns the number of wrong bits of each sequence by length, drawn from a seed of its own: int (tries,)."""
    run, rng = traced(model), np.random.default_rng([seed, 1])
    result = {}
    for length in lengths:
        drawn = draw_copies([length] * tries, bits=bits, rng=rng)
        copies = outputs_of(model, drawn.inputs, run)["bits"][:, length + 1 :] > 0.5
        result[length] = (copies != drawn.targets["bits"][:, length + 1 :]).sum((1, 2))
    return result
