"""Files of checkpoints that are damaged or hostile: one sentence, nothing executed, and the file before in reserve."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kerasapps.checkpoints import load_arrays, save_arrays
from kerasapps.errors import DataError, UserError
from tests.toy import train_toy

ARRAYS = {"w": np.arange(24, dtype=np.float32).reshape(4, 6), "b": np.array([1, 2], np.int64)}
STATE = {"rows": [{"loss": 0.5}], "step": 3}


def check(found, arrays=ARRAYS, state=STATE):
    loaded, told = found
    assert told == state
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def hostile(whole: bytes) -> dict[str, bytes]:
    plain = io.BytesIO()
    np.save(plain, ARRAYS["w"])
    renamed = io.BytesIO()
    with zipfile.ZipFile(renamed, "w") as archive:
        archive.writestr("../../escaped.npy", plain.getvalue())
        archive.writestr("state.txt", "{}")
    return {
        "empty": b"",
        "text": b"hello",
        "pickle": pickle.dumps(Bomb()),
        "pickled array": npz(state=np.array(json.dumps(STATE)), w=np.array([Bomb()], object)),
        "pickled state": npz(state=np.array(Bomb(), object), **ARRAYS),
        "one array": plain.getvalue(),
        "another archive": renamed.getvalue(),
        "no state": npz(**ARRAYS),
        "state that is no JSON": npz(state=np.array("{rows"), **ARRAYS),
        "state nested too deep": npz(state=np.array("[" * 100_000), **ARRAYS),
        "state that is an array": npz(state=ARRAYS["w"], **ARRAYS),
        "cut off": whole[:-1],
        "cut in half": whole[: len(whole) // 2],
        "huge shape": whole.replace(b"'shape': (4, 6)", b"'shape': (9" + b"0" * 3 + b")"),
    }


NAMES = list(hostile(b"x" * 9))


def test_what_is_saved_is_loaded(tmp_path):
    arrays = ARRAYS | {"scalar": np.float32(3), "turned": ARRAYS["w"].T, "empty": np.zeros((0, 3))}
    save_arrays(tmp_path / "last.npz", arrays, STATE)
    check(load_arrays(tmp_path / "last.npz"), arrays)
    assert os.listdir(tmp_path) == ["last.npz"]


def test_a_checkpoint_of_an_earlier_version_has_no_checksum(tmp_path):
    (tmp_path / "last.npz").write_bytes(npz(state=np.array(json.dumps(STATE)), **ARRAYS))
    check(load_arrays(tmp_path / "last.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_whole_checkpoint_is_refused_and_the_one_before_is_used(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    last, previous = Path("last.npz"), Path("previous.npz")
    save_arrays(last, ARRAYS | {"old": np.zeros(1)}, {"rows": []}, previous=previous)
    save_arrays(last, ARRAYS, STATE, previous=previous)
    last.write_bytes(hostile(last.read_bytes())[name])
    with pytest.raises(UserError, match=r"^last\.npz is damaged, or not a checkpoint: .*\.$") as refused:
        load_arrays(last)
    assert "\n" not in str(refused.value)
    check(load_arrays(last, previous=previous), ARRAYS | {"old": np.zeros(1)}, {"rows": []})
    said = capsys.readouterr().err
    assert said == f"{refused.value} Resuming from the checkpoint before it, previous.npz.\n"
    assert sorted(os.listdir()) == ["last.npz", "previous.npz"]


def test_a_flipped_bit_is_noticed_wherever_it_matters(tmp_path):
    path = tmp_path / "last.npz"
    save_arrays(path, ARRAYS, STATE)
    whole, noticed = path.read_bytes(), 0
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        try:
            check(load_arrays(path))
        except UserError:
            noticed += 1
    # What is left are times, permissions and the like in the headers of the archive.
    assert noticed > 0.8 * len(whole)


def test_something_else_of_that_name_is_refused(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    for name, reason in (("folder", "is a folder"), ("pipe", "is a named pipe"), ("nothing", "No such file")):
        with pytest.raises(DataError, match=reason):
            load_arrays(tmp_path / f"{name}.npz")


def test_a_damaged_checkpoint_never_replaces_the_one_before(tmp_path, monkeypatch):
    last, previous = tmp_path / "last.npz", tmp_path / "previous.npz"
    for step in (1, 2):
        save_arrays(last, ARRAYS, {"step": step}, previous=previous)
    last.write_bytes(b"damaged")
    replace = os.replace

    def kill(source, target):
        check(load_arrays(last, previous=previous), state={"step": 1})
        replace(source, target)
        check(load_arrays(last, previous=previous), state={"step": 3})
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        save_arrays(last, ARRAYS, {"step": 3}, previous=previous)
    monkeypatch.undo()
    for step in (4, 5):
        save_arrays(last, ARRAYS, {"step": step}, previous=previous)
    check(load_arrays(previous), state={"step": 4})
    assert sorted(os.listdir(tmp_path)) == ["last.npz", "previous.npz"]


def test_without_hard_links_the_last_checkpoint_is_written_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    for step in (1, 2):
        save_arrays(tmp_path / "last.npz", ARRAYS, {"step": step}, previous=tmp_path / "previous.npz")
    check(load_arrays(tmp_path / "last.npz"), state={"step": 2})
    assert os.listdir(tmp_path) == ["last.npz"]


# --- a training


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A training of three epochs that nothing disturbed."""
    folder = tmp_path_factory.mktemp("toy") / "whole"
    train_toy(folder, epochs=3)
    return folder


def spoil(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_run_whose_last_checkpoint_is_damaged_resumes_from_the_one_before(whole, tmp_path, capsys):
    folder = tmp_path / "run"
    train_toy(folder, epochs=2)
    spoil(folder / "checkpoints" / "last.npz")
    history, _ = train_toy(folder, epochs=3, resume=True)
    assert "last.npz is damaged" in capsys.readouterr().err
    assert len(history.rows) == 3
    assert (folder / "history.csv").read_text() == (whole / "history.csv").read_text()
    loaded, expected = (load_arrays(run / "checkpoints" / "last.npz")[0] for run in (folder, whole))
    for name, array in expected.items():
        np.testing.assert_array_equal(loaded[name], array)


@pytest.mark.parametrize("name", ["last.npz", "best.npz"])
def test_a_run_without_a_whole_checkpoint_ends_in_a_sentence(tmp_path, name):
    folder = tmp_path / "run"
    train_toy(folder, epochs=1)
    spoil(folder / "checkpoints" / name)
    with pytest.raises(UserError, match=rf"{name} is damaged, or not a checkpoint: "):
        train_toy(folder, epochs=2, resume=True)


@pytest.mark.parametrize("state", [None, [], {}, {"rows": [], "step": 0}, "rows"])
def test_a_file_of_other_content_is_not_a_checkpoint(tmp_path, state):
    folder = tmp_path / "run"
    train_toy(folder, epochs=1)
    path = folder / "checkpoints" / "last.npz"
    arrays, _ = load_arrays(path)
    save_arrays(path, arrays, state)
    with pytest.raises(UserError, match="is not the checkpoint of a training"):
        train_toy(folder, epochs=2, resume=True)
    save_arrays(path, {name: array.astype("U8") for name, array in arrays.items()}, state)
    with pytest.raises(UserError, match="is the checkpoint of another network"):
        train_toy(folder, epochs=2, resume=True)


def test_the_history_is_written_from_the_checkpoint(whole):
    text = (whole / "history.csv").read_text()
    (whole / "history.csv").write_text("epoch,loss\n1,0.5\n")
    train_toy(whole, epochs=3, resume=True)
    assert (whole / "history.csv").read_text() == text
