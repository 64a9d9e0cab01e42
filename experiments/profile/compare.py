"""One network for all labels against one network a label: `compare`, the lectures' claim put to the test."""

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np

from experiments.profile.network import Recipe, Source, load, params_of, recipe_of, train_network
from experiments.profile.results import decide, metric_name, predict_heads, scores
from experiments.shared.cli import print_table
from experiments.shared.params import check_positive
from experiments.shared.searching import options_of, trial_options
from kerasapps.errors import UserError
from kerasapps.heads import Head
from kerasapps.reports import Figure, Table, add_axes, new_figure
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.workers.jobs import run_all

JOINT = "joint"


def compare(
    *,
    source: Source = Source(),
    shares: tuple[float, ...] = (0.0, 0.5),
    seeds: int = 3,
    params: str | None = None,
    recipe: Recipe = Recipe(),
    workers: int = 2,
    options: Options = Options(),
) -> None:
    """Trains one network for all labels and one a label of the same size, and shows which does better.

    Args:
        source: Which texts; its --missing is not used.
        shares: Shares of the labels to remove, each by itself; the first is what the others are compared with.
        seeds: Trainings of each network, with the seeds from --seed on.
        params: As for `train`.
        recipe: As for `train`.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    check_positive(seeds=seeds, workers=workers)
    if not shares or not all(0 <= share < 1 for share in shares):
        raise UserError(f"--shares must be in [0, 1), at least one. Received: {' '.join(map(str, shares))}")
    recipe = recipe_of(source.data, settings.pop("recipe"), options=options)
    settings |= asdict(settings.pop("source"))
    run = start("Profile comparison", settings | asdict(recipe), workload="matmul", free=["workers"])
    heads = load(source, options=options).codec.heads
    calls = {}
    for seed in range(options.seed, options.seed + seeds):
        for share in shares:
            for network in (JOINT, *heads):
                name = f"{network}_{share:g}_{seed}"
                calls[name] = {
                    "folder": run.path(name, "network"),
                    "source": asdict(replace(source, missing=share)),
                    "only": [] if network == JOINT else [network],
                    "params": params_of(source.data, params),
                    "recipe": asdict(recipe),
                    "shared": trial_options(run) | {"seed": seed},
                }
    results: dict[str, dict[str, float]] = {}
    for name, outcome in run_all(run, train_one, calls, workers=workers):
        results[name] = outcome.value
        shown = ", ".join(f"{metric} {value:.4g}" for metric, value in outcome.value.items())
        print(f"{name}: {shown}", flush=True)
    table, metrics = summarise(results, heads, shares=shares, seeds=range(options.seed, options.seed + seeds))
    summary = f"One network for {', '.join(heads)} against one of the same size for each, from texts of {source.data}."
    headline = [name for name in metrics if name.startswith("loss_of")][:6]
    run.finish(metrics, summary=summary, headline=headline, blocks=[table, figure(results, heads, shares)])
    # A terminal is too narrow for the ranges.
    shown = [i for i, name in enumerate(table.columns) if not name.startswith("range")]
    rows = [[row[i] for i in shown] for row in table.rows]
    print_table(replace(table, columns=[table.columns[i] for i in shown], rows=rows))
    print(f"\n{run.folder / 'report.html'}")


def train_one(
    *, folder: str, source: dict, only: list[str], params: dict, recipe: dict, shared: dict
) -> dict[str, float]:
    """Trains one network and returns its figures of merit on the test part."""
    options = options_of(folder, shared)
    source = Source(**source | {"labels": tuple(source["labels"])})
    settings = {**asdict(source), "only": only, "params": params, **recipe, "options": options}
    run = start("Profile network", settings, workload="matmul")
    splits = load(source, options=options)
    model, history = train_network(run, splits, recipe=Recipe(**recipe), params=params, only=only)
    outputs = predict_heads(model, splits.test)
    heads = {name: splits.codec.heads[name] for name in outputs}
    decided = {name: decide(heads[name], output) for name, output in outputs.items()}
    result = scores(heads, decided, splits.test)
    run.finish(result | {"seconds": history.seconds})
    return result


def summarise(
    results: Mapping[str, Mapping[str, float]], heads: Mapping[str, Head], *, shares: tuple[float, ...], seeds: range
) -> tuple[Table, dict[str, float]]:
    """Returns the table of medians and spreads, and the metrics."""
    metrics: dict[str, float] = {}
    rows = []
    for name, head in heads.items():
        merit = metric_name(name, head)
        unit, better = (1, -1) if head.kind == "regression" else (100, 1)
        for share in shares:
            reached = {
                kind: np.array([results[f"{network}_{share:g}_{seed}"][merit] for seed in seeds])
                for kind, network in (("joint", JOINT), ("separate", name))
            }
            gain = better * (reached["joint"] - reached["separate"])  # (seeds,)
            cells: list = [f"{name}, {'error' if better < 0 else '% right'}, {share:.0%} removed"]
            losses: list = []
            for kind, values in reached.items():
                metrics[f"{merit}_{kind}_{share:g}"] = float(np.median(values))
                cells += [unit * float(np.median(values)), f"{unit * values.min():.2f} to {unit * values.max():.2f}"]
                loss = better * (metrics[f"{merit}_{kind}_{shares[0]:g}"] - float(np.median(values)))
                losses.append(None if share == shares[0] else unit * loss)
                if share != shares[0]:
                    metrics[f"loss_of_{name}_{kind}_{share:g}"] = loss
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
        f"Test part, medians over {len(seeds)} seeds and their range. Joint: one network with all heads; separate: one "
        "of the same size for each label. Both train with the same recipe on the same rows, of whose labels a share is "
        "removed. What a network loses is counted from the first share; the last column counts the seeds in which "
        "joint is better."
    )
    return Table("One network or several", columns, rows, caption, digits=2), metrics


def figure(results: Mapping[str, Mapping[str, float]], heads: Mapping[str, Head], shares: tuple[float, ...]) -> Figure:
    """Draws every training as a point: joint beside separate, by the share of labels removed."""
    drawn = new_figure(width=3.6 * max(2, len(heads)))
    for i, (name, head) in enumerate(heads.items(), start=1):
        merit = metric_name(name, head)
        ylabel = "mean absolute error" if head.kind == "regression" else "share right"
        axes = add_axes(drawn, 1, len(heads), i, title=name, xlabel="share of labels removed", ylabel=ylabel)
        for kind, network, offset in (("joint", JOINT, -1), ("separate", name, 1)):
            points = [
                (share + 0.012 * offset, result[merit])
                for share in shares
                for label, result in results.items()
                if label.startswith(f"{network}_{share:g}_")
            ]
            axes.scatter(*zip(*points, strict=True), label=kind, alpha=0.8)
        axes.set_xticks(shares)
        axes.legend(frameon=False)
    return Figure("comparison", "Every training is a point.", drawn)
