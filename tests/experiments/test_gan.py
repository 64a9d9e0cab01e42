"""The GAN experiment as a person runs it: commands in, run folders and images out."""

import csv
import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from experiments.gan import __main__ as experiment
from experiments.gan import labels as gan_labels
from experiments.gan import results as gan_results
from experiments.gan.figures import neighbors_figure
from experiments.gan.judge import Watch, alarm, judged, real_images
from experiments.gan.labels import choose_labeled, with_labeled
from experiments.gan.network import (
    GivenRecipe,
    build_pair,
    load,
    make_model,
    recipe_of,
    repeated,
    space_of,
)
from experiments.gan.points import compare_with_optimum, mode_scores
from experiments.gan.sampling import as_pixels, between
from experiments.shared import judging
from experiments.shared.judging import load_judge
from experiments.shared.training import Trained
from kerasapps import runs
from kerasapps.applications.point_gan import build_point_discriminator, build_point_generator
from kerasapps.checkpoints import load_arrays, save_arrays
from kerasapps.data.gaussians import Mixture, ring
from kerasapps.errors import UserError
from kerasapps.gan.judge import Judge, as_judge, build_plain_judge
from kerasapps.gan.model import GAN
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.training import History
from tests.experiments.commands import commands, read

run, refused = commands("experiments.gan", experiment.train, experiment.search, experiment.evaluate, experiment.sample)

SAVED = Path(__file__).parents[1] / "fixtures" / "saved"
SMOKE = Options(smoke=True)
TINY = {"generator": {"filters": 4, "noise_dim": 8}, "discriminator": {"filters": 4}}
# So fast that the images differ by gray levels after two updates.
SMALL = ("--smoke", "--size", 8, "--params", json.dumps(TINY), "--precision", "float32", "--learning-rate", 0.05)
DRAWN = Trained(None, History([], 0, interrupted=False, seconds=1.0), None)
STOPPED = Trained(None, History([], 0, interrupted=True, seconds=1.0), None)


def digits(options: Options = SMOKE):
    return load("digits", recipe_of("dcgan", "digits", GivenRecipe(size=8), options=options), options=options)


@dataclass(frozen=True)
class Training:
    """A run folder, and what happened while it was written."""

    folder: Path
    judged: list[str]  # a digest for each set of images
    saved: list[Path]  # model files


@pytest.fixture(scope="module")
def training(tmp_path_factory) -> Training:
    """A tiny pair trained on a few digits, next to the textbook loop."""
    done = Training(tmp_path_factory.mktemp("runs") / "digits", [], [])
    judge, save_model = Judge.__call__, runs.save_model

    def listen(self, images, *arguments):
        done.judged.append(hashlib.sha256(images.tobytes()).hexdigest())
        return judge(self, images, *arguments)

    def note(model, path):
        done.saved.append(path.relative_to(done.folder))
        save_model(model, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Judge, "__call__", listen)
        patch.setattr(runs, "save_model", note)
        run("train", *SMALL, "--conditional", "True", "--baseline", "--out", done.folder)
    return done


@pytest.fixture
def trained(training) -> Path:
    return training.folder


# --- train


def test_train_writes_a_run_folder(trained):
    for name in ("config.json", "history.csv", "model.keras", "checkpoints/last.npz", "judge/model.keras"):
        assert (trained / name).is_file()
    names = {file.name for file in (trained / "figures").iterdir()}
    assert names == {
        *("samples.png", "over_time.gif", "interpolation.png", "neighbors.png", "curves.png", "baseline.png"),
    }
    metrics = read(trained, "metrics.json")
    assert metrics.keys() >= {
        "frechet_distance",
        "kernel_distance",
        "precision",
        "recall",
        "classes_covered",
        "confident_share",
        "frechet_distance_floor",
    }
    assert metrics.keys() >= {
        "frechet_distance_baseline",
        "judge_accuracy",
        "generator_updates",
        "seconds",
        "neighbor_distance",
    }
    assert all(np.isfinite(list(metrics.values())))
    rows = list(csv.DictReader((trained / "history.csv").open()))
    assert len(rows) == 2
    assert rows[0].keys() >= {
        "discriminator_loss",
        "real_verdict",
        "val_real_verdict",
        "val_frechet_distance",
        "val_diversity",
    }
    config = read(trained, "config.json")
    assert config["experiment"] == "gan"
    settings = config["settings"]
    assert settings.items() >= {"arch": "dcgan", "loss": "non_saturating", "size": 8, "flip_pictures": False}.items()
    codec = read(trained, "codec.json")
    assert codec["class_names"] == [str(digit) for digit in range(10)]
    assert codec["image_shape"] == [8, 8, 1]


