"""Variants of a network side by side: each is trained with several seeds, in separate processes, a few at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from kerasapps import runtime
from kerasapps.runs import Run
from kerasapps.session import start
from kerasapps.settings import call_with
from kerasapps.workers.jobs import address_of, function_at, run_all

from .training import settings_for


def train_variants(
    run: Run,
    variants: Mapping[str, Mapping[str, Any]],
    train_one: Callable[..., Any],
    measure: Callable[..., dict[str, Any]],
    *,
    seeds: int,
    workers: int,
    describe: Callable[[dict[str, Any]], str],
) -> dict[str, list[dict[str, Any]]]:
    """Trains every variant with every seed, and prints how each came out.

    Args:
        run: The run folder of the comparison; each network gets a folder VARIANT_SEED there.
        variants: Name to the settings in which a variant differs from the comparison's.
        train_one: Trains one network as the settings say; as for a search.
        measure: From a `Trained` to what is compared, as JSON can hold it; numbers among it are metrics of the run.
        seeds: Trainings of each variant, with the seeds from --seed on.
        workers: Trainings at a time, one thread each if more than one.
        describe: From what was measured to a few words.

    Returns:
        What was measured of each variant, with the metrics of its run, one value per seed.
    """
    first = run.options.seed
    calls = {
        f"{name}_{seed}": {
            "folder": str(run.folder / f"{name}_{seed}" / "network"),
            "settings": settings_for(run, **changes, seed=seed),
            "train_one": address_of(train_one),
            "measure": address_of(measure),
            "experiment": run.config["experiment"],
            "title": run.title,
            "workload": run.config["workload"],
        }
        for seed in range(first, first + seeds)
        for name, changes in variants.items()
    }
    results = {}
    for name, outcome in run_all(run, measure_one, calls, workers=workers):
        results[name] = outcome.value
        print(f"{name}: {describe(outcome.value)}", flush=True)
    return {name: [results[f"{name}_{seed}"] for seed in range(first, first + seeds)] for name in variants}


def measure_one(
    *,
    folder: str,
    settings: dict,
    train_one: str,
    measure: str,
    experiment: str,
    title: str,
    workload: runtime.Workload,
) -> dict[str, Any]:
    """Trains one network in a separate process and measures it; see `train_variants`."""
    settings = settings | {"out": folder}
    run = start(f"{title}, one network", settings, experiment=experiment, workload=workload, free=["workers"])
    trained = call_with(function_at(train_one), settings, run=run)
    measured = function_at(measure)(trained)
    numbers = {name: value for name, value in measured.items() if isinstance(value, int | float)}
    return run.finish(numbers | {"seconds": trained.history.seconds}) | measured


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns median, lowest and highest value."""
    return float(np.median(values)), float(np.min(values)), float(np.max(values))


class Interval(NamedTuple):
    """A mean with its confidence interval; a single value has none."""

    mean: float
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Returns the mean of what some seeds gave, such as paired differences, with its interval by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, None)
    half = stdtrit(len(values) - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / len(values) ** 0.5
    return Interval(mean, float(mean - half), float(mean + half))


def with_range(name: str, value: float, values: Sequence[float]) -> dict[str, float]:
    """Returns a metric of a comparison with its range over seeds or folds, as `kerasapps.reports` shows it in a tile.

    Args:
        name: What the metric is called.
        value: What stands for all seeds or folds, such as their median.
        values: One for each seed or fold; a single one has no range.
    """
    if len(values) < 2:
        return {name: float(value)}
    _, lowest, highest = spread(values)
    return {name: float(value), f"{name}_lowest": lowest, f"{name}_highest": highest}


def without_ranges(names: Iterable[str]) -> list[str]:
    """Returns the names of metrics that are no end of a range."""
    return [name for name in names if not name.endswith(("_lowest", "_highest"))]
