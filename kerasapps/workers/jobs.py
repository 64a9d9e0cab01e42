"""Runs functions in isolated subprocesses, a few at a time.

A job that runs out of memory, crashes, is killed or exceeds a limit fails without affecting the others. When the parent
dies, even by SIGKILL, its jobs end.
"""

import contextlib
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kerasapps import startup
from kerasapps.errors import TrainingError, UserError, explain
from kerasapps.runs import Run, read_json, write_json
from kerasapps.workers import hardware

# When memory runs out, Linux kills the process with the highest score: the job, not its parent.
OOM_SCORE = "1000"
WATCH_SECONDS = 1.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    """Result of a job: its value, or the reason why there is none."""

    value: dict[str, Any] | None
    message: str
    seconds: float

    @property
    def completed(self) -> bool:
        """Whether the function returned."""
        return self.value is not None


@dataclass(frozen=True)
class Limits:
    """What a job may use before it is ended.

    Args:
        seconds: Time since its start.
        memory: Bytes that its processes use together; shared memory counts for each.

    Raises:
        UserError: If memory is limited on a system that does not report the memory of a process.
    """

    seconds: float = math.inf
    memory: float = math.inf

    def __post_init__(self):
        if self.memory < math.inf and not Path("/proc/self/stat").exists():
            raise UserError("A memory limit for trials needs Linux.")


class Job:
    """A function call in a separate process, started at once.

    Args:
        function: Address of a function that returns JSON-serializable values; see `address_of`.
        arguments: Its keyword arguments, JSON-serializable.
        folder: Receives job.json, outcome.json and log.txt.
        threads: Threads for TensorFlow; 0 for one per core.
        environment: Environment variables, set before the function is called.
        limits: What it may use.
        process: An unused process of `launch`, which starts without delay; a fresh one by default.
    """

    def __init__(
        self,
        function: str,
        arguments: dict[str, Any],
        folder: Path,
        *,
        threads: int = 0,
        environment: Mapping[str, str] | None = None,
        limits: Limits = Limits(),
        process: subprocess.Popen | None = None,
    ):
        self.folder = folder
        self.limits = limits
        self.started = self.watched = time.perf_counter()
        folder.mkdir(parents=True, exist_ok=True)
        call = {"function": function, "arguments": arguments, "environment": dict(environment or {})}
        write_json(folder / "job.json", call)
        (folder / "outcome.json").unlink(missing_ok=True)
        with open(folder / "log.txt", "ab") as log:
            self.process = process or launch(function, threads=threads, log=log)
        # If it has died meanwhile, `outcome` reports its status.
        with contextlib.suppress(BrokenPipeError), self.process.stdin:
            self.process.stdin.write(json.dumps(str(folder)).encode() + b"\n")

    def outcome(self) -> Outcome | None:
        """Returns the result, or None while it runs within its limits."""
        seconds = time.perf_counter() - self.started
        status = self.process.poll()
        message = self._broken_limit() if status is None else ""
        if status is None and not message:
            return None
        self.kill()  # and whatever it has started itself
        if (self.folder / "outcome.json").exists():
            return Outcome(**read_json(self.folder / "outcome.json"), seconds=seconds)
        if message:
            return Outcome(None, message, seconds)
        if status < 0:
            message = f"Killed by signal {-status}, usually because memory ran out."
        else:
            message = f"Exited with status {status}; see {self.folder / 'log.txt'}."
        return Outcome(None, message, seconds)

    def kill(self) -> None:
        """Kills it (SIGKILL) and waits until it is gone."""
        kill(self.process)

    def _broken_limit(self) -> str:
        """Returns which limit it has exceeded; memory is checked once a second."""
        now = time.perf_counter()
        if now - self.started > self.limits.seconds:
            return f"Stopped at its time limit of {self.limits.seconds / 60:.3g} minutes."
        if self.limits.memory < math.inf and now - self.watched > WATCH_SECONDS:
            self.watched = now
            if memory_of(self.process.pid) > self.limits.memory:
                return f"Out of memory: it used more than its limit of {self.limits.memory / 1e9:.3g} GB."
        return ""


class Machine:
    """Starts jobs on this machine, at most one at a time in each slot.

    While jobs run, a spare process imports what the next job needs and waits. It runs only that job, which is therefore
    as isolated as in a fresh process.

    Args:
        slots: Environment variables of each slot, such as its GPU.
        threads: Threads for each job; 0 for one per core.
    """

    def __init__(self, slots: Sequence[Mapping[str, str]], *, threads: int = 0):
        self.slots = slots
        self.threads = threads
        self.jobs: dict[int, Job] = {}
        self.spare: subprocess.Popen | None = None

    def start(
        self, function: str, arguments: dict[str, Any], folder: Path, *, limits: Limits = Limits(), more: bool = False
    ) -> Job:
        """Starts a job in a free slot; `more` if another one will follow. The other arguments are those of `Job`."""
        slot = next(i for i in range(len(self.slots)) if i not in self.jobs or self.jobs[i].process.poll() is not None)
        process, self.spare = self.spare, None
        if process is not None and process.poll() is not None:
            process = None
        environment = self.slots[slot]
        job = Job(
            function, arguments, folder, threads=self.threads, environment=environment, limits=limits, process=process
        )
        self.jobs[slot] = job
        if more:
            self.spare = launch(function, threads=self.threads)
        return job

    def close(self) -> None:
        """Ends the spare process."""
        if self.spare is not None:
            kill(self.spare)


