"""What takes most of the time of a toy run, left out where it is tested elsewhere."""

import json
import os
from pathlib import Path

import keras
import pytest
from PIL import Image

from kerasapps import reports
from kerasapps.workers import jobs

DRAWN = set()


@pytest.fixture(autouse=True, scope="module")
def _each_figure_once():
    """Draws each kind of figure once, in light colors; half of the time of a toy run would be its figures."""
    draw = reports._draw

    def draw_once(figure):
        kind = tuple(axes.get_title() + axes.get_xlabel() for axes in figure.axes)
        if kind not in DRAWN:
            DRAWN.add(kind)
            return draw(figure)
        width, height = figure.get_size_inches() * reports.DPI
        return Image.new("RGB", (int(width), int(height)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "_draw", draw_once)
        yield


class Here:
    """What `jobs.launch` returns, but the job runs as soon as its folder is known, in this process."""

    pid = None

    def __init__(self, function, *, threads=0, log=None):
        self.stdin = self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def write(self, line: bytes) -> None:
        policy, environment = keras.config.dtype_policy(), dict(os.environ)
        jobs.perform(Path(json.loads(line)))
        keras.config.set_dtype_policy(policy)
        os.environ.clear()
        os.environ.update(environment)

    def poll(self) -> int:
        return 0


@pytest.fixture
def _jobs_here(monkeypatch):
    """Saves the seconds in which each process imports TensorFlow; tests/workers tests the processes themselves."""
    monkeypatch.setattr(jobs, "launch", Here)
    monkeypatch.setattr(jobs, "kill", lambda process: None)
