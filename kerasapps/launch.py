"""Several workers on one machine, and the gang that starts again when one of them dies.

python -m kerasapps.launch --workers 2 -- -m experiments.qa train --out runs/qa

A worker cannot come back to the others: when one dies, all are ended and start again from the last checkpoint.
"""

import contextlib
import json
import os
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

from kerasapps.workers import hardware
from kerasapps.workers.watchdog import LIMITS, LOST

POLL_SECONDS = 0.1
# Time that the others have to notice by themselves why they cannot go on, and to say it.
PARTING_SECONDS = 1.0
WRONG = 2  # exit status of a mistake of the user's, which a second start would repeat
PREEMPTED = 128 + signal.SIGTERM
STOPPED = 128 + signal.SIGINT


class Gang:
    """Workers that need one another, started at once.

    Args:
        command: What stands behind `python`.
        workers: How many.
        logs: Folder for the output of all but the first, which writes to the terminal.
        environment: Beside that of this process.
    """

    def __init__(self, command: Sequence[str], *, workers: int, logs: Path, environment: dict[str, str]):
        cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(workers)]}
        logs.mkdir(parents=True, exist_ok=True)
        self.processes: list[subprocess.Popen] = []
        for i, share in enumerate(_shares(workers)):
            task = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})}
            shared = {"KERASAPPS_PARENT": str(os.getpid()), "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
            log = None if i == 0 else open(logs / f"worker-{i}.log", "ab")  # noqa: SIM115 - closed below
            # A session of its own, so that Ctrl-C reaches the launcher alone, which decides what becomes of the gang.
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env=os.environ | task | shared | share | environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
            if log:
                log.close()

    def wait(self) -> tuple[int, int] | None:
        """Waits until all have ended well, and returns None, or until one has not: its number and exit status."""
        while True:
            culprit = self.culprit()
            if culprit or all(process.poll() == 0 for process in self.processes):
                return culprit
            time.sleep(POLL_SECONDS)

    def culprit(self) -> tuple[int, int] | None:
        """Returns number and exit status of a worker that has not ended well; None if there is none."""
        statuses = [process.poll() for process in self.processes]
        bad = [(i, status) for i, status in enumerate(statuses) if status not in (None, 0)]
        # A mistake explains all that follows from it; a worker that says it lost another is not the one that was lost.
        return min(bad, key=lambda one: (one[1] != WRONG, one[1] == -LOST), default=None)

    def ask_to_stop(self) -> None:
        """Asks all to save and to leave."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    def end(self, patience: float) -> None:
        """Ends those that have not left after `patience` seconds, without mercy."""
        deadline = time.monotonic() + patience
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started itself
            process.wait()


def launch(command: Sequence[str], *, workers: int, max_restarts: int, limits: dict[str, float]) -> int:
    """Runs a command in several workers until it is done; returns its exit status.

    Args:
        command: What stands behind `python`, with the --out that a restart goes on with.
        workers: How many processes.
        max_restarts: How often all start again after one of them died.
        limits: Seconds for "start", "step", "save" and "end"; see `kerasapps.workers.watchdog`.
    """
    folder = Path(_folder_of(command))
    environment = {f"KERASAPPS_{name.upper()}_LIMIT": str(seconds) for name, seconds in limits.items()}
    signal.signal(signal.SIGTERM, _raise_exit)
    for restart in range(max_restarts + 1):
        gang = Gang(command, workers=workers, logs=folder / "workers", environment=environment)
        try:
            lost = gang.wait()
            if lost:
                time.sleep(PARTING_SECONDS)
                lost = gang.culprit()
        except (KeyboardInterrupt, SystemExit) as reason:
            gang.ask_to_stop()
            with contextlib.suppress(KeyboardInterrupt):  # who asks twice does not want to wait
                gang.end(limits["save"])
            print(f"\nStopped. Go on with --resume: what is in {folder} is kept.", file=sys.stderr)
            return STOPPED if isinstance(reason, KeyboardInterrupt) else PREEMPTED
        finally:
            gang.end(0)
        if lost is None:
            return 0
        number, status = lost
        what = f"Worker {number} {_how(status)}"
        log = f" See {folder / 'workers' / f'worker-{number}.log'}." if number else ""
        if status in (WRONG, PREEMPTED):
            # The first worker says the same on the terminal, if it got so far.
            if gang.processes[0].returncode != status:
                print(f"{what}.{log}", file=sys.stderr)
            return status
        if restart == max_restarts:
            print(f"{what} once more than --max-restarts {max_restarts} allows.{log}", file=sys.stderr)
            return 1
        print(f"{what}: all start again from the last checkpoint ({restart + 1} of {max_restarts}).", file=sys.stderr)
        command = [*command, *(["--resume"] if "--resume" not in command else [])]
    raise AssertionError("every pass of the loop returns or starts again")


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _shares(workers: int) -> list[dict[str, str]]:
    """Returns for each worker the variables that give it its share of the GPUs, or else of the cores."""
    gpus = _gpus()
    if gpus:
        count = len(gpus) // workers
        if not count:
            _refuse(f"--workers {workers} are more than the GPUs of this machine, {len(gpus)}.")
        return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[i * count : (i + 1) * count])} for i in range(workers)]
    return [hardware.threads(max(1, hardware.cores() // workers))] * workers


def _folder_of(command: Sequence[str]) -> str:
    """Returns what --out names; nothing without it."""
    for i, word in enumerate(command):
        if word == "--out":
            return "".join(command[i + 1 : i + 2])
        if word.startswith("--out="):
            return word.removeprefix("--out=")
    return ""


def _gpus() -> list[str]:
    """Returns the numbers of the GPUs that may be used, without TensorFlow, which would keep them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def _how(status: int) -> str:
    if status == -LOST:
        return "lost the others"
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(WRONG)


def _raise_exit(*_) -> None:
    raise SystemExit(PREEMPTED)


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

    Args:
        workers: Processes; each has its share of the GPUs, or else of the cores.
        max_restarts: How often all start again after one of them died.
        start_limit: Seconds that the start may take, to the end of the first step.
        step_limit: Seconds that any further step may take.
        save_limit: Seconds that a checkpoint may take.
        end_limit: Seconds that evaluation and report may take.
    """
    command = sys.argv[sys.argv.index("--") + 1 :]
    if not _folder_of(command):
        _refuse("The command needs --out FOLDER: all workers read checkpoints there, and a restart goes on there.")
    if workers < 1 or max_restarts < 0:
        _refuse("--workers must be at least 1 and --max-restarts at least 0.")
    if "--strategy" not in command:
        command += ["--strategy", "multiworker"]
    limits = {"start": start_limit, "step": step_limit, "save": save_limit, "end": end_limit}
    sys.exit(launch(command, workers=workers, max_restarts=max_restarts, limits=limits))


if __name__ == "__main__":
    if "--" not in sys.argv:
        sys.argv += ["--help", "--"]
    tyro.cli(main, prog="python -m kerasapps.launch", args=sys.argv[1 : sys.argv.index("--")])
