"""Makes a process fit for work whatever it was started from: its streams, warnings, signals and temporary files.

Called by what a person starts: `experiments/__init__.py`, before anything imports TensorFlow, and `kerasapps.launch`.
"""

import atexit
import contextlib
import fcntl
import functools
import importlib.abc
import importlib.util
import io
import logging
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, TextIO

from kerasapps.errors import UserError, is_out_of_memory

DEBUG = os.environ.get("KERASAPPS_DEBUG") == "1"
STOPPED = 128 + signal.SIGTERM
PREFIX, MARK = "kerasapps-", ".in-use"


def prepare() -> None:
    """Settles streams, warnings and TensorFlow's messages for this process and for those that it starts."""
    _open_streams()
    os.environ["MPLBACKEND"] = "agg"  # figures go into files, whatever shows them elsewhere
    _drop_warnings_as_errors()
    if not DEBUG:
        warnings.filterwarnings("ignore", module="PIL")  # odd metadata in images that it reads all the same
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        logging.getLogger("tensorflow").setLevel("ERROR")
        sys.meta_path.insert(0, _QuietTensorFlow())


# --- streams


class _Outlet(io.FileIO):
    """A stream that is dropped once it cannot be written, so that a run is not lost with whoever reads its output."""

    error: OSError | None = None

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            _to_nowhere(self.fileno())
            return len(data)


def _open_streams() -> None:
    """Opens what was closed (`2>&-`), or the next file to be opened would get all that is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _to_nowhere(number)
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115 - open as long as the process
        elif stream is not getattr(sys, f"__{name}__"):
            continue  # somebody captures it
        setattr(sys, name, _as_outlet(stream) if number else stream)


def _as_outlet(stream: TextIO) -> TextIO:
    raw = _Outlet(stream.fileno(), "w", closefd=False)
    buffer = raw if stream.write_through else io.BufferedWriter(raw)
    # Paths and columns may hold characters that the terminal lacks, or bytes that are no text.
    options = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    return io.TextIOWrapper(buffer, stream.encoding, "backslashreplace", **options)


def _to_nowhere(number: int) -> None:
    """Connects a file descriptor to /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    if null == number:  # it was closed, and the lowest free one
        os.set_inheritable(number, True)
    else:
        os.dup2(null, number)
        os.close(null)


def check_output() -> None:
    """Raises UserError if what was printed could not be written, unless its reader just left, as `head` does."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)  # a notebook's or a test's output has none
    error = getattr(getattr(buffer, "raw", buffer), "error", None)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise UserError(f"Standard output cannot be written: {error.strerror}.")


# --- warnings and TensorFlow's messages


def _drop_warnings_as_errors() -> None:
    """Takes back PYTHONWARNINGS=error: TensorFlow and Keras cannot be imported under it."""
    if "error" in os.environ.get("PYTHONWARNINGS", ""):
        del os.environ["PYTHONWARNINGS"]
    for action, message, category, module, line in list(warnings.filters):
        if action == "error":
            warnings.filters.remove((action, message, category, module, line))


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Silences the first import of TensorFlow, which writes to file descriptor 2 before any setting can stop it."""

    def find_spec(self, name, path, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            spec.loader.exec_module = functools.partial(_execute_silently, spec.loader.exec_module)
        return spec


def _execute_silently(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    kept = os.dup(2)
    try:
        _to_nowhere(2)
        execute(module)
    except (ImportError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        os.dup2(kept, 2)
        print("TensorFlow cannot be loaded: there is too little memory (see `ulimit -v`).", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        os.dup2(kept, 2)
        os.close(kept)


# --- signals


def stop(*_) -> None:
    """Handles a signal: ends this process with status 143, its clean-up included."""
    raise SystemExit(STOPPED)


@contextlib.contextmanager
def when_stopped(handler: Callable) -> Iterator[None]:
    """Calls a handler on SIGTERM, and on SIGHUP, which a closed terminal sends; under nohup that stays ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    before = {number: known for number, known in before.items() if known is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handler)
    except ValueError:  # outside the main thread signals are somebody else's
        before = {}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known or signal.SIG_DFL)


# --- temporary files

_own: tuple[Path, BinaryIO, int] | None = None  # folder, its lock, and the process that removes it


def own_temp_folder() -> None:
    """Puts temporary files of this process, and of all that it starts, into a folder that is removed at its end.

    Workers and jobs exit without Python's own clean-up and leave files behind, such as TensorFlow's generated code.
    What processes left that were killed themselves is removed here too: the system has freed their locks.
    """
    global _own
    outer = Path(tempfile.gettempdir())
    if (outer / MARK).exists():
        return  # made by this process, or by the one that started it
    for mark in outer.glob(f"{PREFIX}*/{MARK}"):
        with contextlib.suppress(OSError), open(mark, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=outer))
    lock = open(folder / f"{MARK}.new", "wb")  # noqa: SIM115 - held as long as this process lives
    with contextlib.suppress(OSError):  # on a file system without locks nobody takes the folder for abandoned
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, folder / MARK)  # from now on other processes look at the lock
    _own = folder, lock, os.getpid()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ.setdefault("RAY_TMPDIR", str(outer))  # where Ray notes which cluster this machine belongs to
    atexit.register(remove_temp_folder)


def remove_temp_folder() -> None:
    """Removes the folder, in the process that made it; files go to its parent again."""
    global _own
    if _own is not None and _own[2] == os.getpid():
        folder, _own = _own[0], None
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