def launch(function: str, *, threads: int = 0, log: BinaryIO | int = subprocess.DEVNULL) -> subprocess.Popen:
    """Starts a process that imports a function's module and waits for a job's folder on standard input."""
    startup.own_temp_folder()  # a job that is killed leaves files
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    if threads:
        environment |= hardware.threads(threads)
    # A separate session: Ctrl-C reaches only the parent, which decides what happens to the job. -P: it imports what the
    # parent does, whatever lies in the folder where that was started.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "kerasapps.workers.jobs", function, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,
    )


def kill(process: subprocess.Popen) -> None:
    """Kills a process of `launch` and what it started, and waits until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()


def memory_of(session: int) -> int:
    """Returns how many bytes of memory the processes of a session use."""
    pages = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            # The name of the program, in parentheses, may hold any character; fields are counted after it.
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            pages += int(fields[21]) if int(fields[3]) == session else 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def share(devices: Sequence[int], workers: int) -> int:
    """Returns how many devices each of several parallel jobs gets; 1 if there are more jobs than devices.

    Args:
        devices: Number of devices of each machine; a job runs on one machine.
        workers: Number of parallel jobs.
    """
    sizes = range(max(devices, default=1), 0, -1)
    return next((size for size in sizes if sum(count // size for count in devices) >= workers), 1)


def first_outcome(running: dict[str, Job]) -> tuple[str, Outcome]:
    """Waits until one of the jobs has ended, removes it, and returns its name and outcome."""
    while True:
        for name, job in running.items():
            outcome = job.outcome()
            if outcome is not None:
                del running[name]
                return name, outcome
        time.sleep(POLL_SECONDS)


def completed(folder: Path) -> Outcome | None:
    """Returns the outcome of a job that completed in an earlier process, None if there is none that can be read."""
    with contextlib.suppress(UserError, TypeError):
        outcome = Outcome(**read_json(folder / "outcome.json"), seconds=0.0)
        return outcome if outcome.completed else None


def run_all(
    run: Run, function: Callable[..., dict], calls: dict[str, dict[str, Any]], *, workers: int
) -> Iterator[tuple[str, Outcome]]:
    """Runs a function with each of several sets of arguments, a few at a time; yields names and outcomes as they end.

    What had completed when a resumed run was interrupted is not run again.

    Args:
        run: The run folder; job NAME keeps its files in NAME/job there.
        function: A function at the top of its module that returns JSON-serializable values.
        calls: Keyword arguments by name.
        workers: Number of parallel jobs, with one thread each if more than one.

    Raises:
        TrainingError: If a job fails; the others are killed, and --resume continues.
        UserError: After Ctrl-C.
    """
    if run.options.strategy == "multiworker":
        raise UserError("These networks train in parallel, each in one process: leave out --strategy multiworker.")
    todo = dict(calls)
    running: dict[str, Job] = {}
    address = address_of(function)
    for name in calls:
        outcome = completed(run.path(name, "job"))
        if outcome is not None:
            del todo[name]
            yield name, outcome
    try:
        while todo or running:
            while todo and len(running) < workers:
                name = next(iter(todo))
                running[name] = Job(address, todo.pop(name), run.path(name, "job"), threads=int(workers > 1))
            name, outcome = first_outcome(running)
            if not outcome.completed:
                raise TrainingError(f"{name} failed: {outcome.message} Continue with --resume --out {run.folder}.")
            yield name, outcome
    except KeyboardInterrupt:
        raise UserError(f"Interrupted. Continue with --resume --out {run.folder}: trained networks are kept.") from None
    finally:
        for job in running.values():
            job.kill()


def address_of(function: Callable) -> str:
    """Returns module:name; a module that runs as a script has the name by which it would be imported."""
    module = function.__module__
    if module == "__main__":
        module = sys.modules["__main__"].__spec__.name
    return f"{module}:{function.__name__}"


def function_at(address: str) -> Callable[..., Any]:
    """Returns the function at module:name."""
    module, name = address.split(":")
    return getattr(importlib.import_module(module), name)


def perform(folder: Path) -> None:
    """Calls the function that job.json names and writes outcome.json."""
    job = read_json(folder / "job.json")
    os.environ.update(job["environment"])
    try:
        outcome = {"value": function_at(job["function"])(**job["arguments"]), "message": ""}
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or ["see log.txt"]
        outcome = {"value": None, "message": explain(error) or f"{type(error).__name__}: {lines[0]}"}
    write_json(folder / "outcome.json", outcome)


def _end_with(parent: int) -> None:
    """Exits as soon as the parent is gone."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def _main(function: str, parent: int) -> None:
    """Waits for a job, runs it and writes its outcome."""
    # The parent may have died while this process imported TensorFlow: its pid is an argument, not looked up.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    with contextlib.suppress(Exception):  # the job's log will have the error
        importlib.import_module(function.split(":")[0])
    line = sys.stdin.readline()
    if not line:
        return
    folder = Path(json.loads(line))
    with open(folder / "log.txt", "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    perform(folder)
    sys.stdout.flush()
    # Nothing is left to do, and shutting TensorFlow down takes a second or two.
    os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
