"""What `search` does in every experiment: run the trials, test the winner once, write best.json and the report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from kerasapps import runtime
from kerasapps.formats import format_metric, label_of
from kerasapps.reports import Block, curves
from kerasapps.runs import Run, load_model, read_json, write_json
from kerasapps.search.loop import Space
from kerasapps.search.loop import search as find
from kerasapps.search.options import FREE_ON_RESUME, Trials
from kerasapps.search.report import search_blocks
from kerasapps.search.result import SearchResult
from kerasapps.session import start
from kerasapps.settings import call_with, from_settings
from kerasapps.workers.jobs import address_of, function_at

from .board import Board
from .runs import CODEC, codec_path
from .training import report, settings_for


def start_search(
    title: str, settings: Mapping[str, Any], *, experiment: str, workload: runtime.Workload
) -> tuple[Run, Trials]:
    """Opens the run folder of a search.

    Args:
        title: What is searched.
        settings: Every option of the command, as `settings_of` gives them.
        experiment: Name of the experiment.
        workload: What the network mostly computes.

    Returns:
        The run folder, and how configurations are tried, with --smoke in mind.
    """
    run = start(title, settings, experiment=experiment, workload=workload, free=FREE_ON_RESUME)
    trials = from_settings(Trials, settings)
    return run, replace(trials, max_trials=run.options.shrink(trials.max_trials, 2))


def search_and_report(
    run: Run,
    trials: Trials,
    train_one: Callable[..., Any],
    space: Space,
    *,
    what: str,
    test: Callable[[keras.Model], tuple[Mapping[str, float], Sequence[Block]]],
    objective: str = "accuracy",
    maximize: bool = True,
    notes: Sequence[str] = (),
    **settings: Any,
) -> None:
    """Searches on the validation set and reports.

    Args:
        run: The run folder of the search.
        trials: How configurations are tried.
        train_one: Trains one network as the settings say; see `trial`.
        space: From hyperparameters to builder arguments.
        what: What is searched, for people.
        test: From the winner to its metrics on the test set, and what else to show. It is called once: nothing touches
            the test set before.
        objective: Metric to search by, as training calls it.
        maximize: Whether high values of it are good.
        notes: Sentences on the data that the summary ends with.
        settings: What trials get beside the settings of the search.
    """
    arguments = {
        "train_one": address_of(train_one),
        "settings": settings_for(run, **settings),
        "title": run.title.removesuffix(" search"),
        "experiment": run.config["experiment"],
        "workload": run.config["workload"],
        "objective": objective,
    }
    result = find_with_board(
        run,
        trial,
        space,
        arguments=arguments,
        trials=trials,
        epochs=run.config["settings"]["epochs"],
        objective=f"val_{objective}",
        maximize=maximize,
    )
    winner = run.folder / "trials" / result.best.name
    if codec_path(winner).exists():
        write_json(run.path(CODEC), read_json(codec_path(winner)))
    model = load_model(winner)
    tested, blocks = test(model)
    run.save(model)
    on_test = f" On the test set: {tested[objective]:.4f}." if objective in tested else ""
    conclude(
        run,
        result,
        [*search_blocks(result, folder=run.folder), *blocks],
        metrics=tested,
        headline=(objective,),
        summary=" ".join(
            [
                f"{len(result.trials)} configurations of {what} by {trials.tuner} search. The best was chosen by its "
                f"{label_of(objective)} on the validation set; the test set was used once, by the winner.",
                *notes,
            ]
        ),
        conclusion=on_test,
    )


def find_with_board(
    run: Run, function: Callable[..., dict], space: Space, *, trials: Trials, **search: Any
) -> SearchResult:
    """Searches, shows how it goes, and writes best.json; the arguments are those of `kerasapps.search.loop.search`."""
    with Board(trials) as board:
        result = find(run, function, space, trials=trials, watcher=board, **search)
    write_json(run.path("best.json"), result.best.params)
    return result


def conclude(
    run: Run,
    result: SearchResult,
    blocks: Sequence[Block],
    *,
    summary: str,
    metrics: Mapping[str, float],
    headline: Sequence[str] = (),
    conclusion: str = "",
) -> None:
    """Reports a search, its winner next to the default configuration.

    Args:
        run: The run folder of the search.
        result: What was found.
        blocks: Sections of the report.
        summary: For the head of the report.
        metrics: Further ones than those of the search.
        headline: Names of those to show large as well.
        conclusion: What else to print of the winner.
    """
    best, name = result.best, result.objective
    failed = sum(one.score is None for one in result.trials)
    metrics = dict(metrics) | {name: best.score, "trials": len(result.trials), "failed_trials": failed}
    default = "the default failed"
    if result.baseline.score is not None:
        metrics[f"{name}_baseline"] = result.baseline.score
        default = f"the default has {format_metric(name, result.baseline.score)}"
    found = f"Best: {best.name} with {label_of(name)} {format_metric(name, best.score)}, {default}.{conclusion}"
    report(
        run,
        metrics,
        blocks,
        summary=f"{summary} {failed} failed." if failed else summary,
        headline=[name, f"{name}_baseline", *headline],
        conclusion=f"\n{found}\n{run.folder / 'best.json'}",
    )


def trial(
    *,
    params: dict,
    folder: str,
    epochs: int,
    train_one: str,
    settings: dict,
    title: str,
    experiment: str,
    workload: runtime.Workload,
    objective: str,
) -> dict[str, float]:
    """Trains one configuration in a separate process; the test set is not touched.

    Args:
        params: Builder arguments.
        folder: Run folder of the trial, which is resumed.
        epochs: Epochs to train.
        train_one: "module:function"; called with what the settings hold for its parameters, and `run`. Returns a
            `Trained`.
        settings: Of the search.
        title: What is trained.
        experiment: Name of the experiment.
        workload: What the network mostly computes.
        objective: Metric whose value on the validation set, at the best epoch, is the score.
    """
    settings = settings | {"params": params, "out": folder, "epochs": epochs}
    free = ("epochs", *FREE_ON_RESUME)
    run = start(f"{title} trial", settings, experiment=experiment, workload=workload, free=free)
    history = call_with(function_at(train_one), settings, run=run).history
    score = history.rows[history.best_epoch - 1][f"val_{objective}"]
    run.finish({f"val_{objective}": score}, blocks=[curves(history.rows, best_epoch=history.best_epoch)])
    return {"score": score}
