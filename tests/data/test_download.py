"""Where data sets are looked for, and what is reported when a download fails."""

import pwd
from pathlib import Path

import pytest
import requests

from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.errors import DataError


def test_the_data_folder_is_looked_into_first(monkeypatch, tmp_path):
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folders("mnist") == [tmp_path / "data" / "mnist", tmp_path / "cache" / "kerasapps" / "mnist"]
    monkeypatch.setenv("KERASAPPS_DATA", "~/sets")
    assert data_folders("mnist")[0] == Path.home() / "sets" / "mnist"


@pytest.mark.parametrize("value", ["", None])
def test_variables_may_be_empty_or_missing(monkeypatch, value):
    for name in ("KERASAPPS_DATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    assert data_folders("mnist") == [cache_folder("mnist")] == [Path.home() / ".cache" / "kerasapps" / "mnist"]


def test_a_user_without_a_home_needs_none_for_data_that_are_there(monkeypatch, tmp_path):
    def unknown(_):
        raise KeyError("no such user")

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path))
    assert data_folders("mnist") == [tmp_path / "mnist"]
    with pytest.raises(DataError, match="this user has no home: set XDG_CACHE_HOME or KERASAPPS_DATA"):
        cache_folder("mnist")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (requests.ConnectionError("no route"), "X is not on this machine and http://a/b cannot be reached"),
        (requests.HTTPError("404"), r"cannot be reached \(HTTPError\): do this\.$"),
        (OSError(28, "No space left on device"), "X cannot be stored in cache: No space left on device"),
    ],
)
def test_what_goes_wrong_is_one_sentence(error, sentence):
    with (
        pytest.raises(DataError, match=sentence) as raised,
        downloading("X", "http://a/b", cache=Path("cache"), advice="do this"),
    ):
        raise error
    assert "\n" not in str(raised.value)


def test_our_own_sentences_and_defects_pass():
    for error in (DataError("mine"), KeyError("defect")):
        with (
            pytest.raises(type(error)) as raised,
            downloading("X", "http://a/b", cache=Path("cache"), advice="do this"),
        ):
            raise error
        assert raised.value is error


def test_an_unreachable_address_leaves_nothing_behind(tmp_path):
    with (
        pytest.raises(DataError, match="cannot be reached"),
        downloading("X", "http://a/b", cache=tmp_path, advice="do this"),
    ):
        fetch("http://127.0.0.1:9/file.gz", tmp_path, checksum=None)
    assert list(tmp_path.iterdir()) == []
