"""Trains the toy network again and again, killed before and after every file that is put in its place, and resumes.

python -m tests.kill_process FOLDER     prints a line for each training in FOLDER
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.toy import train_toy

EPOCHS = 2


def in_a_child(call: Callable[[], None]) -> int:
    """Calls a function in a copy of this process; TensorFlow is imported here and starts only there."""
    child = os.fork()
    if not child:
        try:
            call()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(folder: Path, *, resume: bool = False) -> None:
    """Trains, silently."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    train_toy(folder, epochs=EPOCHS, resume=resume)


def train_and_die(folder: Path, call: int, *, before: bool) -> None:
    """Trains until a file is put in its place for the nth time."""
    replace, calls = os.replace, iter(range(call + 1))

    def replace_or_die(source, target):
        last = next(calls) == call
        if last and before:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_or_die
    train(folder)


def main(folder: Path) -> None:
    """Kills a training at each of its calls in turn, until one is over before it gets there."""
    assert in_a_child(lambda: train(folder / "whole")) == 0
    for call in range(1000):
        for before in (True, False):
            run = folder / f"{call}-{'before' if before else 'after'}"
            status = in_a_child(lambda run=run, before=before, call=call: train_and_die(run, call, before=before))
            if status == 0:
                return
            assert status == -signal.SIGKILL
            assert in_a_child(lambda run=run: train(run, resume=True)) == 0
            print(run.name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
