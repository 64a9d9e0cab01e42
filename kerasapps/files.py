"""Files: paths as people type them, whether there is something to read, JSON, and writing without half a file."""

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from kerasapps.errors import DataError, UserError

KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def user_path(path: str | Path) -> Path:
    """Returns a path with ~ and ~name expanded where there is such a person, and as it is elsewhere."""
    return Path(os.path.expanduser(path))  # `Path.expanduser` raises where there is none


def regular_file(path: str | Path) -> Path:
    """Returns the path of a file that can be read to its end, with ~ expanded.

    A named pipe, also that of /dev/stdin, would be waited for without end; a device may never end.

    Raises:
        DataError: If there is no such file, or something else of that name.
    """
    path = user_path(path)
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # a null byte
        raise DataError(f"{printable(path)!r} is no path: {error}.") from None
    if kind != stat.S_IFREG:
        raise DataError(f"{printable(path)} is a {KINDS.get(kind, 'special file')}, not a regular file.")
    return path


def printable(path: str | Path) -> str:
    """Returns a path as text that can be printed; file names may hold any bytes."""
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold and no file name
        name = str(path).encode("utf-8", "replace")
    return name.decode("utf-8", "replace")


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: If it cannot be read or is not JSON.
    """
    try:
        return json.loads(regular_file(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # nested thousands deep, it is no file of ours
        raise UserError(f"{path} is not valid JSON: {error}.") from error


def write_atomically(path: Path, data: str | bytes) -> None:
    """Writes a file so that a reader, or a machine that dies, finds the old content or the new, never half of it."""
    with atomic_file(path) as file:
        # Paths may hold bytes that are no text.
        file.write(data.encode("utf-8", "replace") if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write to, as `write_atomically` does, for what is too large to be held twice."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: Path, suffix: str = ".part") -> Iterator[str]:
    """Yields a temporary path next to `path` that takes its place at the end, or is removed if something fails."""
    if path.exists() and not path.is_file():  # to replace a device would remove it for everybody
        raise UserError(f"{path} is not a regular file: choose another one to write to.")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    """Returns the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
