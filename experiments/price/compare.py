"""`compare`: one network with all branches against the weighted average of one network for each branch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from kerasapps.data.prices import BRANCHES
from kerasapps.reports import Table
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, settings_of

from ..shared.comparing import spread, train_variants, with_range, without_ranges
from ..shared.params import read_params
from ..shared.training import Trained, report
from .network import Recipe, Source, load, predict_log_price, train_one
from .results import price_metrics

JOINT, AVERAGE = "joint", "weighted average of separate networks"


def compare(
    *,
    source: Source = Source(),
    seeds: Count = 3,
    params: str | None = None,
    recipe: Recipe = Recipe(),
    workers: Count = 2,
    options: Options = Options(),
) -> None:
    """Compares one network with all branches and the weighted average of networks with one branch each.

    Args:
        source: Which things.
        seeds: Trainings of each network, with the seeds from --seed on.
        params: As for `train`.
        recipe: As for `train`.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2, batch_size=16)
    run = start("Price comparison", settings_of(locals()), experiment="price", workload="convolution", free=["workers"])
    splits = load(source, BRANCHES, options=options)
    there = [branch for branch in BRANCHES if splits.only([branch]).train.inputs]
    given = read_params(params)
    results = train_variants(
        run,
        {name: {"params": given, "branches": there if name == JOINT else [name]} for name in (JOINT, *there)},
        train_one,
        measure,
        seeds=seeds,
        workers=workers,
        describe=lambda measured: f"mean absolute error of the logarithm {measured['log_price_mae']:.4f}",
    )
    table, metrics = compare_errors(results, there)
    summary = f"One network with the branches {', '.join(there)} against the weighted average of one network for each."
    report(run, metrics, [table], summary=summary, headline=without_ranges(metrics)[:2], table=table)


def measure(trained: Trained) -> dict[str, Any]:
    """Returns validation and test estimates next to what is true, and the test metrics."""
    result: dict[str, Any] = {}
    for name in ("validation", "test"):
        result[name] = predict_log_price(trained.model, getattr(trained.splits, name)).tolist()
        result[f"{name}_truth"] = trained.splits.things[name].log_price.tolist()
    return result | price_metrics(np.array(result["test_truth"]), np.array(result["test"]))


def compare_errors(
    results: Mapping[str, Sequence[Mapping[str, Any]]], branches: Sequence[str]
) -> tuple[Table, dict[str, float]]:
    """Returns the table of medians and ranges over the seeds, and the metrics."""
    errors: dict[str, list[dict[str, float]]] = {}
    for i, joint in enumerate(results[JOINT]):
        estimates = {JOINT: joint["test"], AVERAGE: weighted_average([results[branch][i] for branch in branches])}
        estimates |= {f"{branch} alone": results[branch][i]["test"] for branch in branches}
        for name, values in estimates.items():
            errors.setdefault(name, []).append(price_metrics(np.array(joint["test_truth"]), np.array(values)))
    metrics, rows = {}, []
    for name, reached in errors.items():
        values = [one["log_price_mae"] for one in reached]
        median, low, high = spread(values)
        percent = spread([one["percent_error"] for one in reached])[0]
        rows.append([name, median, f"{low:.4f} to {high:.4f}", percent])
        metrics |= with_range(f"log_price_mae_{name.split(' ')[0]}", median, values)
    caption = (
        f"Test set, medians over {len(results[JOINT])} seeds and their range. The weights of the average minimize the "
        "squared error on the validation set. Mean absolute error of the natural logarithm; median error of the price "
        "in percent."
    )
    return Table("One network or several", ["", "error", "range", "price, %"], rows, caption, digits=4), metrics


def weighted_average(networks: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Averages test estimates with the weights that minimize the squared validation error, and that add up to 1."""
    truth = np.array(networks[0]["validation_truth"])
    estimates = np.stack([one["validation"] for one in networks], 1)  # (n, networks)
    heavy = 1e4 * np.abs(truth).sum()  # a heavy last row makes the weights add up to 1
    weights, _ = nnls(np.vstack([estimates, np.full(len(networks), heavy)]), np.append(truth, heavy))
    return np.stack([one["test"] for one in networks], 1) @ weights
