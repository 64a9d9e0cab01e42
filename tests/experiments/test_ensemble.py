"""The ensemble experiment: every command, which rows a member sees, groups, resumes, and members that fail."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import polars  # noqa: F401 - sets a variable of the environment when it is first imported
import pytest
from sklearn.naive_bayes import GaussianNB

from experiments.ensemble import combining
from experiments.ensemble import learning as learning_module
from experiments.ensemble import members as members_module
from experiments.ensemble.__main__ import COMMANDS
from experiments.ensemble.folds import Part, folds_of, parts_of
from experiments.ensemble.judging import NO_BETTER, Evidence, cross_fitted, weigh
from experiments.ensemble.learning import digest_of, inner_predictions, learn, read_predictions, write_predictions
from experiments.ensemble.members import BASE, Member, features_block, library_of
from experiments.ensemble.network import Source, load, predict_split
from experiments.ensemble.using import inputs_of
from experiments.ensemble.weighing import weights_in
from experiments.export.__main__ import COMMANDS as EXPORT_COMMANDS
from experiments.image_classification.__main__ import COMMANDS as IMAGE_COMMANDS
from experiments.shared import trying
from experiments.shared.runs import load_run, load_splits
from experiments.shared.training import warn_of_other_epochs
from kerasapps.data.splits import Split, Splits
from kerasapps.errors import DataError, UserError
from kerasapps.runs import Options
from kerasapps.workers import jobs
from tests.experiments.commands import commands
from tests.experiments.conftest import Here
from tests.experiments.deployed import alone, words

run, refused = commands("experiments.ensemble", *COMMANDS)
run_export, _ = commands("experiments.export", *EXPORT_COMMANDS)
run_images, _ = commands("experiments.image_classification", *IMAGE_COMMANDS)


def write_table(path: Path, rows: int = 240, *, classes: bool = True) -> Path:
    """Writes people with a group of four rows each; what is asked for follows from two columns."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "color", "noise", "person", "kind"])
        for i in range(rows):
            size, color = rng.normal(), ("red", "blue")[rng.integers(2)]
            score = 2 * size + 2 * (color == "red") + 0.5 * rng.normal()
            target = ("small", "large")[score > 1] if classes else f"{score:.4f}"
            writer.writerow([f"{size:.4f}", color, f"{rng.normal():.4f}", f"p{i // 4}", target])
    return path


