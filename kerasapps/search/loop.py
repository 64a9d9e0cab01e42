"""Hyperparameter search: a keras-tuner oracle decides what to try, a separate process tries it.

keras-tuner's own loop runs all trials in one process, which one trial that runs out of memory ends, and keeps its state
in files that a kill can leave half written. Here the oracle is driven by its public methods and every call is recorded;
resuming replays the calls on a fresh oracle with the same seed.
"""

import math
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras_tuner

from kerasapps import tracking
from kerasapps.errors import UserError
from kerasapps.runs import Run, read_json, write_atomically, write_json
from kerasapps.search.hparams import write_hparams
from kerasapps.search.options import Trials, check_trials, place_of
from kerasapps.search.result import BASELINE, SearchResult, Trial, trials_csv
from kerasapps.workers.cluster import ClusterJob
from kerasapps.workers.jobs import Job, Outcome, address_of, first_outcome

Space = Callable[[keras_tuner.HyperParameters], dict[str, Any]]
SCORE = "score"


class Watcher:
    """Is notified of what happens in a search; this one ignores it."""

    def begin(self, name: str, params: dict[str, Any]) -> None:
        """A trial has started."""

    def failed(self, name: str, message: str) -> None:
        """The first try of a trial has failed; its second follows."""

    def end(self, trial: Trial, result: SearchResult) -> None:
        """A trial has ended; the result has it and all before it."""


def search(
    run: Run,
    train_trial: Callable[..., dict],
    space: Space,
    *,
    arguments: dict[str, Any],
    trials: Trials,
    epochs: int,
    objective: str,
    maximize: bool,
    watcher: Watcher = Watcher(),
) -> SearchResult:
    """Tries the default configuration and then what the tuner proposes; resumes a killed search where it stopped.

    A trial that fails is tried once more from its checkpoint; the tuner is told of the second try alone.

    Args:
        run: The run folder; trials get a folder each under trials/.
        train_trial: A function at the top of its module, called as
            `train_trial(params=..., folder=..., epochs=..., **arguments)` in a separate process; trains in its own
            run folder, resuming what it finds there, and returns a dict with `score`.
        space: From hyperparameters to `params`.
        arguments: What every trial gets.
        trials: How configurations are tried.
        epochs: Epochs of a trial; under Hyperband those of the longest.
        objective: Name of the score.
        maximize: Whether high scores are good.
        watcher: Is notified of every trial.

    Returns:
        What was found; after Ctrl-C what was found until then.

    Raises:
        UserError: If a resumed search would not repeat what was recorded, the cluster cannot be reached,
            keras-tuner's own variables for several workers are set, or the strategy is that of several workers.
    """
    check_trials(trials, epochs=epochs)
    if run.options.strategy == "multiworker":
        raise UserError(
            "A search shares trials among workers, not steps: use --workers or --cluster, not --strategy multiworker."
        )
    address = address_of(train_trial)
    with (
        TemporaryDirectory() as scratch,
        closing(place_of(trials, several_gpus=run.options.strategy != "none")) as place,
    ):
        oracle = _make_oracle(trials, space, epochs, maximize, run.options.seed, scratch)
        proposer = Proposer(oracle, run.path("search.json"), trials.max_trials)
        running: dict[str, Job | ClusterJob] = {}
        params: dict[str, dict] = {}
        try:
            while True:
                while len(running) < trials.workers and (proposal := proposer.propose()) is not None:
                    name, hyperparameters = proposal
                    params[name] = space(hyperparameters)
                    trial_epochs = hyperparameters.values.get("tuner/epochs", epochs)
                    folder = run.folder / "trials" / name
                    _copy_lower_rung(hyperparameters.values.get("tuner/trial_id"), folder)
                    call = {"params": params[name], "folder": str(folder), "epochs": trial_epochs, **arguments}
                    limits = trials.limits(proposer.first_try(name).seconds)
                    more = proposer.has_more()
                    running[name] = place.start(address, call, run.path("jobs", name), limits=limits, more=more)
                    watcher.begin(name, params[name])
                if not running:
                    break
                name, outcome = first_outcome(running)
                score = _score(outcome)
                message = outcome.message or ("" if score is not None else "The score is not a number.")
                before = proposer.first_try(name)
                seconds = before.seconds + outcome.seconds
                if score is None and not before.message and trials.limits(seconds).seconds > 0:
                    proposer.try_again(FirstTry(name, message, seconds))
                    watcher.failed(name, message)
                    continue
                proposer.finish(Trial(name, params[name], score, seconds, _both(before.message, message)))
                result = SearchResult(proposer.trials, objective, maximize)
                write_atomically(run.path("trials.csv"), trials_csv(result))
                write_hparams(run.path("tensorboard"), proposer.trials[-1], objective)
                watcher.end(proposer.trials[-1], result)
        except KeyboardInterrupt:
            print("Interrupted: the search ends with what it has found; --resume continues it.")
        finally:
            for job in running.values():
                job.kill()
    return SearchResult(proposer.trials, objective, maximize)


@dataclass(frozen=True)
class FirstTry:
    """How the first try of a trial failed; without a message it has not."""

    name: str
    message: str = ""
    seconds: float = 0.0


