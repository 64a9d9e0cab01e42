"""Time limits for a worker's waits: TensorFlow waits for ever for a worker that is stuck or never starts.

Limits are in seconds, from the environment: KERASAPPS_START_LIMIT until the first step is done, KERASAPPS_STEP_LIMIT
for each further one, KERASAPPS_SAVE_LIMIT for a checkpoint, KERASAPPS_END_LIMIT for what follows the training.
The watchdog is a separate process: while TensorFlow waits for other workers, no other Python thread runs.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LIMITS = {"start": 900.0, "step": 600.0, "save": 600.0, "end": 3600.0}
# Ends a worker that is not at fault when all have to restart. Its status, 128 + 10 = 138, is one that Kubernetes'
# training operator retries.
LOST = signal.SIGUSR1
POLL_SECONDS = 0.2
CONNECT_SECONDS = 2.0
LATE = {"start": "start has not finished", "step": "step has not finished", "save": "checkpoint is not written"}
LATE |= {"end": "evaluation has not finished"}
CODES = {"start": b"1", "step": b"2", "save": b"3", "end": b"4"}

_watcher: subprocess.Popen | None = None


def start(addresses: Sequence[str]) -> None:
    """Starts watching this process, in the phase "start".

    Args:
        addresses: "host:port" of all workers, to report which one is missing.
    """
    global _watcher
    # The file, not the module, whose package might import TensorFlow.
    command = [sys.executable, __file__, str(os.getpid()), *addresses]
    # In a session of its own, out of reach of a Ctrl-C or SIGTERM to the whole process group.
    _watcher = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)
    os.set_blocking(_watcher.stdin.fileno(), False)
    enter("start")


def enter(phase: str) -> None:
    """Enters a phase with its own limit; does nothing before `start`."""
    if _watcher is not None:
        with contextlib.suppress(OSError):  # the watchdog ended or is stuck: the training matters more
            _watcher.stdin.write(CODES[phase])


def _main(worker: int, addresses: Sequence[str]) -> None:
    """Watches a process, and ends it when it exceeds a limit or its launcher is gone."""
    launcher = os.environ.get("KERASAPPS_PARENT")
    phases = {code[0]: phase for phase, code in CODES.items()}
    phase, since = "start", time.monotonic()
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
        if readable:
            said = os.read(sys.stdin.fileno(), 4096)
            if not said:
                return  # the worker has ended
            phase, since = phases[said[-1]], time.monotonic()
        limit = float(os.environ.get(f"KERASAPPS_{phase.upper()}_LIMIT", LIMITS[phase]))
        late = time.monotonic() - since > limit
        if late:
            print(f"\nThe {LATE[phase]} after {limit:.0f} s. {_who(addresses)}", file=sys.stderr, flush=True)
        if late or (launcher and _parent_of(worker) not in (int(launcher), None)):
            os.kill(worker, LOST)
            return


def _parent_of(process: int) -> int | None:
    """Returns the pid of a process's parent; None once it is gone, or where the system does not report it."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return int(status.rsplit(")", 1)[1].split()[1])


def _who(addresses: Sequence[str]) -> str:
    """Returns a sentence on the workers that do not answer."""
    silent = [f"{i} ({address})" for i, address in enumerate(addresses) if not answers(address)]
    if silent:
        return f"No answer from worker {', '.join(silent)}."
    return "All workers answer, but one of them may be stuck."


def answers(address: str) -> bool:
    """Returns whether something accepts connections at "host:port"."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError):  # the latter for what cannot be the name of a host
        return False
    return True


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
