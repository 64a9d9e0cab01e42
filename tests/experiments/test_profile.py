"""The profile experiment as a person runs it."""

import csv
from pathlib import Path

import keras
import polars
import pytest

from experiments.profile import __main__ as experiment
from experiments.profile.compare import JOINT, summarize, variant
from experiments.profile.network import Source, load, readable_by
from kerasapps.heads import Head
from kerasapps.runs import Options
from tests.experiments.commands import commands, read

SAVED = Path(__file__).parent.parent / "fixtures" / "saved" / "profile"

run, refused = commands(
    "experiments.profile",
    experiment.train,
    experiment.compare,
    experiment.search,
    experiment.evaluate,
    experiment.predict,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something from 1,500 people."""
    folder = tmp_path_factory.mktemp("runs") / "posts"
    run("train", "--limit", 1500, "--epochs", 8, "--batch-size", 64, "--out", folder)
    return folder


def test_train_learns_what_a_guess_cannot_reach(trained):
    metrics = read(trained, "metrics.json")
    assert metrics["age_mae"] < 10.5  # 15 by guessing, 6.9 at best
    assert metrics["income_accuracy"] > 0.22  # 0.15 by guessing
    assert metrics["gender_accuracy"] > 0.54  # 0.5 by guessing
    assert metrics["age_mae_reference"] < 7.5
    html = (trained / "report.html").read_text()
    for shown in ("best possible (Bayes)", "Error by subgroup", "Predictions on the test set", "<span>evaluate</span>"):
        assert shown in html
    for name in ("config.json", "history.csv", "model.keras", "codec.json", "figures/calibration.png"):
        assert (trained / name).is_file()


def test_evaluate_repeats_what_train_found(trained, capsys):
    run("evaluate", "--run", trained)
    printed = capsys.readouterr().out
    assert f"{read(trained, 'metrics.json')['age_mae']:.2f}" in printed


def test_a_run_from_before_codec_json_predicts_the_same(capsys):
    run("predict", "--run", SAVED, "--text", "moored in the harbour all day, lovely tide")
    assert capsys.readouterr().out.splitlines() == ["age: 49.0", "income: group 6 10 %", "gender: a 51 %"]


def test_evaluate_takes_the_words_of_the_run(trained, capsys):
    run("evaluate", "--run", trained, "--limit", 200)
    error = float(capsys.readouterr().out.split("network")[1].split()[0])
    assert error == pytest.approx(read(trained, "metrics.json")["age_mae"], rel=0.2)


def test_predict(trained, capsys):
    run("predict", "--run", trained, "--text", "A day in the harbour, hooray! The regatta and the tide.")
    printed = capsys.readouterr().out
    for name in ("age: ", "income: group", "gender: "):
        assert name in printed
    for text in ("xyzzy plugh", "при" * 100):
        sentence = refused(capsys, "predict", "--run", trained, "--text", text)
        assert "No training text has any of these words" in sentence


def test_predict_a_file(trained, tmp_path, capsys):
    (tmp_path / "post.txt").write_text("The regatta, the harbour and the tide.")
    run("predict", "--run", trained, "--text", tmp_path / "post.txt")
    assert "age: " in capsys.readouterr().out
    (tmp_path / "post.jpg").write_bytes(b"\xff\xd8\xff")
    assert "is not UTF-8 text" in refused(capsys, "predict", "--run", trained, "--text", tmp_path / "post.jpg")


@pytest.mark.slow
@pytest.mark.usefixtures("_jobs_here")
def test_compare_has_one_row_a_head_and_share(tmp_path, capsys):
    arguments = ("compare", "--smoke", "--seeds", 1, "--loss-weights", "learnt", "--out", tmp_path / "run")
    run(*arguments)
    metrics = read(tmp_path / "run", "metrics.json")
    for name in ("age_mae", "income_accuracy", "gender_accuracy"):
        for kind in ("joint", "separate"):
            for share in ("0", "0.5"):
                assert f"{name}_{kind}_{share}" in metrics
    assert "loss_of_age_joint_0.5" in metrics
    assert "joint better by" in (tmp_path / "run" / "report.html").read_text()
    capsys.readouterr()
    run("evaluate", "--run", tmp_path / "run" / "gender_0.5_0" / "network")
    printed = capsys.readouterr().out
    assert "gender, accuracy %" in printed
    assert "age" not in printed
    run(*arguments, "--resume", "--workers", 1)
    assert read(tmp_path / "run", "metrics.json")["age_mae_joint_0"] == metrics["age_mae_joint_0"]


def test_the_ranges_of_a_comparison_by_hand():
    joint = {0.0: (0.9, 0.7, 0.8), 0.5: (0.6, 0.6, 0.8)}
    results = {
        variant(network, share): [{"income_accuracy": value} for value in values]
        for network in (JOINT, "income")
        for share, values in joint.items()
    }
    metrics = summarize(results, {"income": Head("binary")}, (0.0, 0.5))[1]
    for name, values in (
        ("income_accuracy_joint_0", (0.8, 0.7, 0.9)),
        ("income_accuracy_separate_0.5", (0.6, 0.6, 0.8)),
        ("loss_of_income_joint_0.5", (0.2, 0.0, 0.3)),  # of the medians; seed by seed 0.3, 0.1 and 0
    ):
        found = [metrics[f"{name}{end}"] for end in ("", "_lowest", "_highest")]
        assert found == pytest.approx(values), name


@pytest.mark.usefixtures("_jobs_here")
# The search of prices minimizes a loss too.
@pytest.mark.parametrize("objective", [pytest.param("total", marks=pytest.mark.slow), "income"])
def test_search_by_the_total_or_one_head(tmp_path, objective):
    run("search", "--smoke", "--objective", objective, "--max-trials", 1, "--out", tmp_path / "search")
    metrics = read(tmp_path / "search", "metrics.json")
    if objective == "total":
        assert metrics["val_loss"] <= metrics["val_loss_baseline"]
    else:
        assert metrics["val_income_accuracy"] >= metrics["val_income_accuracy_baseline"]
    assert len(list(csv.DictReader((tmp_path / "search" / "trials.csv").open()))) == 2
    best = tmp_path / "search" / "best.json"
    run("train", "--smoke", "--params", best, "--epochs", 1, "--out", tmp_path / "best")


@pytest.mark.parametrize(("weights", "strategy"), [("lectures", "none"), ("learnt", "mirrored")])
def test_loss_weights(tmp_path, capsys, weights, strategy):
    run("train", "--smoke", "--loss-weights", weights, "--strategy", strategy, "--out", tmp_path / "run")
    run("predict", "--run", tmp_path / "run", "--text", "the harbour")
    assert capsys.readouterr().out.count("age: ") == 1


def test_unpadded_convolutions_read_short_texts(tmp_path, capsys):
    small = '{"filters": [4, 4, 4], "embedding_dim": 4}'
    run("train", "--smoke", "--epochs", 1, "--params", small, "--out", tmp_path / "run")
    run("predict", "--run", tmp_path / "run", "--text", "the harbour")
    assert "age: " in capsys.readouterr().out


def test_lazy_adam_trains(tmp_path):
    run("train", "--smoke", "--lazy", "--out", tmp_path / "run")
    assert read(tmp_path / "run", "config.json")["settings"]["lazy"] is True


def table(folder: Path) -> Path:
    columns = {
        "text": [f"word{i % 5} and text" for i in range(60)],
        "age": [20 + i % 30 for i in range(60)],
        "sex": ["ab"[i % 2] for i in range(60)],
    }
    polars.DataFrame(columns).write_csv(folder / "own.csv")
    return folder / "own.csv"


def test_ones_own_table_and_one_head(tmp_path, capsys):
    data = table(tmp_path)
    run("train", "--data", data, "--labels", "age=regression", "sex", "--smoke", "--out", tmp_path / "two")
    assert {"age_mae", "sex_accuracy"} <= read(tmp_path / "two", "metrics.json").keys()
    run("train", "--data", data, "--labels", "sex", "--smoke", "--out", tmp_path / "one")
    assert "sex_accuracy" in read(tmp_path / "one", "metrics.json")
    run("search", "--data", data, "--labels", "sex", "--objective", "sex", "--smoke", "--max-trials", 1, "--out",
        tmp_path / "search")  # fmt: skip
    assert "val_accuracy" in read(tmp_path / "search", "metrics.json")
    run("predict", "--run", tmp_path / "search", "--text", "word1 and text")
    run("evaluate", "--run", tmp_path / "one")
    assert "sex, accuracy %" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.real_data
def test_adult_beside_gradient_boosting(tmp_path):
    run("train", "--data", "adult", "--limit", 2000, "--epochs", 8, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert metrics["income_accuracy"] > 0.76
    assert metrics["gender_accuracy"] > 0.72  # 0.68 by guessing
    assert metrics["age_mae_baseline"] < 10
    assert metrics["income_accuracy_baseline"] > 0.8


# --- what a person can do wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "--objective", "height"), "--objective must be total or one of age, income, gender"),
        (("train", "--missing", 1.5), "--missing must be in [0, 1)"),
        (("train", "--epochs", 0), "--epochs must be at least 1"),
        (("train", "--learning-rate", -1), "--learning-rate must be above 0"),
        (("train", "--vocab-size", 2), "--vocab-size must be at least 3"),
        (("train", "--length", 0), "--length must be at least 1"),
        (("train", "--patience", 0), "--patience must be at least 1"),
        (("train", "--data", ""), "--data must be non-empty"),
        (("train", "--params", '{"depth": 3}'), "--params: this network does not take depth"),
        (("train", "--data", "nowhere.csv"), "neither posts, adult nor a file"),
        (("compare", "--seeds", 0), "--seeds must be at least 1"),
        (("compare", "--shares", 1.5), "--shares must be in [0, 1)"),
        (("compare", "--shares"), "--shares must be non-empty"),
        (("evaluate", "--run", "runs/x", "--limit", -3), "--limit must be at least 1. Received: -3"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    where = () if arguments[0] == "evaluate" else ("--smoke", "--out", tmp_path / "run")
    assert message in refused(capsys, *arguments, *where)


def test_a_column_that_is_not_there(tmp_path, capsys):
    said = refused(capsys, "train", "--data", table(tmp_path), "--labels", "height", "--out", tmp_path / "run")
    assert said.endswith("has no column height; it has text, age, sex.")


def test_texts_are_padded_for_the_network_that_needs_the_longest():
    entry = keras.Input((None, 2))
    models = [keras.Model(entry, keras.layers.Conv1D(1, size)(entry)) for size in (3, 700, 5)]
    splits = readable_by(load(Source(), options=Options(limit=20)), models)
    assert {split.inputs["text"].shape[1] for split in (splits.train, splits.validation, splits.test)} == {700}
