"""What `search` does in every experiment: run the trials, test the winner once, write best.json and the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras

from kerasapps.reports import Block, curves
from kerasapps.runs import Options, Run, write_json
from kerasapps.search import Space, TunerName, search
from kerasapps.search_report import SearchResult, Trial, search_blocks, show
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


def search_and_report(
    run: Run,
    train_trial: Callable[..., dict],
    space: Space,
    *,
    what: str,
    arguments: dict[str, Any],
    tuner: TunerName,
    max_trials: int,
    epochs: int,
    workers: int,
    test: Callable[[Path], tuple[keras.Model, dict[str, float], list[Block]]],
    objective: str = "accuracy",
    direction: Literal["max", "min"] = "max",
    notes: Sequence[str] = (),
) -> None:
    """Searches on the validation part and reports.

    Args:
        run: The run folder of the search.
        train_trial: Trains one configuration; see `kerasapps.search.search`.
        space: From hyperparameters to builder arguments.
        what: What is searched, for people.
        arguments: What every trial gets.
        tuner: How the next configuration is chosen.
        max_trials: Configurations to try, the default one not counted.
        epochs: Passes of a trial over the training part.
        workers: Trials at a time.
        test: From the winner's folder to its model, its metrics on the test part, and what else to show. It is called
            once: the test part is touched by nobody before.
        objective: Metric to search by, as the test part's is called.
        direction: Whether high or low values of it are good.
        notes: Sentences on the data that the summary ends with.
    """
    result = search(
        run,
        train_trial,
        space,
        arguments=arguments,
        tuner=tuner,
        max_trials=run.options.shrink(max_trials, 2),
        epochs=epochs,
        objective=f"val_{objective}",
        direction=direction,
        workers=workers,
        report=show_trial,
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
        f"{len(result.trials)} configurations of {what} by {tuner} search, {failed} of which failed. The best was "
        f"chosen by its {objective.replace('_', ' ')} on the validation part; the test part was used once, by the "
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


def show_trial(one: Trial, result: SearchResult) -> None:
    """Prints how a trial ended."""
    score = f"{one.score:.4f}" if one.score is not None else f"failed: {one.message}"
    best = f"best so far {result.best.score:.4f}" if any(t.score is not None for t in result.trials) else ""
    params = " ".join(f"{name}={show(value)}" for name, value in one.params.items())
    print(f"{one.name:>8}  {score}  ({one.seconds:.0f} s)  {params}  {best}", flush=True)
