"""Several workers on one machine, restarted together when one of them dies.

python -m kerasapps.launch --workers 2 -- -m experiments.qa train --out runs/qa

A worker cannot rejoin the others: when one dies, all are ended and restart from the last checkpoint. Ctrl-C, SIGTERM
and SIGHUP, which a closed terminal sends, have all of them save and exit; under `nohup` the launcher outlives its
terminal.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import tyro

from kerasapps import startup
from kerasapps.errors import explain
from kerasapps.workers import hardware
from kerasapps.workers.watchdog import LIMITS, LOST

POLL_SECONDS = 0.1
# Time that the others have to notice for themselves why they cannot continue, and to report it.
REPORT_SECONDS = 1.0
WRONG = 2  # exit status of an error of the user's, which a restart would repeat
INTERRUPTED = 128 + signal.SIGINT


class Gang:
    """Workers of one training, all started at once.

    Args:
        command: Arguments of `python`.
        workers: Number of workers.
        logs: Folder for the output of all but the first, which writes to the terminal.
        environment: Environment variables in addition to those of this process.
    """

    def __init__(self, command: Sequence[str], *, workers: int, logs: Path, environment: dict[str, str]):
        cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(workers)]}
        logs.mkdir(parents=True, exist_ok=True)
        self.processes: list[subprocess.Popen] = []
        for i, devices in enumerate(_devices(workers)):
            task = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})}
            common = {"KERASAPPS_PARENT": str(os.getpid()), "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
            log = None if i == 0 else open(logs / f"worker-{i}.log", "ab")  # noqa: SIM115 - closed below
            # A separate session: Ctrl-C and a closed terminal reach only the launcher, which decides for all.
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env=os.environ | task | common | devices | environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
            if log:
                log.close()

    def wait(self) -> tuple[int, int] | None:
        """Waits until all have succeeded and returns None, or until one fails: its number and exit status."""
        while True:
            culprit = self.culprit()
            if culprit or all(process.poll() == 0 for process in self.processes):
                return culprit
            time.sleep(POLL_SECONDS)

    def culprit(self) -> tuple[int, int] | None:
        """Returns number and exit status of the worker that failed; None if there is none."""
        statuses = [process.poll() for process in self.processes]
        bad = [(i, status) for i, status in enumerate(statuses) if status not in (None, 0)]
        # An error of the user's explains all that follows; a worker that lost the others is not the one that was lost.
        return min(bad, key=lambda one: (one[1] != WRONG, one[1] == -LOST), default=None)

    def ask_to_stop(self) -> None:
        """Asks all to save and exit."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    def end(self, patience: float) -> None:
        """Kills those that have not exited after `patience` seconds."""
        deadline = time.monotonic() + patience
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started itself
            process.wait()


def launch(command: Sequence[str], *, workers: int, max_restarts: int, limits: dict[str, float]) -> int:
    """Runs a command in several workers until it is done; returns its exit status.

    Args:
        command: Arguments of `python`, with the --out that a restart resumes.
        workers: Number of processes.
        max_restarts: How often all restart after one of them died.
        limits: Seconds for "start", "step", "save" and "end"; see `kerasapps.workers.watchdog`.
    """
    folder = Path(_folder_of(command))
    environment = {f"KERASAPPS_{name.upper()}_LIMIT": str(seconds) for name, seconds in limits.items()}
    for restart in range(max_restarts + 1):
        gang = Gang(command, workers=workers, logs=folder / "workers", environment=environment)
        try:
            lost = gang.wait()
            if lost:
                time.sleep(REPORT_SECONDS)
                lost = gang.culprit()
        except (KeyboardInterrupt, SystemExit) as reason:
            gang.ask_to_stop()
            with contextlib.suppress(KeyboardInterrupt, SystemExit):  # asked a second time it does not wait
                gang.end(limits["save"])
            print(f"\nStopped. Continue with --resume: {folder} is kept.", file=sys.stderr)
            return INTERRUPTED if isinstance(reason, KeyboardInterrupt) else startup.STOPPED
        finally:
            gang.end(0)
        if lost is None:
            return 0
        number, status = lost
        what = f"Worker {number} {_how(status)}"
        log = f" See {folder / 'workers' / f'worker-{number}.log'}." if number else ""
        if status in (WRONG, startup.STOPPED):
            # The first worker reports the same on the terminal, if it got so far.
            if gang.processes[0].returncode != status:
                reason = _last_line(folder / "workers" / f"worker-{number}.log") if number else ""
                print(f"{what}: {reason}{log}" if reason else f"{what}.{log}", file=sys.stderr)
            return status
        if restart == max_restarts:
            print(f"{what}, and --max-restarts {max_restarts} allows no further restart.{log}", file=sys.stderr)
            return 1
        print(f"{what}: restarting all from the last checkpoint ({restart + 1} of {max_restarts}).", file=sys.stderr)
        command = [*command, *(["--resume"] if "--resume" not in command else [])]
    raise AssertionError("every pass of the loop returns or restarts")


