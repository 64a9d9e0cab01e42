import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from experiments.image_classification.__main__ import COMMANDS as TRAINING
from experiments.inspect import opening
from experiments.inspect.__main__ import COMMANDS
from experiments.inspect.layers import full_name
from experiments.inspect.opening import opened_file
from kerasapps.applications.image_filter import KERNELS, build_image_filter, to_bytes, to_gray
from kerasapps.errors import UserError
from kerasapps.inside.gradients import integrated_gradients
from kerasapps.inside.probe import Probe
from tests.experiments.commands import commands, read

run, refused = commands("experiments.inspect", *COMMANDS)
FAST = ("--precision", "float32", "--smoke")
METHODS = ("occlusion", "gradient", "gradient_input", "smooth_grad", "integrated", "grad_cam", "guided", "deconvnet")


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    """What the command does without arguments, where there is no run: it trains a network and shows everything."""
    folder = tmp_path_factory.mktemp("inspect")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("tour", *FAST, "--out", "tour")
    return folder / "tour"


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (9, 13, 3)).astype(np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_everything_is_on_one_page(toured):
    metrics = read(toured)
    for method in METHODS:
        for number in ("deletion", "insertion", "rank_head", "rank_all"):
            assert np.isfinite(metrics[f"{method}_{number}"])
    assert 0.5 < metrics["tsne_trustworthiness"] <= 1
    assert metrics["integrated_completeness_error"] < 0.05
    report = (toured / "report.html").read_text()
    for heading in ("Filters of conv1", "Activations of", "Occlusion", "DeconvNet", "What activates", "grid", "Layers"):
        assert heading in report
    assert (toured / "figures" / "occlusion_sweep.gif").exists()


@pytest.mark.parametrize(
    ("command", "figure"),
    [
        (("filters", "--layer", "conv2"), "filters_conv2.png"),
        (("activations", "--layer", "dense1"), "activations_dense1.png"),
        (("occlusion", "--patch", 8, "--stride", 8, "--fill", "blur", "--output", "label=3"), "occlusion.png"),
        (("maximal", "--layer", "conv1", "--units", 0, 1, "--steps", 4), "maximal_conv1.png"),
        (("embedding",), "embedding_grid.png"),
    ],
)
def test_a_command_by_itself(command, figure, toured, tmp_path):
    run(command[0], "--run", toured / "model.keras", "--data", "digits", *command[1:], *FAST, "--out", tmp_path / "run")
    assert (tmp_path / "run" / "figures" / figure).exists()


@pytest.mark.slow
def test_saliency_of_an_image_and_a_class(toured, photo, tmp_path):
    run(
        "saliency",
        photo,
        "--run",
        toured / "model.keras",
        "--output",
        3,
        "--layer",
        "pool1",
        *FAST,
        "--out",
        tmp_path / "a",
    )
    assert {f"{name}_deletion" for name in METHODS[1:]} <= read(tmp_path / "a").keys()


def test_the_compact_network_and_a_layer_inside_it(tmp_path):
    run("filters", "--run", "compact", "--layer", "style_taps/block1_conv1", *FAST, "--out", tmp_path / "a")
    assert "in color" in (tmp_path / "a" / "report.html").read_text()


def test_the_bench_writes_what_scripts_rely_on(tmp_path):
    run("bench", "--rows", 6, *FAST, "--out", tmp_path / "bench")
    metrics = read(tmp_path / "bench")
    for method in METHODS:
        for number in ("pointing", "mass", "deletion", "insertion", "rank_head", "rank_all"):
            assert np.isfinite(metrics[f"{method}_{number}"])


def test_networks_of_keras_take_images_as_they_are(monkeypatch):
    image = keras.Input((4, 4, 1))
    scaled = keras.Model(image, keras.layers.Dense(2, name="scores")(keras.layers.Flatten()(image)), name="net")
    monkeypatch.setattr(opening, "keras_application", lambda *_, **__: (scaled, lambda x: x / 127.5 - 1))
    images = np.random.default_rng(0).uniform(0, 255, (3, 4, 4, 1)).astype(np.float32)
    model = opening.of_keras("MobileNetV2", Path("weights.h5"))
    np.testing.assert_allclose(model([images]), scaled(images / 127.5 - 1), atol=1e-5)
    # Black is then no zero inside: the way to an image begins there, and what pixels add up to is the change from it.
    given = Probe(model), {"image": images}, [0, 1, 0]
    maps = integrated_gradients(*given, steps=4)
    change = scaled(images / 127.5 - 1) - scaled(np.full_like(images, -1))
    np.testing.assert_allclose(maps.sum((1, 2)), np.asarray(change)[[0, 1, 2], [0, 1, 0]], rtol=1e-3, atol=1e-5)


def test_a_layer_inside_a_network_is_found_by_its_own_name():
    assert full_name(["net/conv1", "net/conv2", "conv2"], "conv1") == "net/conv1"
    assert full_name(["net/conv1", "net/conv2", "conv2"], "conv2") == "conv2"
    assert full_name(["a/conv1", "b/conv1"], "conv1") == "conv1"  # which of them is not known


def test_a_run_whose_data_are_gone_is_looked_into_with_other_images(photo, tmp_path, capsys):
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(8):
            pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{i}.png")
    train = commands("experiments.image_classification", *TRAINING)[0]
    options = ("--arch", "perceptron", "--size", 8, "--batch-size", 4, "--smoke")
    train("train", "--data", tmp_path / "data", *options, "--out", tmp_path / "trained")
    shutil.rmtree(tmp_path / "data")
    run("saliency", photo, "--run", tmp_path / "trained", *FAST, "--out", tmp_path / "run")
    assert "Without the data of the run: " in capsys.readouterr().out
    assert "data" in refused(capsys, "saliency", "--run", tmp_path / "trained", *FAST, "--out", tmp_path / "more")


def test_a_tour_of_a_network_without_convolutions(tmp_path):
    image = keras.Input((8, 8, 1), name="image")
    hidden = keras.layers.Dense(4, activation="relu")(keras.layers.Flatten()(image))
    model = keras.Model([image], {"label": keras.layers.Dense(10, activation="softmax", name="label")(hidden)})
    model.save(tmp_path / "model.keras")
    run("tour", "--run", tmp_path / "model.keras", *FAST, "--out", tmp_path / "run")
    assert "Integrated gradients" in (tmp_path / "run" / "report.html").read_text()


# --- one image through one filter


@pytest.mark.parametrize("border", ["reflect", "extend", "zeros", "crop"])
def test_a_filter_writes_what_its_network_gives(border, photo, tmp_path):
    run("filter", photo, "--kernel", "sobel_y", "--border", border, "--out", tmp_path / "edges.png")
    written = np.asarray(Image.open(tmp_path / "edges.png"))
    gray = to_gray(np.asarray(Image.open(photo)))[None, ..., None].astype(np.float32)
    model = build_image_filter(kernels={"a": KERNELS["sobel_y"]}, border=border)
    np.testing.assert_array_equal(written[..., 0], to_bytes(np.asarray(model([gray])["a"])[0, ..., 0]))


def test_a_matrix_of_your_own_in_color(photo, tmp_path):
    run("filter", photo, "--kernel", "[[0,0,0],[0,1,0],[0,0,0]]", "--color", "--out", tmp_path / "same.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "same.png")), np.asarray(Image.open(photo)))


# --- what a person can set right


def test_errors_are_one_sentence(toured, photo, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = toured / "model.keras"
    (tmp_path / "text.png").write_text("no image")
    shutil.copy(photo, tmp_path / "taken.png")
    cases = [
        (("saliency", "--run", model, "--data", "digits", "--output", "label=12"), "label has units 0 to 9."),
        (("saliency", "--run", model, "--data", "digits", "--output", "label=cat"), "cat is neither a number nor"),
        (("saliency", "--run", model, "--data", "digits", "--output", "head=1"), "one of the outputs label."),
        (("saliency", "text.png", "--run", model), "text.png"),
        (("filters", "--run", model, "--layer", "conv9"), "--layer conv9 is no convolution with filters. There"),
        (("activations", photo, "--run", model, "--layer", "conv9"), "--layer conv9 is none of the"),
        (("maximal", "--run", model, "--data", "digits", "--layer", "conv1", "--units", 99), "from 0 to"),
        (("embedding", "--run", model), "An embedding needs images"),
        (("filters", "--run", "gone.keras"), "--run gone.keras does not exist."),
        (("filters", "--run", "Nothing"), "--run takes a run folder, a .keras file, compact, or"),
        (("filters", "--run", "MobileNetV2"), "--run MobileNetV2 needs the file of its weights"),
        (("filter", photo, "--kernel", "sobel_z"), "--kernel takes sobel_x, sobel_y"),
        (("filter", photo, "--kernel", "[[1,2]]"), "--kernel takes sobel_x, sobel_y"),
        (("filter", photo, "--out", "taken.png"), "taken.png exists already."),
        (("filter", "text.png"), "text.png"),
        (("filter", "none.png"), "none.png"),
    ]  # fmt: skip
    for i, (arguments, sentence) in enumerate(cases):
        options = () if arguments[0] == "filter" else (*FAST, "--out", tmp_path / f"run{i}")
        assert sentence in refused(capsys, *arguments, *options), arguments


def test_a_lambda_and_what_is_no_model_are_not_opened(tmp_path):
    image = keras.Input((4, 4, 1))
    keras.Model(image, keras.layers.Lambda(lambda x: 2 * x)(image)).save(tmp_path / "lambda.keras")
    with pytest.raises(UserError, match="holds a Lambda layer, whose code would be executed: it is not opened"):
        opened_file(tmp_path / "lambda.keras")
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(UserError, match="is damaged or not a Keras model"):
        opened_file(tmp_path / "text.keras")
