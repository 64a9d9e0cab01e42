"""`compare`: one network for all labels against one network of the same size for each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasapps.formats import format_share
from kerasapps.heads import Head
from kerasapps.reports import Figure, Table, add_axes, new_figure
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, Share, nonempty, settings_of

from ..shared.comparing import spread, train_variants, with_range, without_ranges
from ..shared.training import Trained, report
from .network import GivenRecipe, Source, load, params_of, recipe_of, train_one
from .results import decide, metric_name, predict_heads, scores

JOINT = "joint"
METRICS = ("_mae", "_accuracy")
# What `train_variants` returns: the metrics of each network and share, one value per seed.
Results = Mapping[str, Sequence[Mapping[str, Any]]]


def compare(
    *,
    source: Source = Source(),
    shares: nonempty(tuple[Share, ...]) = (0.0, 0.5),
    seeds: Count = 3,
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    workers: Count = 2,
    options: Options = Options(),
) -> None:
    """Compares one network for all labels and one network of the same size for each.

    Args:
        source: Which texts; its --missing is not used.
        shares: Shares of the labels to remove, each by itself; the others are compared with the first.
        seeds: Trainings of each network, with the seeds from --seed on.
        params: As for `train`.
        recipe: As for `train`.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(source.data, recipe, options=options)
    run = start("Profile comparison", settings_of(locals()), experiment="profile", workload="matmul", free=["workers"])
    heads, params = load(source, options=options).codec.heads, params_of(source.data, params)
    networks = {JOINT: list(heads)} | {name: [name] for name in heads}
    results = train_variants(
        run,
        {
            variant(name, share): {"params": params, "only": only, "missing": share}
            for share in shares
            for name, only in networks.items()
        },
        train_one,
        measure,
        seeds=seeds,
        workers=workers,
        describe=lambda measured: ", ".join(f"{n} {v:.4g}" for n, v in measured.items() if n.endswith(METRICS)),
    )
    table, metrics = summarize(results, heads, shares)
    report(
        run,
        metrics,
        [table, points_figure(results, heads, shares)],
        summary=f"One network for {', '.join(heads)} against one of the same size for each, on {source.data}.",
        headline=[name for name in without_ranges(metrics) if name.startswith("loss_of")][:6],
        table=narrow(table),
    )


def variant(network: str, share: float) -> str:
    """Returns the name of a network that is trained with a share of the labels removed."""
    return f"{network}_{share:g}"


def measure(trained: Trained) -> dict[str, float]:
    """Returns the test metrics of the heads that a network has."""
    heads, test = trained.splits.codec.heads, trained.splits.test
    outputs = predict_heads(trained.model, test)
    return scores(heads, {name: decide(head, outputs[name]) for name, head in heads.items()}, test)


def summarize(results: Results, heads: Mapping[str, Head], shares: Sequence[float]) -> tuple[Table, dict[str, float]]:
    """Returns the table of medians and ranges over the seeds, and the metrics."""
    metrics: dict[str, float] = {}
    rows = []
    for name, head in heads.items():
        metric = metric_name(name, head)
        unit, better = (1, -1) if head.kind == "regression" else (100, 1)
        for share in shares:
            cells: list = [f"{name}, {'error' if better < 0 else 'accuracy %'}, {format_share(share, 0)} removed"]
            losses: list = []
            reached = {}
            for kind, network in (("joint", JOINT), ("separate", name)):
                first, reached[kind] = (
                    np.array([one[metric] for one in results[variant(network, removed)]])
                    for removed in (shares[0], share)
                )
                median, low, high = spread(reached[kind])
                metrics |= with_range(f"{metric}_{kind}_{share:g}", median, reached[kind])
                cells += [unit * median, f"{unit * low:.2f} to {unit * high:.2f}"]
                loss = better * (spread(first)[0] - median)
                losses.append(None if share == shares[0] else unit * loss)
                if share != shares[0]:
                    # The range is that of the losses seed by seed, which the difference of two medians never leaves.
                    metrics |= with_range(f"loss_of_{name}_{kind}_{share:g}", loss, better * (first - reached[kind]))
            gain = better * (reached["joint"] - reached["separate"])  # (seeds,)
            rows.append([*cells, *losses, unit * float(np.median(gain)), f"{int((gain > 0).sum())}/{len(gain)}"])
    columns = [
        "",
        "joint",
        "range",
        "separate",
        "range of separate",
        "joint loses",
        "separate loses",
        "joint better by",
        "seeds",
    ]
    caption = (
        f"Test set, medians over {len(gain)} seeds and their range. Joint: one network with all heads; separate: one "
        "of the same size for each label. Both train with the same recipe on the same rows, a share of whose labels is "
        "removed. Losses are relative to the first share; the last column counts the seeds in which joint is better."
    )
    return Table("One network or several", columns, rows, caption, digits=2), metrics


def narrow(table: Table) -> Table:
    """Returns a table without its ranges, for which a terminal is too narrow."""
    kept = [i for i, name in enumerate(table.columns) if not name.startswith("range")]
    rows = [[row[i] for i in kept] for row in table.rows]
    return replace(table, columns=[table.columns[i] for i in kept], rows=rows)


def points_figure(results: Results, heads: Mapping[str, Head], shares: Sequence[float]) -> Figure:
    """Draws every training as a point: joint next to separate, by the share of labels removed."""
    figure = new_figure(width=3.6 * max(2, len(heads)))
    for i, (name, head) in enumerate(heads.items(), start=1):
        metric = metric_name(name, head)
        ylabel = "mean absolute error" if head.kind == "regression" else "accuracy"
        axes = add_axes(figure, 1, len(heads), i, title=name, xlabel="share of labels removed", ylabel=ylabel)
        for kind, network, offset in (("joint", JOINT, -0.012), ("separate", name, 0.012)):
            points = [(share + offset, one[metric]) for share in shares for one in results[variant(network, share)]]
            axes.scatter(*zip(*points, strict=True), label=kind, alpha=0.8)
        axes.set_xticks(shares)
        axes.legend(frameon=False)
    return Figure("comparison", "Every point is one training.", figure, wraps=True)