@pytest.fixture(autouse=True, scope="module")
def _here():
    """Runs jobs in this process, as `_jobs_here` does, for the fixtures of this module too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "launch", Here)
        patch.setattr(jobs, "kill", lambda process: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ensemble")


@pytest.fixture(scope="module")
def table(folder) -> Path:
    return write_table(folder / "people.csv")


@pytest.fixture(scope="module")
def trained(folder, table) -> Path:
    """An ensemble of rows in groups, judged by outer folds."""
    out = folder / "rows"
    options = ("--library", "logistic:2,bayes", "--folds", 2, "--outer-folds", 2)
    run("train", "--data", table, "--target", "kind", "--group", "person", *options, "--out", out, "--workers", 1)
    return out


def metrics_of(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def test_train_writes_everything_and_is_better_than_guessing(trained):
    metrics = metrics_of(trained)
    for name in ("log_loss", "accuracy", "brier"):
        for rival in ("", "_best_member", "_mean", "_discrete", "_oracle", "_base_rate"):
            assert np.isfinite(metrics[f"{name}{rival}"]), name
    assert metrics["log_loss"] < 0.7 * metrics["log_loss_base_rate"]
    assert metrics["log_loss_oracle"] <= metrics["log_loss"] + 1e-9
    assert metrics["accuracy"] > 0.8
    for name in ("cv", "outer", "outer_discrete"):
        assert 0 < metrics[f"log_loss_{name}"] < metrics["log_loss_base_rate"]
        assert metrics[f"log_loss_{name}_standard_error"] > 0
    for name in ("config.json", "codec.json", "model.keras", "report.html", "figures/risks.png", "figures/size.png"):
        assert (trained / name).exists(), name
    assert "repeats" not in (trained / "report.html").read_text()


def test_what_is_saved_is_one_network_that_predicts_what_was_measured(trained):
    saved = load_run(trained, "ensemble")
    data = load(
        Source(data=saved.settings["data"], target="kind", group="person"), options=Options(out=trained, seed=0)
    )
    predicted = saved.model.predict(data.test.inputs, verbose=0)["label"]
    np.testing.assert_allclose(predicted.sum(1), 1, atol=1e-5)
    right = predicted[np.arange(len(predicted)), data.test.targets["label"]]
    assert -np.log(np.maximum(right, 1e-7)).mean() == pytest.approx(metrics_of(trained)["log_loss"], rel=1e-4)
    one = saved.model.predict({"features": data.test.inputs["features"][:1]}, verbose=0)["label"]
    np.testing.assert_allclose(one, predicted[:1], atol=1e-5)


def test_a_repeated_member_gets_no_weight_and_a_sentence(trained, capsys):
    assert "logistic_1 gets no weight: it predicts what logistic_0 does." in (trained / "report.html").read_text()


def test_evaluate_and_predict(trained, capsys):
    run("evaluate", "--run", trained)
    said = capsys.readouterr().out
    assert f"{metrics_of(trained)['log_loss']:.4f}" in said
    run("predict", "--run", trained, "--row", "size=3", "color=red")
    assert re.search(r"the row\s+large \d", capsys.readouterr().out)
    run("predict", "--run", trained, "--row", "color=green")
    assert "No training row has the color green" in capsys.readouterr().out
    assert refused(capsys, "predict", "--run", trained).startswith("This ensemble predicts from --row: give some")
    assert "not from --files" in refused(capsys, "predict", "--run", trained, "--files", "a.png")
    assert "give NAME=VALUE with a name of size" in refused(capsys, "predict", "--run", trained, "--row", "x=1")
    assert "'big' is not a number" in refused(capsys, "predict", "--run", trained, "--row", "size=big")


def test_a_row_on_the_page(trained):
    asked = {"run": str(trained), "values": None}
    names = [field["name"] for field in trying.respond(asked)["fields"]]
    assert names == ["number0", "number1", "category0"]
    told = trying.respond(asked | {"values": {"number0": "1.5", "number1": "", "category0": "red"}})
    assert ">large 99" in told["sections"][0]["html"]
    assert told["command"][-3:] == ["--row", "size=1.5", "color=red"]
    with pytest.raises(UserError, match="Nothing is known of the row"):
        trying.respond(asked | {"values": dict.fromkeys(names, "")})


def test_distill(trained, folder, capsys):
    run("distill", "--run", trained, "--epochs", 3, "--out", folder / "distilled")
    metrics = metrics_of(folder / "distilled")
    assert metrics["log_loss_ensemble"] == pytest.approx(metrics_of(trained)["log_loss"], rel=1e-4)
    assert {"log_loss", "log_loss_plain", "accuracy", "accuracy_plain"} <= metrics.keys()
    assert load_run(folder / "distilled", "ensemble").model.count_params() > 0
    said = refused(capsys, "distill", "--run", trained, "--student", "forest")
    assert said == "--student must be one of perceptron. Received: forest"
    for command in ("evaluate", "distill"):
        said = refused(capsys, command, "--run", folder / "distilled")
        assert "is a distilled network, not an ensemble" in said


def test_numbers(folder):
    table = write_table(folder / "numbers.csv", classes=False)
    library = "ridge,perceptron"
    run(
        "train",
        "--data",
        table,
        "--target",
        "kind",
        "--library",
        library,
        "--folds",
        2,
        "--epochs",
        2,
        "--out",
        folder / "n",
    )
    metrics = metrics_of(folder / "n")
    assert metrics["mse"] < 0.3 * metrics["mse_base_rate"]
    assert {"mse_best_member", "mse_mean", "mae", "mse_cv"} <= metrics.keys()


# --- which rows a member sees


def test_no_row_is_predicted_by_a_member_that_saw_it_and_groups_stay_whole():
    rng = np.random.default_rng(0)
    for classes, count in ((True, 200), (False, 120)):
        truth = rng.integers(0, 3, count) if classes else rng.normal(size=count)
        for groups in (np.arange(count), rng.integers(0, 30, count)):
            parts = parts_of(truth, groups, folds=4, outer_folds=3, seed=1)
            assert set(parts) == {
                *(f"fold{i}" for i in range(4)),
                "all",
                *(f"outer{o}_{name}" for o in range(3) for name in ("fold0", "fold1", "fold2", "fold3", "all")),
            }
            for prefix in ("", *(f"outer{o}_" for o in range(3))):
                final = parts[f"{prefix}all"]
                folds = [parts[f"{prefix}fold{i}"] for i in range(4)]
                predicted = np.concatenate([part.predicted for part in folds])
                np.testing.assert_array_equal(np.sort(predicted), np.sort(final.train))
                for part in (*folds, *([final] if prefix else [])):
                    assert not set(groups[part.train]) & set(groups[part.predicted])
                if prefix:  # nothing of an outer fold is in the inner ones
                    assert not set(groups[final.predicted]) & set(groups[predicted])


def test_folds_are_stratified_and_the_same_again():
    truth = np.repeat([0, 1, 2], [60, 30, 10])
    folds = folds_of(truth, np.arange(100), folds=5, seed=3)
    for fold in range(5):
        assert np.bincount(truth[folds == fold]).tolist() == [12, 6, 2]
    np.testing.assert_array_equal(folds, folds_of(truth, np.arange(100), folds=5, seed=3))


def test_few_rows_make_fewer_folds():
    assert set(folds_of(np.repeat([0, 1, 2], 3), np.arange(9), folds=5, seed=0)) == {0, 1, 2}
    assert set(folds_of(np.arange(9.0), np.repeat([0, 1], [4, 5]), folds=5, seed=0)) == {0, 1}
    with pytest.raises(DataError, match="9 rows in 1 groups are too few"):
        folds_of(np.arange(9.0), np.zeros(9, int), folds=5, seed=0)


def test_predictions_of_a_cross_validation_come_back_in_the_order_of_the_rows():
    truth = np.arange(20) % 2
    parts = parts_of(truth, np.arange(20), folds=4, outer_folds=0, seed=0)
    learned = {}
    for name, part in parts.items():
        rows = np.arange(5) if part.predicted is None else part.predicted
        predictions = {"a": np.stack([rows, -rows], 1).astype(float), "failed": np.full((len(rows), 2), np.nan)}
        if name == "all":
            predictions["failed"][:] = 0.5
        learned[name] = learning_module.Learned(part, predictions, {}, {})
    rows, folds, predictions = inner_predictions(learned)
    np.testing.assert_array_equal(rows, np.arange(20))
    np.testing.assert_array_equal(predictions["a"][:, 0], np.arange(20))
    assert np.isnan(predictions["failed"]).all()
    for name, part in parts.items():
        if name != "all":
            assert set(folds[part.predicted]) == {int(name[-1])}


def test_members_are_fitted_on_the_rows_of_their_part_alone(folder, table, monkeypatch):
    fitted = []

    class Spy(GaussianNB):
        def fit(self, features, truth):
            fitted.append((features, truth))
            return super().fit(features, truth)

    monkeypatch.setitem(members_module.CLASSIFIERS, "bayes", lambda seed: Spy())
    data = load(Source(data=str(table), target="kind", group="person"), options=Options())
    features, truth = data.train.inputs["features"], data.train.targets["label"]
    number = {row.tobytes(): i for i, row in enumerate(features)}
    assert len(number) == len(features)
    parts = parts_of(truth, data.groups, folds=3, outer_folds=2, seed=0)
    for part in parts.values():
        found = learn(run_in(folder / "spied"), data, [Member("bayes", "bayes")], part, epochs=None)
        (seen, labels), fitted[:] = fitted[-1], []
        rows = np.array([number[row.tobytes()] for row in seen])
        np.testing.assert_array_equal(rows, part.train)
        np.testing.assert_array_equal(labels, truth[rows])
        if part.predicted is not None:
            assert not set(rows) & set(part.predicted)
            assert not set(data.groups[rows]) & set(data.groups[part.predicted])
            assert len(found.predictions["bayes"]) == len(part.predicted)
        assert not found.failed


def run_in(folder: Path) -> SimpleNamespace:
    """Returns what `learn` needs of a run for members that are no networks."""
    folder.mkdir(exist_ok=True)

    def path(*parts: str) -> Path:
        folder.joinpath(*parts).parent.mkdir(parents=True, exist_ok=True)
        return folder.joinpath(*parts)

    return SimpleNamespace(options=Options(), path=path)


def test_estimators_see_and_predict_float32_whatever_the_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        x = features_block(keras.Input((16, 16, 1), name="image"))
        entry = keras.Input((3,), name="features")
        network = keras.Model([entry], {"label": keras.layers.Dense(2, activation="softmax")(entry)})
    finally:
        keras.config.set_dtype_policy(before)
    assert (x.dtype, x.shape) == ("float32", (None, 64))
    split = Split({"features": np.ones((5, 3), np.float32)}, {"label": np.zeros(5, np.int32)})
    assert network.output["label"].dtype == "bfloat16"
    assert predict_split(network, split, "label").dtype == np.float32


# --- what cannot go well


def test_columns_are_of_tables():
    for given in ({"target": "kind"}, {"group": "kind"}):
        with pytest.raises(UserError, match="names a column of a table, and digits is images"):
            load(Source(**given), options=Options())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), DataError("too few")])
def test_what_is_not_the_fault_of_a_member_stops_the_training(folder, table, monkeypatch, error):
    def broken(seed):
        raise error

    monkeypatch.setitem(members_module.CLASSIFIERS, "bayes", broken)
    data = load(Source(data=str(table), target="kind"), options=Options())
    part = Part("all", np.arange(20), None)
    with pytest.raises(type(error)):
        learn(run_in(folder / "stopped"), data, [Member("bayes", "bayes")], part, epochs=None)


def test_predictions_of_other_data_are_refused(tmp_path, table):
    data = load(Source(data=str(table), target="kind"), options=Options())
    digest = digest_of(data)
    assert digest == digest_of(load(Source(data=str(table), target="kind"), options=Options()))
    given = {"bayes": np.eye(2, dtype=np.float32)}
    write_predictions(tmp_path / "p.npz", given, digest)
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.npz", digest)["bayes"], given["bayes"])
    other = digest_of(replace(data, train=data.train.take(np.arange(len(data.train))[::-1])))
    with pytest.raises(UserError, match="is of other data: they have changed since"):
        read_predictions(tmp_path / "p.npz", other)


def test_a_resumed_run_with_the_usual_epochs_is_not_warned(capsys):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)), "mse")
    for before, warned in ((None, False), (12, False), (5, True)):
        warn_of_other_epochs(SimpleNamespace(resumed={"epochs": before}), model, 12)
        assert ("--epochs 5" in capsys.readouterr().out) == warned


def test_a_member_that_fails_gets_no_weight_and_the_others_go_on(folder, table, monkeypatch, capsys):
    def broken(seed):
        raise RuntimeError("it is raining")

    monkeypatch.setitem(members_module.CLASSIFIERS, "bayes", broken)
    out = folder / "failed"
    run("train", "--data", table, "--target", "kind", "--library", "bayes,logistic", "--folds", 2, "--out", out)
    said = capsys.readouterr().out
    assert "bayes gets no weight, as it failed: RuntimeError: it is raining" in said
    assert metrics_of(out)["members"] == 1
    run("predict", "--run", out, "--row", "size=3", "color=red")
    assert "large" in capsys.readouterr().out


def test_members_at_chance_are_not_worse_than_the_base_rate(folder):
    rng = np.random.default_rng(0)
    path = folder / "chance.csv"
    lines = [f"{rng.normal():.3f},{('yes', 'no', 'no')[rng.integers(3)]}" for _ in range(2000)]
    path.write_text("\n".join(["size,kind", *lines]))
    out = folder / "chance"
    run("train", "--data", path, "--target", "kind", "--library", "bayes", "--folds", 2, "--out", out)
    metrics = metrics_of(out)
    assert metrics["log_loss"] <= 1.01 * metrics["log_loss_base_rate"]


def test_what_is_no_better_than_the_base_rate_is_not_used():
    truth, rows = np.arange(200) // 2 % 2, np.arange(200)
    wrong = np.where(truth == 1, 0.2, 0.8)  # the probability of class 1
    given = {BASE: np.full((200, 2), 0.5), "wrong": np.stack([1 - wrong, wrong], 1)}
    found = weigh(Evidence(truth, given, rows, rows % 4, truth, given, {}, {}), "convex")
    assert found.values == {BASE: 1.0, "wrong": 0.0}
    assert NO_BETTER in found.notes


def test_three_rows_a_class_and_a_class_missing_in_folds(folder):
    path = folder / "few.csv"
    lines = [f"{label + i / 10},{name}" for label, name in enumerate(("a", "b", "c")) for i in range(4)]
    path.write_text("\n".join(["size,kind", *lines, "9,d", "8,d"]))
    out = folder / "few"
    run("train", "--data", path, "--target", "kind", "--library", "bayes", "--folds", 5, "--out", out)
    assert np.isfinite(metrics_of(out)["log_loss"])


def test_libraries(table):
    data = load(Source(data=str(table), target="kind"), options=Options())
    names = [name for member in library_of(["perceptron:2,perceptron@3", "logistic"], data) for name in member.names]
    assert names == [
        *("perceptron_0", "perceptron_1", "perceptron_cycle1", "perceptron_cycle2", "perceptron_cycle3", "logistic")
    ]
    for given, said in (
        ("ridge", "--library ridge: for these data a member is one of perceptron, logistic"),
        ("separable", "for these data a member is one of"),
        ("logistic@2", "snapshots are of networks alone"),
        ("logistic,logistic", "names logistic twice: logistic:2 is two of other seeds"),
        ("logistic,logistic:2", "logistic repeats the first of logistic:N, which has the same seed"),
        ("logistic:0", "at least one"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            library_of([given], data)


def test_a_resumed_run_trains_no_part_again(folder, table, monkeypatch, capsys):
    out = folder / "resumed"
    options = ("--data", table, "--target", "kind", "--library", "bayes", "--folds", 2, "--out", out)
    run("train", *options)
    first = metrics_of(out)
    (out / "metrics.json").unlink()
    (out / "fold1" / "job" / "outcome.json").unlink()  # as if it had been killed
    trained = []
    learn = learning_module.learn
    monkeypatch.setattr(
        learning_module, "learn", lambda *given, **more: (trained.append(given[3].name), learn(*given, **more))[1]
    )
    run("train", *options, "--resume")
    assert trained == ["fold1"]
    assert metrics_of(out)["log_loss"] == pytest.approx(first["log_loss"])


@pytest.mark.slow
def test_smoke_of_images_with_snapshots(folder):
    library = "perceptron@2"
    run("train", "--smoke", "--library", library, "--size", 8, "--out", folder / "smoke", "--workers", 1)
    assert metrics_of(folder / "smoke")["members"] == 2
    assert (folder / "smoke" / "figures" / "size.png").exists()


# --- runs of other experiments


def test_runs_in_folders_of_equal_names_have_names_of_their_own():
    folders = ["x/a__2", "x/a", "y/a", "z/a", "x/b c"]
    names = combining.names_of([SimpleNamespace(folder=Path(folder)) for folder in folders])
    assert names == ["a__2", "a", "a__3", "a__4", "b_c"]


def test_logarithms_are_pooled_only_where_all_outputs_have_classes():
    rng = np.random.default_rng(0)
    truth, rows = rng.integers(0, 2, 400), np.arange(400)
    given = {}
    for name in "ab":  # unsure, and right independently: logarithms gain
        right = np.where(rng.random(400) < 0.9, 0.65, 0.35)
        given[name] = np.where(truth[:, None] == [0, 1], right[:, None], 1 - right[:, None])
    evidence = Evidence(truth, given, rows, None, truth, given, {}, {})
    assert weigh(evidence, "auto").sharpness is not None
    assert weigh(replace(evidence, pools=False), "auto").sharpness is None
    entry = keras.Input((3,))
    heads = {"age": keras.layers.Dense(1)(entry), "job": keras.layers.Dense(3, activation="softmax")(entry)}
    saved = SimpleNamespace(model=keras.Model(entry, heads))
    combining.check_method(saved, "auto")
    with pytest.raises(UserError, match="--method log_linear needs probabilities of classes, which the output age"):
        combining.check_method(saved, "log_linear")


def test_a_network_with_test_predictions_that_are_not_finite_gets_no_weight():
    models = {}
    for name, scale in (("good", 1.0), ("bad", 1e30)):
        entry = keras.Input((1,), name="x")
        model = models[name] = keras.Model([entry], {"label": keras.layers.Dense(2, activation="softmax")(entry)})
        model.set_weights([scale * np.array([[1.0, -1.0]]), np.zeros(2)])
    x, labels = np.array([[1.0], [-1.0], [2.0]], np.float32), np.array([0, 1, 0])
    part, tested = Split({"x": x}, {"label": labels}), Split({"x": x * 1e20}, {"label": labels})
    evidence = combining.evidence_of(models, Splits(part, part, tested), "label")
    assert evidence.members == ["good"]
    found = weigh(evidence, "convex")
    assert found.values == {"good": 1.0, "bad": 0.0}
    assert found.notes == ("bad gets no weight, as it failed: not all of its predictions are finite.",)


def test_a_network_whose_outputs_are_no_probabilities_is_not_combined():
    entry = keras.Input((1,), name="x")
    models = {"capsules": keras.Model([entry], {"label": keras.layers.Dense(2, activation="sigmoid")(entry)})}
    part = Split({"x": np.ones((3, 1), np.float32)}, {"label": np.array([0, 1, 0])})
    models["capsules"].set_weights([np.ones((1, 2)), np.zeros(2)])
    with pytest.raises(UserError, match="capsules cannot be combined: what it predicts for the classes does"):
        combining.evidence_of(models, Splits(part, part, part), "label")


@pytest.mark.filterwarnings("error")
def test_two_folds_are_enough_to_choose_how_to_weigh():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    given = {name: rng.dirichlet(np.ones(3), 60) for name in ("one", "other")}
    evidence = Evidence(truth, given, np.arange(60), np.arange(60) % 2, truth, given, {}, {})
    assert np.isfinite(cross_fitted(evidence, "auto").mean)


def test_what_predict_cannot_serve_is_refused():
    with pytest.raises(UserError, match="predict takes ensembles of images, rows or texts with classes"):
        inputs_of(SimpleNamespace(), files=(), row=(), text=("a",))


@pytest.fixture(scope="module")
def images(folder) -> list[Path]:
    return [image_run(folder / f"units{units}", units=units) for units in (8, 16)]


def image_run(out: Path, *, units: int = 8, seed: int = 0, size: int = 8) -> Path:
    """Trains a small network on the digits."""
    given = (
        "--arch",
        "perceptron",
        "--size",
        size,
        "--seed",
        seed,
        "--epochs",
        2,
        "--precision",
        "float32",
        "--out",
        out,
    )
    run_images("train", *given, "--params", json.dumps({"dense_units": [units]}))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rows", "combined", "distilled"])
def test_it_is_deployed_as_one_network(kind, trained, images, folder, capsys, monkeypatch, tmp_path):
    made = trained if kind == "rows" else tmp_path / kind
    given = ("--files", "example.png") if kind == "combined" else ("--row", "size=1.5", "color=green")
    if kind == "combined":
        run("combine", "--runs", *images, "--out", made)
    if kind == "distilled":
        run("distill", "--run", trained, "--epochs", 1, "--out", made)
    out = tmp_path / "deployed"
    run_export("export", "--run", made, "--format", "onnx", "--out", out)
    monkeypatch.chdir(out)
    capsys.readouterr()
    run("predict", "--run", made, *given)
    assert words(alone(out, "predict.py", *given)) == words(capsys.readouterr().out)


def test_combine(images, folder, capsys):
    out = folder / "combined"
    run("combine", "--runs", *images, "--out", out)
    metrics = metrics_of(out)
    assert metrics["log_loss"] <= 1.05 * metrics["log_loss_best_member"]
    alone = [metrics_of(one)["loss"] for one in images]
    assert metrics["log_loss_best_member"] == pytest.approx(min(alone), rel=1e-4)
    assert metrics["log_loss"] < metrics["log_loss_base_rate"] == pytest.approx(np.log(10), rel=0.02)
    assert all(metrics[name] == metrics_of(images[0])[name] for name in ("train_rows", "validation_rows", "test_rows"))
    saved = load_run(out, "ensemble")
    assert saved.codec.class_names == tuple("0123456789")
    assert "combines runs" in refused(capsys, "evaluate", "--run", out)
    assert "combines runs" in refused(capsys, "distill", "--run", out)


def test_combine_refuses_what_does_not_go_together(images, trained, folder, capsys):
    out = folder / "refused"
    assert "takes at least two run folders" in refused(capsys, "combine", "--runs", images[0], "--out", out)
    said = refused(capsys, "combine", "--runs", images[0], trained, "--out", out)
    assert "is a run of ensemble, and" in said
    said = refused(capsys, "combine", "--runs", trained, trained, "--out", out)
    assert said == f"{trained}: combine does not read runs of ensemble."
    said = refused(capsys, "combine", "--runs", images[0], images[1], "--output", "age", "--out", out)
    assert said == "--output must be one of label. Received: age"


@pytest.mark.slow
def test_combine_refuses_another_split_and_other_inputs(images, folder, capsys):
    for given, said in (({"seed": 1}, "has another validation set than"), ({"size": 9}, "takes other inputs than")):
        other = image_run(folder / f"other_{next(iter(given))}", **given)
        assert said in refused(capsys, "combine", "--runs", images[0], other, "--out", folder / "refused")


@pytest.mark.slow
def test_the_test_labels_do_not_change_the_weights(images, folder, monkeypatch):
    run("combine", "--runs", *images, "--out", folder / "as_it_is")

    def permuted(saved):
        splits = load_splits(saved)
        labels = np.random.default_rng(0).permutation(splits.test.targets["label"])
        return replace(splits, test=replace(splits.test, targets={"label": labels}))

    monkeypatch.setattr(combining, "load_splits", permuted)
    run("combine", "--runs", *images, "--out", folder / "permuted")
    first, second = (
        weights_in(load_run(folder / name, "ensemble").model, "label") for name in ("as_it_is", "permuted")
    )
    assert first == second
    assert metrics_of(folder / "permuted")["log_loss"] > 1.1 * metrics_of(folder / "as_it_is")["log_loss"]
