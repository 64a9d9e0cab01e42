"""Archives that somebody made up to do harm, or that are damaged: one sentence each, and nothing outside is touched."""

import gzip
import io
import tarfile
import zipfile

import pytest

from kerasapps.data import archives
from kerasapps.data.archives import members, open_tar, read_member, read_zip_member, unpack_tar
from kerasapps.errors import DataError

URL = "http://a/b.tar"


def member(name: str, content: bytes = b"x", **fields) -> bytes:
    """A header and its content, as they are in an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    padded = content + bytes(-len(content) % 512)
    return info.tobuf(tarfile.PAX_FORMAT) + padded


def patched(header: bytes, at: int, value: bytes) -> bytes:
    """A member with other bytes in its header, and the checksum that belongs to them."""
    header = bytearray(header)
    header[at : at + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


NEGATIVE = (-512).to_bytes(12, "big", signed=True)
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a/x.png"}
HOSTILE = {
    "no archive": b"hello",
    "empty": b"",
    "negative size": patched(member("a/x.png"), 124, NEGATIVE),
    "negative size of another file": patched(member("a/notes.txt"), 124, NEGATIVE) + member("a/x.png"),
    "size beyond the end": patched(member("a/x.png"), 124, b"%011o\0" % 10**6),
    "size in pax": member("a/x.png", pax_headers={"size": "99999999999999999999999999"}),
    "negative size in pax": member("a/x.png", pax_headers={"size": "-1"}),
    "sparse without a map": member("a/x.png", b"junk\n", pax_headers=SPARSE),
    "sparse of negative size": member("a/x.png", b"0\n", pax_headers=SPARSE | {"GNU.sparse.realsize": "-5"}),
    "sparse of a terabyte": member("a/x.png", b"0\n", pax_headers=SPARSE | {"GNU.sparse.realsize": f"{10**12}"}),
    "old sparse map": member("a/x.png", pax_headers={"GNU.sparse.map": "0,x", "GNU.sparse.size": "1"}),
    "old sparse offsets": member("a/x.png", pax_headers={"GNU.sparse.offset": "a", "GNU.sparse.numbytes": "b"}),
    "link": member("a/x.png", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": member("a/x.png", b"", type=tarfile.LNKTYPE, linkname="../../etc/passwd"),
    "device": member("a/x.png", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "named pipe": member("a/x.png", b"", type=tarfile.FIFOTYPE),
    "pax header without length": patched(member("a/x.png", b"junk", type=tarfile.XHDTYPE), 0, b"p"),
    "long name of negative length": patched(member("a", b"x", type=tarfile.GNUTYPE_LONGNAME), 124, NEGATIVE),
    "truncated gzip": gzip.compress(member("a/x.png", bytes(range(256)) * 40))[:-40],
}
# Python ignores what it does not understand of these.
HARMLESS = {"old sparse offsets"}


def read_all(path) -> list[bytes]:
    with open_tar(path) as archive:
        return [read_member(archive, one, name=one.name) for one in members(archive)]


def test_an_archive_is_read_in_order(tmp_path):
    content = member("a/x.png", b"one") + member("/abs/../y.png", b"two", mtime=1e300) + bytes(1024)
    (tmp_path / "a.tar").write_bytes(content)
    assert read_all(tmp_path / "a.tar") == [b"one", b"two"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_a_sentence(tmp_path, name):
    path = tmp_path / "a.tar"
    path.write_bytes(HOSTILE[name])
    if name in HARMLESS:
        assert sum(map(len, read_all(path))) <= len(HOSTILE[name])
        return
    with pytest.raises(DataError) as refused:
        read_all(path)
    said = str(refused.value)
    assert "x.png" in said or "a.tar" in said
    assert said.count("\n") == 0
    assert said.endswith(".")


UNSAFE = {
    "absolute link": member("a/x", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link outside": member("a/x", b"", type=tarfile.SYMTYPE, linkname="../../x"),
    "path outside": member("../escaped.txt"),
    "device": member("a/x", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "named pipe": member("a/x", b"", type=tarfile.FIFOTYPE),
    "time out of range": member("a/x", pax_headers={"mtime": "1e400"}),
    "time that is none": member("a/x", pax_headers={"mtime": "nan"}),
    "owner out of range": member("a/x", pax_headers={"uid": "9" * 40}),
    "negative size": HOSTILE["negative size"],
}


@pytest.mark.parametrize("name", UNSAFE)
def test_unpacking_stays_inside_the_folder_and_fails_in_a_sentence(tmp_path, name):
    path, folder = tmp_path / "b.tar", tmp_path / "out" / "in"
    path.write_bytes(UNSAFE[name])
    folder.mkdir(parents=True)
    try:
        unpack_tar(path, folder, url=URL)
        said = ""
    except DataError as error:
        said = str(error)
    assert not said or said.startswith(f"The archive from {URL} is damaged, or not an archive: ")
    assert "\n" not in said
    assert [one.name for one in tmp_path.iterdir() if one.name != "b.tar"] == ["out"]
    assert list(folder.parent.iterdir()) == [folder]
    assert all(one.is_dir() or one.is_file() for one in folder.rglob("*"))
    assert not any(one.is_symlink() for one in folder.rglob("*"))


def test_a_damaged_zip_archive_is_refused_in_a_sentence(tmp_path, monkeypatch):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("adult.data", "1, 2\n" * 50)
    path = tmp_path / "adult.zip"
    path.write_bytes(whole.getvalue())
    assert read_zip_member(path, "adult.data", url=URL).startswith(b"1, 2")
    monkeypatch.setattr(archives, "LARGEST", 100)
    with pytest.raises(DataError, match="larger than"):
        read_zip_member(path, "adult.data", url=URL)
    for content in (b"", whole.getvalue()[:-30], whole.getvalue().replace(b"1, 2", b"1, 3", 1)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is damaged, or not an archive|larger than"):
            read_zip_member(path, "adult.data", url=URL)
    with pytest.raises(DataError, match="is damaged"):
        read_zip_member(path, "other", url=URL)
