"""Where data sets are looked for, and how one that is nowhere is downloaded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kerasapps.errors import DataError
from kerasapps.files import user_path


def cache_folder(name: str) -> Path:
    """Returns the folder of a data set in the cache: $XDG_CACHE_HOME or ~/.cache, kerasapps/NAME.

    Raises:
        DataError: If this user has no home folder.
    """
    cache = _cache()
    if cache is None:
        raise DataError("Downloads have no folder, as this user has no home: set XDG_CACHE_HOME or KERASAPPS_DATA.")
    return cache / "kerasapps" / name


def data_folders(name: str) -> list[Path]:
    """Returns the folders to look for a data set in, first $KERASAPPS_DATA/NAME, where set, then the cache."""
    own = os.environ.get("KERASAPPS_DATA")
    cache = [] if _cache() is None else [cache_folder(name)]
    return [user_path(own) / name, *cache] if own else cache


def _cache() -> Path | None:
    path = user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return None if path.parts[0] == "~" else path


def fetch(url: str, folder: Path, *, checksum: str | None) -> Path:
    """Downloads a file with a progress bar; a partial download leaves no file. Use within `downloading`.

    Args:
        url: Address; its last component becomes the name of the file.
        folder: Existing folder. A file of that name in it is kept if it has this checksum, else replaced.
        checksum: "md5:..." or the like; None where none is published.

    Raises:
        DataError: If the file has another checksum.
    """
    # It takes long to import, and is not needed where the data is on disk.
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would advise adding a checksum to this code
    downloader = pooch.HTTPDownloader(progressbar=True)
    try:
        return Path(pooch.retrieve(url, checksum, fname=url.rsplit("/", 1)[-1], path=folder, downloader=downloader))
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise DataError(f"The file from {url} is not the official one: its checksum differs.") from None


@contextmanager
def downloading(title: str, url: str, *, cache: Path, advice: str) -> Iterator[None]:
    """Reports failures of the network and of the disk as a DataError of one sentence.

    Args:
        title: Name of the data set as people write it.
        url: Address of the download.
        cache: Folder that it is stored in.
        advice: What to do when off line, after a colon.
    """
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise DataError(
            f"{title} is not on this machine and {url} cannot be reached ({type(error).__name__}): {advice}."
        ) from None
    except OSError as error:
        raise DataError(f"{title} cannot be stored in {cache}: {error.strerror or error}.") from None
