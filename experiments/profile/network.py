"""The network of the profile experiment: which data, how it is built and trained, in which run folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from experiments.shared.params import check_positive, fitting, read_params
from kerasapps.applications.multi_head_text import build_multi_head_text, shortest_text
from kerasapps.data.profiles import ProfileSplits, TextCodec, load_profiles
from kerasapps.data.splits import Split
from kerasapps.data.words import WordIds
from kerasapps.errors import UserError
from kerasapps.heads import Head
from kerasapps.losses import Deviation, compile_heads
from kerasapps.optimizers import Adam, LazyAdam, one_cycle
from kerasapps.runs import Options, Run, read_json, write_json
from kerasapps.training import History, fit

LECTURES = {"age": 0.25, "income": 1.0, "gender": 10.0}


@dataclass(frozen=True)
class Source:
    """Which texts, and what is known about their authors.

    Args:
        data: "posts" (simulated), "adult" (census rows as words), or a CSV, JSON-lines or Parquet file.
        text: Column of a file that holds the text.
        labels: Columns of a file that hold the labels, such as age=regression income=classes gender=binary; without
            the kind it is guessed.
        author: Column of a file that tells who wrote a row: nobody is then in two parts.
        vocab_size: Token ids at most; the most frequent words get one. By default 50,000, for adult 2,500.
        length: Tokens of a text at most.
        missing: Share of the labels that are removed from the training and validation part, each by itself.
    """

    data: str = "posts"
    text: str = "text"
    labels: tuple[str, ...] = ()
    author: str | None = None
    vocab_size: int | None = None
    length: int = 500
    missing: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How the network is trained; what is not given follows from the data.

    Args:
        epochs: Passes over the training part.
        batch_size: Rows in a step, over all devices.
        learning_rate: Of Adam at its highest, after a tenth of the steps; then it falls to nearly nothing.
        loss_weights: "equal"; "lectures": 0.25 for age, 1 for income, 10 for gender; or "learnt" by uncertainty.
        deviation: What is least for a number: its squared or its absolute error.
        lazy: Whether the vectors of words that a batch does not hold stay as they are: another algorithm than Adam, for
            large vocabularies.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    loss_weights: Literal["equal", "lectures", "learnt"] = "equal"
    deviation: Deviation = "absolute"
    lazy: bool = False


# The lectures' network wants long texts and much time; these are small uses of the same builder.
POSTS = {
    "embedding_dim": 32,
    "filters": [64],
    "convolutions": [1],
    "kernel_size": 9,
    "padding": "same",
    "pooling": "average",
    "layer_norm": True,
    "dense_units": [256],
    "dropout": 0.0,
}
# Words of a census row have no order: no convolutions.
ADULT = POSTS | {"embedding_dim": 128, "filters": [], "convolutions": [], "dense_units": [256, 256]}
ADULT |= {"layer_norm": False, "dropout": 0.2, "word_dropout": 0.2}
PARAMS = {"adult": ADULT}
RECIPES = {"adult": {"epochs": 10, "batch_size": 128, "learning_rate": 1e-3}}
# A number that stands in one or two census rows tells who they are about: incomes would be learnt by heart.
VOCAB_SIZE, VOCAB_SIZES = 50_000, {"adult": 2_500}
RECIPE = {"epochs": 5, "batch_size": 128, "learning_rate": 4e-3}


def params_of(data: str, params: str | None) -> dict[str, Any]:
    """Returns arguments of the builder: those of the data set, or those given in their place."""
    return PARAMS.get(data, POSTS) if params is None else read_params(params)


def recipe_of(data: str, given: Recipe, *, options: Options) -> Recipe:
    """Returns how to train on a data set, where the command line says nothing else."""
    values = RECIPES.get(data, RECIPE) | {name: value for name, value in asdict(given).items() if value is not None}
    values |= {"epochs": options.shrink(values["epochs"], 2), "batch_size": options.shrink(values["batch_size"], 16)}
    check_positive(**{name: values[name] for name in ("epochs", "batch_size", "learning_rate")})
    return Recipe(**values)


def load(source: Source, *, options: Options) -> ProfileSplits:
    """Loads the data as the options say."""
    if not 0 <= source.missing < 1:
        raise UserError(f"--missing must be in [0, 1). Received: {source.missing}")
    values = asdict(source)
    if values["vocab_size"] is None:
        values["vocab_size"] = VOCAB_SIZES.get(source.data, VOCAB_SIZE)
    if values["vocab_size"] < 3 or source.length < 1:
        raise UserError("--vocab-size must be at least 3 and --length at least 1.")
    return load_profiles(**values, seed=options.seed, limit=options.rows)


def make_model(
    *,
    vocab_size: int,
    heads: dict[str, Head],
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    jit_compile: bool = False,
) -> keras.Model:
    """Builds and compiles: the one place that training, the strategy scope and the search share.

    Args:
        vocab_size: Number of token ids.
        heads: What to predict.
        params: Further arguments of `build_multi_head_text`.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    with fitting(params, "this network"):
        model = build_multi_head_text(vocab_size=vocab_size, heads=heads, **params)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    weights = None if recipe.loss_weights == "equal" else recipe.loss_weights
    if weights == "lectures":
        weights = {name: LECTURES.get(name, 1.0) for name in heads}
    optimizer = LazyAdam(rate) if recipe.lazy else Adam(rate)
    return compile_heads(
        model, optimizer, heads, loss_weights=weights, deviation=recipe.deviation, jit_compile=jit_compile
    )


def train_network(
    run: Run,
    splits: ProfileSplits,
    *,
    recipe: Recipe,
    params: dict[str, Any],
    only: Sequence[str] = (),
    patience: int | None = None,
) -> tuple[keras.Model, History]:
    """Trains one network in a run folder, for all heads or for some, and saves it with its vocabulary."""
    codec = splits.codec
    heads = {name: head for name, head in codec.heads.items() if name in only or not only}
    write_codec(run, codec)
    steps = recipe.epochs * splits.train.steps(recipe.batch_size)
    with run.strategy.scope():
        model = make_model(
            **splits.sizes | {"heads": heads}, params=params, recipe=recipe, steps=steps, jit_compile=run.jit_compile
        )
    splits = splits.only(heads)
    parts = {part: long_enough(getattr(splits, part), model) for part in ("train", "validation")}
    history = fit(
        model,
        replace(splits, **parts),
        run,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        monitor="val_loss",
        patience=patience,
    )
    return model, history


def long_enough(split: Split, model: keras.Model) -> Split:
    """Returns texts padded to what the network can read at least: without padding of its own it needs some length."""
    least, ids = shortest_text(model), split.inputs["text"]
    ids = np.pad(ids, ((0, 0), (0, max(0, least - ids.shape[1]))))
    return replace(split, inputs={"text": ids}, lengths={"text": np.maximum(split.lengths["text"], least)})


def write_codec(run: Run, codec: TextCodec) -> None:
    """Keeps with the run what a model does not hold: words, classes and scales."""
    heads = {name: asdict(head) for name, head in codec.heads.items()}
    content = {"length": codec.words.length, "heads": heads, "classes": codec.classes, "words": codec.words.words}
    write_json(run.path("vocabulary.json"), content)


def read_codec(folder: Path) -> TextCodec:
    """Reads what `write_codec` wrote."""
    content = read_json(folder / "vocabulary.json")
    heads = {name: Head(**head) for name, head in content["heads"].items()}
    classes = {name: tuple(names) for name, names in content["classes"].items()}
    return TextCodec(WordIds(tuple(content["words"]), content["length"]), heads, classes)