class Proposer:
    """An oracle whose every call is recorded, so that replaying the calls restores it.

    Args:
        oracle: A fresh oracle; the same seed must make it propose the same trials again.
        path: Where the calls are written, atomically.
        max_trials: Proposals at most, the baseline not counted.

    Raises:
        UserError: If the oracle, called again, proposes something else than what is recorded.
    """

    def __init__(self, oracle: keras_tuner.Oracle, path: Path, max_trials: int):
        self.oracle = oracle
        self.path = path
        self.max_trials = max_trials
        self.trials: list[Trial] = []
        self.calls: list[dict[str, Any]] = []
        self.proposed: dict[str, keras_tuner.engine.trial.Trial] = {}
        self.first_tries: dict[str, FirstTry] = {}
        # Asked for and not yet answered: these run next, in a resumed search again.
        self.unanswered = [BASELINE]
        for call in read_json(path) if path.exists() else []:
            self._replay(call)

    def propose(self) -> tuple[str, keras_tuner.HyperParameters] | None:
        """Returns name and hyperparameters of the next trial; None if there is none, or none yet."""
        if self.unanswered:
            name = self.unanswered.pop(0)
            return name, keras_tuner.HyperParameters() if name == BASELINE else self.proposed[name].hyperparameters
        trial = self._create()
        if trial is None:
            return None
        self._write({"proposed": trial.trial_id, "values": trial.hyperparameters.values})
        return trial.trial_id, trial.hyperparameters

    def has_more(self) -> bool:
        """Tells whether there may be another proposal."""
        return bool(self.unanswered) or len(self.proposed) < self.max_trials

    def first_try(self, name: str) -> FirstTry:
        """Returns how the first try of a trial failed."""
        return self.first_tries.get(name, FirstTry(name))

    def try_again(self, failed: FirstTry) -> None:
        """Proposes a trial a second time; the oracle keeps waiting for it."""
        self.first_tries[failed.name] = failed
        self.unanswered.insert(0, failed.name)
        self._write({"failed": asdict(failed)})

    def finish(self, trial: Trial) -> None:
        """Tells the oracle how a trial ended."""
        self._end(trial)
        self._write({"finished": asdict(trial)})

    def _create(self):
        """Asks the oracle for a trial, under a new name each time: it hands a known worker its old trial again."""
        if len(self.proposed) >= self.max_trials:
            return None
        trial = self.oracle.create_trial(f"worker{len(self.proposed)}")
        if trial.status != "RUNNING":
            return None
        self.proposed[trial.trial_id] = trial
        return trial

    def _end(self, trial: Trial) -> None:
        self.trials.append(trial)
        if trial.name == BASELINE:
            return
        answered = self.proposed[trial.name]
        if trial.score is None:
            answered.status, answered.message = "FAILED", trial.message
        else:
            self.oracle.update_trial(trial.name, {SCORE: trial.score})
            answered.status = "COMPLETED"
        self.oracle.end_trial(answered)

    def _replay(self, call: dict[str, Any]) -> None:
        if "finished" in call:
            trial = Trial(**call["finished"])
            self._end(trial)
            self.unanswered.remove(trial.name)
        elif "failed" in call:
            failed = FirstTry(**call["failed"])
            self.first_tries[failed.name] = failed
        else:
            trial = self._create()
            if trial is None or (trial.trial_id, trial.hyperparameters.values) != (call["proposed"], call["values"]):
                raise UserError(
                    f"{self.path} was written by another version of this search: start a new one with another --out."
                )
            self.unanswered.append(trial.trial_id)
        self.calls.append(call)

    def _write(self, call: dict[str, Any]) -> None:
        self.calls.append(call)
        write_json(self.path, self.calls)


def _both(first: str, second: str) -> str:
    """Says how both tries of a trial went; either may be empty."""
    if first == second:
        return f"Twice: {first}" if first else ""
    return " ".join([f"First try: {first}"] * bool(first) + [second] * bool(second))


def _score(outcome: Outcome) -> float | None:
    """Returns the score of a job that returned one which is a number."""
    score = (outcome.value or {}).get("score")
    return float(score) if score is not None and math.isfinite(score) else None


def _copy_lower_rung(name: str | None, folder: Path) -> None:
    """Lets a trial that Hyperband promotes resume from the checkpoint of its lower rung."""
    if name is not None and not folder.exists():
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        # It is tracked as a run of its own.
        shutil.copytree(folder.parent / name, unfinished, ignore=shutil.ignore_patterns(tracking.FILE, "wandb"))
        unfinished.rename(folder)


def _make_oracle(
    trials: Trials, space: Space, epochs: int, maximize: bool, seed: int, scratch: str
) -> keras_tuner.Oracle:
    """Returns a fresh oracle over the search space, silent, that never gives up after failures."""
    hyperparameters = keras_tuner.HyperParameters()
    space(hyperparameters)
    common = {
        "objective": keras_tuner.Objective(SCORE, "max" if maximize else "min"),
        "hyperparameters": hyperparameters,
        "seed": seed + 1,  # keras-tuner takes 0 for "none given" and draws one
        "max_consecutive_failed_trials": sys.maxsize,
    }
    if trials.tuner == "hyperband":
        oracle = keras_tuner.oracles.HyperbandOracle(max_epochs=epochs, hyperband_iterations=100, **common)
    else:
        oracles = {
            "random": keras_tuner.oracles.RandomSearchOracle,
            "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
            "grid": keras_tuner.oracles.GridSearchOracle,
        }
        oracle = oracles[trials.tuner](max_trials=trials.max_trials, **common)
    oracle.verbose = 0
    # It insists on writing its own state somewhere; what counts is what `Proposer` writes.
    oracle._set_project_dir(scratch, "oracle")
    return oracle