def test_no_image_is_judged_twice_and_no_model_saved_twice(training):
    # Validation, test and training images, the samples of two epochs, those of the end and of the textbook loop.
    assert len(training.judged) == 7
    assert set(Counter(training.judged).values()) == {1}
    assert Counter(map(str, training.saved)) == {
        "judge/model.keras": 1,
        "model.keras": 1,
        "baseline/2/model.keras": 1,
    }


def test_the_report_shows_everything(trained):
    html = (trained / "report.html").read_text()
    for heading in (
        "this is not the Inception FID",
        "random samples",
        "through the averaged generator",
        "Interpolation",
        "training images, by pixel distance",
        "equilibrium values",
        "The textbook loop after",
    ):
        assert heading in html
    assert html.count("data:image/png;base64,") == 14  # each in light and dark, the curves in three panels
    assert html.count("data:image/gif;base64,") == 1


def test_the_animation_has_a_frame_for_each_epoch(trained):
    with Image.open(trained / "figures" / "over_time.gif") as animation:
        assert animation.n_frames == 2


def test_train_resumes(tmp_path, monkeypatch, capsys):
    options = (*SMALL, "--baseline", "--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(gan_results, "train_baseline", interrupt)
        run("train", *options, "--epochs", 1)
    assert "the report is without the baseline" in capsys.readouterr().out
    assert "frechet_distance" in read(tmp_path / "run", "metrics.json")
    first = (tmp_path / "run" / "history.csv").read_text().splitlines()
    as_written_before(tmp_path / "run")
    # With as many updates as the network itself has had, each time.
    for epochs, updates in ((1, 1), (2, 2)):
        run("train", *options, "--epochs", epochs, "--resume")
        assert (tmp_path / "run" / "baseline" / str(updates) / "model.keras").is_file()
        assert "frechet_distance_baseline" in read(tmp_path / "run", "metrics.json")
    both = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert both[:2] == first
    assert len(both) == 3


def as_written_before(folder: Path) -> None:
    """Gives the scores of a run the names that they had in its history and its checkpoint."""
    history, last = folder / "history.csv", folder / "checkpoints" / "last.npz"
    history.write_text(history.read_text().replace("val_frechet_distance", "val_fid"))
    arrays, state = load_arrays(last)
    state = json.loads(json.dumps(state).replace("val_frechet_distance", "val_fid"))
    save_arrays(last, arrays, state)


def interrupt(*arguments, **keywords):
    raise KeyboardInterrupt


def test_a_judge_that_was_interrupted_judges_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(judging.image_classifier, "train", lambda *_, **__: STOPPED)
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
    images = [np.asarray(Image.open(f"{name}.png")) for name in "abc"]
    assert min(images[0].shape[:2]) >= 480
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    run("sample", "--run", trained, "--n", 4, "--label", "7", "--out", "seven.png")
    assert "--label must be one of 0, 1, 2" in refused(capsys, "sample", "--run", trained, "--label", "x")


def test_evaluate_prints_what_train_reported(trained, tmp_path, capsys):
    capsys.readouterr()
    run("evaluate", "--run", trained)
    printed = capsys.readouterr().out
    distance = read(trained, "metrics.json")["frechet_distance"]
    assert ["Fréchet", "distance", f"{distance:.4f}"] in [line.split() for line in printed.splitlines()]
    assert "have changed" not in printed
    # A run whose images were others.
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    codec = read(trained, "codec.json") | {"digest": "another"}
    (tmp_path / "run" / "codec.json").write_text(json.dumps(codec))
    run("evaluate", "--run", tmp_path / "run", "--limit", 40)
    printed = capsys.readouterr().out
    assert "judge accuracy" in printed.lower()
    assert "The images have changed since training" in printed


def test_of_a_large_set_some_images_are_judged_with_their_labels(trained):
    split = digits().test
    images, labels = real_images(split)
    some, theirs = real_images(split, 20)
    assert len(images) == len(labels) == len(split)
    rows = [int(np.flatnonzero((images == image).all((1, 2, 3)))[0]) for image in some]
    assert len(set(rows)) == 20
    assert rows != [*range(20)]  # folders are read class by class
    np.testing.assert_array_equal(labels[rows], theirs)
    found = judged(load_judge(trained), split, 20)
    np.testing.assert_array_equal(found.images, some)
    assert len(found.labels) == len(found.features) == len(found.probabilities) == 20


# --- points


def test_points_are_reported_with_the_optimal_discriminator(tmp_path, capsys):
    options = ("--data", "gaussians", "--smoke", "--out", tmp_path / "run")
    run("train", *options, "--epochs", 1)
    # What was drawn before a resume is shown after it.
    run("train", *options, "--epochs", 2, "--resume")
    metrics = read(tmp_path / "run", "metrics.json")
    assert metrics.keys() >= {"modes", "good_share", "optimum_gap", "modes_minimax", "optimum_gap_minimax"}
    names = {file.stem for file in (tmp_path / "run" / "figures").iterdir()}
    assert names >= {"points", "points_minimax", "over_time", "over_time_minimax", "saddle"}
    for command in ("evaluate", "sample"):
        assert "was trained on points" in refused(capsys, command, "--run", tmp_path / "run")


def test_minimax_with_a_penalty_is_compared_with_the_original(tmp_path):
    run("train", "--data", "gaussians", "--loss", "minimax", "--r1", 1, "--smoke", "--out", tmp_path / "run")
    assert read(tmp_path / "run", "config.json")["settings"]["r1"] == 1
    assert read(tmp_path / "run" / "minimax", "config.json")["settings"]["r1"] == 0
    assert "original minimax" in (tmp_path / "run" / "report.html").read_text()


def test_a_discriminator_finds_the_optimum():
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
    logits = gan.judge(np.stack([seen, 0 * seen], 1).astype(np.float32), training=False)["verdict"]
    expected = 1 / (1 + np.exp(0.5 - seen))
    np.testing.assert_allclose(keras.ops.sigmoid(logits)[:, 0], expected, atol=0.08)
    gap, maps = compare_with_optimum(gan, mixture, seed=0)
    assert gap["optimum_gap"] < 0.1  # with D = 1/2 everywhere it is 0.2
    assert maps["D"].shape == maps["D*"].shape


def test_the_optimum_against_a_generator_of_a_single_point():
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


def test_labeled_images_come_with_the_others():
    splits = digits()
    rows = choose_labeled(splits.train, 20, seed=0)
    labels = splits.train.targets["label"]
    assert len(rows) == 20
    assert set(labels[rows]) == set(range(10))
    split = with_labeled(splits.train, rows)
    inputs, targets = next(iter(split.batches(40)))
    assert inputs["image"].shape == inputs["labelled_image"].shape == (40, 8, 8, 1)
    np.testing.assert_array_equal(targets["label"], labels[np.resize(rows, 40)])
    few = next(iter(splits.train.take(rows).batches(20)))[0]["image"]
    np.testing.assert_array_equal(inputs["labelled_image"][:20], few)


@pytest.mark.slow
def test_few_labels_are_compared_with_a_network_that_has_nothing_else(tmp_path, capsys):
    run("train", *SMALL, "--labels", 20, "--draws", 2, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert 0 <= metrics["error_semi_supervised"] <= 100
    assert 0 <= metrics["error_supervised"] <= 100
    assert "draw 2" in (tmp_path / "run" / "report.html").read_text()
    assert "was trained with --labels" in refused(capsys, "evaluate", "--run", tmp_path / "run")


def test_ctrl_c_ends_the_draws(tmp_path, monkeypatch):
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    monkeypatch.setattr(gan_labels, "train_semi_supervised", lambda *_: (0.9, replace(DRAWN, model=network)))
    monkeypatch.setattr(gan_labels, "train_supervised", lambda *_: (0.5, STOPPED))
    run("train", *SMALL, "--labels", 20, "--draws", 2, "--out", tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert "one draw. Interrupted" in html
    metrics = read(tmp_path / "run", "metrics.json")
    assert metrics["error_semi_supervised"] == pytest.approx(10)
    assert metrics["error_supervised"] == pytest.approx(50)


# --- pieces


def test_a_small_set_is_repeated_within_an_epoch():
    splits = digits(Options())
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


def test_copies_are_told_from_new_images():
    rng = np.random.default_rng(0)
    train, test, new = (rng.integers(0, 256, (40, 4, 4, 1)).astype(np.uint8) for _ in range(3))
    assert neighbors_figure(train[:24], train, test)[1] == 0
    assert neighbors_figure(new[:24], train, test)[1] > 0.8


def test_what_goes_wrong_is_told():
    good = [(9.0, 0.01), (1.0, 0.9), (1.5, 1.1)]
    assert alarm(good) == ""
    assert "has collapsed: its images are 5 %" in alarm([*good, (2.0, 0.05)])
    assert "has diverged: its Fréchet distance is 7.00, and that of its best epoch 1.00" in alarm([*good, (7.0, 0.9)])


def test_a_collapse_is_told_when_it_begins(trained, tmp_path, capsys):
    splits = digits()
    begun = start("GAN", {"options": replace(SMOKE, out=tmp_path / "run")}, workload="convolution")
    (begun.folder / "history.csv").write_text("epoch,val_frechet_distance,val_diversity\n1,9,0.01\n2,3,0.8\n")
    watch = Watch(begun, load_judge(trained), splits.validation, seed=0)
    model = experiment.load_gan(trained).model
    for weight in model.averaged.weights:
        weight.assign(0 * weight)
    watch.set_model(model)
    watch.on_train_begin()
    capsys.readouterr()
    for epoch in (2, 3):
        logs = {}
        watch.on_epoch_end(epoch, logs)
        assert logs["val_diversity"] < 0.01
    said = capsys.readouterr().out
    assert said.startswith("Epoch 3: The generator has collapsed")
    assert said.count("collapsed") == 1
    begun.close()


def test_what_suits_an_architecture_counts_where_nothing_else_is_given():
    for arch, conditional in {"lectures": False, "dcgan": True, "resnet": True, "mixed": False}.items():
        recipe = recipe_of(arch, "cifar10", GivenRecipe(epochs=3), options=Options())
        assert (recipe.conditional, recipe.epochs, recipe.flip_pictures) == (conditional, 3, True)
        assert recipe_of(arch, "cifar10", GivenRecipe(conditional=not conditional), options=Options()).conditional != (
            conditional
        )
    assert not recipe_of("dcgan", "digits", GivenRecipe(), options=Options()).flip_pictures


def test_a_critic_with_a_gradient_penalty_is_not_normalized_by_the_batch():
    given = GivenRecipe(size=8, loss="wasserstein", gradient_penalty=10.0)
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
    assert network.get_layer("hidden").units == 16
    with pytest.raises(UserError, match="--arch mixed is for `train --labels`"):
        space_of("mixed")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--size", 10), "--size must be a multiple of 4. Received: 10"),
        (("--epochs", 0), "--epochs must be at least 1. Received: 0"),
        (("--size", 10**12), "--size must be in [1, 16384]. Received: 1000000000000"),
        (("--learning-rate", 0), "--learning-rate must be above 0. Received: 0.0"),
        (("--patience", -1), "--patience must be at least 1. Received: -1"),
        (("--flip", 1), "--flip must be in [0, 1). Received: 1.0"),
        (("--average", "nan"), "--average must be in [0, 1). Received: nan"),
        (("--r1", -1), "--r1 must be at least 0. Received: -1.0"),
        (("--clip", "inf"), "--clip must be at least 0. Received: inf"),
        (("--generator-steps", 10**9), "--generator-steps must be in [1, 100]. Received: 1000000000"),
        (("--fake-labels", 0, 99), "--fake-labels must be in [-10, 10]. Received: 99.0"),
        (("--real-labels", 1, 0), "--real-labels must be two numbers, the smaller first"),
        (("--loss", "hinge", "--flip", 0.1), "--loss 'hinge' has no labels"),
        (("--loss", "wasserstein"), "--loss 'wasserstein' needs --clip or --gradient-penalty above 0"),
        (("--draws", 0), "--draws must be at least 1. Received: 0"),
        (("--draws", 2), "--draws above 1 needs --labels. Received: 2"),
        (("--labels", 0), "--labels must be at least 1. Received: 0"),
        (("--entropy", 0.3), "--entropy needs --labels"),
        (("--labels", 20, "--loss", "hinge"), "--loss has no effect with --labels."),
        (("--labels", 20, "--baseline"), "--baseline has no effect with --labels."),
        (("--data", "gaussians", "--labels", 20), "--labels has no effect with --data gaussians."),
        (("--data", "gaussians", "--params", '{"filters": 3}'), "Received: filters"),
        (
            ("--data", "gaussians", "--params", '{"generator": {"dimensions": 3}}'),
            "--params: the generator of points does not take dimensions; it takes",
        ),
        (("--real-labels", 1.0, 1.4), "must have different means from 0 to 1"),
        (("--limit", 3), "digits leaves 3 images to validate or to test on, and scores need at least 4."),
        (("--params", '{"filters": 3}'), '--params must be {"generator": {...}, "discriminator": {...}}'),
        (
            ("--params", '{"generator": {"width": 3}}'),
            "--params: the generator of --arch dcgan does not take width; it takes",
        ),
        (("--params", '{"generator": {"image_shape": [8, 8, 1]}}'), "does not take image_shape; it takes"),
        (("--params", '{"generator": 3}'), '--params must be {"generator": {...}, "discriminator": {...}}'),
        (("--data", ""), "--data must be non-empty"),
        (("--params", '{"generator": {"filters": 0}}'), "`filters` must be at least 1. Received: filters=0"),
        (("--labels", 5), "--labels must be in [10, 64), one per class or more. Received: 5"),
        (("--precision", "mixed_float16"), "--precision must be float32 or mixed_bfloat16 for a GAN"),
    ],
)
def test_options_that_make_no_sense(options, sentence, tmp_path, capsys):
    said = refused(capsys, "train", "--smoke", *options, "--out", tmp_path / "run")
    assert sentence in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("sample", ("--n", 0), "--n must be in [1, 10000]. Received: 0"),
        ("sample", ("--n", 10**12), "--n must be in [1, 10000]. Received: 1000000000000"),
        ("sample", ("--seed", -1), "--seed must be in [0, 2147483647]. Received: -1"),
        ("evaluate", ("--limit", -3), "--limit must be at least 1. Received: -3"),
        ("evaluate", ("--limit", 0), "--limit must be at least 1. Received: 0"),
    ],
)
def test_numbers_out_of_range(command, options, sentence, trained, capsys):
    assert sentence in refused(capsys, command, "--run", trained, *options)


