"""Functions in processes of their own, a few at a time: what one of them does to itself harms no other.

A job that runs out of memory, crashes or is killed has failed, and that is all. When the parent dies, even by
kill -9, its jobs end.
"""

import contextlib
import importlib
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasapps.errors import TrainingError, UserError, explain
from kerasapps.runs import Run, read_json, write_json

# Linux ends the process with the highest score when memory runs out: the job, not whoever started it.
OOM_SCORE = "1000"
WATCH_SECONDS = 1.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    """How a job ended: its value, or the reason why there is none."""

    value: dict[str, Any] | None
    message: str
    seconds: float

    @property
    def completed(self) -> bool:
        """Whether the function returned."""
        return self.value is not None


class Job:
    """A call of a function in a fresh process, started at once.

    Args:
        function: A function at the top of its module that returns what JSON can hold.
        arguments: Its keyword arguments, as JSON holds them.
        folder: Gets job.json, outcome.json and log.txt.
        threads: Threads for TensorFlow; 0 for as many as there are cores.
    """

    def __init__(self, function: Callable[..., dict], arguments: dict[str, Any], folder: Path, *, threads: int = 0):
        self.folder = folder
        self.started = time.perf_counter()
        folder.mkdir(parents=True, exist_ok=True)
        call = {"function": _address(function), "arguments": arguments}
        write_json(folder / "job.json", call)
        (folder / "outcome.json").unlink(missing_ok=True)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        if threads:
            names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
            environment |= dict.fromkeys(names, str(threads))
        with open(folder / "log.txt", "ab") as log:
            # A session of its own, so that Ctrl-C reaches the parent alone, which decides what becomes of the job.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kerasapps.jobs", str(folder), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def outcome(self) -> Outcome | None:
        """Returns how it ended, or nothing while it runs."""
        status = self.process.poll()
        if status is None:
            return None
        seconds = time.perf_counter() - self.started
        if (self.folder / "outcome.json").exists():
            return Outcome(**read_json(self.folder / "outcome.json"), seconds=seconds)
        if status < 0:
            message = f"Killed by signal {-status}; the usual reason is memory that ran out."
        else:
            message = f"Ended with status {status}; see {self.folder / 'log.txt'}."
        return Outcome(None, message, seconds)

    def kill(self) -> None:
        """Ends it without mercy and waits until it is gone."""
        self.process.kill()
        self.process.wait()


def first_outcome(running: dict[str, Job]) -> tuple[str, Outcome]:
    """Waits until one of the jobs has ended, takes it out, and returns its name and outcome."""
    while True:
        for name, job in running.items():
            outcome = job.outcome()
            if outcome is not None:
                del running[name]
                return name, outcome
        time.sleep(POLL_SECONDS)


def run_all(
    run: Run, function: Callable[..., dict], calls: dict[str, dict[str, Any]], *, workers: int
) -> Iterator[tuple[str, Outcome]]:
    """Calls a function with each of some arguments, a few at a time, and yields names and outcomes as they end.

    Args:
        run: The run folder; job NAME keeps its files in NAME/job there.
        function: As for `Job`.
        calls: Keyword arguments by name.
        workers: Jobs at a time, with one thread each if more than one.

    Raises:
        TrainingError: If a job fails; those that run are ended, and --resume goes on.
        UserError: After Ctrl-C.
    """
    todo = dict(calls)
    running: dict[str, Job] = {}
    try:
        while todo or running:
            while todo and len(running) < workers:
                name = next(iter(todo))
                running[name] = Job(function, todo.pop(name), run.path(name, "job"), threads=int(workers > 1))
            name, outcome = first_outcome(running)
            if not outcome.completed:
                raise TrainingError(f"{name} failed: {outcome.message} Go on with --resume --out {run.folder}.")
            yield name, outcome
    except KeyboardInterrupt:
        raise UserError(f"Interrupted. Go on with --resume --out {run.folder}: what is trained is kept.") from None
    finally:
        for job in running.values():
            job.kill()


def _address(function: Callable) -> str:
    """Returns module:name; a module that runs as a script is known by the name it would be imported by."""
    module = function.__module__
    if module == "__main__":
        module = sys.modules["__main__"].__spec__.name
    return f"{module}:{function.__name__}"


def _end_with(parent: int) -> None:
    """Ends this process as soon as its parent is gone."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def _main(folder: Path, parent: int) -> None:
    """Runs the job in `folder` and writes its outcome."""
    # The parent may have died while this process imported TensorFlow: its number is known, not asked for.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    job = read_json(folder / "job.json")
    module, name = job["function"].split(":")
    try:
        outcome = {"value": getattr(importlib.import_module(module), name)(**job["arguments"]), "message": ""}
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or ["see log.txt"]
        outcome = {"value": None, "message": explain(error) or f"{type(error).__name__}: {lines[0]}"}
    write_json(folder / "outcome.json", outcome)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
