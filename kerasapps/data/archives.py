"""Archives that may be damaged or hostile: read without unpacking, or unpacked into a folder that they cannot leave."""

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kerasapps.errors import DataError
from kerasapps.files import printable, regular_file

LARGEST = 256 * 2**20  # bytes of a member, which is read whole
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the latter is an empty one
OTHERS = {b"Rar!": "RAR", b"7z\xbc\xaf": "7z"}


@dataclass(frozen=True)
class Member:
    """What is in an archive under a name: a folder, a file, or something else such as a link.

    Args:
        name: Its path, which may be hostile: no file is opened by it.
        is_folder: Whether it is a folder.
        is_file: Whether it is an ordinary file.
        read: Returns the contents, and raises DataError that begins with the name it is given.
    """

    name: str
    is_folder: bool
    is_file: bool
    read: Callable[[str], bytes]


def archive_members(path: Path) -> Iterator[Member]:
    """Yields what is in a tar archive, compressed or not, or in a ZIP archive, in its order; nothing is unpacked.

    Raises:
        DataError: If it is neither, or damaged.
    """
    path = regular_file(path)
    with path.open("rb") as file:
        start = file.read(4)
    if start in OTHERS:
        raise DataError(f"{printable(path)} is a {OTHERS[start]} archive: unpack it and pass the folder.")
    if start in ZIP:
        yield from _zip_members(path)
        return
    with open_tar(path) as archive:
        for member in members(archive):
            read = partial(_read_tar_member, archive, member)
            yield Member(member.name, member.isdir(), member.isfile(), read)


def _read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bytes:
    with _damage_of(name):
        return read_member(archive, member, name=name)


def _zip_members(path: Path) -> Iterator[Member]:
    with _damage_of(printable(path)), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where no Unix system wrote it
            is_file = not member.is_dir() and kind in (0, stat.S_IFREG)
            name = member.filename.replace("\\", "/")  # as some programs on Windows write it
            yield Member(name, member.is_dir(), is_file, partial(_read_zip_member, archive, member))


def _read_zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    """Returns the contents of a file, never more than `LARGEST` bytes, whatever its header says."""
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{name} is a link, and links in archives are not followed.")
    if member.flag_bits & 1:
        raise DataError(f"{name} is encrypted: unpack the archive and pass the folder.")
    with _damage_of(name), archive.open(member) as file:
        contents = file.read(LARGEST + 1)
    if len(contents) > LARGEST:
        raise DataError(f"{name} is larger than {LARGEST // 2**20} MiB.")
    return contents


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
