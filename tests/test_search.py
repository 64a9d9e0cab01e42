import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kerasapps.search
from kerasapps.errors import UserError
from kerasapps.jobs import Job, Outcome, first_outcome
from kerasapps.runs import Options, start
from kerasapps.search import search
from kerasapps.search_report import BASELINE, SearchResult, Trial, importance, search_blocks
from tests import trials

ROOT = Path(__file__).parent.parent
TUNERS = ["random", "bayesian", "hyperband", "grid"]


class InProcess:
    """Stands in for a job: the same outcome without a process, which would take seconds to import TensorFlow."""

    def __init__(self, function, arguments, folder, *, threads):
        try:
            self.result = Outcome(function(**arguments), "", 0.0)
        except Exception as error:
            self.result = Outcome(None, str(error), 0.0)

    def outcome(self):
        return self.result

    def kill(self):
        pass


def die(*_):
    raise RuntimeError("killed")


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(kerasapps.search, "Job", InProcess)
    monkeypatch.setattr(trials.os, "kill", die)


def run_search(folder, *, tuner="random", trial=trials.good_trial, max_trials=8, resume=False, **arguments):
    run = start("toy search", {"options": Options(out=folder, resume=resume, seed=1)}, network="matmul")
    try:
        return search(
            run,
            trial,
            trials.space,
            arguments={},
            tuner=tuner,
            max_trials=max_trials,
            epochs=4,
            objective="val_accuracy",
            direction="max",
            **arguments,
        )
    finally:
        run.close()


def without_time(result: SearchResult) -> list:
    return [(trial.name, trial.params, trial.score) for trial in result.trials]


@pytest.mark.parametrize("tuner", TUNERS)
def test_every_tuner_ends_and_beats_the_default(tuner, tmp_path, in_process):
    result = run_search(tmp_path / "run", tuner=tuner, max_trials=15 if tuner == "grid" else 8)
    assert result.trials[0].name == BASELINE
    assert result.trials[0].params == {"x": 0, "word": "a"}
    assert len(result.trials) == 1 + (15 if tuner == "grid" else 8)
    assert result.best.score > result.baseline.score
    assert result.best.score == max(trials.score_of(trial.params) for trial in result.trials)
    rows = list(csv.DictReader((tmp_path / "run" / "trials.csv").open()))
    assert [row["trial"] for row in rows] == [trial.name for trial in result.trials]


@pytest.mark.parametrize("tuner", TUNERS)
def test_a_search_that_is_cut_off_resumes_as_if_it_had_not_been(tuner, tmp_path, in_process):
    class CutError(Exception):
        pass

    def cut(trial, result):
        if len(result.trials) == 4:
            raise CutError

    whole = run_search(tmp_path / "whole", tuner=tuner)
    with pytest.raises(CutError):
        run_search(tmp_path / "cut", tuner=tuner, report=cut)
    resumed = run_search(tmp_path / "cut", tuner=tuner, resume=True)
    assert without_time(resumed) == without_time(whole)


def test_a_trial_that_was_running_runs_again(tmp_path, in_process):
    whole = run_search(tmp_path / "run")
    calls = json.loads((tmp_path / "run" / "search.json").read_text())
    last = max(i for i, call in enumerate(calls) if "proposed" in call)
    (tmp_path / "run" / "search.json").write_text(json.dumps(calls[: last + 1]))
    assert without_time(run_search(tmp_path / "run", resume=True)) == without_time(whole)


def test_a_finished_search_tries_nothing_more(tmp_path, in_process):
    whole = run_search(tmp_path / "run")
    assert without_time(run_search(tmp_path / "run", resume=True, trial=trials.slow_trial)) == without_time(whole)


def test_a_search_of_another_version_is_refused(tmp_path, in_process):
    run_search(tmp_path / "run")
    path = tmp_path / "run" / "search.json"
    path.write_text(path.read_text().replace('"word": "b"', '"word": "z"'))
    with pytest.raises(UserError, match="another version of this search"):
        run_search(tmp_path / "run", resume=True)


