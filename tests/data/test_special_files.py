"""Paths that are not regular files: every loader refuses them in a sentence and waits for none of them."""

import os
import signal
import socket

import pytest

from kerasapps.data.babi import read_story_files
from kerasapps.data.images import load_images
from kerasapps.data.pictures import read_photo, read_picture
from kerasapps.data.prices import load_prices, read_images
from kerasapps.data.profiles import load_profiles
from kerasapps.data.question_answering import load_stories, read_story
from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path


def an_image_of_a_table(path):
    *_, notes = read_images([path.name], folder=path.parent, size=8)
    raise AssertionError(notes)


# Loader, and the ending of what it reads.
LOADERS = {
    "image": (lambda path: read_picture(path, size=8, channels=3), ".png"),
    "photo": (read_photo, ".jpg"),
    "image archive": (lambda path: load_images(str(path), size=8), ".tar.gz"),
    "prices": (lambda path: load_prices(str(path), numbers=["age"]), ".csv"),
    "image of a table": (an_image_of_a_table, ".png"),
    "profiles": (lambda path: load_profiles(str(path), labels=["age"]), ".jsonl"),
    "parquet": (lambda path: load_profiles(str(path), labels=["age"]), ".parquet"),
    "stories": (lambda path: load_stories(str(path), form="text"), ".txt"),
    "training stories": (lambda path: read_story_files(path.parent), "_train.txt"),
    "story": (read_story, ".txt"),
}


def make_folder(path):
    path.mkdir()


def make_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # an address has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


KINDS = {
    "named pipe": os.mkfifo,
    "folder": make_folder,
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "No such file or directory": lambda path: path.symlink_to("nowhere"),
}


@pytest.fixture(autouse=True)
def _no_endless_wait():
    """Ends a test that waits for what never comes."""

    def end(*_):
        raise AssertionError("still waiting")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOADERS)
def test_no_loader_reads_what_is_not_a_regular_file(tmp_path, name, kind):
    load, ending = LOADERS[name]
    path = tmp_path / f"x{ending}"
    KINDS[kind](path)
    with pytest.raises(DataError) as refused:
        load(path)
    said = str(refused.value)
    assert "\n" not in said
    if kind == "folder" and name in ("image archive", "stories"):
        assert said.startswith(f"{path} holds no ")  # these take folders too
    elif kind != "No such file or directory":
        assert f"{path} is a {kind}, not a regular file." in said
    elif name in ("image archive", "prices", "profiles", "parquet", "stories"):
        assert said.startswith(f"{path} is neither ")
    else:
        assert f"{path} cannot be read: {kind}." in said


def test_a_path_that_cannot_be_one_is_refused(tmp_path):
    for path, reason in (("a\0b", "null byte"), (tmp_path / ("x" * 300), "File name too long")):
        with pytest.raises(DataError, match=reason):
            regular_file(path)


def test_the_home_of_somebody_unknown_is_an_ordinary_path():
    assert str(user_path("~nobody-of-that-name/x")) == "~nobody-of-that-name/x"
    with pytest.raises(DataError, match=r"^~nobody-of-that-name/x is neither garments nor a file"):
        load_prices("~nobody-of-that-name/x", numbers=["age"])
