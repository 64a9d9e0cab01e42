"""`compare`: the network next to what it has to beat, over several choices of the labels that are known."""

from typing import Any

import numpy as np

from kerasapps.formats import format_share
from kerasapps.reports import Figure, Table, add_axes, new_figure
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, settings_of

from ..shared.comparing import train_variants, with_range
from ..shared.params import read_params
from ..shared.runs import outputs_of
from ..shared.training import Trained, report
from .network import Recipe, Source, split, train_one
from .results import LARGEST, NETWORK, PROPAGATION, REGRESSION, accuracies

METRICS = {
    NETWORK: "accuracy",
    PROPAGATION: "label_propagation_accuracy",
    REGRESSION: "features_accuracy",
    LARGEST: "largest_class_accuracy",
}


def compare(
    *,
    source: Source = Source(),
    seeds: Count = 10,
    params: str | None = None,
    recipe: Recipe = Recipe(),
    workers: Count = 2,
    options: Options = Options(),
) -> None:
    """Compares the network with label propagation and with its features alone, over several choices of the labels.

    Args:
        source: Which graph.
        seeds: Trainings, with the seeds from --seed on: each draws other nodes whose labels are known.
        params: As for `train`.
        recipe: As for `train`.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2)
    run = start("Graph comparison", settings_of(locals()), experiment="graph", workload="matmul", free=["workers"])
    split(source, options=options)  # before the trainings, so that an error in the data is reported once
    results = train_variants(
        run,
        {"network": {"params": read_params(params)}},
        train_one,
        measure,
        seeds=seeds,
        workers=workers,
        describe=lambda measured: f"test accuracy {format_share(measured['accuracy'])}",
    )["network"]
    reached = {name: [one[metric] for one in results] for name, metric in METRICS.items()}
    metrics = {}
    for name, values in reached.items():
        metrics |= with_range(METRICS[name], float(np.mean(values)), values)
    rows = [
        [name, *(format_share(one) for one in (np.mean(values), np.std(values), min(values), max(values)))]
        for name, values in reached.items()
    ]
    caption = f"Test accuracy over {len(results)} seeds, each of which draws the labels to learn from."
    table = Table("Over the seeds", ["", "mean", "deviation", "lowest", "highest"], rows, caption)
    labels = "label" if source.labeled == 1 else "labels"
    summary = f"{source.name}: how well a class is predicted from {source.labeled} {labels} of each class."
    headline = [METRICS[name] for name in (NETWORK, PROPAGATION, REGRESSION)]
    report(run, metrics, [table, seeds_figure(reached)], summary=summary, headline=headline, table=table)


def measure(trained: Trained) -> dict[str, Any]:
    """Returns the test accuracies of a network and of what it has to beat."""
    probabilities = outputs_of(trained.model, trained.splits.graph.inputs)["label"][0]
    return {METRICS[name]: share for name, share in accuracies(trained.splits, probabilities).items()}


def seeds_figure(reached: dict[str, list[float]]) -> Figure:
    """Draws the accuracy of each method for each seed."""
    figure = new_figure(width=6.0, height=2.6)
    axes = add_axes(figure, xlabel="test accuracy, %")
    for i, values in enumerate(reached.values()):
        axes.scatter(100 * np.array(values), np.full(len(values), -i), alpha=0.6, linewidths=0)
        axes.scatter(100 * np.mean(values), -i, marker="|", s=300, color="#1c2430")
    axes.set_yticks([-i for i in range(len(reached))], list(reached))
    return Figure("seeds", "One dot a seed; the line is the mean.", figure)
