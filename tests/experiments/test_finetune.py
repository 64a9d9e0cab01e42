"""Transfer learning as a person runs it: two stages, resumed, compared, searched, and used afterwards."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from experiments.image_classification import __main__ as experiment
from experiments.image_classification.features import cached_features, one_version
from experiments.image_classification.transfer import compiled_head, network
from experiments.image_classification.transfer_options import (
    Foundation,
    GivenTransferRecipe,
    Source,
    TransferRecipe,
    load,
    settled,
)
from experiments.image_classification.transfer_results import shots_figure, shots_table, summarize
from experiments.shared.runs import load_run
from kerasapps.applications.transfer_classifier import FEATURES, base_layers
from kerasapps.applications.vgg import build_vgg
from kerasapps.bases import load_base
from kerasapps.data.shapes import CLASSES, draw_shape
from kerasapps.runs import Options
from tests.experiments.commands import commands, read

run, refused = commands("experiments.image_classification", *experiment.COMMANDS)

# A recipe of a few seconds: one layer deep, small images.
QUICK = ("--layer", "block3_conv1", "--size", "32", "--epochs", "2", "--head-epochs", "8", "--versions", "2",
         "--batch-size", "6", "--head-rate", "0.01")  # fmt: skip
ALONE = ("--shots", "4", *QUICK, "--baseline-epochs", "0")


def write_shapes(folder: Path, *, each: int, classes=CLASSES[:3]) -> Path:
    """A folder of drawn shapes, a sub-folder a class."""
    rng = np.random.default_rng(1)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            Image.fromarray(draw_shape(name, rng)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("images") / "shapes", each=14)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, shapes) -> Path:
    """A run of two draws, on which something was learned."""
    folder = tmp_path_factory.mktemp("runs") / "tuned"
    run("finetune", "--data", shapes, "--shots", "6", "--draws", "2", *QUICK, "--baseline-epochs", "2", "--out", folder)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory, shapes) -> Path:
    """A run of one draw without comparison."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    run("finetune", "--data", shapes, *ALONE, "--out", folder)
    return folder


def test_scripts_find_their_names(tuned):
    metrics = read(tuned)
    for name in ("accuracy", "accuracy_frozen", "accuracy_baseline"):
        assert 0 <= metrics[name] <= 1
        assert metrics[f"{name}_std"] >= 0
    assert metrics["train_rows"] == 3 * 6
    assert max(metrics["accuracy_frozen"], metrics["accuracy"]) > 0.4  # a third by chance


def test_the_report_shows_it(tuned):
    html = (tuned / "report.html").read_text()
    for heading in ("Test accuracy in percent", "Nearest training images", "Learning-rate finder", "Confusion matrix"):
        assert heading in html


def test_both_stages_have_their_history(tuned):
    assert len((tuned / "head" / "history.csv").read_text().splitlines()) == 1 + 8
    assert len((tuned / "finetuned" / "history.csv").read_text().splitlines()) == 1 + 2


def test_evaluate_and_predict_as_other_runs(alone, shapes, capsys):
    run("evaluate", "--run", alone)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("accuracy  ")]
    assert float(line.split()[1]) == pytest.approx(read(alone)["accuracy"], abs=1e-4)
    run("predict", "--run", alone, shapes / "disc" / "0.png")
    assert "disc" in capsys.readouterr().out


def test_predict_prepares_images_as_training_did(tuned, shapes):
    saved = load_run(tuned, "image_classification")
    files = [shapes / "disc" / "0.png", shapes / "cross" / "3.png"]
    source = Source(data=str(shapes))
    splits = load(source, TransferRecipe(size=32), options=Options(), shots=6, draw=0)
    rows = np.concatenate([batch["image"] for part in (splits.train, splits.validation, splits.test)
                           for batch, _ in part.batches(64).as_numpy_iterator()])  # fmt: skip
    for image in saved.codec.encode(files)["image"]:
        assert min(np.abs(rows.astype(np.float32) - image).max((1, 2, 3))) < 1e-6


