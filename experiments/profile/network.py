"""The network of the profile experiment: which data, how it is built and trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from kerasapps.applications.multi_head_text import build_multi_head_text, shortest_text
from kerasapps.data.profiles import SETS, ProfileSplits, TextCodec, load_profiles
from kerasapps.data.splits import Split
from kerasapps.data.words import GivenTokens
from kerasapps.losses import Deviation, compile_heads
from kerasapps.optimizers import Adam, LazyAdam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, Share, Text, from_settings, optional, or_none, ranged, settle

from ..shared import training
from ..shared.params import build, read_params
from ..shared.runs import SavedRun
from ..shared.training import Trained, tell

CODEC = TextCodec
LECTURES = {"age": 0.25, "income": 1.0, "gender": 10.0}


@dataclass(frozen=True)
class Source:
    """Which texts, and what is known about their authors.

    Args:
        data: "posts" (simulated), "adult" (census rows as words), or a CSV, JSON or Parquet file.
        text: Column of a file that holds the text.
        labels: Columns of a file that hold the labels, such as age=regression income=classes gender=binary; without
            the kind it is guessed.
        author: Column of a file with the author of each row: nobody is then in two of training, validation and test
            set.
        vocab_size: Token ids at most; the most frequent words get one. By default 50,000, for adult 2,500.
        length: Tokens of a text at most.
        tokens: Whether texts are cut into words, words and punctuation (also with case), characters, or learned words
            of scripts without spaces; auto settles on words or, from 100,000 letters of such scripts on, learned ones.
        missing: Share of the labels that are removed from training and validation set, each by itself.
    """

    data: Text = "posts"
    text: Text = "text"
    labels: tuple[Text, ...] = ()
    author: or_none(Text) = None
    vocab_size: or_none(ranged(int, least=3)) = None
    length: Count = 500
    tokens: GivenTokens = "auto"
    missing: Share = 0.0


@dataclass(frozen=True)
class Recipe:
    """How the network is trained; by default as suits the data.

    Args:
        epochs: Epochs over the training set.
        batch_size: Rows in a step, over all devices.
        learning_rate: Peak learning rate of Adam, reached after a tenth of the steps; then it falls to nearly 0.
        loss_weights: "equal"; "lectures": 0.25 for age, 1 for income, 10 for gender; or "learnt" by uncertainty.
        deviation: Loss of a number: its squared or its absolute error.
        lazy: Update only the vectors of words in the batch: another algorithm than Adam, for large vocabularies.
    """

    epochs: Count = 5
    batch_size: Count = 128
    learning_rate: Positive = 4e-3
    loss_weights: Literal["equal", "lectures", "learnt"] = "equal"
    deviation: Deviation = "absolute"
    lazy: bool = False


GivenRecipe = optional(Recipe, flags=("lazy",))
RECIPES = {"adult": Recipe(epochs=10, learning_rate=1e-3)}
# The builder's defaults want long texts and much time; these are small.
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
# A number that stands in one or two census rows identifies people, whose incomes would be memorized.
VOCAB_SIZE, VOCAB_SIZES = 50_000, {"adult": 2_500}


def params_of(data: str, params: str | None = None) -> dict[str, Any]:
    """Returns arguments of the builder: those that suit the data set, or those given in their place."""
    return PARAMS.get(data, POSTS) if params is None else read_params(params)


def recipe_of(data: str, given: GivenRecipe = GivenRecipe(), *, options: Options) -> Recipe:
    """Returns how to train on a data set, where the command line says nothing else."""
    return options.shrunk(settle(RECIPES.get(data, Recipe()), given), epochs=2, batch_size=16)


def load(source: Source, *, options: Options) -> ProfileSplits:
    """Loads the data as the options say."""
    vocab_size = source.vocab_size or VOCAB_SIZES.get(source.data, VOCAB_SIZE)
    return load_profiles(**asdict(source) | {"vocab_size": vocab_size}, seed=options.seed, limit=options.rows)


def train_one(
    run: Run,
    *,
    source: Source,
    params: dict[str, Any],
    recipe: Recipe,
    only: tuple[str, ...] = (),
    patience: int | None = None,
) -> Trained:
    """Trains one network in a run folder, for all heads or for some."""
    splits = load(source, options=run.options)
    tell(splits.notes)
    splits = splits.only(only or splits.codec.heads)
    network = partial(make_model, sizes=splits.sizes, params=params)
    return training.train(run, splits, network, recipe, prepare=pad_to_shortest, patience=patience)


def splits_of(saved: SavedRun) -> ProfileSplits:
    """Loads the texts that a run was trained on, in its words and classes, for `load_splits`."""
    source, options = from_settings(Source, saved.settings), from_settings(Options, saved.settings)
    splits = load(source, options=options)
    return splits.as_seen_by(saved.codec)


def readable_by(splits: ProfileSplits, models: Sequence[keras.Model]) -> ProfileSplits:
    """Returns the splits with texts that each of several networks can read, for `readable_splits`."""
    return pad_to_shortest(splits, max(models, key=shortest_text))


def make_model(
    *, sizes: dict[str, Any], params: dict[str, Any], recipe: Recipe, steps: int, jit_compile: bool = False
) -> keras.Model:
    """Builds and compiles; `sizes` are builder arguments that the data give, `steps` those of the whole training."""
    model = build(build_multi_head_text, params, what="this network", given=sizes)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    weights = None if recipe.loss_weights == "equal" else recipe.loss_weights
    if weights == "lectures":
        weights = {name: LECTURES.get(name, 1.0) for name in sizes["heads"]}
    optimizer = LazyAdam(rate) if recipe.lazy else Adam(rate)
    return compile_heads(
        model, optimizer, sizes["heads"], loss_weights=weights, deviation=recipe.deviation, jit_compile=jit_compile
    )


def pad_to_shortest(splits: ProfileSplits, model: keras.Model) -> ProfileSplits:
    """Returns the splits with texts that a network can read: without padding of its own it needs some length."""
    return replace(splits, **{name: pad_split(getattr(splits, name), model) for name in SETS})


def pad_split(split: Split, model: keras.Model) -> Split:
    """Returns texts padded to the shortest that a network can read."""
    lengths = np.maximum(split.lengths["text"], shortest_text(model))
    return replace(split, inputs=pad_inputs(split.inputs, model), lengths={"text": lengths})


def pad_inputs(inputs: dict[str, np.ndarray], model: keras.Model) -> dict[str, np.ndarray]:
    """Returns token ids (n, T) padded to the shortest text that a network can read."""
    ids = inputs["text"]
    return {"text": np.pad(ids, ((0, 0), (0, max(0, shortest_text(model) - ids.shape[1]))))}
