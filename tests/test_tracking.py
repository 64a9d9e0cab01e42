"""Runs that are logged with MLflow, against a local file store; it is no dependency, so most of it runs where it is."""

import json
import sys

import pytest

from kerasapps import tracking
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.training import fit
from tests.toy import toy_model, toy_splits


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    library = pytest.importorskip("mlflow")
    pytest.importorskip("mlflow.keras")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    library.set_tracking_uri(f"file:{tmp_path / 'mlruns'}")
    yield library
    library.set_tracking_uri(None)


def begin(folder, *, track="mlflow", resume=False, **settings):
    options = Options(out=folder, track=track, resume=resume)
    return start("Toy", {"options": options, **settings}, experiment="toy", workload="matmul")


def train(run, *, epochs):
    return fit(toy_model(), toy_splits(), run, epochs=epochs, batch_size=40)


def number_of(folder):
    return json.loads((folder / tracking.FILE).read_text())["mlflow"]


def test_a_run_is_logged_and_a_resumed_one_continues_it(tmp_path, mlflow):
    folder = tmp_path / "run"
    run = begin(folder, epochs=2)
    train(run, epochs=2)
    run.finish({"accuracy": 0.5})
    logged = mlflow.get_run(number_of(folder))
    assert mlflow.get_experiment(logged.info.experiment_id).name == "kerasapps-toy"
    assert logged.info.status == "FINISHED"
    assert logged.data.params["epochs"] == "2"
    assert logged.data.metrics["final_accuracy"] == 0.5
    run = begin(folder, resume=True, epochs=3)
    train(run, epochs=3)
    run.finish({"accuracy": 0.75})
    assert mlflow.get_run(number_of(folder)).data.metrics["final_accuracy"] == 0.75
    losses = mlflow.MlflowClient().get_metric_history(number_of(folder), "val_loss")
    assert sorted(one.step for one in losses) == [0, 1, 2]
    assert mlflow.search_runs(search_all_experiments=True, output_format="list", filter_string="").__len__() == 1


def test_what_is_inside_a_run_is_nested_below_it(tmp_path, mlflow):
    run = begin(tmp_path / "search")
    trial = begin(run.folder / "trials" / "00")
    train(trial, epochs=1)
    trial.finish({"val_accuracy": 0.5})
    run.finish({})
    tags = mlflow.get_run(number_of(trial.folder)).data.tags
    assert tags["mlflow.parentRunId"] == number_of(run.folder)
    assert "mlflow.parentRunId" not in mlflow.get_run(number_of(run.folder)).data.tags


def test_a_run_that_was_not_tracked_can_be_from_its_resumption_on(tmp_path, mlflow):
    run = begin(tmp_path / "run", track="none")
    train(run, epochs=1)
    run.close()
    assert not (run.folder / tracking.FILE).exists()
    run = begin(tmp_path / "run", resume=True)
    train(run, epochs=2)
    run.finish({})
    assert mlflow.get_run(number_of(run.folder)).info.status == "FINISHED"


def test_a_server_that_cannot_be_used_is_a_sentence_at_the_start_and_loses_no_run_at_the_end(tmp_path, mlflow):
    mlflow.set_tracking_uri("file:/proc/none")
    with pytest.raises(UserError, match=r"^--track mlflow: "):
        begin(tmp_path / "run")
    run = begin(tmp_path / "other", track="none")
    with pytest.warns(UserWarning, match="is whole, but mlflow has not got its metrics"):
        tracking.finish("mlflow", run.folder, run.config, {"accuracy": 0.5})


@pytest.mark.parametrize(("track", "module"), [("mlflow", "mlflow.keras"), ("wandb", "wandb.integration.keras")])
def test_a_missing_library_is_a_sentence_before_anything_is_written(track, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"^--track {track} needs a library: pip install {track}\."):
        begin(tmp_path / "run", track=track)
    assert not (tmp_path / "run").exists()


def test_without_it_no_library_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "check", lambda tracker: pytest.fail("imported"))
    with tracking.tracked("none", tmp_path, {}) as callbacks:
        assert callbacks == []
    tracking.finish("none", tmp_path, {}, {})
