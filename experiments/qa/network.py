"""The question-answering networks with the recipes that train them well."""

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras

from experiments.qa.results import evaluate_model
from kerasapps import distribution
from kerasapps.applications import memory_network, question_answering
from kerasapps.data.question_answering import Form, StorySplits, Vocabulary, load_stories
from kerasapps.errors import UserError
from kerasapps.optimizers import Adam
from kerasapps.runs import Run, read_json, write_json
from kerasapps.training import History, fit

Arch = Literal["memory", "lstm", "gru", "bilstm", "conv"]
# Share of the steps in which the learning rate of the memory network rises.
WARMUP = 0.03
SMOKE_EPOCHS = 2


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: passes at most, questions in a step, Adam's highest learning rate."""

    epochs: int
    batch_size: int
    learning_rate: float


def recipe_of(arch: Arch, *, smoke: bool = False, **given: float | None) -> Recipe:
    """Returns the recipe of an architecture, with the values that are given, and few epochs for --smoke."""
    recipe = Recipe(40, 32, 2e-3) if arch == "memory" else Recipe(30, 32, 1e-3)
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    return replace(recipe, epochs=min(recipe.epochs, SMOKE_EPOCHS)) if smoke else recipe


def form_of(arch: Arch) -> Form:
    """Tells what an architecture reads."""
    return "story" if arch == "memory" else "text"


def space_of(arch: Arch):
    """Returns the search space of an architecture."""
    if arch == "memory":
        return memory_network.search_space
    return lambda hp: question_answering.search_space(hp) | {"encoder": arch}


def make_model(
    *, arch: Arch, params: dict[str, Any], learning_rate: float, steps: int, jit_compile: bool, **sizes: int
) -> keras.Model:
    """Builds and compiles: the one place that training, the strategy scope and the search share.

    Args:
        arch: Which network.
        params: Arguments of its builder.
        learning_rate: Of Adam at its highest.
        steps: Steps of the whole training; that of the memory network warms up for a short while and then cools down.
        jit_compile: Whether XLA compiles the step.
        sizes: What the data gives the builder.
    """
    build = memory_network.build_memory_network if arch == "memory" else question_answering.build_question_answering
    unknown = sorted(params.keys() - inspect.signature(build).parameters.keys())
    if unknown or params.get("encoder", arch) != arch:
        raise UserError(f"These parameters are not for --arch {arch}: {', '.join(unknown) or params['encoder']}.")
    if arch == "memory":
        model = build(**sizes, **params)
        warmup = max(1, int(WARMUP * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warmup, alpha=0.02, warmup_target=learning_rate, warmup_steps=warmup
        )
        # Keras' own: on TensorFlow its second moment adds up the squares of a word's gradients, not the square of
        # their sum, so that words take larger steps. With ours the validation error on bAbI was 4.1 % instead of 3.5 %.
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    else:
        model = build(**sizes, **{"encoder": arch} | params)
        optimizer = Adam(learning_rate)
    model.compile(
        optimizer,
        {"answer": "sparse_categorical_crossentropy"},
        metrics={"answer": ["accuracy"]},
        jit_compile=jit_compile,
    )
    return model


def train_network(
    run: Run,
    splits: StorySplits,
    *,
    arch: Arch,
    recipe: Recipe,
    params: dict[str, Any],
    patience: int | None = None,
) -> tuple[keras.Model, History]:
    """Trains one network in a run folder, and writes the vocabulary without which its model is of no use."""
    write_json(run.path("vocabulary.json"), asdict(splits.vocabulary))
    distributed = distribution.is_distributed(run.strategy)
    steps = recipe.epochs * splits.train.steps(recipe.batch_size, drop_remainder=distributed)
    with run.strategy.scope():
        model = make_model(
            arch=arch,
            params=params,
            learning_rate=recipe.learning_rate,
            steps=steps,
            jit_compile=run.jit_compile,
            **splits.sizes,
        )
    history = fit(
        model,
        splits,
        run,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        monitor="val_accuracy",
        patience=patience,
    )
    return model, history


@dataclass(frozen=True)
class Trained:
    """A network after its training: `metrics` on the test part, and its accuracy there by kind of question."""

    model: keras.Model
    splits: StorySplits
    history: History
    metrics: dict[str, float]
    by_kind: dict[str, float]


def train_and_test(
    run: Run, arch: Arch, recipe: Recipe, *, data: str, tasks: Sequence[int], params: dict, patience: int | None
) -> Trained:
    """Trains one network in a run folder and evaluates it on the test part."""
    splits = load_stories(data, form=form_of(arch), tasks=tasks, seed=run.options.seed, limit=run.options.rows)
    model, history = train_network(run, splits, arch=arch, recipe=recipe, params=params, patience=patience)
    metrics, by_kind = evaluate_model(model, splits.test, splits.questions["test"])
    metrics |= {f"accuracy_{kind}": accuracy for kind, accuracy in by_kind.items()}
    return Trained(model, splits, history, metrics, by_kind)


def read_vocabulary(folder: Path) -> Vocabulary:
    """Reads the vocabulary of a run folder."""
    content = read_json(folder / "vocabulary.json")
    return Vocabulary(**content | {"words": tuple(content["words"]), "answers": tuple(content["answers"])})
