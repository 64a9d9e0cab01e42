"""The captioning experiment as a person runs it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from experiments.captioning import __main__ as experiment
from experiments.captioning.attention import lighted, pointing, touching
from experiments.captioning.features import _kept, digest_of
from experiments.captioning.results import colors_of_pairs, lowest_loss, right_share, truth
from experiments.inspect.__main__ import COMMANDS as INSPECT_COMMANDS
from experiments.shared import trying
from experiments.shared.runs import load_run
from experiments.shared.scores import bleu, cider, rouge_l
from kerasapps.checkpoints import load_arrays
from kerasapps.data.captions import CaptionCodec
from kerasapps.data.scene_captions import NOUNS, surprise
from kerasapps.data.scenes import COLORS, UNSEEN, Group, Scene
from kerasapps.data.subwords import Words, fit_pieces
from tests.experiments.commands import commands, read

run, refused = commands("experiments.captioning", *experiment.COMMANDS)
run_inspect, _ = commands("experiments.inspect", *INSPECT_COMMANDS)
ROOT = Path(__file__).parents[2]
TINY = '{"filters": [8, 16, 16], "units": 16, "embedding_dim": 16, "around": 1, "dropout": 0.1}'
SHORT = "--arch gru --precision float32 --limit 160 --epochs 6 --batch-size 4 --learning-rate 0.01 --beam 2"
FEW = (*SHORT.split(), "--params", TINY)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned the language, and little of the images, from 160 scenes."""
    folder = tmp_path_factory.mktemp("runs") / "scenes"
    run("train", *FEW, "--out", folder)
    return folder


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Images in one color each, and three captions of each that name it."""
    content = {"images": [], "annotations": []}
    for i in range(24):
        color = ("red", "green", "blue")[i % 3]
        Image.new("RGB", (40, 30), color).save(tmp_path / f"{i}.png")
        content["images"].append({"id": i, "file_name": f"{i}.png"})
        for words in (f"a {color} wall", f"This is {color}.", f"all {color}"):
            content["annotations"].append({"image_id": i, "caption": words})
    (tmp_path / "captions.json").write_text(json.dumps(content))
    return tmp_path


def test_train_learns_what_a_guess_cannot_reach(trained):
    metrics = read(trained)
    assert metrics["loss"] < 2.2  # log 65 = 4.2 untrained, 3.3 of the frequent words alone
    assert metrics["bleu"] > metrics["bleu_guess"] + 5
    assert metrics["rouge_l"] > metrics["rouge_l_guess"] + 0.1
    names = {"true_share", "loss", "loss_reference", "bleu", "bleu_human", "cider", "rouge_l", "pointing", "seconds"}
    names |= {"true_share_unseen", "pair_color_unseen", "bleu_reference", "bleu_guess", "images_per_second"}
    assert {*names, "count_errors", "relation_errors"} <= metrics.keys()
    assert 0.6 < metrics["loss_reference"] < 0.8
    html = (trained / "report.html").read_text()
    for shown in ("What is true", "Kinds and colors never seen together", "fully lit", "Test images"):
        assert shown in html
    assert (trained / "figures" / "attention_1.png").exists()
    assert {"pieces", "image_shape", "max_length"} == read(trained, "codec.json").keys()


def test_evaluate_repeats_what_train_found(trained, capsys):
    run("evaluate", "--run", trained, "--beam", 2)
    said = dict(line.split() for line in capsys.readouterr().out.splitlines() if line[:1].islower() and "," not in line)
    for name in ("loss", "loss_reference", "true_share", "cider"):
        assert float(said[name]) == pytest.approx(read(trained)[name], rel=1e-3)


def test_it_can_be_tried_on_the_page(trained, tmp_path):
    Image.new("RGB", (60, 50), "red").save(tmp_path / "red.png")
    asked = {"run": str(trained), "values": None}
    described = trying.respond(asked)
    assert described["title"] == "Describe an image"
    told = trying.respond(asked | {"values": {"image": str(tmp_path / "red.png")}})
    assert "fully lit" in told["sections"][1]["html"]
    assert "captioning caption --run" in " ".join(told["command"])
    assert told["command"][-2:] == ["--n-best", "3"]


def test_what_looks_can_be_inspected(trained, tmp_path):
    run_inspect("activations", "--run", trained, "--out", tmp_path / "inside")
    assert "Activations of look" in (tmp_path / "inside" / "report.html").read_text()


def test_a_caption_for_each_image_whatever_it_is(trained, tmp_path, capsys):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "one.png")
    Image.new("CMYK", (300, 40), (0, 90, 0, 9)).save(tmp_path / "print.jpg")
    Image.new("RGBA", (20, 50), (0, 90, 0, 9)).save(tmp_path / "clear.webp")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    run("caption", tmp_path, "--run", trained)
    said = capsys.readouterr()
    assert [line.split("\t")[0].rpartition("/")[2] for line in said.out.splitlines()] == [
        "clear.webp",
        "one.png",
        "print.jpg",
    ]
    assert all(line.split("\t")[1] for line in said.out.splitlines())
    assert "broken.jpg" in said.err
    one = tmp_path / "one.png"
    run("caption", one, "--run", trained, "--n-best", 2, "--beam", 2, "--figure", tmp_path / "seen.png")
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[0].split("\t")[2]) >= float(lines[1].split("\t")[2])
    assert Image.open(tmp_path / "seen.png").width > 300
    run("caption", one, "--run", trained, "--temperature", 0.5)
    assert capsys.readouterr().out.count("\n") == 1
    assert "--n-best must be at most --beam" in refused(capsys, "caption", one, "--run", trained, "--n-best", 9)
    assert "broken.jpg" in refused(capsys, "caption", tmp_path / "broken.jpg", "--run", trained)
    assert "No image was given" in refused(capsys, "caption", "--run", trained)


def test_a_frozen_base_is_computed_once_and_kept(photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = ("--base", "compact", "--layer", "block3_conv3", "--size", 32)
    few = ("--data", photographs, "--epochs", 2, "--batch-size", 4, "--params", '{"units": 16, "context": 0}')
    run("train", *base, *few, "--beam", 1, "--out", tmp_path / "first")
    kept = sorted((tmp_path / "cache" / "kerasapps" / "features").glob("*.npy"))
    assert len(kept) == 2  # grids of the test set are read by nobody
    times = [path.stat().st_mtime_ns for path in kept]
    kept[0].write_bytes(kept[0].read_bytes()[:100])  # a damaged one is computed anew
    run("train", *base, *few, "--beam", 1, "--out", tmp_path / "second")
    assert [path.stat().st_mtime_ns for path in kept][1:] == times[1:]
    first, second = (load_run(tmp_path / name, "captioning").model for name in ("first", "second"))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert first.get_layer("block1_conv1").trainable is False
    assert {"bleu", "cider", "rouge_l", "loss"} <= read(tmp_path / "first").keys()
    assert "true_share" not in read(tmp_path / "first")
    run("caption", photographs / "1.png", "--run", tmp_path / "first", "--beam", 1)
    assert "1.png\t" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere"), "--data nowhere is neither scenes nor a folder of images"),
        (("--size", 64), "--size 64: scenes are drawn with 48 pixels a side"),
        (("--base", "nothing"), "--base nothing is neither one of compact, mobilenet"),
        (("--base", "compact", "--layer", "fc9"), "`layer` must be one of"),
        (("--params", '{"layers": 3}'), "--params: --arch transformer does not take layers; it takes"),
        (("--params", '{"attention": false}', "--coverage", 1), "--coverage is about attention"),
        (("--layer", "block3_conv3"), "--layer is about a trained network, and needs --base."),
        (("--no-frozen",), "--no-frozen is about a trained network, and needs --base."),
        (("--beam", 0), "--beam must be in [1, 100]"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "gru"])
def test_the_other_decoders_and_coverage(tmp_path, arch):
    run("train", "--arch", arch, "--smoke", "--coverage", 0.1, "--out", tmp_path / "run")
    assert 0 < read(tmp_path / "run")["loss"] < 6
    assert {"true_share", "loss", "loss_reference", "bleu", "cider", "pointing"} <= read(tmp_path / "run").keys()


@pytest.mark.slow
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--beam", 1, "--out", tmp_path / "search")
    run("train", "--smoke", "--params", tmp_path / "search" / "best.json", "--beam", 1, "--out", tmp_path / "best")


@pytest.mark.slow
def test_killed_and_resumed_it_ends_as_if_it_had_not_been(tmp_path):
    few = ("train", *FEW, "--limit", 60, "--beam", 1)
    run(*few, "--out", tmp_path / "whole")
    command = [sys.executable, "-m", "experiments.captioning", *few, "--out", tmp_path / "killed"]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "history.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    run(*few, "--out", tmp_path / "killed", "--resume")
    whole, killed = (load_arrays(tmp_path / name / "checkpoints" / "last.npz")[0] for name in ("whole", "killed"))
    for name, values in whole.items():
        np.testing.assert_array_equal(killed[name], values)


# --- by hand


def test_cider_by_hand():
    """Two images of one reference each, of words that only their own image has: log 2 is the weight of each n-gram."""
    references = [["a b c d"], ["e f g h"]]
    assert cider(["a b c d", "e f g h"], references) == pytest.approx(10)
    # Of "a b" with "a b c d": 2 of 4 words, 1 of 3 pairs; cosines sqrt(2/4) and sqrt(1/3); two words fewer.
    expected = 10 * (np.sqrt(2 / 4) + np.sqrt(1 / 3)) / 4 * np.exp(-(2**2) / 72)
    assert cider(["a b", "x"], references) == pytest.approx(expected / 2)
    # A word that is repeated counts as often as the reference has it: 2 of norm 2, but 1 counts.
    assert cider(["a a", "x"], references) == pytest.approx(10 * 0.5 / 2 / 4 * np.exp(-(2**2) / 72) / 2)
    # What all images have tells nothing.
    assert cider(["a", "a"], [["a"], ["a"]]) == 0


def test_rouge_l_by_hand():
    assert rouge_l(["a b c"], [["a b c"]]) == pytest.approx(1)
    # Of "a c d" with "a b c": a c in common, so precision 2/3 and recall 2/3.
    assert rouge_l(["a c d"], [["a b c"]]) == pytest.approx(2 / 3)
    assert rouge_l(["a c d"], [["x", "a c"]]) == pytest.approx((1 + 1.44) * (2 / 3) / (1 + 1.44 * 2 / 3))
    assert rouge_l([""], [["a"]]) == 0


def test_bleu_takes_several_references_also_of_different_number():
    texts = ["two red stars above a moon", "a small white disc on the sand"]
    references = [[texts[0], "a moon"], [texts[1], "one disc", "a little disc"]]
    assert bleu(texts, references) == pytest.approx(100)
    assert bleu(texts, references) > bleu(texts, [one[1:] for one in references])
    assert bleu(texts, texts) == pytest.approx(100)


SCENE = Scene("grass", (Group("star", "red", "small", ((0.0, 0.0, 0.2, 0.2), (0.0, 0.4, 0.2, 0.6))),))


def test_truth_by_hand():
    found = truth(["two red stars", "a blue star in the snow", "star star", "two stars"], [SCENE] * 4)
    assert found["true_share"] == pytest.approx((3 + 1 + 0 + 2) / (3 + 4 + 1 + 2))
    assert found["grammatical"] == 0.75
    assert found["true_captions"] == 0.5
    assert found["complete"] == 0.75
    assert found["color_errors"] == 0.5
    assert found["ground_errors"] == 1


def test_new_combinations_by_hand():
    kind, color = UNSEEN[0]
    scene = Scene("grass", (Group(kind, color, "small", ((0.0, 0.0, 0.2, 0.2),)),))
    other = next(one for one in COLORS if one != color and one[0] not in "aeiou")
    noun = NOUNS[kind][0]
    article = "an" if color[0] in "aeiou" else "a"
    texts = [
        f"{article} {color} {noun}",
        f"a {other} {noun}",
        f"one {noun}",
        "a cross" if kind != "cross" else "a moon",
    ]
    assert right_share(colors_of_pairs(texts, [scene] * 4)) == 0.5
    assert right_share(colors_of_pairs(texts[2:], [scene] * 2)) is None


def test_the_floor_of_the_loss_is_per_token(capsys):
    captions = [["two red stars", "two stars"]]
    nats = sum(surprise(caption, SCENE) for caption in captions[0])
    words = Words(("two", "red", "stars"))
    subwords = fit_pieces(captions[0], kind="subwords", size=300)
    for pieces in (words, subwords):
        tokens = sum(len(row) + 1 for row in pieces.encode(captions[0]))
        found = lowest_loss(captions, [SCENE], CaptionCodec(pieces, (2, 2, 3), 99))
        assert found == {"loss_reference": pytest.approx(nats / tokens)}
    for unfit in (CaptionCodec(words, (2, 2, 3), 3), CaptionCodec(Words(("two",)), (2, 2, 3), 99)):
        assert lowest_loss(captions, [SCENE], unfit) == {}
        assert "the lowest loss there can be is not known" in capsys.readouterr().out


def test_features_are_kept_under_what_made_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    x = keras.Input((4, 4, 3))
    a, b = keras.layers.Conv2D(2, 1, name="a")(x), keras.layers.Conv2D(2, 1, name="b")(x)
    bodies = [keras.Model(x, keras.layers.Concatenate(name="c")(taps), name="body") for taps in ([a, b], [b, a])]
    bodies[1].set_weights(bodies[0].get_weights())
    digests = [digest_of(body).hexdigest() for body in bodies]
    assert digests[0] != digests[1]
    assert digests[0] == digest_of(bodies[0]).hexdigest()
    (tmp_path / "kerasapps" / "features").mkdir(parents=True)
    (tmp_path / "kerasapps" / "features" / "x.npy").write_bytes(b"")  # as a full disk leaves it
    images = np.ones((70, 4, 4, 3), np.uint8)
    assert _kept(bodies[0], images, "x").shape == (70, 4, 4, 4)


def test_pointing_by_hand():
    assert touching(SCENE.groups[0], 2).tolist() == [True, False, True, False]
    weights = np.zeros((2, 4, 4))
    weights[0, 2, 0] = weights[1, 2, 1] = 1  # at the third word, the noun: on a star, and beside them
    codec = CaptionCodec(Words(("two", "red", "stars", "there", "are")), (2, 2, 3), 9)
    found = pointing(["two red stars", "two red stars"], weights, [SCENE] * 2, codec=codec)
    assert found == {"pointing": 0.5, "pointing_guess": 0.5}
    pieces = CaptionCodec(fit_pieces(["a"], kind="subwords", size=300), (2, 2, 3), 99)
    weights = np.zeros((1, 40, 4))
    weights[..., 1] = 0.5  # beside them, but for the last token of the noun
    weights[0, pieces.token_of("two red stars", 2), 0] = 1
    assert len(pieces.pieces_of("two red stars")) > 3
    assert pointing(["two red stars"], weights, [SCENE], codec=pieces)["pointing"] == 1
    assert pointing(["one red moon"], weights, [SCENE], codec=codec) == {"pointing": 0, "pointing_guess": 0}
    shown = lighted(np.full((8, 8, 3), 200, np.uint8), np.array([1.0, 0, 0, 0]))
    assert shown[0, 0].min() > 190
    assert shown[-1, -1].max() < 50
