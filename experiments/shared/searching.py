"""What `search` does in every experiment: run the trials, test the winner once, write best.json and the report."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import keras

from experiments.shared.board import Board
from kerasapps import runtime
from kerasapps.reports import Block, curves
from kerasapps.runs import Options, Run, start, write_json
from kerasapps.search.loop import Space, search
from kerasapps.search.options import FREE_ON_RESUME, Trials
from kerasapps.search.report import search_blocks
from kerasapps.training import History


def trial_options(run: Run) -> dict[str, Any]:
    """Returns the options that every trial shares with its search, as JSON holds them; see `options_of`."""
    options = run.options
    shared = {"seed": options.seed, "strategy": options.strategy, "deterministic": options.deterministic}
    return shared | {"precision": run.config["precision"], "limit": options.rows}


def options_of(folder: str, shared: dict[str, Any]) -> Options:
    """Returns the options of one trial, which goes on where it was stopped."""
    return Options(out=Path(folder), resume=True, **shared)


def finish_trial(run: Run, history: History, *, objective: str = "accuracy") -> dict[str, float]:
    """Writes the run folder of one trial and returns its score: the objective on the validation part, at its best."""
    score = history.rows[history.best_epoch - 1][f"val_{objective}"]
    run.finish({f"val_{objective}": score}, blocks=[curves(history.rows, best_epoch=history.best_epoch)])
    return {"score": score}


def start_search(title: str, settings: dict[str, Any], *, network: runtime.Network) -> tuple[Run, Trials]:
    """Opens the run folder of a search.

    Args:
        title: Name of the experiment and what it does.
        settings: Every option of the command with its value, `trials` and `options` among them.
        network: What the network mostly does.

    Returns:
        The run folder, and how configurations are tried, with --smoke in mind.
    """
    settings = dict(settings)
    trials: Trials = settings.pop("trials")
    run = start(title, settings | asdict(trials), network=network, free=FREE_ON_RESUME)
    return run, replace(trials, max_trials=run.options.shrink(trials.max_trials, 2))


def search_and_report(
    run: Run,
    train_trial: Callable[..., dict],
    space: Space,
    *,
    what: str,
    arguments: dict[str, Any],
    trials: Trials,
    epochs: int,
    test: Callable[[Path], tuple[keras.Model, dict[str, float], list[Block]]],
    objective: str = "accuracy",
    direction: Literal["max", "min"] = "max",
    notes: Sequence[str] = (),
) -> None:
    """Searches on the validation part and reports.

    Args:
        run: The run folder of the search.
        train_trial: Trains one configuration; see `kerasapps.search.loop.search`.
        space: From hyperparameters to builder arguments.
        what: What is searched, for people.
        arguments: What every trial gets.
        trials: How configurations are tried.
        epochs: Passes of a trial over the training part.
        test: From the winner's folder to its model, its metrics on the test part, and what else to show. It is called
            once: the test part is touched by nobody before.
        objective: Metric to search by, as the test part's is called.
        direction: Whether high or low values of it are good.
        notes: Sentences on the data that the summary ends with.
    """
    with Board(trials) as board:
        result = search(
            run,
            train_trial,
            space,
            arguments=arguments,
            trials=trials,
            epochs=epochs,
            objective=f"val_{objective}",
            direction=direction,
            watcher=board,
        )
    best = result.best
    write_json(run.path("best.json"), best.params)
    model, tested, blocks = test(run.folder / "trials" / best.name)
    failed = sum(one.score is None for one in result.trials)
    metrics = tested | {f"val_{objective}": best.score, "trials": len(result.trials), "failed_trials": failed}
    before = "the default failed"
    if result.baseline.score is not None:
        metrics[f"val_{objective}_baseline"] = result.baseline.score
        before = f"the default has {result.baseline.score:.4f}"
    summary = (
        f"{len(result.trials)} configurations of {what} by {trials.tuner} search, {failed} of which failed. The best "
        f"was chosen by its {objective.replace('_', ' ')} on the validation part; the test part was used once, by the "
        "winner."
    )
    on_test = f" On the test part: {tested[objective]:.4f}." if objective in tested else ""
    headline = [f"val_{objective}", f"val_{objective}_baseline", objective]
    headline = [name for name in headline if name in metrics]
    summary = " ".join([summary, *notes])
    run.finish(metrics, model=model, summary=summary, headline=headline, blocks=[*search_blocks(result), *blocks])
    print(
        f"\nBest: {best.name} with val_{objective} {best.score:.4f}, {before}.{on_test}\n"
        f"{run.folder / 'best.json'}\n{run.folder / 'report.html'}"
    )
