"""The network of the price experiment: which data, how it is built and trained, in which run folder."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from experiments.shared.params import check_positive, fitting
from kerasapps.applications.multimodal_price import build_multimodal_price
from kerasapps.data.pictures import read_picture
from kerasapps.data.prices import PriceCodec, PriceSplits, Things, load_prices
from kerasapps.data.splits import Split
from kerasapps.data.words import WordIds
from kerasapps.errors import UserError
from kerasapps.heads import Head
from kerasapps.losses import Deviation, compile_heads
from kerasapps.optimizers import Adam, one_cycle
from kerasapps.runs import Options, Run, read_json, write_json
from kerasapps.training import History, fit

TARGET = "log_price"


@dataclass(frozen=True)
class Source:
    """Which things, and what is known of them.

    Args:
        data: "garments" (simulated), or a CSV, JSON-lines or Parquet file.
        price: Column of a file that holds the price, above 0.
        numbers: Columns that hold numbers.
        categories: Columns that hold categories.
        text: Column that holds a description.
        image: Column that holds the path of a picture, from the folder of the file.
        size: Side of the pictures in pixels; simulated ones have 48.
        vocab_size: Token ids at most; the most frequent words get one.
        missing: Share of the simulated descriptions and pictures that are left out.
    """

    data: str = "garments"
    price: str = "price"
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    text: str | None = None
    image: str | None = None
    size: int = 64
    vocab_size: int = 20_000
    missing: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Args:
        epochs: Passes over the training part.
        batch_size: Rows in a step, over all devices.
        learning_rate: Of Adam at its highest, after a tenth of the steps; then it falls to nearly nothing.
        deviation: What is least: the squared or the absolute error of the logarithm.
    """

    epochs: int = 22
    batch_size: int = 128
    learning_rate: float = 4e-3
    deviation: Deviation = "squared"


def recipe_of(given: Recipe, *, options: Options) -> Recipe:
    """Returns the recipe, shrunk by --smoke.

    Raises:
        UserError: If a number makes no sense.
    """
    values = asdict(given) | {"epochs": options.shrink(given.epochs, 2)}
    values["batch_size"] = options.shrink(given.batch_size, 16)
    check_positive(**{name: values[name] for name in ("epochs", "batch_size", "learning_rate")})
    return Recipe(**values)


def load(source: Source, branches: Sequence[str], *, options: Options) -> PriceSplits:
    """Loads the data as the options say, with the branches that the network is to have.

    Raises:
        UserError: If an option makes no sense, or nothing is left of the data.
    """
    if not 0 <= source.missing < 1:
        raise UserError(f"--missing must be in [0, 1). Received: {source.missing}")
    if source.vocab_size < 3 or source.size < 8:
        raise UserError("--vocab-size must be at least 3 and --size at least 8.")
    splits = load_prices(**asdict(source), seed=options.seed, limit=options.rows).only(branches)
    if not splits.train.inputs:
        raise UserError(f"{source.data} has none of the branches {', '.join(branches)}.")
    return splits


def source_of(settings: dict[str, Any]) -> Source:
    """Returns the source that JSON holds."""
    values = {name: settings[name] for name in vars(Source())}
    return Source(**values | {name: tuple(values[name]) for name in ("numbers", "categories")})