def test_stopped_between_the_stages_it_resumes_to_the_same(alone, shapes, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(alone, copy)
    before = load_run(copy).model.get_weights()
    for name in ("finetuned", "metrics.json", "model.keras"):
        shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()
    run("finetune", "--data", shapes, *ALONE, "--resume", "--out", copy)
    for a, b in zip(before, load_run(copy).model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_weights_are_the_base_s_to_the_bit(shapes, tmp_path):
    # A base with statistics of its own, which training would move.
    base = build_vgg(image_shape=(32, 32, 3), num_classes=4, depth=11, filters=(4, 4, 6, 6, 6), dense_units=(8,),
                     batch_norm=True)  # fmt: skip
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta + 0.1, mean + 0.3, variance * 2])
    base.save(tmp_path / "base.keras")
    out = tmp_path / "run"
    run("finetune", "--data", shapes, "--base", tmp_path / "base.keras", "--layer", "block4_pool", "--shots", "4",
        "--epochs", "2", "--head-epochs", "2", "--baseline-epochs", "0", "--learning-rate", "0.01", "--batch-size", "3",
        "--freeze", "2", "--out", out)  # fmt: skip
    model = load_run(out).model
    layers = [layer.name for layer in base_layers(model)]
    assert len(layers) == 6
    for i, name in enumerate(layers):
        same = all(map(np.array_equal, model.get_layer(name).get_weights(), base.get_layer(name).get_weights()))
        assert same == (i < 2), name
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.name.startswith("head"):
            for a, b in zip(layer.get_weights(), base.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def cached(shapes):
    """A classifier on the compact network, its images and their cached features."""
    keras.config.set_dtype_policy("float32")
    recipe = TransferRecipe(size=24)
    base = load_base("compact", weights=None, size=24)
    splits = load(Source(data=str(shapes)), recipe, options=Options(), shots=6, draw=0)
    model = network(base, splits, foundation=Foundation(layer="block2_conv2"), params={})
    return model, splits, cached_features(model, splits, versions=3, seed=0)


def test_cached_features_are_those_of_the_network(cached):
    model, splits, features = cached
    body = keras.Model(model.input, model.get_layer(FEATURES).output)
    (inputs, _), *_ = splits.validation.batches(64)
    np.testing.assert_allclose(features.validation.inputs["features"], body(inputs), atol=1e-6)
    # In training, as the base is frozen, they are the same.
    np.testing.assert_allclose(body(inputs, training=True), body(inputs), atol=1e-6)


def test_the_head_begins_at_zero_so_that_what_no_image_speaks_to_stays_out(cached):
    model = cached[0]
    assert np.any(model.get_layer("label").kernel)
    head = compiled_head(model, rate=0.01, given=TransferRecipe(), steps=10, jit_compile=False)
    outputs = head.predict_on_batch([np.ones((2, head.inputs[0].shape[-1]), np.float32)])["label"]
    np.testing.assert_allclose(outputs, 1 / outputs.shape[-1], rtol=1e-6)


def test_each_row_gets_one_of_its_versions(cached):
    _, splits, features = cached
    stored = features.train.inputs["features"]
    assert stored.shape[:2] == (len(splits.train), 3)
    chosen = one_version({"features": tf.constant(stored)}, {}, tf.constant([1, 2]))[0]["features"].numpy()
    rows = [np.flatnonzero((stored[i] == chosen[i]).all(-1)) for i in range(len(stored))]
    assert all(len(row) for row in rows)
    assert len({int(row[0]) for row in rows}) > 1


@pytest.mark.slow
def test_a_search_finds_a_layer(shapes, tmp_path):
    run("finetune-search", "--data", shapes, "--shots", "4", "--size", "24", "--epochs", "1", "--head-epochs", "2",
        "--versions", "1", "--max-trials", "1", "--out", tmp_path / "search")  # fmt: skip
    best = read(tmp_path / "search", "best.json")
    assert {"layer", "pooling", "dense_units", "dropout", "head_rate", "learning_rate"} == set(best)
    run("evaluate", "--run", tmp_path / "search")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "resnet5"], "--base resnet5 is neither one of compact, mobilenet, vgg16"),
        (["--layer", "block9_conv1"], "--layer must be one of style_taps, such as"),
        (["--freeze", "some"], "--freeze must be a number of layers, or all. Received: 'some'"),
        (["--freeze", "99"], "--freeze must be at most"),
        (["--size", "4"], "--size must be one that style_taps takes"),
        (["--base", "vgg16", "--weights", "nowhere.h5"], "--weights nowhere.h5 is not there"),
        (["--weights", "nowhere.h5"], "--weights are for mobilenet and networks of keras.applications"),
        (["--params", '{"pooling": "min"}'], "--params do not fit finetune: `pooling` must be"),
        (["--data", "nowhere"], "nowhere is neither a data set"),
        (["--data", "signs"], "Signs are not on this machine"),
    ],
)
def test_one_clear_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KERASAPPS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    small = ("--shots", "2", "--size", "16", "--head-epochs", "1", "--epochs", "1", "--baseline-epochs", "0")
    assert message in refused(capsys, "finetune", *small, *arguments, "--out", tmp_path / "run")


