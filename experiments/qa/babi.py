"""The bAbI table: every task, several seeds, one network for all tasks beside a network a task."""

from pathlib import Path
from typing import Literal

import keras
import numpy as np

from experiments.qa.network import Arch, form_of, recipe_of, train_network
from experiments.qa.results import MEMN2N_JOINT, PUBLISHED_LSTM, PUBLISHED_MEAN_ERROR, TASK_KINDS, accuracy_by_kind
from experiments.shared.cli import print_table
from experiments.shared.params import check_positive
from kerasapps.data.question_answering import load_stories
from kerasapps.reports import Figure, Table, add_axes, new_figure
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.workers.jobs import run_all

Mode = Literal["joint", "single"]
Column = Literal["memory_joint", "memory_single", "lstm_single"]

# Name of a column, network, and whether one network answers all tasks.
COLUMNS: dict[Column, tuple[Arch, Mode]] = {
    "memory_joint": ("memory", "joint"),
    "memory_single": ("memory", "single"),
    "lstm_single": ("lstm", "single"),
}
RULE = (
    "Of several seeds the one with the highest validation accuracy (whole stories held out of the training part) is "
    "the chosen one; nothing is decided by the test part."
)


def babi(
    *,
    seeds: int = 3,
    data: Literal["babi", "babi-10k"] = "babi",
    tasks: tuple[int, ...] = tuple(range(1, 21)),
    columns: tuple[Column, ...] = tuple(COLUMNS),
    workers: int = 2,
    options: Options = Options(),
) -> None:
    """Makes the table of all bAbI tasks: error by task, median and chosen seed, beside published figures.

    Args:
        seeds: Trainings of each network, with the seeds from --seed on.
        data: 1,000 or 10,000 training questions a task.
        tasks: Tasks to train on and answer.
        columns: Which of memory_joint, memory_single and lstm_single to train.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    check_positive(seeds=seeds, workers=workers)
    run = start("Question answering bAbI table", settings, workload="recurrent", free=["workers"])
    print(RULE, flush=True)
    shared = {"precision": run.config["precision"], "limit": options.rows, "strategy": options.strategy}
    shared |= {"deterministic": options.deterministic, "smoke": options.smoke}
    calls = {}
    for seed in range(options.seed, options.seed + seeds):
        for column in columns:
            arch, mode = COLUMNS[column]
            name = f"{column}_{seed}"
            calls[name] = {"folder": run.path(name), "arch": arch, "mode": mode, "seed": seed}
            calls[name] |= {"data": data, "tasks": tasks, "shared": shared}
    results: dict[tuple[str, int], dict] = {}
    for name, outcome in run_all(run, train_column, calls, workers=workers):
        column, seed = name.rsplit("_", 1)
        results[column, int(seed)] = outcome.value
        error = np.mean(list(outcome.value["error"].values()))
        print(f"{name}: mean error {error:.1f} % in {outcome.value['seconds']:.0f} s", flush=True)
    kinds = [f"qa{task}" for task in sorted(set(tasks))]
    table, metrics = summarise(results, kinds, columns)
    summary = f"All bAbI tasks ({data}), {seeds} seeds. {RULE}"
    headline = [
        name
        for name in ("mean_error", "mean_error_reference", "mean_error_memory_single", "mean_error_lstm_single")
        if name in metrics
    ]
    run.finish(metrics, summary=summary, headline=headline, blocks=[table, errors_figure(metrics, kinds)])
    print_table(table)
    print(f"\n{run.folder / 'report.html'}")


def train_column(*, folder: str, arch: Arch, mode: Mode, seed: int, data: str, tasks: list[int], shared: dict) -> dict:
    """Trains one network for all tasks, or one for each, and returns test error and validation accuracy by task.

    Every network has a run folder of its own, so that what is finished is not done again.
    """
    result: dict[str, dict | float] = {"error": {}, "validation": {}, "peak_memory_mib": 0.0, "seconds": 0.0}
    for group in [tasks] if mode == "joint" else [[task] for task in tasks]:
        keras.backend.clear_session()
        name = "joint" if mode == "joint" else f"qa{group[0]}"
        options = Options(out=Path(folder) / name, resume=True, seed=seed, **shared)
        run = start(
            f"question answering bAbI {arch} {name}",
            {"tasks": group, "data": data, "options": options},
            workload="recurrent",
        )
        splits = load_stories(data, form=form_of(arch), tasks=group, seed=seed, limit=options.limit)
        recipe = recipe_of(arch, smoke=options.smoke)
        model, history = train_network(run, splits, arch=arch, recipe=recipe, params={})
        for part, row in (("test", "error"), ("validation", "validation")):
            split = getattr(splits, part)
            probabilities = model.predict(split.batches(256), verbose=0)["answer"]
            for kind, accuracy in accuracy_by_kind(probabilities, split, splits.questions[part]).items():
                result[row][kind] = 100 * (1 - accuracy) if part == "test" else accuracy
        result["seconds"] += history.seconds
        metrics = {f"error_{kind}": result["error"][kind] for kind in (f"qa{task}" for task in group)}
        written = run.finish(metrics | {"seconds": history.seconds})
        result["peak_memory_mib"] = max(result["peak_memory_mib"], written["peak_memory_mib"])
    return result


def summarise(
    results: dict[tuple[str, int], dict], kinds: list[str], columns: tuple[str, ...]
) -> tuple[Table, dict[str, float]]:
    """Returns the table and the metrics: medians over the seeds, and the seed that validation chose.

    A network for all tasks is chosen as a whole, one for a task by itself.
    """
    metrics: dict[str, float] = {}
    shown: dict[str, list[float]] = {}
    for column in columns:
        runs = [value for (name, _), value in sorted(results.items()) if name == column]
        errors = np.array([[one["error"][kind] for kind in kinds] for one in runs])  # (seeds, tasks)
        validation = np.array([[one["validation"][kind] for kind in kinds] for one in runs])
        if COLUMNS[column][1] == "joint":
            chosen = errors[validation.mean(1).argmax()]
        else:
            chosen = errors[validation.argmax(0), np.arange(len(kinds))]
        suffix = "" if column == "memory_joint" else f"_{column}"
        metrics[f"mean_error{suffix}"] = float(np.median(errors.mean(1)))
        metrics[f"mean_error_chosen{suffix}"] = float(chosen.mean())
        metrics[f"mean_error_lowest{suffix}"] = float(errors.mean(1).min())
        metrics[f"mean_error_highest{suffix}"] = float(errors.mean(1).max())
        for name in ("seconds", "peak_memory_mib"):
            metrics[f"{name}_{column}"] = float(np.median([one[name] for one in runs]))
        metrics |= {
            f"error_{kind}{suffix}": float(value) for kind, value in zip(kinds, np.median(errors, 0), strict=True)
        }
        label = column.replace("_", ", ")
        shown[f"{label}: median"] = [*np.median(errors, 0), np.median(errors.mean(1))]
        shown[f"{label}: chosen"] = [*chosen, chosen.mean()]
    published = [100 - PUBLISHED_LSTM[int(kind[2:]) - 1] for kind in kinds]
    if len(kinds) == len(TASK_KINDS):
        metrics["mean_error_reference"] = PUBLISHED_MEAN_ERROR[MEMN2N_JOINT]
    shown["LSTM, published"] = [*published, float(np.mean(published))]
    labels = [*(f"{kind[2:]} {TASK_KINDS[kind]}" for kind in kinds), "mean"]
    rows = [[label, *(float(values[i]) for values in shown.values())] for i, label in enumerate(labels)]
    caption = (
        f"{RULE} Published: the LSTM baseline of Weston et al. 2016 by task; mean errors of "
        + "; ".join(f"{name} {value} %" for name, value in PUBLISHED_MEAN_ERROR.items())
        + "."
    )
    return Table("Test error in percent", ["task", *shown], rows, caption=caption), metrics


def errors_figure(metrics: dict[str, float], kinds: list[str]) -> Figure:
    """Draws the median error of each network on each task."""
    figure = new_figure(width=10.0)
    axes = add_axes(figure, xlabel="task", ylabel="test error, percent")
    series = {"published LSTM": [100 - PUBLISHED_LSTM[int(kind[2:]) - 1] for kind in kinds]}
    for column in COLUMNS:
        suffix = "" if column == "memory_joint" else f"_{column}"
        if f"error_{kinds[0]}{suffix}" in metrics:
            series[column.replace("_", ", ")] = [metrics[f"error_{kind}{suffix}"] for kind in kinds]
    width = 0.8 / len(series)
    for i, (label, values) in enumerate(series.items()):
        axes.bar(np.arange(len(kinds)) + (i - len(series) / 2 + 0.5) * width, values, width, label=label)
    axes.set_xticks(range(len(kinds)), [kind[2:] for kind in kinds])
    axes.legend(ncols=len(series), frameon=False)
    return Figure("errors", "Median test error over the seeds, by task.", figure)