def free_ports(count: int) -> list[int]:
    """Returns ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _devices(workers: int) -> list[dict[str, str]]:
    """Returns the environment variables that assign GPUs, or without any the cores, to each worker."""
    gpus = _gpus()
    if gpus:
        count = len(gpus) // workers
        if not count:
            _refuse(f"--workers must be at most the number of GPUs here, {len(gpus)}. Received: {workers}")
        return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[i * count : (i + 1) * count])} for i in range(workers)]
    return [hardware.threads(max(1, hardware.cores() // workers))] * workers


def _folder_of(command: Sequence[str]) -> str:
    """Returns the value of --out; an empty string without it."""
    for i, word in enumerate(command):
        if word == "--out":
            return "".join(command[i + 1 : i + 2])
        if word.startswith("--out="):
            return word.removeprefix("--out=")
    return ""


def _gpus() -> list[str]:
    """Returns the numbers of the usable GPUs, without TensorFlow, which would occupy them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        # CUDA sees what stands before the first name that is none: -1, or the NoDevFiles of Slurm.
        names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return list(itertools.takewhile(re.compile(r"\d+|(GPU|MIG)-.+").fullmatch, map(str.strip, names)))
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def _last_line(path: Path) -> str:
    """Returns the last line of a log; an empty string if there is none."""
    try:
        return path.read_text("utf-8", "replace").rstrip().rpartition("\n")[2]
    except OSError:
        return ""


def _how(status: int) -> str:
    if status == -LOST:
        return "lost the others"
    return f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(WRONG)


def main(
    *,
    workers: int = 2,
    max_restarts: int = 3,
    start_limit: float = LIMITS["start"],
    step_limit: float = LIMITS["step"],
    save_limit: float = LIMITS["save"],
    end_limit: float = LIMITS["end"],
) -> None:
    """Runs `python COMMAND` in several workers on this machine: `... --workers 2 -- COMMAND`.

    Ctrl-C, SIGTERM and SIGHUP, which a closed terminal sends, have all workers save and exit. Start it with `nohup` to
    have it outlive its terminal.

    Args:
        workers: Number of processes; they share the GPUs, or without any the cores.
        max_restarts: How often all restart after one of them died.
        start_limit: Seconds for the start, to the end of the first step.
        step_limit: Seconds for each further step.
        save_limit: Seconds for a checkpoint.
        end_limit: Seconds for evaluation and report.
    """
    command = sys.argv[sys.argv.index("--") + 1 :]
    if not _folder_of(command):
        _refuse("The command needs --out FOLDER: all workers read checkpoints there, and a restart resumes there.")
    if workers < 1 or max_restarts < 0:
        _refuse("--workers must be at least 1 and --max-restarts at least 0.")
    if "--strategy" not in command:
        command += ["--strategy", "multiworker"]
    limits = {"start": start_limit, "step": step_limit, "save": save_limit, "end": end_limit}
    try:
        with startup.when_stopped(startup.stop):
            startup.own_temp_folder()
            status = launch(command, workers=workers, max_restarts=max_restarts, limits=limits)
    except OSError as error:
        _refuse(explain(error) or str(error))
    sys.exit(status)


if __name__ == "__main__":
    startup.prepare()
    if "--" not in sys.argv:
        sys.argv += ["--help", "--"]
    tyro.cli(main, prog="python -m kerasapps.launch", args=sys.argv[1 : sys.argv.index("--")])
