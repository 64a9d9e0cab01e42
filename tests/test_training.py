import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasapps.checkpoints import load_arrays, save_arrays
from kerasapps.errors import TrainingError, UserError
from kerasapps.runs import load_model
from tests.toy import DieIn, toy_splits, train_toy

ROOT = Path(__file__).parent.parent


def variables(folder: Path) -> list[np.ndarray]:
    arrays, _ = load_arrays(folder / "checkpoints" / "last.npz")
    return [arrays[name] for name in sorted(arrays)]


def run_toy(*arguments) -> int:
    command = [sys.executable, "-m", "tests.toy", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode


def test_a_killed_run_resumes_exactly(tmp_path):
    assert run_toy(tmp_path / "whole", 5, -1) == 0
    assert run_toy(tmp_path / "killed", 5, 2) == -9
    assert not (tmp_path / "killed" / "metrics.json").exists()
    assert len((tmp_path / "killed" / "history.csv").read_text().splitlines()) == 1 + 2
    assert run_toy(tmp_path / "killed", 5, 3, "RESUME") == -9
    assert run_toy(tmp_path / "killed", 5, -1, "RESUME") == 0
    whole, killed = (np.genfromtxt(tmp_path / name / "history.csv", delimiter=",")[1:] for name in ("whole", "killed"))
    assert whole.shape == (5, 5)
    np.testing.assert_allclose(killed, whole, atol=1e-6)
    for a, b in zip(variables(tmp_path / "killed"), variables(tmp_path / "whole"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    weights = [load_model(tmp_path / name).get_weights() for name in ("killed", "whole")]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_a_run_killed_before_or_after_any_file_resumes_exactly(tmp_path):
    command = [sys.executable, "-m", "tests.kill_process", str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert len(killed) > 20
    whole, weights = tmp_path / "whole", load_model(tmp_path / "whole").get_weights()
    for name in killed:
        run = tmp_path / name
        assert (run / "history.csv").read_text() == (whole / "history.csv").read_text(), name
        assert {path.name for path in whole.glob("[!.]*")} == {path.name for path in run.glob("[!.]*")}, name
        for a, b in zip(variables(run), variables(whole), strict=True):
            np.testing.assert_array_equal(a, b, name)
        for a, b in zip(load_model(run).get_weights(), weights, strict=True):
            np.testing.assert_array_equal(a, b, name)


def test_sigterm_saves_within_an_epoch_and_the_run_resumes_exactly(tmp_path):
    assert run_toy(tmp_path / "whole", 3, -1) == 0
    assert run_toy(tmp_path / "stopped", 3, 1, "TERM") == 143
    _, state = load_arrays(tmp_path / "stopped" / "checkpoints" / "last.npz")
    assert (len(state["rows"]), state["step"]) == (1, 3)
    assert run_toy(tmp_path / "stopped", 3, -1, "RESUME") == 0
    for a, b in zip(variables(tmp_path / "stopped"), variables(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(a, b)
    whole, stopped = ((tmp_path / name / "history.csv").read_text() for name in ("whole", "stopped"))
    assert stopped == whole


def test_a_finished_run_goes_on_with_more_epochs(tmp_path):
    whole, _ = train_toy(tmp_path / "whole", epochs=4)
    train_toy(tmp_path / "longer", epochs=2)
    longer, _ = train_toy(tmp_path / "longer", epochs=4, resume=True)
    for a, b in zip(longer.rows, whole.rows, strict=True):
        assert a == pytest.approx(b, abs=1e-6)


def test_the_best_weights_are_kept(tmp_path):
    history, run = train_toy(tmp_path / "run", epochs=6)
    best = min(row["val_loss"] for row in history.rows)
    assert history.rows[history.best_epoch - 1]["val_loss"] == best
    model = load_model(run.folder)
    model.compile(loss={"label": "sparse_categorical_crossentropy"})
    assert model.evaluate(toy_splits().validation.batches(16), verbose=0) == pytest.approx(best, abs=1e-5)


def test_accuracy_is_best_where_it_is_highest(tmp_path):
    history, _ = train_toy(tmp_path / "run", epochs=6, monitor="val_accuracy", maximize=True)
    assert history.rows[history.best_epoch - 1]["val_accuracy"] == max(row["val_accuracy"] for row in history.rows)


def test_it_stops_when_patience_runs_out_and_stays_stopped(tmp_path):
    # A learning rate of nothing: no epoch is better than the first.
    history, _ = train_toy(tmp_path / "run", epochs=9, patience=2, learning_rate=0.0)
    assert (len(history.rows), history.best_epoch) == (3, 1)
    again, _ = train_toy(tmp_path / "run", epochs=9, patience=2, learning_rate=0.0, resume=True)
    assert len(again.rows) == 3


def test_a_loss_that_is_no_number_ends_in_a_sentence_and_keeps_the_best(tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.get_layer("label").kernel.assign(np.full((8, 2), np.nan))

    with pytest.raises(TrainingError, match=r"The loss became nan in epoch 2; .*Try a lower --learning-rate"):
        train_toy(tmp_path / "run", epochs=4, callbacks=[Poison()])
    with np.load(tmp_path / "run" / "checkpoints" / "best.npz") as best:
        assert all(np.isfinite(best[name]).all() for name in best.files if name != "state")
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_ctrl_c_keeps_what_there_is(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    history, run = train_toy(tmp_path / "run", epochs=9, callbacks=[DieIn(2, interrupt)])
    assert history.interrupted
    assert len(history.rows) == 2
    assert json.loads((run.folder / "metrics.json").read_text())["accuracy"] == 1.0
    resumed, _ = train_toy(tmp_path / "run", epochs=4, resume=True)
    whole, _ = train_toy(tmp_path / "whole", epochs=4)
    assert resumed.rows[-1] == pytest.approx(whole.rows[-1], abs=1e-6)


def test_two_replicas_see_every_batch(tmp_path):
    history, _ = train_toy(tmp_path / "run", epochs=2, strategy="mirrored")
    assert all(np.isfinite(list(row.values())).all() for row in history.rows)


@pytest.mark.parametrize("rows", [9, 17])
def test_a_validation_set_that_cannot_be_shared_equally(tmp_path, rows):
    rates = {"epochs": 1, "points": 100 + rows, "learning_rate": 1e-9}  # or the noise of two replicas would matter
    alone, shared = (train_toy(tmp_path / one, strategy=one, **rates)[0].rows[0] for one in ("none", "mirrored"))
    for name in ("val_loss", "val_accuracy"):
        assert shared[name] == pytest.approx(alone[name], abs=1e-6)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    _, run = train_toy(tmp_path / "run", epochs=1)
    path = run.folder / "checkpoints" / "last.npz"
    arrays, state = load_arrays(path)
    save_arrays(path, arrays | {"0000": np.zeros((9, 9))}, state)
    with pytest.raises(UserError, match="checkpoint of another network"):
        train_toy(tmp_path / "run", epochs=2, resume=True)


def test_logs_are_written(tmp_path):
    _, run = train_toy(tmp_path / "run", epochs=2)
    assert list((run.folder / "tensorboard").rglob("events*"))
    rows = (run.folder / "history.csv").read_text().splitlines()
    assert rows[0].startswith("epoch,")
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2"]
