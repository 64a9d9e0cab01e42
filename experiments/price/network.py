"""The network of the price experiment: which data, how it is built and trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from kerasapps.applications.multimodal_price import build_multimodal_price
from kerasapps.data.prices import BRANCHES, PriceCodec, PriceSplits, load_prices
from kerasapps.data.splits import Split
from kerasapps.data.words import GivenTokens
from kerasapps.errors import UserError
from kerasapps.heads import Head
from kerasapps.losses import Deviation, compile_heads
from kerasapps.optimizers import Adam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, Share, from_settings, ranged

from ..shared import training
from ..shared.params import build
from ..shared.runs import SavedRun
from ..shared.training import Trained, tell

CODEC = PriceCodec
TARGET = "log_price"
Branch = Literal["metadata", "text", "image"]


@dataclass(frozen=True)
class Source:
    """Which garments, or other things, and what is known of them.

    Args:
        data: "garments" (simulated), or a CSV, JSON or Parquet file.
        price: Column of a file that holds the price, above 0.
        numbers: Columns that hold numbers.
        categories: Columns that hold categories.
        text: Column that holds a description.
        image: Column that holds the path of an image, relative to the folder of the file.
        size: Side of the images in pixels; simulated ones have 48.
        vocab_size: Token ids at most; the most frequent words get one.
        tokens: Whether texts are cut into words, words and punctuation (also with case), characters, or learned words
            of scripts without spaces; auto settles on words or, from 100,000 letters of such scripts on, learned ones.
        missing: Share of the simulated descriptions and images that are left out.
    """

    data: str = "garments"
    price: str = "price"
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    text: str | None = None
    image: str | None = None
    size: ranged(int, least=8, most=16_384) = 64
    vocab_size: ranged(int, least=3) = 20_000
    tokens: GivenTokens = "auto"
    missing: Share = 0.0


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Args:
        epochs: Epochs over the training set.
        batch_size: Rows in a step, over all devices.
        learning_rate: Peak learning rate of Adam, reached after a tenth of the steps; then it falls to nearly 0.
        deviation: Loss: the squared or the absolute error of the logarithm of the price.
    """

    epochs: Count = 22
    batch_size: Count = 128
    learning_rate: Positive = 4e-3
    deviation: Deviation = "squared"


def load(source: Source, branches: Sequence[str], *, options: Options) -> PriceSplits:
    """Loads the data as the options say, with the branches that the network is to have.

    Raises:
        UserError: If nothing is left of the data.
    """
    splits = load_prices(**asdict(source), seed=options.seed, limit=options.rows).only(branches)
    if not splits.train.inputs:
        raise UserError(f"{source.data} has none of the branches {', '.join(branches)}.")
    return splits


def train_one(
    run: Run,
    *,
    source: Source,
    branches: tuple[Branch, ...] = BRANCHES,
    params: dict[str, Any],
    recipe: Recipe,
    patience: int | None = None,
) -> Trained:
    """Trains one network in a run folder."""
    splits = load(source, branches, options=run.options)
    tell(splits.notes)
    network = partial(make_model, sizes=splits.sizes, params=params)
    return training.train(run, splits, network, recipe, patience=patience)


def splits_of(saved: SavedRun) -> PriceSplits:
    """Loads the things that a run was trained on, in its words and categories, for `load_splits`."""
    settings = {"branches": BRANCHES} | saved.settings
    options = from_settings(Options, saved.settings)
    splits = load(from_settings(Source, settings), settings["branches"], options=options)
    encoded = {name: saved.codec.split(things) for name, things in splits.things.items()}
    return replace(splits, **encoded, codec=saved.codec)


def make_model(
    *, sizes: dict[str, Any], params: dict[str, Any], recipe: Recipe, steps: int, jit_compile: bool = False
) -> keras.Model:
    """Builds and compiles.

    Args:
        sizes: Arguments of the builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    model = build(build_multimodal_price, params, what="this network", given=sizes)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    heads = {TARGET: Head("regression", mean=sizes["price_mean"], scale=sizes["price_scale"])}
    return compile_heads(model, Adam(rate), heads, deviation=recipe.deviation, jit_compile=jit_compile)


def predict_log_price(model: keras.Model, split: Split, *, batch_size: int = 256) -> np.ndarray:
    """Returns the estimated logarithm of the price of each row, float32 (n,)."""
    return model.predict(split.batches(batch_size), verbose=0)[TARGET][:, 0]
