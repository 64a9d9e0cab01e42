"""Price: what a second-hand garment is worth, from metadata, a description and a picture, any of which may be absent.

python -m experiments.price train
python -m experiments.price train --data offers.csv --numbers age --categories brand --text description --image photo
python -m experiments.price compare --seeds 3
python -m experiments.price search --tuner bayesian --max-trials 20
python -m experiments.price evaluate --run runs/NAME
python -m experiments.price predict --run runs/NAME --categories kind=coat --text "wool, hardly worn"
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.optimize import nnls

from experiments.price.network import (
    Recipe,
    Source,
    load,
    one_thing,
    predict_log_price,
    read_codec,
    recipe_of,
    source_of,
    train_network,
    write_codec,
)
from experiments.price.results import error_by_table, examples_figure, price_metrics, prices_table, scatter_figure
from experiments.shared.cli import main, print_table
from experiments.shared.params import check_positive, read_params
from experiments.shared.searching import finish_trial, options_of, search_and_report, start_search, trial_options
from kerasapps.applications.multimodal_price import search_space
from kerasapps.data.prices import BRANCHES
from kerasapps.reports import Table, curves
from kerasapps.runs import Options, load_model, read_config, read_json, start
from kerasapps.search.options import Trials
from kerasapps.workers.jobs import run_all

Branch = Literal["metadata", "text", "image"]
JOINT, AVERAGE = "joint", "weighted average of separate networks"
WITHOUT = "guessing without looking"


def train(
    *,
    source: Source = Source(),
    branches: tuple[Branch, ...] = BRANCHES,
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: int | None = None,
    options: Options = Options(),
) -> None:
    """Trains one network and writes a run folder.

    Args:
        source: Which things.
        branches: What the network gets to see.
        params: Arguments of the builder: a best.json written by `search`, or JSON such as '{"units": 128}'.
        recipe: How it is trained.
        patience: Stop after so many passes without a better one; by default never.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    recipe = recipe_of(settings.pop("recipe"), options=options)
    settings |= asdict(settings.pop("source"))
    run = start("Price", settings | asdict(recipe), network="convolution")
    splits = load(source, branches, options=options)
    for note in splits.notes:
        print(note, flush=True)
    model, history = train_network(run, splits, recipe=recipe, params=read_params(params), patience=patience)
    if history.interrupted:
        print("Interrupted: what there is was evaluated and is saved.")
    estimates = predict_log_price(model, splits.test)
    metrics, table = marks(splits, estimates)
    metrics |= {"seconds": history.seconds, "parameters": model.count_params(), "epochs": len(history.rows)}
    test = splits.things["test"]
    blocks = [
        table,
        scatter_figure(test.log_price, estimates),
        error_by_table(test, estimates),
        examples_figure(test, estimates),
        curves(history.rows, best_epoch=history.best_epoch) if history.rows else None,
    ]
    summary = (
        f"One network for the price, from {', '.join(branches)} of {source.data}: {len(splits.train):,} things to "
    )
    summary += f"train on, {len(splits.test):,} to test on."
    if history.interrupted:
        summary += f" Interrupted: the weights are those of epoch {history.best_epoch}."
    headline = [name for name in ("log_price_mae", "log_price_mae_reference", "seconds") if name in metrics]
    run.finish(metrics, summary=" ".join([summary, *splits.notes]), headline=headline, blocks=[b for b in blocks if b])
    print_table(table)
    print(f"Report: {run.folder / 'report.html'}")


def marks(splits, estimates: np.ndarray) -> tuple[dict[str, float], Table]:
    """Returns the metrics of the test part, and a table of them beside what they are to be compared with."""
    test, train = splits.things["test"], splits.things["train"]
    rows = {
        "network": price_metrics(test.log_price, estimates),
        WITHOUT: price_metrics(test.log_price, np.full(len(estimates), np.median(train.log_price))),
    }
    metrics = dict(rows["network"])
    if test.best is not None:
        rows["best possible"] = price_metrics(test.log_price, test.best)
        metrics |= {f"{name}_reference": value for name, value in rows["best possible"].items()}
    return metrics, prices_table(rows, title="The test part")


