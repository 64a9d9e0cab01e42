"""What a search prints while it runs: a live table on a terminal, plain lines in a log."""

import statistics
import time
from datetime import timedelta
from typing import Any

import rich.box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from kerasapps.search.loop import Watcher
from kerasapps.search.options import Trials
from kerasapps.search.result import SearchResult, Trial, flat, show


class Board(Watcher):
    """Prints a line for each trial and, on a terminal, the running ones below; used in a `with`."""

    def __init__(self, trials: Trials):
        self.trials = trials
        self.running: dict[str, tuple[dict[str, Any], float]] = {}  # params and when it started
        self.ended: list[Trial] = []
        self.best = "none yet"
        console = Console()
        self.live = Live(get_renderable=self.table, console=console, refresh_per_second=1, transient=True)
        self.on_terminal = console.is_terminal

    def __enter__(self) -> "Board":
        if self.on_terminal:
            self.live.start()
        return self

    def __exit__(self, *_) -> None:
        if self.on_terminal:
            self.live.stop()

    def begin(self, name: str, params: dict[str, Any]) -> None:
        """Adds a trial to the running ones."""
        self.running[name] = params, time.monotonic()

    def failed(self, name: str, message: str) -> None:
        """Prints that a trial is tried again."""
        del self.running[name]
        print(f"{name:>8}  failed, to be tried once more: {message}", flush=True)

    def end(self, trial: Trial, result: SearchResult) -> None:
        """Prints how a trial ended."""
        self.running.pop(trial.name, None)
        self.ended = result.trials
        if any(one.score is not None for one in result.trials):
            self.best = f"{result.best.score:.4f}"
        outcome = " ".join(["failed:" if trial.score is None else f"{trial.score:.4f}", trial.message]).rstrip()
        print(
            f"{trial.name:>8}  {outcome}  ({trial.seconds:.0f} s)  {_line(trial.params)}  best so far {self.best}",
            flush=True,
        )

    def seconds_left(self) -> float | None:
        """Estimates how long the search still takes; None before a trial has ended."""
        if not self.ended:
            return None
        each = statistics.median(trial.seconds for trial in self.ended)
        now = time.monotonic()
        work = each * (1 + self.trials.max_trials - len(self.ended))
        done = sum(min(each, now - began) for _, began in list(self.running.values()))
        return (work - done) / self.trials.workers

    def table(self) -> Group:
        """Returns the running trials, and below them the progress of the search."""
        table = Table("running", "time", "configuration", box=rich.box.SIMPLE_HEAD)
        now = time.monotonic()
        for name, (params, began) in list(self.running.items()):
            table.add_row(name, _clock(now - began), _line(params))
        left = self.seconds_left()
        until = "" if left is None else f", about {_clock(left)} left"
        return Group(table, f"{len(self.ended)} of {1 + self.trials.max_trials} trials, best so far {self.best}{until}")


def _line(params: dict[str, Any]) -> str:
    return " ".join(f"{name}={show(value)}" for name, value in flat(params).items())


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