def make_model(
    *, sizes: dict[str, Any], params: dict[str, Any], recipe: Recipe, steps: int, jit_compile: bool = False
) -> keras.Model:
    """Builds and compiles: the one place that training, the strategy scope and the search share.

    Args:
        sizes: Arguments of the builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    with fitting(params, "this network"):
        model = build_multimodal_price(**sizes, **params)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    heads = {TARGET: Head("regression", mean=sizes["price_mean"], scale=sizes["price_scale"])}
    return compile_heads(model, Adam(rate), heads, deviation=recipe.deviation, jit_compile=jit_compile)


def train_network(
    run: Run, splits: PriceSplits, *, recipe: Recipe, params: dict[str, Any], patience: int | None = None
) -> tuple[keras.Model, History]:
    """Trains one network in a run folder and saves it with what is needed to use it."""
    write_codec(run, splits.codec)
    steps = recipe.epochs * splits.train.steps(recipe.batch_size)
    with run.strategy.scope():
        model = make_model(sizes=splits.sizes, params=params, recipe=recipe, steps=steps, jit_compile=run.jit_compile)
    history = fit(
        model,
        splits,
        run,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        monitor="val_loss",
        patience=patience,
    )
    return model, history


def write_codec(run: Run, codec: PriceCodec) -> None:
    """Keeps with the run what a model does not hold: scales, categories, words."""
    content = {name: getattr(codec, name) for name in ("numbers", "categories", "image_shape", "price")}
    words = {} if codec.words is None else {"words": codec.words.words, "length": codec.words.length}
    write_json(run.path("vocabulary.json"), content | words)


def read_codec(folder: Path) -> PriceCodec:
    """Reads what `write_codec` wrote."""
    content = read_json(folder / "vocabulary.json")
    return PriceCodec(
        {name: tuple(scale) for name, scale in content["numbers"].items()},
        {name: tuple(values) for name, values in content["categories"].items()},
        WordIds(tuple(content["words"]), content["length"]) if "words" in content else None,
        None if content["image_shape"] is None else tuple(content["image_shape"]),
        tuple(content["price"]),
    )


def one_thing(
    codec: PriceCodec, *, numbers: Sequence[str], categories: Sequence[str], text: str | None, image: Path | None
) -> Things:
    """Returns a single thing as the loader would, from what the command line tells of it.

    Args:
        codec: What the network was trained on.
        numbers: Pairs such as "years=3"; what is not told is unknown.
        categories: Pairs such as "kind=coat".
        text: Its description.
        image: A picture of it.

    Raises:
        UserError: If nothing is told, or something that the network does not look at.
        DataError: If the picture cannot be read.
    """
    if not (numbers or categories or text or image):
        raise UserError("Nothing is known of the thing: give --numbers, --categories, --text or --image.")
    for option, value, looks in (("--text", text, codec.words), ("--image", image, codec.image_shape)):
        if value and looks is None:
            raise UserError(f"{option}: this network was trained without.")
    known = pairs("--numbers", numbers, codec.numbers)
    named = pairs("--categories", categories, codec.categories)
    notes = tuple(
        f"No thing to train on had the {name} {value}: it counts as unknown."
        for name, value in named.items()
        if value not in codec.categories[name]
    )
    height, width, channels = codec.image_shape or (1, 1, 3)
    images = np.zeros((1, height, width, channels), np.uint8)
    if image:
        images[0] = read_picture(image, size=height, channels=channels)
    return Things(
        {name: np.array([number("--numbers", name, known.get(name))]) for name in codec.numbers},
        {name: np.array([named.get(name, "")], object) for name in codec.categories},
        np.array([text or ""], object),
        images,
        np.array([image is not None]),
        np.zeros(1),
        None,
        notes,
    )


def pairs(option: str, given: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Splits "name=value" where the name is one of those that there are.

    Raises:
        UserError: If it is not, or there is no "=".
    """
    result = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name not in names:
            raise UserError(f"{option} {pair}: give NAME=VALUE with a name of {', '.join(names) or 'none'}.")
        result[name] = value
    return result


def number(option: str, name: str, value: str | None) -> float:
    """Returns a number, NaN for None.

    Raises:
        UserError: If it is none.
    """
    try:
        return float("nan") if value is None else float(value)
    except ValueError:
        raise UserError(f"{option} {name}={value}: {value!r} is no number.") from None


def predict_log_price(model: keras.Model, split: Split, *, batch_size: int = 256) -> np.ndarray:
    """Returns the estimated logarithm of the price of each row, float32 (n,)."""
    return model.predict(split.batches(batch_size), verbose=0)[TARGET][:, 0]
