"""The style-transfer experiment as a person runs it."""

import gc
import json
import resource
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms

from experiments.shared import optimizing
from experiments.shared.image_options import memory_held
from experiments.style_transfer import __main__ as experiment
from experiments.style_transfer.features import encode, fold
from experiments.style_transfer.network import activation_memory, prepare
from experiments.style_transfer.options import Painting, objective_of
from experiments.style_transfer.search import distance
from kerasapps import build_style_taps, build_vgg, feature_taps
from kerasapps.applications.style_transfer import NETWORKS
from kerasapps.blocks.style import preprocess
from kerasapps.data.pictures import read_photo
from kerasapps.styling import PRESETS
from kerasapps.styling.colors import YIQ
from kerasapps.styling.loop import resize
from tests.experiments.commands import commands, read

run, refused = commands(
    "experiments.style_transfer",
    experiment.run,
    experiment.sweep,
    experiment.reconstruct,
    experiment.search,
    experiment.train_features,
)

SAVED = Path(__file__).parents[1] / "fixtures" / "saved"
QUICK = ("--size", 48, "--smallest", 34, "--steps", 3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Images of many kinds."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    colors = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize((80, 60), Image.Resampling.BICUBIC)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colors.save(folder / "color.png", icc_profile=profile)
    colors.convert("L").save(folder / "gray.jpg")
    colors.convert("CMYK").save(folder / "cmyk.jpg")
    Image.new("RGB", (40, 30)).save(folder / "black.png")
    Image.new("RGB", (1, 1), "red").save(folder / "dot.png")
    Image.new("RGB", (5000, 10), "blue").save(folder / "thin.png")
    (folder / "broken.jpg").write_bytes((folder / "gray.jpg").read_bytes()[:300])
    Image.fromarray(np.uint8(np.arange(80) > 40).repeat(60).reshape(80, 60).T * 255).save(folder / "right.png")
    Image.fromarray(np.uint8(np.arange(80) <= 40).repeat(60).reshape(80, 60).T * 255).save(folder / "left.png")
    return folder


@pytest.fixture(scope="module")
def painted(photos) -> Path:
    """A run whose --out is an image."""
    run("run", *QUICK, "--content", photos / "color.png", "--style", photos / "gray.jpg", "--save-every", 2,
        "--seed", 3, "--out", photos / "result" / "c.png")  # fmt: skip
    return photos / "result"


def test_out_may_name_an_image(painted):
    folder = painted / "c"
    with Image.open(painted / "c.png") as image:
        assert image.size == (48, 36)
    assert (painted / "c.png").read_bytes() == (folder / "result.png").read_bytes()
    html = (folder / "report.html").read_text()
    for shown in ("Content, style and result", "Intermediate images", "Losses", "color.png"):
        assert shown in html
    assert {"total_loss", "content_loss", "style_loss", "tv_loss", "steps"} <= read(folder, "metrics.json").keys()
    assert read(folder, "metrics.json")["steps"] == 6
    assert [path.name for path in sorted((folder / "steps").iterdir())]
    assert (folder / "preview.png").is_file()
    assert (folder / "history.csv").read_text().startswith("step,height,width,total,content,style,tv\n")


def test_the_profile_is_kept(photos, painted):
    assert read_photo(painted / "c.png").profile == read_photo(photos / "color.png").profile is not None


def test_a_finished_run_is_not_overwritten_and_resumes_to_the_same(painted, photos, capsys):
    arguments = ["run", *QUICK, "--content", photos / "color.png", "--style", photos / "gray.jpg", "--seed", 3]
    arguments += ["--out", painted / "c.png"]
    assert "c.png exists already" in refused(capsys, *arguments)
    before = (painted / "c.png").read_bytes()
    run(*arguments, "--save-every", 2, "--resume")
    assert (painted / "c.png").read_bytes() == before


def test_a_size_that_the_format_cannot_have_is_refused_before_it_is_painted(tmp_path, capsys):
    said = refused(capsys, "run", "--size", 16_384, "--out", tmp_path / "c.webp")
    assert "WEBP images have at most 16383 pixels a side" in said
    assert not list(tmp_path.iterdir())


def test_an_image_that_no_run_painted_is_not_overwritten_by_resume(photos, tmp_path, capsys):
    (tmp_path / "c.png").write_bytes(b"precious")
    assert "c.png exists already" in refused(capsys, "run", *QUICK, "--resume", "--out", tmp_path / "c.png")


def test_a_run_whose_images_have_changed_is_not_resumed(photos, tmp_path, capsys):
    content = tmp_path / "content.png"
    content.write_bytes((photos / "color.png").read_bytes())
    arguments = ["run", *QUICK, "--content", content, "--out", tmp_path / "run"]
    run(*arguments)
    content.write_bytes((photos / "right.png").read_bytes())
    assert "have changed: a resumed run keeps them" in refused(capsys, *arguments, "--resume")


ADAM = ("run", *QUICK, "--optimizer", "adam")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing ended."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(*ADAM, "--out", folder)
    return folder


class Killed(BaseException):
    """What no code of ours catches."""


ENDS = {
    "Ctrl-C in the middle of a step": KeyboardInterrupt,
    "out of memory": lambda: tf.errors.ResourceExhaustedError(None, None, "OOM"),
    "killed": Killed,
}


@pytest.mark.parametrize("end", ENDS)
def test_whatever_ends_it_it_is_resumed_to_where_it_would_have_ended(whole, tmp_path, monkeypatch, capsys, end):
    monkeypatch.setattr(optimizing, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(optimizing, "SHARE", 0)
    place = "thumbnail" if end.startswith("Ctrl-C") else "show"
    function, calls = getattr(optimizing, place), []

    def ends(*given, **named):
        calls.append(None)
        if len(calls) == 4:
            raise ENDS[end]()
        return function(*given, **named)

    monkeypatch.setattr(optimizing, place, ends)
    if end == "out of memory":
        assert (
            "Out of memory. Continue with --resume --max-memory 4GB, or start again with a smaller --size."
            in refused(capsys, *ADAM, "--out", tmp_path / "parts")
        )
        assert (tmp_path / "parts" / "result.png").is_file()
    elif end == "killed":
        with pytest.raises(Killed):
            run(*ADAM, "--out", tmp_path / "parts")
    else:
        run(*ADAM, "--out", tmp_path / "parts")
    monkeypatch.undo()
    gc.collect()  # the process that was ended lets go of the folder
    run(*ADAM, "--out", tmp_path / "parts", "--resume", "--max-memory", "90GB")
    for name in ("result.png", "history.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (whole / name).read_bytes()


def test_no_number_keeps_the_best_so_far(tmp_path, capsys):
    said = refused(capsys, "run", *QUICK, "--optimizer", "adam", "--learning-rate", 1e30, "--out", tmp_path / "run")
    assert "The loss became" in said
    assert "The best so far is in" in said
    assert (tmp_path / "run" / "result.png").is_file()


def test_interrupted_it_keeps_the_best_and_resumes_to_where_it_would_have_ended(whole, tmp_path, monkeypatch, capsys):
    show, shown = optimizing.show, []

    def interrupt(*given, **named):
        shown.append(show(*given, **named))
        if len(shown) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(optimizing, "show", interrupt)
    run(*ADAM, "--out", tmp_path / "parts")
    assert "Interrupted: the best so far is kept" in capsys.readouterr().out
    assert read(tmp_path / "parts", "metrics.json")["steps"] == 4
    assert (tmp_path / "parts" / "result.png").is_file()
    monkeypatch.undo()
    run(*ADAM, "--out", tmp_path / "parts", "--resume")
    for name in ("result.png", "history.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("content", ["dot.png", "cmyk.jpg"])
def test_odd_images_work(photos, tmp_path, content):
    run("run", "--smoke", "--content", photos / content, "--out", tmp_path / "run")
    assert read_photo(tmp_path / "run" / "result.png").pixels.shape[-1] == 3


def test_sixteen_bits_go_in_and_out(photos, tmp_path):
    from kerasapps.data.pictures import Photo, encode_picture

    pixels = np.random.default_rng(0).uniform(0, 255, (30, 40, 3)).astype("float32")
    (tmp_path / "deep.png").write_bytes(encode_picture(Photo(pixels, bits=16), ".png"))
    run("run", "--smoke", "--content", tmp_path / "deep.png", "--out", tmp_path / "run")
    photo = read_photo(tmp_path / "run" / "result.png")
    assert photo.bits == 16
    assert (photo.pixels % 1 > 0).any()


@pytest.mark.parametrize("colors", ["luminance", "histogram"])
def test_colors_several_styles_masks_and_a_start(photos, tmp_path, colors):
    run("run", *QUICK, "--content", photos / "color.png", "--style", photos / "gray.jpg", photos / "cmyk.jpg",
        "--style-weights", 1, 3, "--style-scale", 0.8, "--masks", photos / "left.png", photos / "right.png",
        "--colors", colors, "--start", photos / "black.png", "--out", tmp_path / "c.jpg")  # fmt: skip
    assert (tmp_path / "c" / "result.jpg").is_file()


@pytest.mark.parametrize("colors", ["style", "free", "luminance", "histogram"])
def test_what_the_network_sees_of_colors(photos, colors):
    painting = Painting(
        content=photos / "color.png", style=(photos / "black.png",), colors=colors, smallest=48, size=48
    )
    canvas = prepare(painting, seed=0)
    content, style, seen = canvas.content.pixels, canvas.styles[0], canvas.arguments["styles"][0]
    wanted = {
        "style": (style, style),
        "free": (content, style),
        "luminance": (content @ YIQ[0][:, None], content @ YIQ[0][:, None]),
        "histogram": (content, content),
    }
    for found, expected in zip((canvas.shown, seen), wanted[colors], strict=True):
        np.testing.assert_allclose(found.mean((0, 1)), np.ones(3) * expected.mean((0, 1)), atol=2)
    if colors == "luminance":
        step = next(canvas.steps(steps=1))
        chroma, given = (image @ YIQ.T[:, 1:] for image in (canvas.image_of(step), step.image))
        resized = resize(content, step.scale).numpy() @ YIQ.T[:, 1:]
        assert np.median(np.abs(chroma - resized)) < 0.1 < np.median(np.abs(given - resized))


def test_a_painting_from_before_checksums_is_resumed(tmp_path):
    folder = shutil.copytree(SAVED / "style", tmp_path / "run")
    run("run", "--smoke", "--precision", "float32", "--out", folder, "--resume")
    assert (folder / "history.csv").read_bytes() == (SAVED / "style" / "history.csv").read_bytes()
    before = read(SAVED / "style")
    assert {name: read(folder)[name] for name in before if name.endswith("_loss")} == {
        name: value for name, value in before.items() if name.endswith("_loss")
    }
    assert read_photo(folder / "result.png").pixels.shape == (43, 64, 3)


def test_the_score_of_a_search_is_1_for_either_image_unchanged():
    canvas = prepare(Painting(size=64, colors="free"), seed=0)
    shape = (43, 64)
    content, style = (resize(image, shape).numpy() for image in (canvas.shown, canvas.styles[0]))
    assert distance(canvas, content, seed=1) == pytest.approx(1, rel=1e-3)
    assert distance(canvas, style, seed=1) == pytest.approx(1, rel=1e-3)
    noise = np.random.default_rng(0).uniform(0, 255, (*shape, 3)).astype(np.float32)
    assert distance(canvas, noise, seed=1) > 1.5


def test_a_preset_counts_where_nothing_else_is_given():
    assert objective_of(Painting(preset="vgg16")) == PRESETS["vgg16"]
    painting = Painting(preset="vgg16", style_layers=("block1_conv1=2", "block2_conv1"), style_weight=5.0)
    objective = objective_of(painting)
    assert objective.style_layers == {"block1_conv1": 2.0, "block2_conv1": 1.0}
    assert objective.content_layers == {"block5_conv1": 1.0}
    assert (objective.content_weight, objective.style_weight, objective.normalize) == (0.1, 5.0, False)


def test_memory_that_was_given_back_may_be_used_again():
    if sys.platform == "darwin" or tf.config.list_physical_devices("GPU"):
        pytest.skip("measured in another way")
    held = memory_held()
    np.ones(400_000_000, np.uint8).sum()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert held - 1e8 < memory_held() < most - 2e8
    left = activation_memory(Painting(max_memory=f"{most // 10**6 + 1000}MB", size=64), (48, 64))
    assert left > 1.1e9


def test_presets_layers_and_weights(tmp_path):
    run("run", "--smoke", "--preset", "vgg16", "--style-layers", "block1_conv1=2", "block2_conv1", "--pooling", "max",
        "--content-layers", "block2_conv2", "--style-weight", 5, "--tv-weight", 0.1,
        "--out", tmp_path / "run")  # fmt: skip
    settings = read(tmp_path / "run", "config.json")["settings"]
    assert settings["style_layers"] == ["block1_conv1=2", "block2_conv1"]


@pytest.mark.slow
def test_a_large_image_in_tiles(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.style_transfer.network.activation_memory", lambda *arguments: 40_000_000)
    run("run", "--size", 280, "--smallest", 280, "--steps", 2, "--out", tmp_path / "tiles")
    monkeypatch.undo()
    run("run", "--size", 280, "--smallest", 280, "--steps", 2, "--out", tmp_path / "whole")
    tiled, whole = (read_photo(tmp_path / name / "result.png").pixels for name in ("tiles", "whole"))
    np.testing.assert_allclose(tiled, whole, atol=2)


def test_sweep_shows_every_pair(tmp_path, capsys):
    run(
        "sweep", "--smoke", "--rows", "style_weight=1,10", "--columns", "start=content,noise", "--out", tmp_path / "run"
    )
    assert len([name for name in read(tmp_path / "run", "metrics.json") if name.startswith("total_loss")]) == 4
    assert (tmp_path / "run" / "figures" / "sheet.png").is_file()


def test_reconstruct_shows_every_layer(tmp_path):
    run("reconstruct", "--smoke", "--style-layers", "block1_conv1=2", "block2_conv1", "--out", tmp_path / "run")
    part = read(tmp_path / "run" / "style_block2_conv1", "config.json")["settings"]
    assert part["style_layers"] == ["block1_conv1=2.0", "block2_conv1=1.0"]
    metrics = read(tmp_path / "run", "metrics.json")
    assert {"content_loss_block2_conv1", "style_loss_block2_conv1"} <= metrics.keys()
    assert (tmp_path / "run" / "figures" / "reconstructions.png").is_file()


@pytest.mark.usefixtures("_jobs_here")
def test_search_writes_params_that_run_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--out", tmp_path / "search")
    best = read(tmp_path / "search", "best.json")
    run("run", "--smoke", "--params", tmp_path / "search" / "best.json", "--out", tmp_path / "run")
    settings = read(tmp_path / "run", "config.json")["settings"]
    assert {name: settings[name] for name in ("style_weight", "tv_weight", "pooling")} == {
        name: best[name] for name in ("style_weight", "tv_weight", "pooling")
    }


def test_params_may_name_images(photos, tmp_path):
    params = {"content": str(photos / "color.png"), "style": [str(photos / "gray.jpg")], "style_weight": 3}
    run("run", "--smoke", "--params", json.dumps(params), "--out", tmp_path / "run")
    assert "color.png in the style of gray.jpg" in (tmp_path / "run" / "report.html").read_text()


def test_features_are_trained_written_and_painted_with(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 128, (32, 32, 3), np.uint8) + np.uint8(127 * (name == "light"))
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    path = tmp_path / "features.h5"
    run("train-features", "--smoke", "--data", tmp_path / "data", "--weights", path, "--out", tmp_path / "run")
    card = read(tmp_path, "features.json")
    assert card["accuracy"] == read(tmp_path / "run", "metrics.json")["accuracy"]
    assert card["data"] == str(tmp_path / "data")
    run("run", "--smoke", "--weights", path, "--out", tmp_path / "painted")


def test_features_of_gray_images_are_refused(tmp_path, capsys):
    arguments = ("--smoke", "--data", "digits", "--weights", tmp_path / "x.h5", "--out", tmp_path / "run")
    assert "--data digits is gray" in refused(capsys, "train-features", *arguments)


def test_features_are_not_trained_for_a_file_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "here.h5").write_bytes(b"precious")
    for name, said in {"here.h5": "exists already", "no/where.h5": "there is no folder", "x.txt": "end in .h5"}.items():
        assert said in refused(capsys, "train-features", "--weights", tmp_path / name, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folded_features_are_those_of_the_classifier():
    """Away from the edge, where the padding has another color."""
    network = build_vgg(
        image_shape=(32, 32, 3), num_classes=3, filters=NETWORKS["compact"][1], dense_units=(8,), batch_norm=True
    )
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if "_bn" in layer.name:
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    image = rng.uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    expected = feature_taps(network, ["block2_relu1"])({"image": image})["block2_relu1"]
    folded = fold(network)
    taps = build_style_taps(network="compact", layers=("block2_conv1",), pooling="max")
    for layer in ("block1_conv1", "block1_conv2", "block2_conv1"):
        taps.get_layer(layer).set_weights(folded[layer])
    found = taps({"image": preprocess(image)})["block2_conv1"]
    np.testing.assert_allclose(found[:, 3:-3, 3:-3], expected[:, 3:-3, 3:-3], rtol=1e-3, atol=1e-3)


def test_trained_features_are_small_and_can_be_painted_with(tmp_path):
    network = build_vgg(
        image_shape=(32, 32, 3), num_classes=3, filters=NETWORKS["compact"][1], dense_units=(8,), batch_norm=True
    )
    path = tmp_path / "compact.h5"
    path.write_bytes(encode(fold(network)))
    assert path.stat().st_size < 8 * 2**20
    with h5py.File(path) as file:
        assert file["block1_conv1/block1_conv1/kernel:0"].dtype == np.float16
    run("run", "--smoke", "--network", "compact", "--weights", path, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--content", "{}/broken.jpg"), "broken.jpg is damaged"),
        (("--content", "{}/thin.png"), "The content would have 1 x 64 pixels"),
        (("--content", "{}/nowhere.png"), "nowhere.png cannot be read: No such file"),
        (("--content", "{}/color.png", "--masks", "{}/black.png"), "`masks` must have 60 x 80 pixels as the content"),
        (("--masks", "{}/black.png", "{}/black.png"), "`masks` must be as many as styles"),
        (("--style-weights", 1, 2), "`style_weights` must be as many as styles"),
        (("--start", "{}/nowhere.png"), "nowhere.png cannot be read: No such file"),
        (("--weights", "{}/nowhere.h5"), "which does not exist"),
        (("--style-layers", "block9_conv1"), "`layers` must be convolutions of compact"),
        (("--style-layers", "block1_conv1=x"), "A layer is NAME or NAME=WEIGHT"),
        (("--style-layers", "block1_conv1=inf"), "A layer is NAME or NAME=WEIGHT"),
        (("--style-weight", -1), "--style-weight must be at least 0. Received: -1.0"),
        (
            ("--style-weight", 0, "--content-weight", 0),
            "There is nothing to optimize: --content-weight and --style-weight are both 0.",
        ),
        (("--max-memory", "lots"), "--max-memory takes an amount such as 4GB"),
        (("--max-memory", "1MB"), "--max-memory 1MB is less than"),
        (("--max-memory", f"{'9' * 400}GB"), "--max-memory takes an amount such as 4GB"),
        (("--size", 0), "--size must be in [1, 16384]. Received: 0"),
        (("--size", 10**12), "--size must be in [1, 16384]. Received: 1000000000000"),
        (("--smallest", -1), "--smallest must be in [1, 16384]. Received: -1"),
        (("--steps", 0), "--steps must be at least 1. Received: 0"),
        (("--style-scale", "inf"), "--style-scale must be in (0, 100]. Received: inf"),
        (("--style-scale", 1e9), "--style-scale must be in (0, 100]. Received: 1000000000.0"),
        (("--noise-share", 2), "--noise-share must be in [0, 1]. Received: 2.0"),
        (("--learning-rate", 0), "--learning-rate must be above 0. Received: 0.0"),
        (("--tv-weight", -1), "--tv-weight must be at least 0. Received: -1.0"),
        (("--content-weight", "nan"), "--content-weight must be at least 0. Received: nan"),
        (("--style-weights", -1), "--style-weights must be at least 0. Received: -1.0"),
        (("--weights", ""), "--weights must be non-empty"),
        (("--strategy", "mirrored"), "an image is painted on one device"),
        (("--save-every", 0), "--save-every must be at least 1. Received: 0"),
        (("--params", '{"depth": 3}'), "no option of a painting: depth"),
        (("--params", '{"size": "big"}'), "--size takes int. Received: big"),
        (("--params", '{"optimizer": "sgd"}'), "--optimizer must be one of lbfgs, adam. Received: sgd"),
        (("--params", '{"style": 3}'), "--style takes Path. Received: 3"),
        (("--params", '{"noise_share": 2}'), "--noise-share must be in [0, 1]. Received: 2.0"),
        (("--params", '{"size": 1e400}'), "--size takes int. Received: inf"),
        (("--params", '{"content": "\\ud800.png"}'), "'?.png' is no path"),
        (("--params", '{"start": "a\\u0000b"}'), "embedded null"),
    ],
)
def test_one_clear_sentence(photos, tmp_path, capsys, arguments, message):
    arguments = [str(argument).replace("{}", str(photos)) for argument in arguments]
    said = refused(capsys, "run", "--smoke", *arguments, "--out", tmp_path / "run")
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["sweep", "reconstruct"])
def test_what_makes_many_images_writes_a_folder(command, tmp_path, capsys):
    said = refused(capsys, command, "--smoke", "--out", tmp_path / "many.png")
    assert said.startswith("--out must name a folder here, not an image.")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("brush=1,2", "There is no option --brush"),
        ("size", "An axis is OPTION=VALUE"),
        ("size=x", "--size takes int"),
        ("size=64,0", "--size must be in [1, 16384]. Received: 0"),
        ("style_weights=1+x", "--style-weights takes float"),
        ("pooling=min", "--pooling must be one of"),
        ("start=noise", "must name two options"),
        ("noise_share=0,2", "--noise-share must be in [0, 1]. Received: 2.0"),
        ("", "--rows must be non-empty"),
    ],
)
def test_axes_that_are_none(tmp_path, capsys, rows, message):
    assert message in refused(capsys, "sweep", "--smoke", "--rows", rows, "--out", tmp_path / "run")


def test_a_gif_cannot_be_written(tmp_path, capsys):
    assert "Images are written as .png" in refused(capsys, "run", "--smoke", "--out", tmp_path / "c.gif")
