import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from kerasapps import runtime, tracking
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.search import loop
from kerasapps.search.hparams import write_hparams
from kerasapps.search.importance import fewest, importance
from kerasapps.search.loop import Watcher, search
from kerasapps.search.options import Trials, _slots, place_of
from kerasapps.search.report import search_blocks
from kerasapps.search.result import BASELINE, SearchResult, Trial, trials_csv
from kerasapps.session import start
from kerasapps.workers.jobs import Outcome
from tests import trials

TUNERS = ["random", "bayesian", "hyperband", "grid"]


class InProcess:
    """Stands in for a place to run jobs: the same outcomes without a process, which takes seconds to start."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.limits = []

    def start(self, function, arguments, folder, *, limits, more):
        self.limits.append(limits)
        try:
            outcome = Outcome(getattr(trials, function.split(":")[1])(**arguments), "", self.seconds)
        except Exception as error:
            outcome = Outcome(None, str(error), self.seconds)
        return SimpleNamespace(outcome=lambda: outcome, kill=lambda: None)

    def close(self):
        pass


def die(*_):
    raise RuntimeError("killed")


@pytest.fixture
def in_process(monkeypatch):
    place = InProcess(seconds=40.0)
    monkeypatch.setattr(loop, "place_of", lambda trials, several_gpus: place)
    monkeypatch.setattr(trials.os, "kill", die)
    return place


def run_search(folder, *, trial=trials.good_trial, resume=False, watcher=Watcher(), **options):
    run = start("toy search", {"options": Options(out=folder, resume=resume, seed=1)}, workload="matmul")
    try:
        return search(
            run,
            trial,
            trials.space,
            arguments={},
            trials=Trials(**{"max_trials": 8} | options),
            epochs=4,
            objective="val_accuracy",
            maximize=True,
            watcher=watcher,
        )
    finally:
        run.close()


class CutError(Exception):
    pass


class Cut(Watcher):
    """Ends a search after so many trials, or in the first try that fails."""

    def __init__(self, *, after=None):
        self.after = after

    def end(self, trial, result):
        if len(result.trials) == self.after:
            raise CutError

    def failed(self, name, message):
        if self.after is None:
            raise CutError


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
    whole = run_search(tmp_path / "whole", tuner=tuner)
    with pytest.raises(CutError):
        run_search(tmp_path / "cut", tuner=tuner, watcher=Cut(after=4))
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


def test_a_higher_rung_is_tracked_as_a_run_of_its_own(tmp_path):
    (tmp_path / "0").mkdir()
    for name in ("epochs.txt", tracking.FILE):
        (tmp_path / "0" / name).touch()
    loop._copy_lower_rung("0", tmp_path / "1")
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["epochs.txt"]


def test_failed_trials_are_shown_and_stop_nothing(tmp_path, in_process):
    result = run_search(tmp_path / "run", tuner="grid", trial=trials.bad_trial, max_trials=15)
    assert len(result.trials) == 16
    messages = {trial.params["x"]: trial.message for trial in result.trials if trial.score is None}
    assert messages[1] == "Twice: one is not a good number"
    assert messages[2] == "Twice: The score is not a number."
    assert sorted(messages) == [1, 2, 3, 4]
    assert result.best.params["x"] == 0
    assert (tmp_path / "run" / "trials.csv").read_text().count("failed") == 12


@pytest.mark.parametrize("tuner", TUNERS)
def test_a_trial_that_failed_once_goes_on_and_counts(tuner, tmp_path, in_process):
    whole = run_search(tmp_path / "whole", tuner=tuner, trial=trials.once_bad_trial)
    assert all(trial.score == trials.score_of(trial.params) for trial in whole.trials)
    odd = [trial for trial in whole.trials if trial.params["x"] % 2 and trial.message]
    assert odd
    assert {trial.message for trial in odd} == {"First try: odd"}
    assert {trial.seconds for trial in odd} == {80.0}
    assert (tmp_path / "whole" / "trials" / odd[0].name / "epochs.txt").read_text().split()[-2:] != []
    # Cut off between two tries, the search knows that the first one is used up.
    with pytest.raises(CutError):
        run_search(tmp_path / "cut", tuner=tuner, trial=trials.once_bad_trial, watcher=Cut())
    resumed = run_search(tmp_path / "cut", tuner=tuner, trial=trials.once_bad_trial, resume=True)
    assert resumed.trials == whole.trials


def test_a_search_cut_off_between_two_tries_makes_no_third(tmp_path, in_process):
    with pytest.raises(CutError):
        run_search(tmp_path / "run", tuner="grid", trial=trials.bad_trial, max_trials=15, watcher=Cut())
    before = len(in_process.limits)
    resumed = run_search(tmp_path / "run", tuner="grid", trial=trials.bad_trial, max_trials=15, resume=True)
    failed = sum(trial.score is None for trial in resumed.trials)
    assert failed == 12
    assert len(in_process.limits) == 16 + failed
    assert before > 0


def test_a_second_try_has_the_time_that_the_first_one_left(tmp_path, in_process):
    run_search(tmp_path / "run", trial=trials.once_bad_trial, trial_minutes=1, trial_memory_gb=3)
    assert {limits.seconds for limits in in_process.limits} == {60.0, 20.0}
    assert {limits.memory for limits in in_process.limits} == {3e9}


def test_a_trial_without_time_left_is_not_tried_again(tmp_path, in_process):
    result = run_search(tmp_path / "run", trial=trials.once_bad_trial, trial_minutes=0.5)
    assert {trial.message for trial in result.trials if trial.params["x"] % 2} == {"odd"}
    assert len(in_process.limits) == len(result.trials)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "--workers must be at least 1"),
        ({"trial_minutes": 0}, "--trial-minutes must be above 0"),
        ({"trial_memory_gb": -1.0}, "--trial-memory-gb must be above 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options, said, tmp_path, in_process):
    with pytest.raises(UserError, match=said):
        run_search(tmp_path / "run", **options)


@pytest.mark.parametrize("name", ["KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"])
def test_the_chief_of_keras_tuner_is_refused(name, tmp_path, in_process, monkeypatch):
    monkeypatch.setenv(name, "chief")
    with pytest.raises(UserError, match=rf"{name} is set.* --workers N .*--cluster ADDRESS"):
        run_search(tmp_path / "run")


def test_each_trial_has_its_gpus():
    assert _slots([], 2, 1) == [{}, {}]
    assert _slots(["0", "1", "2"], 2, 1) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    assert _slots(["4", "5", "6", "7"], 2, 2) == [{"CUDA_VISIBLE_DEVICES": "4,5"}, {"CUDA_VISIBLE_DEVICES": "6,7"}]
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in _slots(["0", "1"], 3, 1)] == ["0", "1", "0"]


@pytest.mark.parametrize(("several", "seen"), [(False, ["2", "3"]), (True, ["2,3", "5,7"])])
def test_a_trial_with_a_strategy_has_several_gpus(several, seen, monkeypatch):
    monkeypatch.setattr(runtime, "gpu_ids", lambda: ["2", "3", "5", "7"])
    place = place_of(Trials(workers=2), several_gpus=several)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in place.slots] == seen


def test_without_the_trial_of_the_defaults_a_search_says_to_go_on():
    result = SearchResult([Trial("trial1", {}, 0.5, 1.0, "")], "val_accuracy", maximize=True)
    with pytest.raises(UserError, match=r"not finished: continue with --resume\."):
        _ = result.baseline


def test_nothing_but_failures_says_why(tmp_path):
    result = SearchResult([Trial(BASELINE, {}, None, 1.0, "No memory.")], "val_accuracy", maximize=True)
    with pytest.raises(UserError, match=r"Every trial failed. The first one: No memory\."):
        _ = result.best


def result_of(score, *, trials=20, seed=0) -> SearchResult:
    """A search over three numbers; `score` is of them and of noise."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(trials):
        params = {"a": float(rng.uniform()), "inner": {"b": int(rng.integers(5)), "c": str(rng.choice(["x", "y"]))}}
        found.append(Trial(BASELINE if i == 0 else f"{i:02}", params, score(params, rng.normal()), 1.0, ""))
    return SearchResult(found, "val_accuracy", maximize=True)


