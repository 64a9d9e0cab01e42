import importlib
import inspect
import io
import json

import pytest
from rich.console import Console

from experiments.__main__ import experiments
from experiments.shared import board as search_board
from experiments.shared.board import Board
from experiments.shared.searching import start_search
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.search.result import BASELINE, SearchResult, Trial
from kerasapps.settings import settings_of


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = {"time": 0.0}
    monkeypatch.setattr(search_board.time, "monotonic", lambda: now["time"])
    return now


def shown(board: Board) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(board.table())
    return text.getvalue()


def test_the_table_shows_what_runs_the_best_and_the_time_left(clock, capsys):
    board = Board(Trials(max_trials=10, workers=2))
    assert "0 of 11 trials, best so far none yet" in shown(board)
    assert "left" not in shown(board)
    board.begin(BASELINE, {"units": 8})
    board.begin("00", {"units": 16})
    clock["time"] = 100.0
    done = Trial(BASELINE, {"units": 8}, 0.5, 100.0, "")
    board.end(done, SearchResult([done], "val_accuracy", maximize=True))
    board.begin("01", {"units": 32})
    clock["time"] = 130.0
    text = shown(board)
    rows = [line.split() for line in text.splitlines() if "units" in line]
    assert rows == [["00", "0:02:10", "units=16"], ["01", "0:00:30", "units=32"]]
    # Ten trials of 100 s are left, 130 s of which have passed, of "00" no more than 100: two at a time.
    assert "1 of 11 trials, best so far 0.5000, about 0:07:15 left" in text
    board.failed("01", "Killed by signal 9.")
    assert "01" not in [line.split()[0] for line in shown(board).splitlines() if "units" in line]
    lost = Trial("00", {"units": 16}, None, 140.0, "Twice: Out of memory.")
    board.end(lost, SearchResult([done, lost], "val_accuracy", maximize=True))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == [BASELINE, "0.5000", "(100", "s)", "units=8", "best", "so", "far", "0.5000"]
    assert printed[1].strip() == "01  failed, to be tried once more: Killed by signal 9."
    assert "failed: Twice: Out of memory.  (140 s)  units=16  best so far 0.5000" in printed[2]


# What trains nothing has nothing to search, nor has one neuron; an ensemble has weights in its place, and remedies
# compare given networks.
WITHOUT_SEARCH = {"deep_dream", "ensemble", "export", "inspect", "perceptron", "remedies"}


@pytest.mark.parametrize("name", sorted(experiments().keys() - WITHOUT_SEARCH))
def test_every_search_takes_the_same_options(name):
    search = importlib.import_module(f"experiments.{name}.__main__").search
    assert isinstance(inspect.signature(search).parameters["trials"].default, Trials)


def test_a_search_resumes_with_other_workers_and_limits_but_no_other_tuner(tmp_path):
    def begin(trials, **options):
        settings = settings_of({"trials": trials, "options": Options(out=tmp_path / "run", **options)})
        return start_search("toy search", settings, experiment="toy", workload="matmul")

    run, trials = begin(Trials(max_trials=5), smoke=True)
    assert trials.max_trials == 2
    run.path("search.json").write_text("[]")
    run.close()
    assert json.loads((run.folder / "config.json").read_text())["settings"]["max_trials"] == 5
    other = Trials(max_trials=5, workers=3, trial_minutes=1, trial_memory_gb=2, cluster="auto")
    begin(other, smoke=True, resume=True)[0].close()
    with pytest.raises(UserError, match="--tuner random, not grid"):
        begin(Trials(max_trials=5, tuner="grid"), smoke=True, resume=True)
