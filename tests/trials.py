"""Trials for the tests of the search: no network, but everything that can happen to one."""

import os
import signal
import time
from pathlib import Path


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


def slow_trial(*, params: dict, folder: str, epochs: int) -> dict:
    """Says who it is, and lives long."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "pid").write_text(str(os.getpid()))
    time.sleep(60)
    return {"score": 0.0}