def test_weights_of_another_network_are_refused(tmp_path, capsys):
    keras.applications.MobileNetV2((32, 32, 3), include_top=False, weights=None, alpha=0.35).save_weights(
        tmp_path / "other.weights.h5"
    )
    said = refused(capsys, "finetune", "--base", "mobilenet_v2", "--weights", tmp_path / "other.weights.h5", "--shots",
                   "2", "--size", "32", "--out", tmp_path / "run")  # fmt: skip
    assert "are not those of mobilenet_v2 without its head" in said


def test_odd_folders_work(tmp_path):
    """A rare class, gray and CMYK images, and one far larger than the others."""
    folder = write_shapes(tmp_path / "odd", each=12, classes=("disc", "ring", "star"))
    for path in sorted((folder / "star").iterdir())[3:]:
        path.unlink()
    with Image.open(folder / "disc" / "0.png") as image:
        image.convert("L").save(folder / "disc" / "0.png")
        image.convert("CMYK").save(folder / "disc" / "cmyk.jpg")
        image.resize((1500, 900)).save(folder / "ring" / "large.jpg")
    out = tmp_path / "run"
    run("finetune", "--data", folder, "--shots", "8", "--layer", "block1_conv2", "--size", "24",
        "--head-epochs", "1", "--epochs", "0", "--baseline-epochs", "0", "--out", out)  # fmt: skip
    assert read(out)["train_rows"] == 8 + 8 + 1


def test_one_image_a_class_and_a_base_without_spatial_output(shapes, tmp_path):
    base = build_vgg(image_shape=(32, 32, 3), num_classes=4, depth=11, filters=(4, 4, 6, 6, 6), dense_units=(8,))
    base.save(tmp_path / "base.keras")
    run("finetune", "--data", shapes, "--base", tmp_path / "base.keras", "--shots", "1", "--epochs", "0",
        "--head-epochs", "1", "--baseline-epochs", "0", "--out", tmp_path / "run")  # fmt: skip
    assert load_run(tmp_path / "run").model.get_layer(FEATURES).output.shape[-1] == 8
    assert read(tmp_path / "run")["train_rows"] == 3


def test_defaults_depend_on_base_and_data(tmp_path):
    source, recipe = settled(Source(), Foundation(), GivenTransferRecipe(), options=Options())
    assert source.shots == (5, 20)
    assert (recipe.size, recipe.flip) == (32, False)
    _, recipe = settled(Source(data="flowers"), Foundation("mobilenet"), GivenTransferRecipe(),
                        options=Options())  # fmt: skip
    assert (recipe.size, recipe.flip) == (192, True)


def test_means_and_spread_over_draws():
    rows = [(5, {"frozen": 0.5, "finetuned": 0.6}), (5, {"frozen": 0.7, "finetuned": 0.6}), (20, {"frozen": 0.9})]
    metrics = summarize(rows)
    assert metrics["accuracy_frozen"] == 0.9
    assert metrics["accuracy_frozen_5_shots"] == pytest.approx(0.6)
    assert metrics["accuracy_frozen_5_shots_std"] == pytest.approx(0.1414, abs=1e-3)
    assert shots_table(rows).rows[0][0] == "5"
    assert shots_figure(rows).files()


@pytest.mark.slow
@pytest.mark.real_data
def test_mobilenet_knows_flowers(tmp_path):
    run("finetune", "--data", "flowers", "--base", "mobilenet", "--size", "96", "--shots", "10", "--epochs", "0",
        "--versions", "0", "--baseline-epochs", "0", "--out", tmp_path / "run")  # fmt: skip
    assert read(tmp_path / "run")["accuracy_frozen"] > 0.5
