"""Where data sets are looked for, and how one that is nowhere is downloaded."""

import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kerasapps.errors import DataError


def cache_folder(name: str) -> Path:
    """Returns the folder of a data set in the cache: $XDG_CACHE_HOME or ~/.cache, kerasapps/NAME."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasapps" / name


def places(name: str) -> list[Path]:
    """Returns the folders to look for a data set in, first $KERASAPPS_DATA/NAME, where set, then the cache."""
    own = os.environ.get("KERASAPPS_DATA")
    return [*([Path(own).expanduser() / name] if own else []), cache_folder(name)]


def fetch(url: str, folder: Path, *, checksum: str | None) -> Path:
    """Downloads a file with a progress bar; it enters the folder whole or not at all. Use within `told`.

    Args:
        url: Address; its last part becomes the name of the file.
        folder: Existing folder. A file of that name in it is kept where it has this checksum, else replaced.
        checksum: "md5:..." or the like; None where none is published.

    Raises:
        DataError: If the file has another checksum.
    """
    # Both take long to import, and whoever has the data needs neither.
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would advise the user to write a checksum into this code
    downloader = pooch.HTTPDownloader(progressbar=True)
    try:
        return Path(pooch.retrieve(url, checksum, fname=url.rsplit("/", 1)[-1], path=folder, downloader=downloader))
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise DataError(f"The file from {url} is not the official one: its checksum differs.") from None


@contextmanager
def told(title: str, url: str, *, cache: Path, advice: str) -> Iterator[None]:
    """Turns what goes wrong in a download, or in unpacking one, into a DataError of one sentence.

    Args:
        title: Name of the data set as people write it.
        url: Address that is downloaded from.
        cache: Folder that it is stored in.
        advice: What to do off line, after a colon.
    """
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise DataError(
            f"{title} is not on this machine and {url} cannot be reached ({type(error).__name__}): {advice}."
        ) from None
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"The archive from {url} cannot be unpacked, so try again later: {error}.") from None
    except OSError as error:
        raise DataError(f"{title} cannot be stored in {cache}: {error.strerror or error}.") from None
