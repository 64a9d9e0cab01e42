"""`babi`: every bAbI task with several seeds, one network for all tasks next to one network per task."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from kerasapps.reports import Figure, Table, add_axes, new_figure
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, nonempty, settings_of

from ..shared.comparing import train_variants, with_range
from ..shared.training import Trained, report
from .network import ALL_TASKS, Arch, Tasks, recipe_of, train_one
from .results import (
    BATCH_SIZE,
    MEMN2N_JOINT,
    PUBLISHED_LSTM,
    PUBLISHED_MEAN_ERROR,
    TASK_KINDS,
    accuracy_by_kind,
)

Mode = Literal["joint", "single"]
Column = Literal["memory_joint", "memory_single", "lstm_single"]

# Name of a column, network, and whether one network answers all tasks.
COLUMNS: dict[Column, tuple[Arch, Mode]] = {
    "memory_joint": ("memory", "joint"),
    "memory_single": ("memory", "single"),
    "lstm_single": ("lstm", "single"),
}
RULE = (
    "The chosen seed is the one with the highest validation accuracy (on whole stories held out of the training set); "
    "the test set plays no part in any choice."
)


def babi(
    *,
    seeds: Count = 3,
    data: Literal["babi", "babi-10k"] = "babi",
    tasks: Tasks = ALL_TASKS,
    columns: nonempty(tuple[Column, ...]) = tuple(COLUMNS),
    workers: Count = 2,
    options: Options = Options(),
) -> None:
    """Makes the table of all bAbI tasks: error by task, median and chosen seed, next to published figures.

    Args:
        seeds: Trainings of each network, with the seeds from --seed on.
        data: 1,000 or 10,000 training questions per task.
        tasks: Tasks to train on and to answer.
        columns: Which of memory_joint, memory_single and lstm_single to train.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    settings = settings_of(locals())
    run = start("Question answering bAbI table", settings, experiment="qa", workload="recurrent", free=["workers"])
    print(RULE, flush=True)
    results = train_variants(
        run,
        {name: variant for column in columns for name, variant in variants(column, tasks, options=options).items()},
        train_one,
        measure,
        seeds=seeds,
        workers=workers,
        describe=lambda measured: f"mean error {measured['mean_error']:.1f} % in {measured['seconds']:.0f} s",
    )
    kinds = [f"qa{task}" for task in sorted(set(tasks))]
    table, metrics = summarize({column: in_column(results, column) for column in columns}, kinds)
    report(
        run,
        metrics,
        [table, errors_figure(metrics, kinds)],
        summary=f"All bAbI tasks ({data}), {seeds} seeds. {RULE}",
        headline=("mean_error", "mean_error_reference", "mean_error_memory_single", "mean_error_lstm_single"),
        table=table,
    )


def variants(column: Column, tasks: Sequence[int], *, options: Options) -> dict[str, dict[str, Any]]:
    """Returns the networks of a column by name: one for all tasks, or one per task."""
    arch, mode = COLUMNS[column]
    shared = {"arch": arch, "params": {}} | asdict(recipe_of(arch, options=options))
    if mode == "joint":
        return {column: shared | {"tasks": tasks}}
    return {f"{column}_qa{task}": shared | {"tasks": [task]} for task in sorted(set(tasks))}


def measure(trained: Trained) -> dict[str, Any]:
    """Returns test error in percent and validation accuracy by task, and the mean of the errors."""
    accuracies = []
    for name in ("test", "validation"):
        split = getattr(trained.splits, name)
        probabilities = trained.model.predict(split.batches(4 * BATCH_SIZE), verbose=0)["answer"]
        accuracies.append(accuracy_by_kind(probabilities, split, trained.splits.questions[name]))
    tested, validation = accuracies
    error = {kind: 100 * (1 - accuracy) for kind, accuracy in tested.items()}
    return {"error": error, "validation": validation, "mean_error": float(np.mean(list(error.values())))}


def in_column(results: Mapping[str, Sequence[Mapping[str, Any]]], column: Column) -> list[dict[str, Any]]:
    """Returns for each seed what the networks of a column reached together."""
    networks = [values for name, values in results.items() if name == column or name.startswith(f"{column}_qa")]
    return [
        {
            "error": {kind: error for one in seed for kind, error in one["error"].items()},
            "validation": {kind: accuracy for one in seed for kind, accuracy in one["validation"].items()},
            "seconds": sum(one["seconds"] for one in seed),
            "peak_memory_mib": max(one["peak_memory_mib"] for one in seed),
        }
        for seed in zip(*networks, strict=True)
    ]


def summarize(
    results: Mapping[Column, Sequence[Mapping[str, Any]]], kinds: Sequence[str]
) -> tuple[Table, dict[str, float]]:
    """Returns the table and the metrics: medians over the seeds, and the seed that validation chose.

    A network for all tasks is chosen as a whole, one for a task by itself.
    """
    metrics: dict[str, float] = {}
    shown: dict[str, list[float]] = {}
    for column, seeds in results.items():
        errors = np.array([[one["error"][kind] for kind in kinds] for one in seeds])  # (seeds, tasks)
        validation = np.array([[one["validation"][kind] for kind in kinds] for one in seeds])
        if COLUMNS[column][1] == "joint":
            chosen = errors[validation.mean(1).argmax()]
        else:
            chosen = errors[validation.argmax(0), np.arange(len(kinds))]
        suffix = "" if column == "memory_joint" else f"_{column}"
        median = float(np.median(errors.mean(1)))
        metrics |= with_range(f"mean_error{suffix}", median, errors.mean(1))
        metrics[f"mean_error_chosen{suffix}"] = float(chosen.mean())
        for name in ("seconds", "peak_memory_mib"):
            metrics[f"{name}_{column}"] = float(np.median([one[name] for one in seeds]))
        medians = [float(value) for value in np.median(errors, 0)]
        metrics |= {f"error_{kind}{suffix}": value for kind, value in zip(kinds, medians, strict=True)}
        label = column.replace("_", " ")
        shown[f"{label}: median"] = [*medians, median]
        shown[f"{label}: chosen"] = [*chosen, chosen.mean()]
    published = published_errors(kinds)
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


def published_errors(kinds: Sequence[str]) -> list[float]:
    """Returns the published error of the LSTM baseline on each task, in percent."""
    return [100 - PUBLISHED_LSTM[int(kind[2:]) - 1] for kind in kinds]


def errors_figure(metrics: Mapping[str, float], kinds: Sequence[str]) -> Figure:
    """Draws the median error of each network on each task."""
    figure = new_figure(width=10.0)
    axes = add_axes(figure, xlabel="task", ylabel="test error, percent")
    series = {"published LSTM": published_errors(kinds)}
    for column in COLUMNS:
        suffix = "" if column == "memory_joint" else f"_{column}"
        if f"error_{kinds[0]}{suffix}" in metrics:
            series[column.replace("_", " ")] = [metrics[f"error_{kind}{suffix}"] for kind in kinds]
    width = 0.8 / len(series)
    for i, (label, values) in enumerate(series.items()):
        axes.bar(np.arange(len(kinds)) + (i - len(series) / 2 + 0.5) * width, values, width, label=label)
    axes.set_xticks(range(len(kinds)), [kind[2:] for kind in kinds])
    axes.legend(ncols=len(series), frameon=False)
    return Figure("errors", "Median test error over the seeds, by task.", figure)
