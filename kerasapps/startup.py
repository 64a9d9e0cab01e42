"""Makes a process independent of how it was started: streams, warnings, signals and temporary files.

`experiments/__init__.py` calls it before anything imports TensorFlow, and so does `kerasapps.launch`.
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
    """Sets up streams, warnings and TensorFlow's messages for this process and those that it starts."""
    _open_streams()
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever backend other programs use
    _drop_warnings_as_errors()
    sys.meta_path.insert(0, _LightKeras())
    if not DEBUG:
        warnings.filterwarnings("ignore", module="PIL")  # odd metadata in images that it reads all the same
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        logging.getLogger("tensorflow").setLevel("ERROR")
        sys.meta_path.insert(0, _QuietTensorFlow())


def typed(module: str) -> list[str]:
    """Returns what a person types to start a module: the wheel has a command for the experiments that it holds.

    Example:
        >>> typed("experiments.qa"), typed("kerasapps.experiments.qa"), typed("kerasapps.experiments")
        (['python', '-m', 'experiments.qa'], ['kerasapps', 'qa'], ['kerasapps'])
    """
    package, *name = module.removeprefix("kerasapps.").split(".")
    installed = package == "experiments" and module.startswith("kerasapps.")
    return ["kerasapps", *name] if installed else ["python", "-m", module]


# --- streams


class _Outlet(io.FileIO):
    """A stream that discards everything once it cannot be written: a run survives the reader of its output."""

    error: OSError | None = None

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            _to_nowhere(self.fileno())
            return len(data)


def _open_streams() -> None:
    """Opens streams that were closed (`2>&-`): otherwise the next open file would receive what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _to_nowhere(number)
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115 - open as long as the process
        elif stream is not getattr(sys, f"__{name}__"):
            continue  # captured, by pytest for example
        setattr(sys, name, _as_outlet(stream) if number else stream)


def _as_outlet(stream: TextIO) -> TextIO:
    raw = _Outlet(stream.fileno(), "w", closefd=False)
    buffer = raw if stream.write_through else io.BufferedWriter(raw)
    # Names may hold characters that the terminal lacks, or bytes that are not text.
    options = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    return io.TextIOWrapper(buffer, stream.encoding, "backslashreplace", **options)


def _to_nowhere(number: int) -> None:
    """Connects a file descriptor to /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    if null == number:  # it was closed, and is the lowest one free
        os.set_inheritable(number, True)
    else:
        os.dup2(null, number)
        os.close(null)


def check_output() -> None:
    """Raises UserError if output was lost, unless its reader closed the pipe, as `head` does."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)  # captured output may have none
    error = getattr(getattr(buffer, "raw", buffer), "error", None)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise UserError(f"Standard output cannot be written: {error.strerror}.")


# --- warnings and TensorFlow's messages


def _drop_warnings_as_errors() -> None:
    """Revokes PYTHONWARNINGS=error, under which TensorFlow and Keras cannot be imported."""
    if "error" in os.environ.get("PYTHONWARNINGS", ""):
        del os.environ["PYTHONWARNINGS"]
    for action, message, category, module, line in list(warnings.filters):
        if action == "error":
            warnings.filters.remove((action, message, category, module, line))


class _LightKeras(importlib.abc.MetaPathFinder):
    """Hides from Keras what it imports, where it is installed, for features that no command uses: 1.5 of 5 seconds."""

    def find_spec(self, name, path, target=None):
        # PyTorch, which Keras may import, asks for some of these and does not expect an error.
        is_other = os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow"
        if is_other or name not in ("matplotlib", "sklearn"):
            return
        if "keras" in sys.modules and not hasattr(sys.modules["keras"], "Model"):
            raise ImportError(f"{name} is imported once Keras is")


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
    """A signal handler that exits with status 143 after the usual clean-up."""
    raise SystemExit(STOPPED)


@contextlib.contextmanager
def when_stopped(handler: Callable) -> Iterator[None]:
    """Calls a handler on SIGTERM, and on SIGHUP, which a closed terminal sends; under nohup that stays ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    before = {number: known for number, known in before.items() if known is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handler)
    except ValueError:  # only the main thread may handle signals
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
    Folders of processes that were killed are removed here too: the system has released their locks.
    """
    global _own
    outer = Path(tempfile.gettempdir())
    if (outer / MARK).exists():
        return  # it belongs to this process, or to one that started it
    for mark in outer.glob(f"{PREFIX}*/{MARK}"):
        with contextlib.suppress(OSError), open(mark, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=outer))
    lock = open(folder / f"{MARK}.new", "wb")  # noqa: SIM115 - held as long as this process lives
    with contextlib.suppress(OSError):  # a file system without locks: then no folder is ever taken for abandoned
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, folder / MARK)  # from now on other processes look at the lock
    _own = folder, lock, os.getpid()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ.setdefault("RAY_TMPDIR", str(outer))  # where Ray records the cluster of this machine
    atexit.register(remove_temp_folder)


def remove_temp_folder() -> None:
    """Removes the folder, in the process that made it; files go to its parent again."""
    global _own
    if _own is not None and _own[2] == os.getpid():
        folder, _own = _own[0], None
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
