"""Price: what a second-hand garment is worth, from metadata, a description and an image, any of which may be absent.

python -m experiments.price train
python -m experiments.price train --data offers.csv --numbers age --categories brand --text description --image photo
python -m experiments.price compare --seeds 3
python -m experiments.price search --tuner bayesian --max-trials 20
python -m experiments.price evaluate --run runs/NAME
python -m experiments.price predict --run runs/NAME --categories kind=coat --text "wool, hardly worn"
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from kerasapps.applications.multimodal_price import search_space
from kerasapps.data.prices import BRANCHES
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, settings_of

from ..shared.cli import main, print_table
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .compare import compare
from .network import Branch, Recipe, Source, load, predict_log_price, train_one
from .results import result_blocks, test_metrics


def train(
    *,
    source: Source = Source(),
    branches: tuple[Branch, ...] = BRANCHES,
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains one network and writes a run folder.

    Args:
        source: Which things.
        branches: Branches of the network.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"units": 128}'.
        recipe: How it is trained.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2, batch_size=16)
    run = start("Price", settings_of(locals()), experiment="price", workload="convolution")
    trained = train_one(
        run, source=source, branches=branches, params=read_params(params), recipe=recipe, patience=patience
    )
    splits, estimates = trained.splits, predict_log_price(trained.model, trained.splits.test)
    metrics, table = test_metrics(splits, estimates)
    finish(
        run,
        trained,
        metrics,
        [table, *result_blocks(splits, estimates)],
        summary=f"One network for the price, from {', '.join(branches)} of {source.data}: {len(splits.train):,} "
        f"training rows, {len(splits.test):,} test rows.",
        headline=("log_price_mae", "log_price_mae_reference", "percent_error", "seconds"),
        table=table,
        following={
            "Evaluate it on the test set": "evaluate --run RUN",
            "Estimate the price of a thing of your own": 'predict --run RUN --text "wool, hardly worn"',
        },
    )


def search(
    *,
    source: Source = Source(),
    objective: Literal["log_price", "total"] = "log_price",
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation set, and tests the winner once.

    Args:
        source: Which things.
        objective: What to minimize: the mean absolute error of log_price, or the total loss.
        trials: How configurations are tried.
        recipe: How each is trained.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2, batch_size=16)
    run, trials = start_search("Price search", settings_of(locals()), experiment="price", workload="convolution")
    splits = load(source, BRANCHES, options=options)  # before the trials, so that an error in the data is reported once

    def test(model):
        metrics, table = test_metrics(splits, predict_log_price(model, splits.test))
        return metrics, [table]

    search_and_report(
        run,
        trials,
        train_one,
        search_space,
        what="the price network",
        test=test,
        objective="mae" if objective == "log_price" else "loss",
        maximize=False,
        notes=splits.notes,
    )


def evaluate(*, run: Path, limit: or_none(Count) = None) -> None:
    """Prints test metrics of a trained network.

    Args:
        run: A run folder.
        limit: Rows of the test set at most.
    """
    saved = load_run(run, "price")
    settings = {"branches": BRANCHES} | saved.settings
    splits = load(from_settings(Source, settings), settings["branches"], options=from_settings(Options, saved.settings))
    test = splits.things["test"].take(np.arange(len(splits.test))[:limit])
    splits = replace(splits, things=splits.things | {"test": test})
    # With the words and categories of the run: those of the data may have changed since.
    print_table(test_metrics(splits, predict_log_price(saved.model, saved.codec.split(test)))[1])


def predict(
    *,
    run: Path,
    numbers: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    text: str | None = None,
    image: Path | None = None,
) -> None:
    """Estimates the price of one thing, from as much of it as is known.

    Args:
        run: A run folder.
        numbers: What is known in numbers, such as years=3.
        categories: What it is, such as kind=coat brand=Everly.
        text: Its description.
        image: An image of it.
    """
    if not (numbers or categories or text or image):
        raise UserError("Nothing is known of the thing: give --numbers, --categories, --text or --image.")
    saved = load_run(run, "price").in_float32()
    codec = saved.codec
    for name, value, there in (("--text", text, codec.words), ("--image", image, codec.image_shape)):
        if value and there is None:
            raise UserError(f"{name}: this network was trained without.")
    known = {name: number(name, value) for name, value in pairs("--numbers", numbers, codec.numbers).items()}
    named = pairs("--categories", categories, codec.categories)
    for name, value in named.items():
        if value not in codec.categories[name]:
            print(f"No training row has the {name} {value}: it counts as unknown.")
    inputs = codec.encode(numbers=known, categories=named, text=text, image=image)
    price = codec.decode(saved.outputs(inputs))[0]
    half = saved.metric("percent_error")
    print(f"Estimated price: {price:,.2f}. Half of the test estimates were within {half:.0f} %.")


def pairs(option: str, given: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Splits NAME=VALUE where the name is one of those that there are.

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


def number(name: str, value: str) -> float:
    """Returns a number that was typed.

    Raises:
        UserError: If it is none.
    """
    try:
        return float(value)
    except ValueError:
        raise UserError(f"--numbers {name}={value}: {value!r} is not a number.") from None


COMMANDS = (train, compare, search, evaluate, predict)

if __name__ == "__main__":
    main("experiments.price", *COMMANDS)