def test_importance_finds_what_matters():
    found = importance(result_of(lambda params, noise: params["a"] + 0.05 * params["inner"]["b"] + 0.01 * noise))
    assert next(iter(found.losses)) == "a"
    assert sorted(found.losses) == ["a", "inner.b", "inner.c"]
    low, middle, high = found.losses["a"]
    assert 0.2 < low < middle < high
    assert found.losses["inner.c"][0] <= 0.02  # its interval reaches 0: it may not matter
    assert found.losses["inner.c"][1] < 0.1
    assert 0.5 < found.explained < 1


def test_importance_is_not_claimed_where_there_is_none(tmp_path):
    few = result_of(lambda params, noise: params["a"], trials=12)
    assert importance(few) is None
    assert fewest(few) == 13
    noise = result_of(lambda params, noise: noise)
    assert importance(noise).explained < 0
    for result, said in ((few, "12 trials cannot tell; it takes at least 13"), (noise, "20 trials do not tell")):
        note = search_blocks(result, folder=tmp_path)[2]
        assert said in note.html()
    same = result_of(lambda params, noise: 0.5)
    assert "cannot tell" in search_blocks(same, folder=tmp_path)[2].html()


def test_the_report_shows_all_of_it(tmp_path, in_process):
    result = run_search(tmp_path / "run", tuner="grid", trial=trials.bad_trial, max_trials=15)
    (tmp_path / "run" / "trials" / BASELINE).mkdir(parents=True)
    (tmp_path / "run" / "trials" / BASELINE / "report.html").touch()
    table, history, note, parallel = search_blocks(result, folder=tmp_path / "run")
    assert [history.name, parallel.name] == ["history", "parallel"]
    assert "4 trials cannot tell" in note.html()
    assert len(table.rows) == len(result.trials)
    scores = [row[1] for row in table.rows if row[1] is not None]
    assert scores == sorted(scores, reverse=True)
    assert history.png
    assert parallel.png
    labels = [label.get_text() for label in history.figure.axes[0].get_xticklabels()]
    assert labels == [trial.name for trial in result.trials]
    # A trial is a link to its report, where there is one.
    html = table.html()
    assert f'<a href="trials/{BASELINE}/report.html">{BASELINE}</a>' in html
    assert html.count("<a ") == 1