def test_hyperband_goes_on_from_the_lower_rung(tmp_path, in_process):
    run_search(tmp_path / "run", tuner="hyperband", max_trials=12)
    trained = {path.parent.name: path.read_text().split() for path in (tmp_path / "run" / "trials").rglob("epochs.txt")}
    promoted = [epochs for epochs in trained.values() if len(epochs) > 1]
    assert promoted
    assert all(int(lower) < int(upper) for lower, upper in promoted)


def test_failed_trials_are_shown_and_stop_nothing(tmp_path, in_process):
    result = run_search(tmp_path / "run", tuner="grid", trial=trials.bad_trial, max_trials=15)
    assert len(result.trials) == 16
    messages = {trial.params["x"]: trial.message for trial in result.trials if trial.score is None}
    assert messages[1] == "one is not a good number"
    assert messages[2] == "The score is not a number."
    assert sorted(messages) == [1, 2, 3, 4]
    assert result.best.params["x"] == 0
    assert (tmp_path / "run" / "trials.csv").read_text().count("failed") == 12


def test_without_the_trial_of_the_defaults_a_search_says_to_go_on():
    result = SearchResult([Trial("trial1", {}, 0.5, 1.0, "")], "val_accuracy", "max")
    with pytest.raises(UserError, match=r"not finished: go on with --resume\."):
        _ = result.baseline


def test_nothing_but_failures_says_why(tmp_path):
    result = SearchResult([Trial(BASELINE, {}, None, 1.0, "No memory.")], "val_accuracy", "max")
    with pytest.raises(UserError, match=r"Every trial failed. The first one: No memory\."):
        _ = result.best


def test_importance_finds_what_matters(tmp_path, in_process):
    shares = importance(run_search(tmp_path / "run", tuner="grid", max_trials=15))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["x"] > 0.6


def test_the_report_shows_all_of_it(tmp_path, in_process):
    result = run_search(tmp_path / "run", tuner="grid", trial=trials.bad_trial, max_trials=15)
    table, *figures = search_blocks(result)
    assert [figure.name for figure in figures] == ["history", "importance", "parallel"]
    assert len(table.rows) == len(result.trials)
    scores = [row[1] for row in table.rows if row[1] is not None]
    assert scores == sorted(scores, reverse=True)
    assert all(figure.png() for figure in figures)


def test_jobs_fail_alone(tmp_path):
    jobs = {
        str(x): Job(trials.bad_trial, {"params": {"x": x, "word": "a"}, "folder": "", "epochs": 1}, tmp_path / str(x))
        for x in (0, 1, 3, 4)
    }
    outcomes = dict(first_outcome(jobs) for _ in range(4))
    assert outcomes["0"].value == {"score": pytest.approx(0.65)}
    assert "one is not a good number" in outcomes["1"].message
    assert outcomes["3"].message.startswith("Out of memory.")
    assert "Killed by signal 9" in outcomes["4"].message
    assert not any(outcomes[x].completed for x in "134")


def test_jobs_end_with_their_parent(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from kerasapps.jobs import Job, first_outcome; from tests import trials\n"
        "folder = Path(sys.argv[1])\n"
        "job = Job(trials.slow_trial, {'params': {}, 'folder': str(folder), 'epochs': 1}, folder / 'job')\n"
        "first_outcome({'job': job})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child = int((tmp_path / "pid").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_search_that_is_killed_resumes_with_real_processes(tmp_path):
    command = [sys.executable, "-m", "tests.search_process", str(tmp_path / "run")]
    search_process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    before = [search_process.stdout.readline().split() for _ in range(2)]
    search_process.send_signal(signal.SIGKILL)
    search_process.wait()
    search_process.stdout.close()
    written = json.loads((tmp_path / "run" / "search.json").read_text())
    assert len(written) >= 2
    done = subprocess.run([*command, "RESUME"], cwd=ROOT, capture_output=True, text=True, check=True)
    after = [line.split() for line in done.stdout.splitlines()]
    names = [name for name, _ in before + after]
    assert sorted(names) == ["0", "1", "2", "3", "4", BASELINE]
    rows = list(csv.DictReader((tmp_path / "run" / "trials.csv").open()))
    assert [row["trial"] for row in rows] == names
