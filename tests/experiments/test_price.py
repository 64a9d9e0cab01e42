"""The price experiment as a person runs it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.price import __main__ as experiment
from experiments.price.compare import compare_errors, weighted_average
from kerasapps.data.garments import draw_garment
from kerasapps.formats import format_metric
from kerasapps.runs import load_model
from tests.experiments.commands import commands, read

run, refused = commands(
    "experiments.price",
    experiment.train,
    experiment.compare,
    experiment.search,
    experiment.evaluate,
    experiment.predict,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something from 600 garments."""
    folder = tmp_path_factory.mktemp("runs") / "garments"
    run("train", "--limit", 600, "--epochs", 8, "--batch-size", 32, "--missing", 0.2, "--out", folder)
    return folder


def test_train_learns_what_a_guess_cannot_reach(trained):
    metrics = read(trained, "metrics.json")
    assert metrics["log_price_mae"] < 0.55  # 0.68 by guessing
    assert 0.15 < metrics["log_price_mae_reference"] < 0.3
    html = (trained / "report.html").read_text()
    for shown in (
        "best possible",
        "Error by kind",
        "without a description",
        "without an image",
        "<span>evaluate</span>",
    ):
        assert shown in html
    for name in ("model.keras", "codec.json", "figures/prices.png", "figures/examples.png"):
        assert (trained / name).is_file()


def test_evaluate_repeats_what_train_found(trained, capsys):
    run("evaluate", "--run", trained)
    assert format_metric("log_price_mae", read(trained, "metrics.json")["log_price_mae"]) in capsys.readouterr().out


def test_predict_from_what_is_known(trained, tmp_path, capsys):
    picture = tmp_path / "coat.png"
    Image.fromarray(draw_garment("coat", pattern="dots", stains=0, rng=np.random.default_rng(0))).save(picture)
    prices = {}
    for kind, brand in (("coat", "Fontaine"), ("shirt", "Alder")):
        run("predict", "--run", trained, "--categories", f"kind={kind}", f"brand={brand}", "--numbers", "years=1")
        said = capsys.readouterr().out
        prices[kind] = float(said.split("Estimated price: ")[1].split(". Half")[0].replace(",", ""))
    assert prices["coat"] > 2 * prices["shirt"]  # the rule: 13 times
    run(
        "predict", "--run", trained, "--text", "Silk coat, hardly worn", "--image", picture, "--categories", "brand=Zed"
    )
    assert "No training row has the brand Zed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Nothing is known of the thing"),
        (("--numbers", "height=3"), "give NAME=VALUE with a name of years."),
        (("--numbers", "years=old"), "'old' is not a number"),
        (("--categories", "coat"), "with a name of kind, brand."),
        (("--image", "nowhere.png"), "nowhere.png"),
    ],
)
def test_predict_refuses(trained, capsys, arguments, message):
    assert message in refused(capsys, "predict", "--run", trained, *arguments)


def test_the_average_has_the_best_weights_that_add_up_to_one():
    rng = np.random.default_rng(0)
    a, b, noise = 2 * rng.normal(size=4000), rng.normal(size=4000), 0.25 * rng.normal(size=4000)
    networks = [{"validation": one, "test": one, "validation_truth": a + b + noise} for one in (a, b)]
    average = weighted_average(networks)
    share = np.polyfit(a - b, average - b, 1)[0]
    np.testing.assert_allclose(average, share * a + (1 - share) * b, atol=1e-6)
    assert share == pytest.approx(0.8, abs=0.02)  # by hand: the least of E(a + b - share * a - (1 - share) * b)**2


def test_evaluate_takes_the_words_of_the_run(trained, capsys):
    run("evaluate", "--run", trained, "--limit", 50)
    few = capsys.readouterr().out
    assert float(few.split("network")[1].split()[0]) < 0.6


def test_the_range_of_a_comparison_is_over_its_seeds():
    def network(*errors: float) -> list[dict]:
        truth = [1.0, 2.0, 3.0]
        shifted = [[value + error for value in truth] for error in errors]
        return [{"validation": one, "test": one, "validation_truth": truth, "test_truth": truth} for one in shifted]

    metrics = compare_errors({"joint": network(0.1, 0.4, 0.2), "text": network(0.5, 0.6, 0.7)}, ["text"])[1]
    for name, values in (("joint", (0.2, 0.1, 0.4)), ("text", (0.6, 0.5, 0.7))):
        found = [metrics[f"log_price_mae_{name}{end}"] for end in ("", "_lowest", "_highest")]
        assert found == pytest.approx(values)


@pytest.mark.slow
@pytest.mark.usefixtures("_jobs_here")
def test_compare_joint_and_average(tmp_path):
    run("compare", "--smoke", "--seeds", 1, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert {"log_price_mae_joint", "log_price_mae_weighted", "log_price_mae_text"} <= metrics.keys()
    assert "weighted average of separate networks" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.usefixtures("_jobs_here")
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--out", tmp_path / "search")
    metrics = read(tmp_path / "search", "metrics.json")
    assert metrics["val_mae"] <= metrics["val_mae_baseline"]
    best = tmp_path / "search" / "best.json"
    run("train", "--smoke", "--params", best, "--epochs", 1, "--out", tmp_path / "best")


@pytest.mark.parametrize(
    ("branches", "inputs"), [(("metadata",), {"numbers", "categories"}), (("text", "image"), {"text", "image"})]
)
def test_any_branch_can_be_left_out(tmp_path, capsys, branches, inputs):
    run("train", "--smoke", "--strategy", "mirrored", "--branches", *branches, "--out", tmp_path / "run")
    assert {tensor.name for tensor in load_model(tmp_path / "run").inputs} == inputs
    metrics = read(tmp_path / "run", "metrics.json")
    assert "log_price_mae_reference" not in metrics  # it would see everything
    capsys.readouterr()
    run("evaluate", "--run", tmp_path / "run")
    assert format_metric("log_price_mae", metrics["log_price_mae"]) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--missing", 1.0), "--missing must be in [0, 1)"),
        (("train", "--learning-rate", 0), "--learning-rate must be above 0"),
        (("train", "--params", '{"widths": 3}'), "--params: this network does not take widths; it takes"),
        (("train", "--data", "nowhere.csv"), "neither garments nor a file"),
        (("compare", "--workers", 0), "--workers must be at least 1"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    said = refused(capsys, *arguments, "--smoke", "--out", tmp_path / "run")
    assert message in said
