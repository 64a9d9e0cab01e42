"""The PixelCNN experiment as a person runs it, and that its samples come from its own distribution."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from experiments.pixelcnn import __main__ as experiment
from experiments.pixelcnn import sampling
from experiments.pixelcnn.network import surprise, usual_params
from experiments.pixelcnn.results import bound_of, result_blocks
from experiments.pixelcnn.sampling import blank, draw
from experiments.shared.image_classifier import keep_codec
from kerasapps.applications.pixelcnn import build_pixelcnn
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.pixels import PixelCodec, black_and_white, histogram, load_pixels, nearest_levels
from kerasapps.data.splits import Split
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.training import History
from tests.experiments.commands import commands, read

run, refused = commands(
    "experiments.pixelcnn", experiment.train, experiment.search, experiment.evaluate, experiment.sample
)
TINY = ("--params", '{"filters": 12, "depth": 1}', "--batch-size", 16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something from 400 digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    run("train", "--limit", 400, "--epochs", 6, "--learning-rate", 5e-3, *TINY, "--out", folder)
    return folder


def test_train_learns_what_no_pixel_knows_by_itself(trained):
    metrics = read(trained)
    assert metrics["bits_per_pixel"] < metrics["bits_per_pixel_histogram"] - 0.1
    assert metrics["nats"] == pytest.approx(metrics["bits_per_pixel"] * 64 * np.log(2))
    html = (trained / "report.html").read_text()
    for shown in ("histogram of each pixel", "Surprise", "Receptive field", "Completions", "<span>sample</span>"):
        assert shown in html
    for name in ("model.keras", "codec.json", "figures/samples.png", "figures/curves.png"):
        assert (trained / name).is_file()


def test_evaluate_repeats_it(trained, capsys):
    run("evaluate", "--run", trained)
    said = capsys.readouterr().out
    for value in (read(trained)["bits_per_pixel"], read(trained)["nats_histogram"]):
        assert f"{value:.3f}" in said
    assert "have changed" not in said
    run("evaluate", "--run", trained, "--limit", 5)
    assert f"{read(trained)['nats']:.3f}" not in capsys.readouterr().out


def test_sample_draws_and_completes(trained, tmp_path, capsys):
    run("sample", "--run", trained, "--n", 4, "--out", tmp_path / "a.png")
    run("sample", "--run", trained, "--n", 4, "--seed", 1, "--out", tmp_path / "b.png")
    Image.fromarray(np.full((20, 20), 200, np.uint8)).save(tmp_path / "given.png")
    run("sample", "--run", trained, "--n", 4, "--image", tmp_path / "given.png", "--out", tmp_path / "c.png")
    a, b, c = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "abc")
    assert a.shape == b.shape == c.shape
    assert not np.array_equal(a, b)
    side = len(c) // 19  # pixels of a pixel: two images of 8 and three gaps
    assert set(np.unique(c[side : 5 * side, side : 9 * side])) == {207}  # level 13 of 16


@pytest.mark.usefixtures("_jobs_here")
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--limit", 32, "--out", tmp_path / "search")
    metrics = read(tmp_path / "search")
    assert metrics["val_loss"] <= metrics["val_loss_baseline"]
    best = tmp_path / "search" / "best.json"
    found = json.loads(best.read_text())
    assert {"filters", "depth", "dropout"} == found.keys()
    run("train", "--smoke", "--limit", 32, "--params", best, "--out", tmp_path / "best")
    expected = build_pixelcnn(image_shape=(8, 8, 1), levels=17, **usual_params("digits") | found)
    assert read(tmp_path / "best")["parameters"] == expected.count_params()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--levels", 1), "--levels must be in [2, 256]"),
        (("train", "--params", '{"width": 3}'), "--params: this network does not take width; it takes"),
        (("train", "--data", "nowhere"), "nowhere is neither a data set"),
        (("train", "--compare", "nowhere"), "nowhere"),
        (("sample", "--temperature", 0), "--temperature must be"),
    ],
)
def test_one_clear_sentence(tmp_path, trained, capsys, arguments, message):
    command, *rest = arguments
    more = ("--run", trained) if command == "sample" else ("--smoke", "--out", tmp_path / "run")
    assert message in refused(capsys, command, *rest, *more)


def test_a_bound_is_that_of_the_same_images(tmp_path, trained, capsys):
    assert "has no number elbo" in refused(capsys, "evaluate", "--run", trained, "--compare", trained)
    splits = load_pixels("digits", levels=2)
    codec = ImageCodec.of(splits).to_json()

    def other(**changes) -> Path:
        drawn = {"seed": 0, "limit": None, "smoke": False}
        given = {"data": "digits", "binary": True, "image_shape": (8, 8, 1)} | drawn | changes
        files = {"codec": codec | {"image_shape": given.pop("image_shape")}, "metrics": {"elbo": -80.5}}
        files["codec"] |= {"digest": given.pop("digest", codec["digest"])}
        files["config"] = {"settings": given, "precision": "float32"}
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return tmp_path

    assert bound_of(other(), splits, data="digits", options=Options()) == 80.5
    others = ({"data": "mnist"}, {"image_shape": (16, 16, 1)}, {"digest": "x"}, {"seed": 1}, {"limit": 20})
    for changes in ({"binary": False}, *others):
        with pytest.raises(UserError, match="two levels" if "binary" in changes else "other images"):
            bound_of(other(**changes), splits, data="digits", options=Options())
    assert "this run --levels 2" in refused(capsys, "evaluate", "--run", trained, "--compare", other())


# --- likelihoods and samples


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return build_pixelcnn(image_shape=(2, 2, 1), levels=2, filters=12, depth=1, window=3)


def test_samples_come_as_often_as_the_network_says(small):
    # Weights far from those that it starts with, or all images would be about as likely.
    rng = np.random.default_rng(0)
    small.set_weights([weight + 0.5 * rng.normal(size=weight.shape) for weight in small.get_weights()])
    images = np.array(list(itertools.product((0, 1), repeat=4)), np.uint8).reshape(-1, 2, 2, 1)
    expected = np.exp(-surprise(small, images, batch_size=5).sum((1, 2, 3)))
    assert expected.sum() == pytest.approx(1, abs=1e-5)
    assert expected.max() > 2 * expected.min()
    drawn = draw(small, blank(small, 8000), seed=3)
    found = [(drawn == image).all((1, 2, 3)).mean() for image in images]
    np.testing.assert_allclose(found, expected, atol=0.02)
    # Given the upper half, only the lower one is drawn; near 0 the likeliest pixel always is.
    begun = images[12:13].repeat(50, 0)
    rest = draw(small, begun, first=2, seed=4)
    np.testing.assert_array_equal(rest[:, 0], begun[:, 0])
    assert len(np.unique(rest[:, 1], axis=0)) > 1
    assert len(np.unique(draw(small, begun, first=2, seed=4, temperature=1e-3), axis=0)) == 1


def test_many_images_are_drawn_in_chunks(small, monkeypatch):
    monkeypatch.setattr(sampling, "CHUNK", 6)
    drawn = draw(small, blank(small, 15), seed=3)
    assert len(drawn) == 15
    np.testing.assert_array_equal(drawn[:6], draw(small, blank(small, 6), seed=3))
    assert not np.array_equal(drawn[:6], drawn[6:12])


def test_a_report_shows_images_of_all_classes(small):
    images = np.repeat(np.array([0, 1], np.uint8), 20).reshape(-1, 1, 1, 1) * np.ones((1, 2, 2, 1), np.uint8)
    sizes = {"image_shape": (2, 2, 1), "levels": 2}
    codec = PixelCodec(class_names=("dark", "light"), image_shape=(2, 2, 1), stored_size=2, digest="", levels=2)
    splits = SimpleNamespace(test=Split({"image": images}, {"level": images}), sizes=sizes, codec=codec)
    trained = SimpleNamespace(model=small, history=History([], 0, False, 0.0), splits=splits)
    shape = {"filters": 12, "depth": 1, "window": 3}
    metrics = {"bits_per_pixel_histogram": 1.0}
    blocks = result_blocks(trained, metrics, None, np.ones(images.shape), params=shape, options=Options(smoke=True))
    drawn, shown = (np.asarray(axes.images[0].get_array()) for axes in blocks[2].figure.axes)
    assert drawn.shape == shown.shape == (7, 7)  # two by two
    assert {shown[row, column] for row in (1, 4) for column in (1, 4)} == {0, 255}


# --- data


def test_levels_and_back():
    codec = PixelCodec(class_names=(), image_shape=(8, 8, 1), stored_size=8, digest="", levels=17)
    assert PixelCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec
    levels = np.arange(17, dtype=np.uint8)
    np.testing.assert_array_equal(nearest_levels(codec.decode(levels), 17), levels)
    for damaged in ({"levels": 1}, {"levels": "2"}, {"image_shape": [8, 8]}, {"image_shape": [0, 8, 1]}):
        with pytest.raises((TypeError, ValueError)):
            PixelCodec.from_json(codec.to_json() | damaged)


def test_digits_keep_their_levels_and_are_drawn_in_black_and_white():
    splits = load_pixels("digits")
    assert splits.sizes == {"image_shape": (8, 8, 1), "levels": 17}
    assert set(np.unique(splits.train.inputs["image"])) == set(range(17))
    drawn, again, other = (load_pixels("digits", levels=2, seed=seed).test.inputs["image"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, other)
    assert set(np.unique(drawn)) == {0, 1}
    gray = np.full((10_000, 1), 51)
    assert black_and_white(gray, seed=0).mean() == pytest.approx(0.2, abs=0.02)
    with pytest.raises(ValueError, match="`levels` must be in"):
        load_pixels("digits", levels=300)


def test_a_folder_keeps_what_its_files_were(tmp_path):
    folder = tmp_path / "images"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            values = np.random.default_rng(i).integers(1000, 3000, (9, 9)).astype(np.uint16)
            values[:, :3], values[:, 6:] = 0, 4094
            Image.fromarray(values + (name == "b")).save(folder / name / f"{i}.png")
    (folder / "a" / "broken.png").write_bytes(b"no image")
    splits = load_pixels(str(folder))
    assert splits.sizes == {"image_shape": (32, 32, 1), "levels": 8}
    assert len(splits.skipped) == 1
    # Images of 16 bits get levels as those that were trained on did.
    assert {0, 7} <= set(np.unique(splits.codec.encode([folder / "a" / "0.png"])["image"]))
    started = SimpleNamespace(folder=tmp_path, path=tmp_path.joinpath, resumed=None)
    keep_codec(started, splits)
    assert PixelCodec.from_json(read(tmp_path, "codec.json")) == splits.codec
    assert "broken.png" in (tmp_path / "skipped.txt").read_text()
    started.resumed, started.config = {"seed": 0}, {"settings": {"data": "images"}}
    (folder / "a" / "1.png").unlink()
    with pytest.raises(UserError, match="images has changed since"):
        keep_codec(started, load_pixels(str(folder)))


def test_a_histogram_by_hand():
    chances = histogram(np.array([0, 0, 1, 2]).reshape(4, 1, 1, 1), 4)
    np.testing.assert_allclose(chances[0, 0, 0], [3 / 8, 2 / 8, 2 / 8, 1 / 8])
