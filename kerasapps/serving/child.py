"""Runs a module as `python -m` would, in a process that ends with the one that started it.

python -m kerasapps.serving.child PARENT MODULE [ARGUMENTS]
"""

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WATCH_SECONDS = 0.5
PATIENCE = 60.0  # seconds for a checkpoint, once the parent is gone
# When memory runs out, Linux kills the process with the highest score: this one, not the server.
OOM_SCORE = "1000"


def start(module: str, *arguments: str, **streams: Any) -> subprocess.Popen:
    """Starts a module in a separate process and session: Ctrl-C reaches the server alone.

    Args:
        module: Name of the module, as for `python -m`.
        arguments: Its arguments.
        streams: Further arguments of `subprocess.Popen`, such as stdout and cwd.
    """
    path = os.pathsep.join(os.path.abspath(path or os.getcwd()) for path in sys.path)
    words = [sys.executable, "-P", "-m", __name__, str(os.getpid()), module, *arguments]
    return subprocess.Popen(words, env=os.environ | {"PYTHONPATH": path}, start_new_session=True, **streams)


def run(parent: int, module: str, arguments: Sequence[str]) -> None:
    """Runs a module; SIGINT stops it as Ctrl-C does, and so does the end of the parent as SIGTERM does."""
    # Where a shell started the server in the background, SIGINT is ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    """Ends this process when the parent is gone: by SIGTERM, so that the work so far is saved."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
