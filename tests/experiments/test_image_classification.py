"""The image-classification experiment as a person runs it: commands in, run folders and answers out."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import keras
import keras_tuner
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from experiments.image_classification import __main__ as experiment
from experiments.image_classification import imagenet
from experiments.image_classification.network import (
    ARCHITECTURES,
    Arch,
    build_network,
    make_model,
    params_of,
    recipe_of,
    space_of,
    train_one,
)
from experiments.image_classification.results import result_blocks
from experiments.shared import searching
from experiments.shared.image_classifier import GivenRecipe, Recipe
from experiments.shared.runs import SavedRun
from kerasapps.data.images import load_images, resizer
from kerasapps.data.pictures import read_picture
from kerasapps.formats import format_share
from kerasapps.optimizers import Muon
from kerasapps.runs import UNRECORDED, Options
from kerasapps.search.options import Trials
from kerasapps.search.result import BASELINE, SearchResult, Trial
from kerasapps.session import start as start_run
from tests.experiments.commands import commands, read

run, refused = commands(
    "experiments.image_classification",
    experiment.train,
    experiment.search,
    experiment.evaluate,
    experiment.predict,
    experiment.networks,
)

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A perceptron that has learned the digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    run("train", "--arch", "perceptron", "--epochs", 8, "--out", folder)
    return folder


@pytest.fixture
def digits(tmp_path, monkeypatch) -> list[Path]:
    """PNG files of a zero, a one and a four, as large as the network wants them, in the working directory."""
    monkeypatch.chdir(tmp_path)
    files = []
    for i in (0, 1, 4):  # so they begin: 0, 1, 2, 3, 4
        file = Path(f"digit{i}.png")
        gray = (load_digits().images[i] * (255 / 16)).astype(np.uint8)
        Image.fromarray(gray).resize((28, 28), Image.Resampling.BILINEAR).save(file)
        files.append(file)
    return files


# --- train


def test_the_digits_are_learned(trained):
    metrics = read(trained, "metrics.json")
    assert metrics["accuracy"] > 0.85  # 0.1 by guessing
    assert metrics["accuracy"] <= metrics["top5_accuracy"] <= 1
    assert metrics.keys() >= {"loss", "macro_f1", "seconds", "parameters", "epochs", "peak_memory_mib"}
    assert "accuracy_flip" not in metrics  # a mirrored digit is none
    assert metrics["parameters"] == 785 * 128 + 129 * 64 + 65 * 10


def test_train_writes_a_run_folder(trained):
    for name in ("config.json", "history.csv", "model.keras", "checkpoints/last.npz", "checkpoints/best.npz"):
        assert (trained / name).is_file()
    figures = {"curves", "confusion", "mistakes", "augmentation"}
    assert {file.stem for file in (trained / "figures").iterdir()} == figures
    assert read(trained, "codec.json") == {
        "class_names": list("0123456789"),
        "image_shape": [28, 28, 1],
        "stored_size": 8,
        "digest": load_images("digits").digest,
    }
    assert read(trained, "config.json")["experiment"] == "image_classification"
    settings = read(trained, "config.json")["settings"]
    # Every value as resolved, also those that the command line left to the architecture.
    assert settings.items() >= {"arch": "perceptron", "size": 28, "optimizer": "adam", "flip": False}.items()
    assert settings.keys() >= set(vars(Recipe())) | set(vars(Options())) - UNRECORDED
    rows = list(csv.DictReader((trained / "history.csv").open()))
    assert [row["epoch"] for row in rows] == [str(i) for i in range(1, 9)]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_the_report_shows_everything(trained):
    html = (trained / "report.html").read_text()
    accuracy = format_share(read(trained)["accuracy"])
    for heading in (
        f"perceptron on digits: {accuracy} test accuracy (359 images, 10 classes) after 8 epochs",
        "Rows are true classes, columns predicted ones, of 359 test images",
        "The most frequent confusions on the test set",
        "Classes on the test set, in percent, the worst first",
        "on the test set: true class → predicted class",
        "by epoch; the weights of epoch",
        "augmented versions",
        "What the network costs",
        "FLOPs an image",
        "109,386",
        "How it was run",
    ):
        assert heading in html
    assert html.count("data:image/png;base64,") == 10  # each in light and dark, the curves in two panels
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_train_resumes(tmp_path, capsys):
    options = ("--arch", "perceptron", "--smoke", "--out", tmp_path / "run")
    run("train", *options, "--epochs", 1)
    first = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert "learning rate continues" not in capsys.readouterr().out
    run("train", *options, "--epochs", 2, "--resume")
    assert "started with --epochs 1: its learning rate continues as if --epochs 2 had" in capsys.readouterr().out
    both = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert both[:2] == first
    assert len(both) == 3
    assert read(tmp_path / "run", "metrics.json")["epochs"] == 2


def test_a_resumed_run_keeps_its_options(trained, capsys):
    before = (trained / "metrics.json").read_text()
    said = refused(capsys, "train", "--arch", "lenet5", "--epochs", 8, "--out", trained, "--resume")
    assert "a resumed run keeps its options" in said
    assert "holds a finished run" in refused(capsys, "train", "--smoke", "--out", trained)
    assert (trained / "metrics.json").read_text() == before


@pytest.mark.slow
def test_train_on_two_devices(tmp_path):
    tiny = ("--arch", "inception", "--size", 8, "--params", '{"filters": [8], "blocks": 0}', "--batch-size", 32)
    run("train", "--smoke", "--strategy", "mirrored", *tiny, "--epochs", 1, "--out", tmp_path / "run")
    assert read(tmp_path / "run", "config.json")["replicas"] == 2
    assert math.isfinite(read(tmp_path / "run", "metrics.json")["loss"])


TINY = {
    "separable": {"filters": [[4, 4], [4, 4]]},
    "inception": {"filters": [8], "blocks": 0},
    "residual": {"depth": 8, "filters": [4, 4, 4]},
    "quick_residual": {"stem_filters": 4, "filters": [4, 4]},
    "xception": {"stem": [4, 4], "entry": [4], "middle_blocks": 0, "exit_filters": [4, 4, 4]},
    "perceptron": {},
    "mnist_network": {},
    "cifar_network": {},
    "lenet5": {},
    "alexnet": {"filters": [4, 4, 4, 4, 4], "dense_units": [8, 8]},
    "vgg": {"depth": 11, "filters": [4, 4, 4, 4, 4], "dense_units": [8]},
    "densenet": {"blocks": [1], "growth_rate": 4},
    "resnet18": {"filters": [4, 4, 4, 4]},
    "squeezenet1_1": {"width": 0.25},
    "inception_v3": {"width": 0.1, "long_filters": [64], "last_blocks": 0},
    "capsule": {"filters": 4, "primary_capsules": 1, "decoder_units": [4]},
}


def test_one_network_of_each_builder_is_tried():
    assert {ARCHITECTURES[arch].build for arch in TINY} == {network.build for network in ARCHITECTURES.values()}
    assert list(ARCHITECTURES) == list(get_args(Arch))


SLOW = {"resnet18", "inception_v3"}


@pytest.mark.parametrize("arch", [pytest.param(arch, marks=[pytest.mark.slow] * (arch in SLOW)) for arch in TINY])
def test_every_network_trains_by_its_recipe(arch, tmp_path):
    options = Options(out=tmp_path / "run", precision="float32", smoke=True, limit=16)
    size = {"alexnet": 63, "mnist_network": 28}.get(arch, 32)
    recipe = recipe_of(arch, "digits", GivenRecipe(size=size, epochs=1, batch_size=16), options=options)
    held = start_run("arch", {"options": options}, workload="convolution")
    trained = train_one(held, data="digits", arch=arch, params=TINY[arch], recipe=recipe)
    held.close()
    assert len(trained.history.rows) == 1
    assert math.isfinite(trained.history.rows[0]["loss"])
    assert trained.model.output["label"].shape == (None, 10)
    assert keras.models.load_model(tmp_path / "run" / "model.keras").compiled


def test_small_images_get_networks_for_small_images():
    options = Options()
    recipe = recipe_of("densenet", "cifar10", GivenRecipe(), options=options)
    sizes = {"image_shape": (recipe.size, recipe.size, 3), "num_classes": 10}
    shared = {"recipe": recipe, "steps": 10, "jit_compile": False, **sizes}
    small = make_model(arch="densenet", params={"blocks": [1]}, **shared)
    assert small.get_layer("stem_conv").output.shape[1:3] == (32, 32)
    large = make_model(arch="densenet", params={"blocks": [1], "small_images": False}, **shared)
    assert large.get_layer("stem_conv").output.shape[1:3] == (16, 16)


@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_1", "inception_v3", "cifar_network"])
def test_the_digits_fit_at_their_own_size(arch):
    with keras.StatelessScope(initialize_variables=False):
        model = build_network(arch, {}, image_shape=(8, 8, 1), num_classes=10)
    assert model.output["label"].shape == (None, 10)


def test_a_search_keeps_what_the_name_of_a_network_says():
    hp = keras_tuner.HyperParameters()
    assert space_of("vgg13_bn", "mnist", 32)(hp).items() >= {"depth": 13, "batch_norm": True}.items()
    assert space_of("densenet161", "mnist", 32)(keras_tuner.HyperParameters()) == {
        "depth": 161,
        "growth_rate": 48,
        "small_images": True,
        "dropout": 0.0,
    }
    assert {one.name for one in hp.space if type(one).__name__ != "Fixed"} == {"filters", "dense_units", "dropout"}


@pytest.mark.parametrize(("size", "depth", "padding"), [(32, 2, "valid"), (32, 3, "same"), (64, 3, "valid")])
def test_every_configuration_of_a_search_fits_the_size(size, depth, padding):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("depth", depth)
    hp.Fixed("padding", "valid")
    params = space_of("separable", "mnist", size)(hp)
    assert params["padding"] == padding
    ARCHITECTURES["separable"].build(image_shape=(size, size, 3), num_classes=2, **params)


def test_a_search_begins_with_what_train_would_take():
    suited = params_of("separable", "digits", None)
    assert suited == {"padding": "same", "batch_norm": True}
    assert suited.items() <= space_of("separable", "digits", 32)(keras_tuner.HyperParameters()).items()
    assert params_of("separable", "digits", "{}") == params_of("separable", "mnist", None) == {}
    sizes = [recipe_of("separable", data, GivenRecipe(), options=Options()).size for data in ("digits", "cifar10")]
    assert sizes == [32, 64]


def test_what_the_command_line_leaves_open_follows_from_architecture_and_data():
    options = Options()
    cifar = recipe_of("residual", "cifar10", GivenRecipe(learning_rate=0.2), options=options)
    assert (cifar.optimizer, cifar.learning_rate, cifar.flip, cifar.size) == ("sgd", 0.2, True, 32)
    assert recipe_of("residual", "digits", GivenRecipe(flip=True), options=options).flip is False
    assert recipe_of("residual", "digits", GivenRecipe(), options=options).epochs == 30
    assert recipe_of("residual", "digits", GivenRecipe(epochs=3), options=options).epochs == 3
    assert recipe_of("residual", "digits", GivenRecipe(), options=Options(smoke=True)).epochs == 2
    assert all(isinstance(recipe_of(arch, "x", GivenRecipe(), options=options), Recipe) for arch in ARCHITECTURES)


def test_another_optimizer_brings_its_own_rate():
    def steps(arch, **given):
        recipe = recipe_of(arch, "cifar10", GivenRecipe(**given), options=Options())
        return recipe.optimizer, recipe.learning_rate, recipe.weight_decay

    assert steps("quick_residual") == steps("quick_residual", optimizer="sgd") == ("sgd", 0.3, 5e-3)
    assert steps("quick_residual", optimizer="muon") == ("muon", 2e-2, 0.1)
    assert steps("residual", optimizer="adam") == ("adam", 2e-3, 0.0)
    assert steps("vgg16", optimizer="sgd") == ("sgd", pytest.approx(0.015), 5e-3)  # as gentle as by Adam
    assert steps("residual", optimizer="muon", learning_rate=1e-3) == ("muon", 1e-3, 0.1)


@pytest.mark.parametrize(
    ("arch", "params", "classes", "inner"),
    [
        ("residual", {"depth": 8, "filters": [4, 4, 4]}, "label/kernel", "stage1_block1_1_conv/kernel"),
        ("quick_residual", {"filters": [4, 4, 4]}, "scores/kernel", "stage1_1_conv/kernel"),
        ("squeezenet1_1", {}, "conv10_conv/kernel", "fire2_squeeze_conv/kernel"),
    ],
)
def test_muon_leaves_the_vectors_of_classes_to_adam(arch, params, classes, inner):
    recipe = recipe_of(arch, "cifar10", GivenRecipe(optimizer="muon"), options=Options())
    sizes = {"image_shape": (16, 16, 3), "num_classes": 4}
    model = make_model(arch=arch, params=params, recipe=recipe, steps=10, jit_compile=False, **sizes)
    images = {"image": np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype(np.float32)}
    model.train_on_batch(images, np.arange(8) % 4)
    optimizer = model.optimizer
    squares = {weight.path: optimizer._velocities[optimizer._get_variable_index(weight)].numpy() for weight in
               model.trainable_weights}  # fmt: skip
    assert isinstance(optimizer, Muon)
    assert optimizer.weight_decay == 0.1
    assert squares[classes].any()
    assert not squares[inner].any()


def test_what_does_not_fit_is_refused(tmp_path, capsys):
    said = refused(capsys, "train", "--arch", "alexnet", "--size", 32, "--out", tmp_path / "run", "--limit", 20)
    assert "with both sides at least 63" in said
    auxiliary = ("--arch", "inception_v3", "--params", '{"auxiliary": true}', "--limit", 20)
    assert "does not take auxiliary" in refused(capsys, "train", *auxiliary, "--out", tmp_path / "aux")


def test_networks_prints_sizes_and_published_errors(monkeypatch, capsys):
    for arch in set(imagenet.PUBLISHED) - {"vgg19_bn", "squeezenet1_0"}:
        monkeypatch.delitem(imagenet.PUBLISHED, arch)
    run("networks")
    printed = capsys.readouterr().out
    assert "vgg19_bn 143,678,248 25.76 8.15" in " ".join(printed.split())


# --- evaluate and predict


def test_evaluate_prints_what_train_measured(trained, capsys):
    run("evaluate", "--run", trained)
    printed = capsys.readouterr().out
    for name in ("accuracy", "loss", "macro_f1", "top5_accuracy"):
        value = f"{read(trained, 'metrics.json')[name]:.4f}"
        assert [name, value] in [line.split() for line in printed.splitlines()]
    assert "precision" in printed


def test_evaluate_on_fewer_images(trained, capsys):
    run("evaluate", "--run", trained, "--limit", 20)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {row[0]: row[-1] for row in rows if row and row[0] in set("0123456789")} == dict.fromkeys("0123456789", "2")


def test_evaluate_on_other_classes(trained, tmp_path, capsys):
    colors(tmp_path / "data", count=4)
    said = refused(capsys, "evaluate", "--run", trained, "--data", tmp_path / "data")
    assert "has other classes than the network: blue is new." in said


def test_evaluate_on_a_folder_of_gray_images(trained, tmp_path, capsys):
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray((image * (255 / 16)).astype(np.uint8)).save(tmp_path / str(label) / f"{number:04}.png")
    run("evaluate", "--run", trained, "--data", tmp_path)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert next(float(row[1]) for row in rows if row[:1] == ["accuracy"]) > 0.8


def test_evaluate_of_a_network_for_color_images_on_gray_ones(trained, tmp_path, capsys):
    copy = shutil.copytree(trained, tmp_path / "run")
    codec = read(copy, "codec.json")
    (copy / "codec.json").write_text(json.dumps(codec | {"image_shape": [28, 28, 3]}))
    colored = ARCHITECTURES["perceptron"].build(image_shape=(28, 28, 3), num_classes=10)
    colored.save(copy / "model.keras")
    said = refused(capsys, "evaluate", "--run", copy, "--data", "digits")
    assert said == "digits has gray images, and the network was trained on color images."


def test_evaluate_on_no_image(trained, capsys):
    assert refused(capsys, "evaluate", "--run", trained, "--limit", 0) == "--limit must be at least 1. Received: 0"


def test_evaluate_on_nothing(trained, capsys):
    said = refused(capsys, "evaluate", "--run", trained, "--data", "")
    assert "is neither a data set" in said


def answers(printed: str) -> dict[str, list[str]]:
    """Returns the rest of the row of each file."""
    rows = [line.split() for line in printed.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 7 and row[0] != "image"}


def test_predict_names_the_digits(trained, digits, tmp_path, capsys):
    run("predict", "--run", trained, *digits, "--figure", tmp_path / "answers.png")
    printed = capsys.readouterr()
    assert printed.err == ""
    shown = answers(printed.out)
    assert {name: row[0] for name, row in shown.items()} == {"digit0.png": "0", "digit1.png": "1", "digit4.png": "4"}
    for row in shown.values():
        shares = [float(share) for share in row[1::2]]
        assert 100 >= shares[0] >= shares[1] >= shares[2] >= 0
        assert sum(shares) <= 100.2
    with Image.open(tmp_path / "answers.png") as figure:
        assert figure.format == "PNG"


def test_names_are_printed_as_they_are(trained, digits, capsys):
    Path("a[").mkdir()
    files = [digits[0].rename("zero[bold].png"), digits[1].rename("a[/b].png"), digits[2].rename(":cat:.png")]
    run("predict", "--run", trained, *files)
    assert answers(capsys.readouterr().out).keys() == {"zero[bold].png", "a[/b].png", ":cat:.png"}


def test_a_figure_of_some_of_the_images(trained, digits, tmp_path, capsys):
    run("predict", "--run", trained, *digits * 9, "--figure", tmp_path / "answers.png")
    assert capsys.readouterr().out.endswith("answers.png (the first 24 of 27 images)\n")


def test_a_long_path_does_not_push_the_answer_out(trained, digits, capsys):
    folder = Path("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    file = digits[0].rename(folder / "zero.png")
    run("predict", "--run", trained, file)
    printed = capsys.readouterr().out
    assert "zero.png" in printed.replace("\n", "").replace(" ", "")
    assert "%" in printed
    assert any(float(word) > 50 for word in printed.split() if word.replace(".", "").isdigit() and "." in word)


def test_predict_takes_a_folder(trained, digits, tmp_path, capsys):
    folder = digits[0].parent
    (tmp_path / "none").mkdir()
    run("predict", "--run", trained, folder)
    assert answers(capsys.readouterr().out).keys() >= {"digit0.png", "digit1.png", "digit4.png"}
    assert "none holds no image" in refused(capsys, "predict", "--run", trained, tmp_path / "none")


def test_predict_continues_after_a_corrupt_image(trained, digits, tmp_path, capsys):
    digits[1].write_bytes(digits[1].read_bytes()[:60])
    (tmp_path / "notes.png").write_text("no image")
    run("predict", "--run", trained, digits[0], digits[1], "none.png", "notes.png", digits[2])
    printed = capsys.readouterr()
    bad = printed.err.strip().splitlines()
    assert len(bad) == 3
    assert "digit1.png is damaged" in bad[0]
    assert "none.png cannot be read: No such file or directory." in bad[1]
    assert "notes.png is not a JPEG, PNG" in bad[2]
    assert answers(printed.out).keys() == {"digit0.png", "digit4.png"}


def test_predict_without_any_readable_image(trained, digits, capsys):
    for file in digits:
        file.write_bytes(b"\x89PNG")
    said = refused(capsys, "predict", "--run", trained, *digits, lines=len(digits) + 1)
    assert said.endswith(" None of the images could be read.")
    assert "digit0.png is not a JPEG" in refused(capsys, "predict", "--run", trained, digits[0])
    assert refused(capsys, "predict", "--run", trained).startswith("No image was given")


@pytest.mark.parametrize("command", [("evaluate",), ("predict", "a.png")])
def test_a_typo_in_run(command, trained, capsys):
    said = refused(capsys, *command, "--run", f"{trained}s")
    assert said == f"{trained}s is not a run folder: it has no config.json."


def test_predict_sees_what_evaluate_sees(tmp_path):
    # A stored digit of 8 pixels, scaled once by the file reader and once by `tf.data`.
    stored, scaled = (load_images("digits", size=size).test for size in (None, 28))
    Image.fromarray(stored.inputs["image"][0, ..., 0]).save(tmp_path / "digit.png")
    by_predict = read_picture(tmp_path / "digit.png", size=28, channels=1)
    by_evaluate = next(iter(scaled.batches(1)))[0]["image"][0]
    np.testing.assert_allclose(by_predict, by_evaluate, atol=1)


def test_predict_scales_a_photograph_as_training_images_are_scaled(trained, tmp_path, monkeypatch):
    seen = []

    def outputs(self, inputs):
        seen.append(np.asarray(inputs["image"]))
        return {"label": np.full((1, 10), 0.1)}

    monkeypatch.setattr(SavedRun, "outputs", outputs)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    run("predict", "--run", trained, tmp_path / "photo.png")
    stored = read_picture(tmp_path / "photo.png", size=8, channels=1)  # as the digits are
    np.testing.assert_allclose(seen[0], resizer(8, 28)({"image": stored[None]})["image"])


# --- search


@pytest.mark.slow
def test_search_writes_params_that_train_takes(tmp_path, capsys):
    shared = ["--strategy", "mirrored", "--batch-size", 16]
    run("search", "--smoke", "--arch", "perceptron", "--max-trials", 1, *shared, "--out", tmp_path / "search")
    metrics = read(tmp_path / "search", "metrics.json")
    with open(tmp_path / "search" / "trials.csv") as file:
        scores = {row["trial"]: float(row["val_accuracy"]) for row in csv.DictReader(file)}
    assert (metrics["trials"], metrics["failed_trials"]) == (len(scores), 0) == (2, 0)
    winner = max(scores, key=scores.get)
    assert metrics["val_accuracy"] == scores[winner]
    best = read(tmp_path / "search", "best.json")
    config = read(tmp_path / "search" / "trials" / winner, "config.json")
    assert config["replicas"] == 2
    assert best == config["settings"]["params"]
    assert best.keys() == {"dense_units", "dropout"}
    run(
        "train",
        "--smoke",
        "--arch",
        "perceptron",
        "--params",
        tmp_path / "search" / "best.json",
        "--out",
        tmp_path / "b",
    )
    trained = keras.saving.load_model(tmp_path / "b" / "model.keras", compile=False)
    assert trained.get_layer("dense1").units == best["dense_units"][0]
    capsys.readouterr()
    run("evaluate", "--run", tmp_path / "search", "--limit", 64)
    assert f"{metrics['accuracy']:.4f}" in capsys.readouterr().out


def test_search_reports_on_the_data_before_the_first_trial(tmp_path, monkeypatch, capsys):
    colors(tmp_path / "data", count=30)
    (tmp_path / "data" / "red" / "red0.png").write_bytes(b"\x89PNG no more")
    passed = {}
    monkeypatch.setattr(experiment, "search_and_report", lambda run, *arguments, **rest: passed.update(rest))
    run("search", "--data", tmp_path / "data", "--arch", "perceptron", "--size", 8, "--out", tmp_path / "run")
    assert "1 of 90 images" in capsys.readouterr().out
    assert "1 of 90 images" in passed["notes"][0]
    said = refused(capsys, "search", "--data", "none", "--out", tmp_path / "typo")
    assert said.startswith("none is neither a data set")


def test_the_summary_of_a_search_ends_with_the_notes(tmp_path, monkeypatch):
    result = SearchResult([Trial(BASELINE, {"units": 2}, 0.5, 1.0, "")], "val_accuracy", maximize=True)
    image = keras.Input((2,), name="image")
    model = keras.Model({"image": image}, {"label": keras.layers.Dense(2, name="label")(image)})
    monkeypatch.setattr(searching, "find", lambda *arguments, **rest: result)
    monkeypatch.setattr(searching, "load_model", lambda folder: model)
    settings = {"epochs": 1, "options": Options(out=tmp_path / "run")}
    held = start_run("toy search", settings, experiment="toy", workload="convolution")
    searching.search_and_report(
        held,
        Trials(max_trials=1),
        train_one,
        None,
        what="toy",
        test=lambda model: ({"accuracy": 0.5}, []),
        notes=("3 images are upside down.",),
    )
    assert "3 images are upside down." in (tmp_path / "run" / "report.html").read_text()
    assert read(tmp_path / "run", "best.json") == {"units": 2}


# --- your own images


def colors(folder: Path, *, count: int, seed: int = 0) -> None:
    """Images of three classes, of different formats and sizes, each of one color with some noise."""
    rng = np.random.default_rng(seed)
    for i, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir(parents=True)
        for j in range(count):
            pixels = rng.integers(0, 100, (20 + j % 5, 24 - j % 3, 3))
            pixels[..., i] += 120
            suffix = (".png", ".jpg", ".webp", ".bmp")[j % 4]
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{name}{j}{suffix}")


def test_a_folder_of_your_own_trains_and_predicts(tmp_path, monkeypatch, capsys):
    colors(tmp_path / "data", count=30)
    (tmp_path / "data" / "red" / "red0.png").write_bytes(b"\x89PNG no more")
    options = ("--arch", "perceptron", "--size", 16, "--batch-size", 8, "--epochs", 12, "--shift", 0)
    run("train", "--data", tmp_path / "data", *options, "--out", tmp_path / "run")
    printed = capsys.readouterr().out
    assert "1 of 90 images (1.1%) cannot be read and are skipped." in printed
    assert "red0.png" in printed
    assert "red0.png is not a JPEG" in (tmp_path / "run" / "skipped.txt").read_text()
    assert "with mirrored images" in printed
    metrics = read(tmp_path / "run", "metrics.json")
    assert min(metrics["accuracy"], metrics["accuracy_flip"]) > 0.9
    assert "top5_accuracy" not in metrics  # always 1 of three classes
    assert read(tmp_path / "run", "codec.json")["class_names"] == ["blue", "green", "red"]
    assert "red0.png" in (tmp_path / "run" / "report.html").read_text()
    colors(tmp_path / "new", count=1, seed=1)
    monkeypatch.chdir(tmp_path / "new")
    run("predict", "--run", tmp_path / "run", "red/red0.png", "green/green0.png", "blue/blue0.png")
    shown = answers(capsys.readouterr().out)
    assert {name: row[0] for name, row in shown.items()} == {
        "red/red0.png": "red",
        "green/green0.png": "green",
        "blue/blue0.png": "blue",
    }
    run("evaluate", "--run", tmp_path / "run")
    printed = capsys.readouterr().out
    assert f"{metrics['accuracy']:.4f}" in printed
    assert "1 of 90 images" in printed
    assert "may have been trained on" not in printed
    (tmp_path / "data" / "red" / "red1.jpg").unlink()
    run("evaluate", "--run", tmp_path / "run")
    assert "some of these test images may have been trained on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: shutil.copytree(data / "red", data / "ant"), "ant is new"),
        (lambda data: (data / "red").rename(data / "zebra"), "zebra is new"),
        (lambda data: (data / "red" / "red0.png").unlink(), "images were added or removed"),
    ],
)
def test_a_run_on_a_folder_that_has_changed_is_not_resumed(change, sentence, tmp_path, capsys):
    colors(tmp_path / "data", count=8)
    options = ("--data", tmp_path / "data", "--arch", "perceptron", "--size", 8, "--batch-size", 8)
    run("train", *options, "--epochs", 1, "--out", tmp_path / "run")
    before = (tmp_path / "run" / "codec.json").read_text()
    change(tmp_path / "data")
    said = refused(capsys, "train", *options, "--epochs", 2, "--out", tmp_path / "run", "--resume")
    assert f"has changed since {tmp_path / 'run'} was started: {sentence}." in said
    assert (tmp_path / "run" / "codec.json").read_text() == before


def test_a_folder_whose_path_is_no_text(tmp_path):
    data = tmp_path / os.fsdecode(b"caf\xe9")
    colors(data, count=8)
    run("train", "--data", data, "--arch", "perceptron", "--size", 8, "--epochs", 1, "--out", tmp_path / "run")
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_only_a_whole_run_is_shown_next_to_published_results():
    splits = load_images("digits", limit=20)
    probabilities = np.eye(10)[splits.test.targets["label"]]
    for whole in (True, False):
        blocks = result_blocks(splits, probabilities, data="mnist", network="toy", whole=whole)
        assert any("published results" in getattr(block, "title", "") for block in blocks) is whole


def test_a_folder_of_one_class(tmp_path, capsys):
    colors(tmp_path / "data", count=4)
    said = refused(capsys, "train", "--data", tmp_path / "data" / "red", "--out", tmp_path / "run")
    assert "holds no image in a sub-folder" in said
    for name in ("green", "blue"):
        for file in (tmp_path / "data" / name).iterdir():
            file.unlink()
        (tmp_path / "data" / name).rmdir()
    said = refused(capsys, "train", "--data", tmp_path / "data", "--out", tmp_path / "another")
    assert "has only one class, red" in said


@pytest.mark.slow
@pytest.mark.real_data
def test_cifar10(tmp_path):
    tiny = ("--arch", "residual", "--params", '{"depth": 8, "filters": [4, 4, 4]}', "--epochs", 1)
    run("train", "--data", "cifar10", "--smoke", *tiny, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert metrics.keys() >= {"accuracy", "accuracy_flip", "top5_accuracy"}
    html = (tmp_path / "run" / "report.html").read_text()
    assert "published results" not in html  # of 64 images
    assert "airplane" in html


# --- errors you can fix


def test_nothing_but_the_sentence_on_standard_error(tmp_path):
    command = [sys.executable, "-m", "experiments.image_classification", "evaluate", "--run", tmp_path / "none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=quiet_environment())
    assert done.returncode == 2
    assert done.stderr.strip() == f"{tmp_path / 'none'} is not a run folder: it has no config.json."


def quiet_environment() -> dict[str, str]:
    """The environment of a person: without what conftest.py set to silence TensorFlow."""
    return {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def test_a_loss_that_becomes_nan(tmp_path, capsys):
    options = ("--smoke", "--arch", "perceptron", "--learning-rate", 1e30, "--batch-size", 16)
    said = refused(capsys, "train", *options, "--out", tmp_path / "run")
    assert "The loss became" in said
    assert "--learning-rate" in said


def test_data_that_does_not_exist(tmp_path, capsys):
    said = refused(capsys, "train", "--data", "cifar", "--out", tmp_path / "run")
    assert said.startswith("cifar is neither a data set (digits, shapes, mnist, ")


def test_an_unknown_network(capsys):
    with pytest.raises(SystemExit) as left:
        run("train", "--arch", "resnet")
    assert left.value.code == 2
    assert "residual" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arch", "params", "sentence"),
    [
        ("separable", '{"width": 2.0', "--params is not valid JSON: "),
        ("separable", '{"widht": 2.0}', "--params: --arch separable does not take widht; it takes "),
        ("perceptron", '{"width": 2.0}', "--params: --arch perceptron does not take width; it takes "),
        ("perceptron", '{"features": 3}', "--params: --arch perceptron does not take features; it takes "),
        ("residual", '{"depth": 9}', "`depth` must be 6n + 2 with n at least 1. Received: depth=9"),
        ("perceptron", '{"num_classes": 3}', "num_classes"),  # the data decide
        ("perceptron", '{"image_shape": [8, 8, 1]}', "image_shape"),
        ("perceptron", '{"dropout": "high"}', "dropout"),
        (
            "separable",
            '{"width": Infinity}',
            "`width` must be in [-10,000,000, 10,000,000]",
        ),
        ("separable", '{"filters": []}', "`filters` must hold a pair of widths for each stage. Received: filters=()"),
        ("perceptron", '{"dense_units": 64}', "dense_units"),
        ("perceptron", "none.json", "none.json cannot be read: No such file or directory."),
    ],
)
def test_params_that_do_not_fit(arch, params, sentence, tmp_path, capsys):
    said = refused(capsys, "train", "--smoke", "--arch", arch, "--params", params, "--out", tmp_path / "run")
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_a_params_file_that_holds_something_else(tmp_path, capsys):
    (tmp_path / "list.json").write_text("[1, 2]")
    said = refused(capsys, "train", "--smoke", "--params", tmp_path / "list.json", "--out", tmp_path / "run")
    assert "list.json" in said


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--epochs", 0),
        ("--batch-size", 0),
        ("--batch-size", -1),
        ("--size", 0),
        ("--limit", 0),
        ("--shift", 1),
        ("--erase", -0.5),
        ("--label-smoothing", 1.5),
        ("--learning-rate", -1),
        ("--weight-decay", -1),
    ],
)
def test_a_number_out_of_range(option, value, tmp_path, capsys):
    options = ("--smoke", "--arch", "perceptron", option, value)
    said = refused(capsys, "train", *options, "--out", tmp_path / "run")
    assert "must be" in said
    assert "Received: " in said


def test_images_too_small_for_the_network(tmp_path, capsys):
    said = refused(capsys, "train", "--smoke", "--arch", "mnist_network", "--size", 10, "--out", tmp_path / "run")
    assert "both sides at least 16. Received: image_shape=(10, 10, 1)" in said
