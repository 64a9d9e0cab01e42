"""Trials for the tests of the search: no network, but everything that can happen to one."""

import os
import signal
import tempfile
import time
from pathlib import Path

HOG_BYTES = 2_500_000_000


def space(hp) -> dict:
    """Five numbers, three words."""
    return {"x": hp.Int("x", 0, 4, default=0), "word": hp.Choice("word", ["a", "b", "c"], default="a")}


def score_of(params: dict) -> float:
    """Best at x = 3 and word b."""
    return 1.0 - 0.1 * abs(params["x"] - 3) - 0.05 * (params["word"] != "b")


def good_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Works, and leaves behind how long it trained, on top of what a lower rung left."""
    path = Path(folder) / "epochs.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}{epochs} ")
    return {"score": score_of(params)}


def bad_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Fails in another way for each x."""
    if params["x"] == 1:
        raise ValueError("one is not a good number")
    if params["x"] == 2:
        return {"score": float("nan")}
    if params["x"] == 3:
        raise MemoryError
    if params["x"] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"score": score_of(params)}


def once_bad_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Fails at odd x, the first time, after half of its epochs."""
    path = Path(folder) / "epochs.txt"
    again = path.exists()
    good_trial(params=params, folder=folder, epochs=epochs // 2 if again else epochs)
    if params["x"] % 2 and not again:
        raise ValueError("odd")
    return {"score": score_of(params)}


def rough_space(hp) -> dict:
    """Numbers that the grid goes through from below."""
    return {"x": hp.Int("x", 0, 20, default=0)}


def rough_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Is killed at x = 1 the first time, takes all memory at x = 2, is no number at x = 3; else the score is x."""
    path = Path(folder) / "tries.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}{os.getpid()} ")
    if params["x"] == 1 and not before:
        os.kill(os.getpid(), signal.SIGKILL)
    if params["x"] == 2:
        held = b"x" * HOG_BYTES
        time.sleep(600)
        del held
    return {"score": float("nan" if params["x"] == 3 else params["x"])}


def waiting_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Says who it is, waits for the file `go` beside the folders of the trials; the score is x."""
    path = Path(folder) / "tries.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{os.getpid()} ")
    while not (path.parent.parent / "go").exists():
        time.sleep(0.1)
    return {"score": params["x"]}


def who_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Says in which process it runs, and what it sees of the GPUs."""
    return {"pid": os.getpid(), "gpus": os.environ["CUDA_VISIBLE_DEVICES"]}


def slow_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Says who it is, and lives long."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "pid").write_text(str(os.getpid()))
    time.sleep(600)
    return {"score": 0.0}


def temp_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Leaves a temporary file, as TensorFlow does in a process that exits at once."""
    return {"file": tempfile.mkstemp()[1]}