def compare(
    *,
    source: Source = Source(),
    seeds: int = 3,
    params: str | None = None,
    recipe: Recipe = Recipe(),
    workers: int = 2,
    options: Options = Options(),
) -> None:
    """Trains one network with all branches, and one a branch to take the weighted average of, and compares them.

    Args:
        source: Which things.
        seeds: Trainings of each network, with the seeds from --seed on.
        params: As for `train`.
        recipe: As for `train`.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    check_positive(seeds=seeds, workers=workers)
    recipe = recipe_of(settings.pop("recipe"), options=options)
    settings |= asdict(settings.pop("source"))
    run = start("Price comparison", settings | asdict(recipe), network="convolution", free=["workers"])
    splits = load(source, BRANCHES, options=options)
    there = [branch for branch in BRANCHES if splits.only([branch]).train.inputs]
    calls = {
        f"{network}_{seed}": {
            "folder": run.path(f"{network}_{seed}", "network"),
            "source": asdict(source),
            "branches": there if network == JOINT else [network],
            "params": read_params(params),
            "recipe": asdict(recipe),
            "shared": trial_options(run) | {"seed": seed},
        }
        for seed in range(options.seed, options.seed + seeds)
        for network in (JOINT, *there)
    }
    results = {}
    for name, outcome in run_all(run, train_one, calls, workers=workers):
        results[name] = {part: np.array(values) for part, values in outcome.value.items()}
        error = np.abs(results[name]["test"] - results[name]["test_truth"]).mean()
        print(f"{name}: mean absolute error of the logarithm {error:.4f}", flush=True)
    errors = {name: [] for name in (JOINT, AVERAGE, *(f"{branch} alone" for branch in there))}
    for seed in range(options.seed, options.seed + seeds):
        one = {network: results[f"{network}_{seed}"] for network in (JOINT, *there)}
        truth = one[JOINT]["test_truth"]
        estimates = {JOINT: one[JOINT]["test"], AVERAGE: weighted_average(one, there)}
        estimates |= {f"{branch} alone": one[branch]["test"] for branch in there}
        for name, values in estimates.items():
            errors[name].append(price_metrics(truth, values))
    metrics, rows = {}, []
    for name, reached in errors.items():
        values = np.array([one["log_price_mae"] for one in reached])
        percent = np.median([one["percent_error"] for one in reached])
        rows.append([name, float(np.median(values)), f"{values.min():.4f} to {values.max():.4f}", float(percent)])
        metrics[f"log_price_mae_{name.split(' ')[0]}"] = float(np.median(values))
    caption = (
        f"Test part, medians over {seeds} seeds and their range. The weights of the average are those with the least "
        "squared error on the validation part. Mean absolute error of the natural logarithm; median "
        "error of the price in percent."
    )
    table = Table("One network or several", ["", "error", "seeds", "price, %"], rows, caption, digits=4)
    summary = f"One network with the branches {', '.join(there)} against the weighted average of one network for each."
    run.finish(metrics, summary=summary, headline=list(metrics)[:2], blocks=[table])
    print_table(table)
    print(f"\n{run.folder / 'report.html'}")


def weighted_average(one: Mapping[str, Mapping[str, np.ndarray]], branches: list[str]) -> np.ndarray:
    """Returns the average of networks for one branch each, with the weights of the least squared validation error."""
    truth = one[JOINT]["validation_truth"]
    estimates = np.stack([one[branch]["validation"] for branch in branches], 1)  # (n, branches)
    # A heavy last row makes the weights add up to 1.
    heavy = 1e4 * np.abs(truth).sum()
    weights, _ = nnls(np.vstack([estimates, np.full(len(branches), heavy)]), np.append(truth, heavy))
    return np.stack([one[branch]["test"] for branch in branches], 1) @ weights


def train_one(
    *, folder: str, source: dict, branches: list[str], params: dict, recipe: dict, shared: dict
) -> dict[str, list[float]]:
    """Trains one network and returns what it says of validation and test part, beside what is so."""
    options = options_of(folder, shared)
    settings = {**source, "branches": branches, "params": params, **recipe, "options": options}
    run = start("Price network", settings, network="convolution")
    splits = load(source_of(source), branches, options=options)
    model, history = train_network(run, splits, recipe=Recipe(**recipe), params=params)
    result = {}
    for part in ("validation", "test"):
        result[part] = predict_log_price(model, getattr(splits, part)).tolist()
        result[f"{part}_truth"] = splits.things[part].log_price.tolist()
    error = price_metrics(np.array(result["test_truth"]), np.array(result["test"]))
    run.finish(error | {"seconds": history.seconds})
    return result


def search(
    *,
    source: Source = Source(),
    objective: Literal["log_price", "total"] = "log_price",
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation part, and tests the winner once.

    Args:
        source: Which things.
        objective: What is to be least: the mean absolute error of log_price, or the total loss.
        trials: How configurations are tried.
        recipe: How each is trained.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    recipe = recipe_of(settings.pop("recipe"), options=options)
    settings |= asdict(settings.pop("source"))
    run, trials = start_search("Price search", settings | asdict(recipe), network="convolution")
    splits = load(source, BRANCHES, options=options)  # before the trials: what is wrong is then said once
    write_codec(run, splits.codec)
    measured = "mae" if objective == "log_price" else "loss"

    def test(folder: Path):
        model = load_model(folder)
        metrics, table = marks(splits, predict_log_price(model, splits.test))
        return model, metrics, [table]

    search_and_report(
        run,
        trial,
        search_space,
        what="the price network",
        arguments={
            "source": asdict(source),
            "measured": measured,
            "recipe": asdict(recipe),
            "shared": trial_options(run),
        },
        trials=trials,
        epochs=recipe.epochs,
        test=test,
        objective=measured,
        direction="min",
    )


def evaluate(*, run: Path, limit: int | None = None) -> None:
    """Prints how well a trained network does on the test part of what it was trained on.

    Args:
        run: A run folder.
        limit: Rows of the test part at most.
    """
    model, settings = load_model(run), read_config(run)["settings"]
    options = Options(seed=settings["seed"], limit=settings["limit"], smoke=settings["smoke"])
    splits = load(source_of(settings), tuple(settings.get("branches", BRANCHES)), options=options)
    test = splits.things["test"].take(np.arange(len(splits.test))[:limit])
    splits = replace(splits, things=splits.things | {"test": test})
    # The words and categories of the run: those of the data may have changed since.
    print_table(marks(splits, predict_log_price(model, read_codec(run).split(test)))[1])


def predict(
    *,
    run: Path,
    numbers: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    text: str | None = None,
    image: Path | None = None,
) -> None:
    """Says what one thing is worth, from as much of it as is known.

    Args:
        run: A run folder.
        numbers: What is known in numbers, such as years=3.
        categories: What it is, such as kind=coat brand=Everly.
        text: Its description.
        image: A picture of it.
    """
    model, codec = load_model(run), read_codec(run)
    thing = one_thing(codec, numbers=numbers, categories=categories, text=text, image=image)
    for note in thing.notes:
        print(note)
    estimate = float(predict_log_price(model, codec.split(thing))[0])
    half = read_json(run / "metrics.json")["percent_error"]
    print(f"Estimated price: {np.exp(estimate):,.2f}. Half of the estimates on the test part were within {half:.0f} %.")


def trial(*, params: dict, folder: str, epochs: int, source: dict, measured: str, recipe: dict, shared: dict) -> dict:
    """Trains one configuration for the search, in a process of its own; the test part is not touched."""
    options = options_of(folder, shared)
    settings = {"params": params, **source, **recipe, "epochs": epochs, "options": options}
    run = start("Price trial", settings, network="convolution")
    splits = load(source_of(source), BRANCHES, options=options)
    _, history = train_network(run, splits, recipe=Recipe(**recipe | {"epochs": epochs}), params=params)
    return finish_trial(run, history, objective=measured)


if __name__ == "__main__":
    main("experiments.price", train, compare, search, evaluate, predict)
