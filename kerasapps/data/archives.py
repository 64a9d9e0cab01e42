"""Archives that may be damaged or hostile: read without unpacking, or unpacked into a folder that they cannot leave."""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kerasapps.errors import DataError
from kerasapps.files import printable, regular_file

LARGEST = 256 * 2**20  # bytes of a member, which is read whole


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Opens a tar archive, compressed or not, to read its `members` in order.

    Raises:
        DataError: If it is not a tar archive, or a damaged one.
    """
    path = regular_file(path)
    with _damage_of(printable(path)), tarfile.open(path) as archive:
        yield archive
        while archive.fileobj.read(2**20):  # the checksum of the compressed data is at its end
            pass


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yields what is in an archive, in order."""
    for member in archive:
        if member.size < 0:  # the next member would lie before this one, without end
            raise tarfile.ReadError("negative size")
        yield member


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, *, name: str) -> bytes:
    """Returns the contents of a regular file in a tar archive.

    Raises:
        DataError: If the member is a link, device or folder, too large, or stored as a sparse file, a few bytes of
            which may stand for terabytes.
    """
    if member.issym() or member.islnk():
        raise DataError(f"{name} is a link, and links in archives are not followed.")
    if not member.isfile() or member.issparse():
        raise DataError(f"{name} is not stored as an ordinary file.")
    if member.size > LARGEST:
        raise DataError(f"{name} is larger than {LARGEST // 2**20} MiB.")
    return archive.extractfile(member).read()


def unpack_tar(path: Path, folder: Path, *, url: str) -> None:
    """Unpacks a tar archive that was downloaded from `url`; nothing gets out of the folder.

    Raises:
        DataError: If it is damaged, or holds links that lead elsewhere, devices or absolute paths.
    """
    with _damage_of(f"The archive from {url}"), tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")


def read_zip_member(path: Path, member: str, *, url: str) -> bytes:
    """Returns one file of a ZIP archive that was downloaded from `url`, or raises DataError."""
    with _damage_of(f"The archive from {url}"), zipfile.ZipFile(path) as archive:
        if archive.getinfo(member).file_size > LARGEST:
            raise DataError(f"The archive from {url} holds a {member} larger than {LARGEST // 2**20} MiB.")
        return archive.read(member)


@contextmanager
def _damage_of(what: str) -> Iterator[None]:
    """Reports damage in one sentence: for a header that somebody made up these modules raise nearly anything."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise  # the disk, not the archive
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
        raise DataError(f"{what} is damaged, or not an archive: {reason}.") from None
