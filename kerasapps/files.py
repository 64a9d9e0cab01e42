"""Files that people name: paths as they type them, and whether there is something to read."""

import os
import stat
from pathlib import Path

from kerasapps.errors import DataError

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
