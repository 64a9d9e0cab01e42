"""The autoencoder experiment as a person runs it."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from experiments.autoencoder import __main__ as experiment
from experiments.autoencoder import results
from experiments.autoencoder.figures import Plane, anomaly_figure
from experiments.autoencoder.likelihood import SampledValidation, likelihood_metrics, log_weights, pixel_nats
from experiments.autoencoder.network import PixelSplits, Source, binarized, build_network, load, pixel_split
from experiments.ensemble.__main__ import COMMANDS as ENSEMBLE_COMMANDS
from experiments.inspect.__main__ import COMMANDS as INSPECT_COMMANDS
from experiments.shared import judging
from kerasapps.applications.autoencoder import CODE, RECONSTRUCTION, build_vae, decoder_of, encoder_of
from kerasapps.data.pixels import black_and_white, load_pixels
from kerasapps.runs import Options, load_model
from tests.experiments.commands import commands, read

run, refused = commands(
    "experiments.autoencoder", experiment.train, experiment.search, experiment.evaluate, experiment.predict
)

_, not_inspected = commands("experiments.inspect", *INSPECT_COMMANDS)
_, not_combined = commands("experiments.ensemble", *ENSEMBLE_COMMANDS)
TINY = ("--size", 8, "--limit", 400, "--precision", "float32", "--params", '{"latent_dim": 2, "units": 64}')


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A small variational autoencoder that has learned something from 400 digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "JUDGE_EPOCHS", 1)
        run("train", *TINY, "--epochs", 30, "--batch-size", 16, "--learning-rate", 0.005, "--out", folder)
    return folder


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A folder of images that are no digits."""
    folder = tmp_path_factory.mktemp("odd")
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def digit(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("digit") / "digit.png"
    Image.fromarray((load_digits().images[0] * 255 / 16).astype(np.uint8)).save(file)
    return file


# --- train


def test_train_writes_a_run_folder(trained):
    metrics = read(trained, "metrics.json")
    assert metrics.keys() >= {"kernel_distance", "precision", "recall", "frechet_distance_floor", "classes_covered"}
    assert metrics["frechet_distance"] > metrics["frechet_distance_floor"]
    figures = {file.name for file in (trained / "figures").iterdir()}
    names = ("reconstructions", "codes", "grid", "interpolation", "samples", "anomalies", "curves")
    assert figures == {f"{name}.png" for name in names}
    for file in ("model.keras", "codec.json", "judge/model.keras", "anomaly/model.keras"):
        assert (trained / file).is_file()
    rows = list(csv.DictReader((trained / "history.csv").open()))
    assert rows[0].keys() >= {"val_loss", "val_reconstruction_loss", "val_divergence_loss"}
    html = (trained / "report.html").read_text()
    for shown in ("Grid of codes", "Anomaly detection", "ROC curve", "Scores on the test set", "<span>evaluate</span>"):
        assert shown in html


def test_it_learns_what_a_mean_image_cannot_reach(trained):
    metrics = read(trained, "metrics.json")
    assert metrics["reconstruction_error"] < 0.85 * metrics["reconstruction_error_guess"]
    assert metrics["anomaly_auc"] > 0.6
    assert metrics["elbo"] < metrics["log_likelihood"] < 0


def test_a_linear_one_is_as_good_as_principal_components(tmp_path, odd):
    options = ("--size", 8, "--epochs", 60, "--learning-rate", 0.05, "--precision", "float32")
    sizes = ("--params", '{"latent_dim": 3}', "--anomalies", odd)
    run("train", "--arch", "linear", *options, *sizes, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert metrics["reconstruction_error"] == pytest.approx(metrics["reconstruction_error_pca"], rel=0.01)
    assert metrics["anomaly_auc"] > 0.99  # noise is nothing that three components of digits could draw
    assert "elbo" not in metrics
    assert not (tmp_path / "run" / "judge").exists()


@pytest.mark.slow
def test_pixels_can_be_0_or_1(tmp_path, odd):
    arguments = ("--arch", "convolutional_vae", "--size", 8, "--smoke", "--binary", "--precision", "float32")
    run("train", *arguments, "--params", '{"filters": 4}', "--anomalies", odd, "--out", tmp_path / "run")
    assert "0 or 1, drawn once" in " ".join((tmp_path / "run" / "report.html").read_text().split())


def test_pixels_are_drawn_anew_for_each_batch():
    grays = np.full((1, 40, 40, 1), 0.25, np.float32)
    first, second = (binarized({"image": grays}, {"divergence": 0}, np.array([1, i], np.int32)) for i in range(2))
    assert set(np.unique(first[0]["image"])) == {0.0, 1.0}
    assert float(np.mean(first[0]["image"])) == pytest.approx(0.25, abs=0.05)
    np.testing.assert_array_equal(first[0]["image"], first[1][RECONSTRUCTION])
    assert not np.array_equal(first[0]["image"], second[0]["image"])


@pytest.fixture(scope="module")
def binary() -> PixelSplits:
    return load(Source(size=8, binary=True), "linear", options=Options(limit=100, seed=1))


def test_pixels_are_drawn_as_those_of_pixelcnn(binary):
    others = load_pixels("digits", levels=2, limit=100, seed=1)
    for name in ("validation", "test"):
        drawn, other = (getattr(splits, name).inputs["image"] for splits in (binary, others))
        np.testing.assert_array_equal(drawn, other)


def test_components_are_those_of_drawn_pixels(binary):
    model = build_network("linear", {"latent_dim": 5}, image_shape=(8, 8, 1))
    found = results.error_metrics(model, binary, np.zeros(100), binary=True, seed=1)["reconstruction_error_pca"]
    train = black_and_white(binary.grays["train"], seed=(1, 0)).reshape(100, -1)
    test = binary.test.inputs["image"].reshape(100, -1)
    components = PCA(5, random_state=0).fit(train)
    expected = np.square(test - components.inverse_transform(components.transform(test))).mean()
    assert found == pytest.approx(expected, rel=1e-4)


# --- likelihood


@pytest.fixture(scope="module")
def vae(trained) -> keras.Model:
    return load_model(trained)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return (load_digits().images[:40, ..., np.newaxis] / 16).astype(np.float32)


def test_the_likelihood_is_above_the_bound(vae, images):
    found = [likelihood_metrics(vae, images, samples=count, seed=0) for count in (1, 8, 128)]
    assert found[0]["elbo"] == pytest.approx(found[0]["log_likelihood"])
    assert all(one["log_likelihood"] > one["elbo"] for one in found[1:])


def test_the_bound_is_the_negative_loss(vae, images):
    elbo = likelihood_metrics(vae, images, samples=128, seed=0)["elbo"]
    moments = encoder_of(vae)([images])
    mean, log_variance = (keras.ops.convert_to_numpy(moments[name]) for name in ("mean", "log_variance"))
    divergence = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(1)
    np.testing.assert_allclose(vae.predict(images, verbose=0)["divergence"][:, 0], divergence, rtol=1e-4)
    draws = []
    for i in range(128):
        codes = mean + np.exp(log_variance / 2) * np.random.default_rng(i).standard_normal(mean.shape)
        draws.append(pixel_nats(images, np.asarray(decoder_of(vae)([codes.astype(np.float32)])[RECONSTRUCTION])))
    assert elbo == pytest.approx(-np.mean(draws) - divergence.mean(), abs=0.5)


def test_the_likelihood_is_that_of_the_integral(images):
    """With one number in a code the integral over all codes can be computed."""
    keras.utils.set_random_seed(0)
    vae = build_vae(image_shape=(8, 8, 1), latent_dim=1, units=8, depth=1)
    weights = log_weights(vae, images[:5], samples=500, seed=0)
    found = logsumexp(weights, axis=1) - np.log(500)
    grid = np.linspace(-8, 8, 1001, dtype=np.float32)[:, None]
    decoded = np.asarray(decoder_of(vae)([grid])[RECONSTRUCTION])
    nats = np.stack([pixel_nats(np.broadcast_to(image, decoded.shape), decoded) for image in images[:5]])  # (5, grid)
    density = -(grid[:, 0] ** 2) / 2 - np.log(2 * np.pi) / 2
    np.testing.assert_allclose(found, logsumexp(density - nats, axis=1) + np.log(grid[1, 0] - grid[0, 0]), atol=0.1)


def test_pixel_nats_by_hand():
    image, probabilities = np.array([1.0, 0.0, 0.5]).reshape(1, 3, 1, 1), np.array([0.5, 0.25, 0.5]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(pixel_nats(image, probabilities), np.log(2) - np.log(0.75) + np.log(2))


def test_validation_draws_codes_as_training_does(vae, images):
    watch = SampledValidation(pixel_split(images, variational=True), seed=0, beta=0.5)
    watch.set_model(vae)
    logs, again = {}, {}
    watch.on_epoch_end(0, logs)
    watch.on_epoch_end(1, again)
    assert logs == again
    at_mean = pixel_nats(images, vae.predict(images, verbose=0)[RECONSTRUCTION]).mean()
    assert logs["val_reconstruction_loss"] > at_mean
    assert logs["val_loss"] == pytest.approx(logs["val_reconstruction_loss"] + 0.5 * logs["val_divergence_loss"])


# --- figures


@pytest.mark.parametrize(("numbers", "standard"), [(2, True), (2, False), (5, True), (1, True)])
def test_points_of_the_plane_come_back(numbers, standard):
    codes = np.random.default_rng(0).normal(size=(50, numbers)) * np.arange(1, numbers + 1)
    plane = Plane.of(codes, standard=standard)
    if numbers == 2 and standard:
        np.testing.assert_array_equal(plane.points(codes), codes)
    points = plane.points(codes)
    np.testing.assert_allclose(plane.points(plane.codes(points)), points, atol=1e-5)
    if not standard or numbers > 2:
        np.testing.assert_allclose(points.std(0), 1, rtol=1e-6)


def test_the_area_under_the_roc_curve():
    usual, unusual = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.35, 0.5])
    assert anomaly_figure(usual, unusual, what="")[1] == pytest.approx(7 / 8)  # of eight pairs one is the wrong way


# --- the other commands


def test_evaluate_repeats_what_train_found(trained, odd, capsys):
    run("evaluate", "--run", trained, "--anomalies", odd)
    said = capsys.readouterr().out
    metrics = read(trained, "metrics.json")
    for name in ("elbo", "log_likelihood", "reconstruction_error", "frechet_distance"):
        assert f"{metrics[name]:.4f}" in said
    assert "anomaly AUC" in said


def test_predict_tells_a_digit_from_noise(trained, digit, odd, tmp_path, capsys):
    figure = tmp_path / "both.png"
    run("predict", "--run", trained, digit, odd / "0.png", "--figure", figure)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if ".png" in line]
    assert lines[1][-1] == "unusual"
    assert lines[0][-1] != "unusual"
    with Image.open(figure) as both:
        assert both.width > 300