def test_a_loss_that_is_no_number(tmp_path, capsys):
    said = refused(capsys, "train", *SMALL, "--learning-rate", 1e30, "--batch-size", 16, "--out", tmp_path / "run")
    assert "The loss became" in said
    assert (tmp_path / "run" / "model.keras").is_file()


def test_a_folder_without_images(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    said = refused(capsys, "train", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert "holds no image" in said


def test_a_run_folder_without_a_generator(trained, tmp_path, capsys):
    assert "holds no generator" in refused(capsys, "sample", "--run", trained / "judge")
    assert "holds no generator" in refused(capsys, "evaluate", "--run", trained / "judge")
    assert "is a run of qa, not of gan" in refused(capsys, "sample", "--run", SAVED / "qa_lstm")
    (tmp_path / "empty").mkdir()
    assert "is not a run folder" in refused(capsys, "sample", "--run", tmp_path / "empty")


def test_search_is_for_images(tmp_path, capsys):
    said = refused(capsys, "search", "--data", "gaussians", "--out", tmp_path / "run")
    assert "`search` is for images" in said


def test_a_search_begins_with_a_judge_for_all_trials(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(experiment, "make_judge", lambda *_, **__: None)
    monkeypatch.setattr(experiment, "search_and_report", lambda run, *_, **given: asked.update(given))
    arguments = ("search", "--smoke", "--size", 8, "--out", tmp_path / "search")
    run(*arguments)
    assert asked["judge"] == str(tmp_path / "search")
    assert (asked["objective"], asked["maximize"]) == ("frechet_distance", False)
    # What it is resumed by: options alone, the same each time.
    settings = read(tmp_path / "search", "config.json")["settings"]
    assert not {name for name, value in settings.items() if "<" in str(value)}
    (tmp_path / "search" / "search.json").write_text("{}")
    run(*arguments, "--resume")


@pytest.mark.slow
def test_search_writes_params_that_train_takes(tmp_path):
    options = ("--smoke", "--size", 8, "--epochs", 1)
    run("search", *options, "--max-trials", 1, "--out", tmp_path / "search")
    best = tmp_path / "search" / "best.json"
    assert read(tmp_path / "search", "best.json").keys() == {"generator", "discriminator"}
    run("train", *options, "--params", best, "--out", tmp_path / "run")


# --- images without classes


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """A flat folder of images."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def without_classes(faces, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "faces"
    run("train", "--data", faces, *SMALL, "--out", out)
    return out


def test_train_takes_a_flat_folder(without_classes, capsys):
    metrics = read(without_classes, "metrics.json")
    assert metrics.keys() >= {
        "frechet_distance",
        "kernel_distance",
        "precision",
        "recall",
        "diversity",
        "frechet_distance_floor",
    }
    assert not metrics.keys() & {"classes_covered", "confident_share", "judge_accuracy"}
    assert metrics["frechet_distance"] > metrics["frechet_distance_floor"] > 0
    assert "as these images have no classes" in (without_classes / "report.html").read_text()
    assert read(without_classes, "codec.json")["class_names"] == []


def test_evaluate_and_sample_do_without_classes(without_classes, tmp_path, capsys):
    run("evaluate", "--run", without_classes)
    distance = read(without_classes, "metrics.json")["frechet_distance"]
    assert ["Fréchet", "distance", f"{distance:.4f}"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    run("sample", "--run", without_classes, "--n", 4, "--out", tmp_path / "a.png")
    assert "was trained without classes" in refused(capsys, "sample", "--run", without_classes, "--label", "x")


@pytest.mark.parametrize("place", ["one_class", "train"])
def test_one_class_is_trained_like_none(faces, place, tmp_path, capsys):
    shutil.copytree(faces, tmp_path / "data" / place)
    splits = load(
        str(tmp_path / "data"),
        recipe_of("resnet", "", GivenRecipe(size=8, conditional=False), options=SMOKE),
        options=SMOKE,
    )
    assert splits.class_names == ()
    assert "The images have no classes." in capsys.readouterr().out
    sentence = refused(capsys, "train", "--data", tmp_path / "data", *SMALL, "--labels", 10, "--out", tmp_path / "run")
    assert "--labels needs classes" in sentence


def test_the_plain_judge_prefers_real_images(tmp_path):
    splits = digits(Options(limit=400))
    images = real_images(splits.train)[0]
    judge = as_judge(build_plain_judge(images))
    features, probabilities = judge(images)
    assert probabilities.shape == (len(images), 0)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-3)
    real = judged(judge, splits.test)
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    mixed = images[:, ::-1]  # upside down
    near, middle, far = (judging.score(judge, real, fake)["frechet_distance"] for fake in (images, mixed, noise))
    assert near < middle < far
