"""The GAN experiment as a person runs it: commands in, run folders and pictures out."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from experiments.gan import __main__ as experiment
from experiments.gan import judge as gan_judge
from experiments.gan import labels as gan_labels
from experiments.gan.figures import between, grid, neighbours_figure, png
from experiments.gan.judge import alarm
from experiments.gan.labels import choose_labelled, with_labelled
from experiments.gan.network import (
    Recipe,
    as_pixels,
    build_pair,
    load_pictures,
    make_model,
    recipe_of,
    repeated,
    space_of,
)
from experiments.gan.points import compare_with_optimum, mode_scores
from kerasapps.applications.point_gan import build_point_discriminator, build_point_generator
from kerasapps.data.gaussians import Mixture, ring
from kerasapps.errors import UserError
from kerasapps.gan.model import GAN
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.training import History
from tests.experiments.commands import commands, read

run, refused = commands("experiments.gan", experiment.train, experiment.search, experiment.evaluate, experiment.sample)

SMOKE = Options(smoke=True)
TINY = {"generator": {"filters": 4, "noise_dim": 8}, "discriminator": {"filters": 4}}
# So fast that the pictures differ by grey levels after two updates.
SMALL = ("--smoke", "--size", 8, "--params", json.dumps(TINY), "--precision", "float32", "--learning-rate", 0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A tiny pair that has seen a few digits, with the lectures' loop beside it."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    run("train", *SMALL, "--conditional", "True", "--baseline", "--out", folder)
    return folder


# --- train


def test_train_writes_a_run_folder(trained):
    for name in ("config.json", "history.csv", "model.keras", "checkpoints/last.npz", "judge/model.keras"):
        assert (trained / name).is_file()
    names = {file.name for file in (trained / "figures").iterdir()}
    assert names == {
        *("samples.png", "over_time.gif", "interpolation.png", "neighbours.png", "curves.png", "baseline.png"),
    }
    metrics = read(trained, "metrics.json")
    assert metrics.keys() >= {"fid", "kid", "precision", "recall", "classes_covered", "confident_share", "fid_floor"}
    assert metrics.keys() >= {"fid_baseline", "judge_accuracy", "generator_updates", "seconds", "neighbour_distance"}
    assert all(np.isfinite(list(metrics.values())))
    rows = list(csv.DictReader((trained / "history.csv").open()))
    assert len(rows) == 2
    assert rows[0].keys() >= {"discriminator_loss", "real_verdict", "val_real_verdict", "val_fid", "val_diversity"}
    settings = read(trained, "config.json")["settings"]
    assert settings.items() >= {"arch": "dcgan", "loss": "non_saturating", "size": 8, "flip_pictures": False}.items()


def test_the_report_shows_everything(trained):
    html = (trained / "report.html").read_text()
    for heading in (
        "this is not the Inception FID",
        "none chosen",
        "through the averaged generator",
        "Interpolation",
        "training pictures, pixel by pixel",
        "where the game would rest",
        "The lectures&#39; loop after",
    ):
        assert heading in html
    assert html.count("data:image/png;base64,") == 5
    assert html.count("data:image/gif;base64,") == 1


def test_the_moving_picture_has_a_frame_an_epoch(trained):
    with Image.open(trained / "figures" / "over_time.gif") as picture:
        assert picture.n_frames == 2


def test_train_resumes(tmp_path, monkeypatch, capsys):
    options = (*SMALL, "--baseline", "--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "train_lectures_loop", interrupt)
        run("train", *options, "--epochs", 1)
    assert "without the lectures' loop" in capsys.readouterr().out
    assert "fid" in read(tmp_path / "run", "metrics.json")
    first = (tmp_path / "run" / "history.csv").read_text().splitlines()
    # With as many updates as the network itself has had, each time.
    for epochs, updates in ((1, 1), (2, 2)):
        run("train", *options, "--epochs", epochs, "--resume")
        assert (tmp_path / "run" / "baseline" / f"generator{updates}.keras").is_file()
        assert "fid_baseline" in read(tmp_path / "run", "metrics.json")
    both = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert both[:2] == first
    assert len(both) == 3


def interrupt(*arguments, **keywords):
    raise KeyboardInterrupt


def test_a_judge_that_was_interrupted_judges_nothing(tmp_path, monkeypatch):
    stopped = History([], 0, interrupted=True, seconds=1.0)
    monkeypatch.setattr(gan_judge.image_network, "train_network", lambda *_, **__: (None, stopped))
    with pytest.raises(SystemExit) as left:
        run("train", *SMALL, "--out", tmp_path / "run")
    assert left.value.code == 130
    assert not (tmp_path / "run" / "model.keras").exists()


# --- sample and evaluate


def test_sample_needs_nothing_but_the_run_folder(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path / "none"))
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run("sample", "--run", trained, "--n", 9, "--seed", seed, "--out", f"{name}.png")
    pictures = [np.asarray(Image.open(f"{name}.png")) for name in "abc"]
    assert min(pictures[0].shape[:2]) >= 480
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    run("sample", "--run", trained, "--n", 4, "--label", "7", "--out", "seven.png")
    assert "--label must be one of 0, 1, 2" in refused(capsys, "sample", "--run", trained, "--label", "x")


def test_evaluate_says_what_train_said(trained, monkeypatch, capsys):
    capsys.readouterr()
    run("evaluate", "--run", trained)
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fid", f"{read(trained, 'metrics.json')['fid']:.4f}"] in printed
    # Of a test part that is larger than what is judged, only as many pictures are.
    everything = experiment.real_pictures
    monkeypatch.setattr(experiment, "real_pictures", lambda split, limit=20: everything(split, limit))
    monkeypatch.setattr(experiment, "read_classes", lambda folder: {"digest": "another"})
    run("evaluate", "--run", trained)
    printed = capsys.readouterr().out
    assert "judge_accuracy" in printed
    assert "The pictures are not those of the training" in printed


# --- points


def test_points_are_reported_with_the_best_discriminator(tmp_path, capsys):
    options = ("--data", "gaussians", "--smoke", "--out", tmp_path / "run")
    run("train", *options, "--epochs", 1)
    # What was drawn before a resume is shown after it.
    run("train", *options, "--epochs", 2, "--resume")
    metrics = read(tmp_path / "run", "metrics.json")
    assert metrics.keys() >= {"modes", "good_share", "optimum_gap", "modes_minimax", "optimum_gap_minimax"}
    names = {file.stem for file in (tmp_path / "run" / "figures").iterdir()}
    assert names >= {"points", "points_minimax", "over_time", "over_time_minimax"}
    for command in ("evaluate", "sample"):
        assert "was trained on points" in refused(capsys, command, "--run", tmp_path / "run")


def test_the_original_game_stands_beside_minimax_with_a_penalty(tmp_path):
    run("train", "--data", "gaussians", "--loss", "minimax", "--r1", 1, "--smoke", "--out", tmp_path / "run")
    assert read(tmp_path / "run", "config.json")["settings"]["r1"] == 1
    assert read(tmp_path / "run" / "minimax", "config.json")["settings"]["r1"] == 0
    assert "original minimax" in (tmp_path / "run" / "report.html").read_text()


def test_a_discriminator_finds_the_best_verdict():
    # p_r = N(1, 1), p_g = N(0, 1): D* = sigmoid(x - 1/2) along the first axis.
    noise = keras.Input((2,), name="noise")
    point = keras.layers.Identity(name="point")(noise)
    generator = keras.Model({"noise": noise}, {"point": point}, name="generator")
    gan = GAN(generator, build_point_discriminator(units=32))
    gan.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-2))
    mixture = Mixture(np.array([[1.0, 0.0]]), 1.0)
    points = mixture.sample(20_000, seed=0)
    gan.fit({"point": points}, {"mode": np.zeros(len(points))}, batch_size=500, epochs=10, verbose=0)
    seen = np.linspace(-1.5, 2.5, 21)
    said = gan.judge(np.stack([seen, 0 * seen], 1).astype(np.float32), training=False)["verdict"]
    expected = 1 / (1 + np.exp(0.5 - seen))
    np.testing.assert_allclose(keras.ops.sigmoid(said)[:, 0], expected, atol=0.08)
    gap, maps = compare_with_optimum(gan, mixture, seed=0)
    assert gap["optimum_gap"] < 0.1  # of a verdict of 1/2 everywhere it is 0.2
    assert maps["D"].shape == maps["D*"].shape


def test_the_best_discriminator_against_a_generator_that_says_one_thing():
    generator = build_point_generator()
    for weight in generator.weights:
        weight.assign(0 * weight)
    gap, maps = compare_with_optimum(GAN(generator, build_point_discriminator()), ring(), seed=0)
    assert 0 < gap["optimum_gap"] < 1
    assert np.nanmin(maps["D*"]) < 0.01


def test_modes_are_counted():
    mixture = ring()
    points = np.repeat(mixture.centers[:3], 10, 0).astype(np.float32)
    points[0] = 0
    scores = mode_scores(mixture, points)
    assert scores["modes"] == 3
    assert scores["good_share"] == pytest.approx(29 / 30)


# --- few labels


def test_labelled_pictures_travel_beside_the_others():
    options = Options(smoke=True)
    recipe = recipe_of("dcgan", "digits", Recipe(size=8), options=options)
    splits = load_pictures("digits", recipe, options=options)
    rows = choose_labelled(splits.train, 20, seed=0)
    labels = splits.train.targets["label"]
    assert len(rows) == 20
    assert set(labels[rows]) == set(range(10))
    split = with_labelled(splits.train, rows)
    inputs, targets = next(iter(split.batches(40)))
    assert inputs["image"].shape == inputs["labelled_image"].shape == (40, 8, 8, 1)
    np.testing.assert_array_equal(targets["label"], labels[np.resize(rows, 40)])
    few = next(iter(splits.train.take(rows).batches(20)))[0]["image"]
    np.testing.assert_array_equal(inputs["labelled_image"][:20], few)


def test_few_labels_are_compared_with_a_network_that_has_nothing_else(tmp_path, capsys):
    run("train", *SMALL, "--labels", 20, "--draws", 2, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert 0 <= metrics["error_semi_supervised"] <= 100
    assert 0 <= metrics["error_supervised"] <= 100
    assert "draw 2" in (tmp_path / "run" / "report.html").read_text()
    assert "was trained with --labels" in refused(capsys, "evaluate", "--run", tmp_path / "run")


def test_ctrl_c_ends_the_draws(tmp_path, monkeypatch):
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    done, stopped = (History([], 0, interrupted=flag, seconds=1.0) for flag in (False, True))
    monkeypatch.setattr(gan_labels, "train_semi_supervised", lambda *_: (0.9, network, done))
    monkeypatch.setattr(gan_labels, "train_supervised", lambda *_: (0.5, stopped))
    run("train", *SMALL, "--labels", 20, "--draws", 2, "--out", tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert "mean over 1 draws. Interrupted" in html


# --- pieces


def test_an_epoch_of_a_small_set_is_several_passes():
    splits = load_pictures("digits", recipe_of("dcgan", "digits", Recipe(size=8), options=Options()), options=Options())
    once = len(splits.train)
    assert len(repeated(splits.train, options=Options())) == round(6400 / once) * once
    assert len(repeated(splits.train, options=Options(smoke=True))) == once


def test_pixels_there_and_back():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(as_pixels(values.astype(np.float32) / 127.5 - 1), values)


def test_interpolation_stays_on_the_sphere():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 64))
    path = between(first, second, 9)
    np.testing.assert_allclose(path[[0, -1]], [first, second], atol=1e-6)
    assert np.linalg.norm(path[4]) > 0.9 * min(np.linalg.norm(first), np.linalg.norm(second))


def test_grids():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    sheet = grid(images, columns=3)
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 1, 1)
    assert sheet[4, 5, 0] == 4
    assert png(sheet).startswith(b"\x89PNG")


def test_copies_are_told_from_new_pictures():
    rng = np.random.default_rng(0)
    train, test, new = (rng.integers(0, 256, (40, 4, 4, 1)).astype(np.uint8) for _ in range(3))
    assert neighbours_figure(train[:24], train, test)[1] == 0
    assert neighbours_figure(new[:24], train, test)[1] > 0.8


def test_what_goes_wrong_is_told():
    good = [(9.0, 0.01), (1.0, 0.9), (1.5, 1.1)]
    assert alarm(good) == ""
    assert "has collapsed: its pictures are 5%" in alarm([*good, (2.0, 0.05)])
    assert "has diverged: its Fréchet distance is 7.00, and that of its best epoch 1.00" in alarm([*good, (7.0, 0.9)])


def test_a_collapse_is_told_when_it_begins(trained, tmp_path, capsys):
    splits = load_pictures("digits", recipe_of("dcgan", "digits", Recipe(size=8), options=SMOKE), options=SMOKE)
    begun = start("GAN", {"options": replace(SMOKE, out=tmp_path / "run")}, workload="convolution")
    (begun.folder / "history.csv").write_text("epoch,val_fid,val_diversity\n1,9,0.01\n2,3,0.8\n")
    watch = gan_judge.Watch(begun, gan_judge.load_judge(trained), splits.validation, seed=0)
    model = experiment.load_gan(trained)
    for weight in model.averaged.weights:
        weight.assign(0 * weight)
    watch.set_model(model)
    capsys.readouterr()
    for epoch in (2, 3):
        logs = {}
        watch.on_epoch_end(epoch, logs)
        assert logs["val_diversity"] < 0.01
    said = capsys.readouterr().out
    assert said.startswith("Epoch 3: The generator has collapsed")
    assert said.count("collapsed") == 1
    begun.close()


def test_a_critic_with_a_gradient_penalty_is_not_normalised_by_the_batch():
    given = Recipe(size=8, loss="wasserstein", gradient_penalty=10.0)
    recipe = recipe_of("dcgan", "digits", given, options=SMOKE)
    model = make_model(
        arch="dcgan", params=TINY, recipe=recipe, seed=0, jit_compile=False, image_shape=(8, 8, 1), num_classes=10
    )
    names = {layer.name for layer in model.discriminator.layers}
    assert not any(name.endswith("_bn") for name in names)


# --- what a person can do wrong


def test_the_pair_for_few_labels_has_arguments_of_its_own_and_no_space():
    _, network = build_pair("mixed", {"discriminator": {"units": 16}}, image_shape=(8, 8, 1), num_classes=3)
    assert network.get_layer("noise").stddev == 0.3
    assert network.get_layer("dense").units == 16
    with pytest.raises(UserError, match="--arch mixed is for `train --labels`"):
        space_of("mixed")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--size", 10), "--size must be a multiple of 4. Received: 10"),
        (("--epochs", 0), "--epochs must be at least 1. Received: 0"),
        (("--loss", "wasserstein"), "`loss` 'wasserstein' needs `clip` or `gradient_penalty`"),
        (("--draws", 0), "--draws must be at least 1, and above that needs --labels. Received: 0"),
        (("--draws", 2), "--draws must be at least 1, and above that needs --labels. Received: 2"),
        (("--entropy", 0.3), "--entropy needs --labels"),
        (("--labels", 20, "--loss", "hinge"), "--loss means nothing with --labels."),
        (("--labels", 20, "--baseline"), "--baseline means nothing with --labels."),
        (("--data", "gaussians", "--labels", 20), "--labels means nothing with --data gaussians."),
        (("--data", "gaussians", "--params", '{"filters": 3}'), "not filters"),
        (
            ("--data", "gaussians", "--params", '{"generator": {"dimensions": 3}}'),
            "These parameters are not for the generator of points: dimensions.",
        ),
        (("--real-labels", 1.0, 1.4), "must have different means from 0 to 1"),
        (("--limit", 3), "digits leaves 3 pictures to validate or to test on, and scores need at least 4."),
        (("--params", '{"filters": 3}'), "not filters"),
        (
            ("--params", '{"generator": {"width": 3}}'),
            "These parameters are not for the generator of --arch dcgan: width.",
        ),
        (("--params", '{"generator": {"filters": 0}}'), "`filters` must be at least 1. Received: filters=0"),
        (("--labels", 5), "--labels must be from 10, one a class, to under 64. Received: 5"),
        (("--precision", "mixed_float16"), "--precision must be float32 or mixed_bfloat16 for a GAN"),
    ],
)
def test_options_that_make_no_sense(options, sentence, tmp_path, capsys):
    said = refused(capsys, "train", "--smoke", *options, "--out", tmp_path / "run")
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_a_loss_that_is_no_number(tmp_path, capsys):
    said = refused(capsys, "train", *SMALL, "--learning-rate", 1e30, "--batch-size", 16, "--out", tmp_path / "run")
    assert "The loss became" in said
    assert (tmp_path / "run" / "model.keras").is_file()


def test_a_folder_without_pictures(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    said = refused(capsys, "train", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert "holds no image" in said


def test_a_run_folder_without_a_generator(trained, tmp_path, capsys):
    said = refused(capsys, "sample", "--run", trained / "judge")
    assert "holds no generator" in said
    assert "--seed must be at least 0" in refused(capsys, "sample", "--run", trained, "--seed", -1)
    (tmp_path / "empty").mkdir()
    assert "is not a run folder" in refused(capsys, "sample", "--run", tmp_path / "empty")


def test_search_is_for_pictures(tmp_path, capsys):
    said = refused(capsys, "search", "--data", "gaussians", "--out", tmp_path / "run")
    assert "`search` is for pictures" in said


@pytest.mark.slow
def test_search_writes_params_that_train_takes(tmp_path):
    options = ("--smoke", "--size", 8, "--epochs", 1)
    run("search", *options, "--max-trials", 1, "--out", tmp_path / "search")
    best = tmp_path / "search" / "best.json"
    assert read(tmp_path / "search", "best.json").keys() == {"generator", "discriminator"}
    run("train", *options, "--params", best, "--out", tmp_path / "run")
