"""The page on models of your own: its script, killed and resumed, and its other code."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import kerasapps
from kerasapps import Options, Split, Splits, fit, start
from kerasapps.errors import UserError

PAGE = Path(__file__).parent.parent / "docs" / "own_models.md"
SCRIPT, *BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def train():
    """The function of the page's script."""
    names = {"__name__": "train"}
    exec(SCRIPT, names)
    return names["train"]


def weights(folder: Path) -> list[np.ndarray]:
    return kerasapps.load_model(folder / "model.keras").get_weights()


def options(folder: Path, **more) -> Options:
    return Options(out=folder, precision="float32", **more)


def test_the_script_killed_and_resumed_ends_where_it_would_have_ended(tmp_path, train):
    train(epochs=4, options=options(tmp_path / "whole"))
    train(epochs=2, options=options(tmp_path / "longer"))
    train(epochs=4, options=options(tmp_path / "longer", resume=True))
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "train.py", "--out", "killed", "--epochs", "4", "--precision", "float32"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / "killed" / "checkpoints" / "last.npz").exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    train(epochs=4, options=options(tmp_path / "killed", resume=True))
    for name in ("longer", "killed"):
        for one, whole in zip(weights(tmp_path / name), weights(tmp_path / "whole"), strict=True):
            np.testing.assert_allclose(one, whole, atol=1e-6)
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.5  # a guess is right on a tenth
    report = (tmp_path / "whole" / "report.html").read_text()
    assert "accuracy in %" in report
    assert "data:image/png" in report


def test_the_script_runs_on_two_devices(tmp_path, train):
    train(epochs=1, options=options(tmp_path / "two", strategy="mirrored"))
    assert json.loads((tmp_path / "two" / "config.json").read_text())["replicas"] == 2


def test_the_other_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"{i}.png") for i in range(4)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8)).save(path)
    names = {
        "np": np,
        "paths": paths,
        "numbers": rng.normal(size=(8, 2)).astype(np.float32),
        "categories": rng.integers(0, 3, 8),
        "prices": rng.uniform(1, 9, (8, 1)).astype(np.float32),
        "texts": rng.integers(0, 9, (8, 5)),
        "labels": np.arange(4),
    }
    names |= {"genres": names["categories"], "years": names["prices"]}
    names |= {"has_genre": np.ones(8, np.float32), "has_year": np.zeros(8, np.float32)}
    for block in BLOCKS:
        exec(block, names)
    images, labels = next(iter(names["files"].epochs(4, seed=0, first=0, last=1)))
    assert (images.shape, sorted(labels.numpy())) == ((4, 6, 5, 3), [0, 1, 2, 3])
    assert len(names["history"].rows) == 3
    report = (tmp_path / "runs" / "prices" / "report.html").read_text()
    assert "Prices &amp; more." in report
    assert (tmp_path / "runs" / "prices" / "figures" / "prices.png").exists()


def two_inputs() -> keras.Model:
    """A regression on numbers and a category, with inputs in a list and without names."""
    numbers, category = keras.Input((2,)), keras.Input((), dtype="int32")
    joined = keras.layers.Concatenate()([numbers, keras.layers.Embedding(3, 2)(category)])
    model = keras.Model([numbers, category], keras.layers.Dense(1)(joined))
    model.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"], run_eagerly=True)
    return model


@pytest.mark.filterwarnings("error::UserWarning:keras")
def test_a_regression_with_two_inputs_learns(tmp_path):
    rng = np.random.default_rng(0)
    numbers, category = rng.normal(size=(40, 2)).astype(np.float32), rng.integers(0, 3, 40)
    rows = Split(
        [numbers, category], numbers.sum(1, keepdims=True) + category[:, None], weights=np.ones(40, np.float32)
    )
    with start("Regression", options=options(tmp_path / "run")) as run:
        history = fit(two_inputs(), Splits(rows, rows.take(np.arange(8))), run, epochs=8, batch_size=10)
    assert history.rows[-1]["val_mae"] < 0.7 * history.rows[0]["val_mae"]


ROWS = Split(np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32))


def network(*, built: bool = True, compiled: bool = True) -> keras.Model:
    model = keras.Sequential([*([keras.Input((2,))] if built else []), keras.layers.Dense(1)])
    if compiled:
        model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("model", "splits", "settings", "message"),
    [
        (network(), ROWS.batches(2), {}, "`splits` must be Splits(Split(inputs, targets), ...) of arrays"),
        (network(), (ROWS, ROWS), {}, "`splits` must be Splits(Split(inputs, targets), ...) of arrays"),
        (network(built=False), Splits(ROWS, ROWS), {}, "`model` must be compiled and have weights"),
        (network(compiled=False), Splits(ROWS, ROWS), {}, "Received: a model that is built, and not compiled"),
        (network(), Splits(ROWS), {}, '`monitor` must be a training metric, such as "loss", without validation'),
        (network(), Splits(ROWS, ROWS), {"monitor": "val_mae"}, "`monitor` must be one of ['loss', 'val_loss']"),
    ],
)
def test_what_fit_refuses(tmp_path, model, splits, settings, message):
    with (
        start("run", options=options(tmp_path / "run")) as run,
        pytest.raises((ValueError, UserError), match=re.escape(message)),
    ):
        fit(model, splits, run, epochs=1, batch_size=2, **settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"inputs": np.zeros(4), "targets": np.zeros(3)},
            "the same number of rows. Received: inputs with 4, targets with 3",
        ),
        ({"inputs": {"a": np.zeros(4)}, "targets": {}}, "`targets` must hold at least one array"),
    ],
)
def test_rows_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Split(**arguments)


@pytest.mark.parametrize(
    ("metrics", "headline", "message"),
    [
        ({"accuracy": [0.5, 0.6]}, [], "`metrics` must be numbers by name. Received: accuracy=[0.5, 0.6]"),
        ({"note": "good"}, [], "`metrics` must be numbers by name. Received: note='good'"),
        ({"accuracy": 0.5}, ["acuracy"], "`headline` must name metrics. Received: acuracy"),
    ],
)
def test_metrics_that_are_refused(tmp_path, metrics, headline, message):
    with start("run", options=options(tmp_path / "run")) as run, pytest.raises(ValueError, match=re.escape(message)):
        run.finish(metrics, headline=headline)


def test_rows_keep_their_form():
    split = Split([np.arange(6), np.ones((6, 2))], [0, 1, 2, 0, 1, 2])
    (first, second), labels = next(iter(split.take(np.array([1, 2])).batches(2)))
    assert (first.numpy().tolist(), second.shape, labels.numpy().tolist()) == ([1, 2], (2, 2), [1, 2])
    assert split.digest() != split.take(np.arange(5)).digest()