def test_arguments_of_nested_networks_are_shown_one_by_one(tmp_path):
    result = result_of(lambda params, noise: params["a"], trials=30)
    table, _, figure, _ = search_blocks(result, folder=tmp_path)
    assert table.columns[3:6] == ["a", "inner.b", "inner.c"]
    assert figure.name == "importance"
    assert figure.png
    assert trials_csv(result).splitlines()[0] == "trial,val_accuracy,seconds,a,inner.b,inner.c,message"


def test_trials_are_in_the_hparams_tab_of_tensorboard(tmp_path):
    params = {"units": 8, "inner": {"rate": 0.5, "widths": [1, 2], "flag": True}}
    write_hparams(tmp_path, Trial("00", params, 0.75, 1.0, ""), "val_accuracy")
    write_hparams(tmp_path, Trial("01", params, None, 1.0, "Out of memory."), "val_accuracy")
    logged = {}
    for path in tmp_path.glob("*/events*"):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                logged.setdefault(path.parent.name, {})[value.tag] = value
    hparams = HParamsPluginData.FromString(logged["00"][SESSION_START_INFO_TAG].metadata.plugin_data.content)
    values = hparams.session_start_info.hparams
    assert {name: getattr(one, one.WhichOneof("kind")) for name, one in values.items()} == {
        "units": 8,
        "inner.rate": 0.5,
        "inner.widths": "[1, 2]",
        "inner.flag": True,
    }
    assert make_ndarray(logged["00"]["val_accuracy"].tensor) == pytest.approx(0.75)
    assert set(logged["01"]) == {SESSION_START_INFO_TAG}


def test_a_search_logs_every_trial_for_tensorboard(tmp_path, in_process):
    result = run_search(tmp_path / "run", max_trials=2)
    logs = {path.parent.name for path in (tmp_path / "run" / "tensorboard").glob("*/events*")}
    assert logs == {trial.name for trial in result.trials}