def test_others_refuse_it_in_a_sentence(trained, tmp_path, capsys):
    """It takes values from 0 to 1, and has no classes to combine."""
    out = ("--precision", "float32", "--out", tmp_path / "run")
    assert "inspect takes runs of image classifiers" in not_inspected(capsys, "activations", "--run", trained, *out)
    assert "combine does not read runs of autoencoder" in not_combined(
        capsys, "combine", "--runs", trained, trained, *out
    )


@pytest.mark.usefixtures("_jobs_here")
def test_search_writes_params_that_train_takes(tmp_path):
    small = ("--smoke", "--size", 8, "--arch", "dense", "--precision", "float32")
    run("search", *small, "--max-trials", 1, "--out", tmp_path / "search")
    metrics = read(tmp_path / "search", "metrics.json")
    assert metrics["val_loss"] <= metrics["val_loss_baseline"]
    best = tmp_path / "search" / "best.json"
    run("train", *small, "--params", best, "--epochs", 1, "--out", tmp_path / "best")
    assert 0 <= read(tmp_path / "best", "metrics.json")["anomaly_auc"] <= 1


@pytest.mark.slow
def test_images_without_classes_are_judged_by_vgg(tmp_path, digit, odd):
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(load_digits().images[:60]):
        Image.fromarray((image * 255 / 16).astype(np.uint8)).save(folder / f"{i}.png")
    arguments = ("--data", folder, "--size", 16, "--smoke", "--precision", "float32", "--anomalies", odd)
    run("train", *arguments, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert "frechet_distance" in metrics
    assert "classes_covered" not in metrics
    assert load_model(tmp_path / "run").get_layer(CODE).output.shape == (None, 16)


def test_ctrl_c_leaves_out_what_needs_another_network(tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "make_judge", stop)
    run("train", "--smoke", "--size", 8, "--precision", "float32", "--out", tmp_path / "run")
    assert "Interrupted" in capsys.readouterr().out
    metrics = read(tmp_path / "run", "metrics.json")
    assert "elbo" in metrics
    assert "frechet_distance" not in metrics


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--anomaly", "seven"), "--anomaly must be a class of digits, 0, 1, 2"),
        (("train", "--anomaly", "1", "--anomalies", "odd"), "Give --anomaly or --anomalies, not both."),
        (("train", "--anomalies", "nowhere"), "--anomalies nowhere is not a folder."),
        (("train", "--arch", "dense", "--beta", 2), "--beta has no effect with --arch dense."),
        (("train", "--arch", "convolutional", "--size", 10), "10 x 10 pixels: --size must be a multiple of 4"),
        (("train", "--params", '{"linear": true}'), "does not take linear"),
        (("train", "--data", "nowhere"), "nowhere is neither a data set"),
        (("search", "--arch", "linear"), "--arch linear has nothing to search"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    said = refused(capsys, *arguments, "--smoke", "--precision", "float32", "--out", tmp_path / "run")
    assert message in said
