import numpy as np
import pytest
from PIL import Image

from experiments.deep_dream.__main__ import COMMANDS
from experiments.deep_dream.network import Dreaming, prepare
from tests.experiments.commands import commands, read

run, refused = commands("experiments.deep_dream", *COMMANDS)
FAST = ("--precision", "float32", "--size", 48, "--steps", 2, "--octaves", 2, "--layers", "block2_conv1")


def test_a_dream_and_its_zoom(tmp_path):
    run("run", *FAST, "--zoom", 2, "--out", tmp_path / "dream.png")
    image = np.asarray(Image.open(tmp_path / "dream.png"))
    assert max(image.shape[:2]) == 48
    metrics = read(tmp_path / "dream")
    assert metrics["steps"] >= 2
    assert metrics["objective"] > 0
    assert (tmp_path / "dream" / "figures" / "zoom.gif").exists()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "dream" / "result.png")), image)


def test_it_is_resumed_and_the_same(tmp_path, monkeypatch):
    """As style transfer: interrupted after a step, and continued."""
    run("run", *FAST, "--out", tmp_path / "whole")
    prepared = prepare(Dreaming(size=48, steps=2, octaves=2, layers=("block2_conv1",)), seed=0)
    first = next(prepared.steps())
    *_, last = prepared.steps(first.state)
    written = np.asarray(Image.open(tmp_path / "whole" / "result.png"))
    assert np.abs(np.round(last.image) - written).mean() < 2


def test_a_narrow_and_a_black_image(tmp_path):
    Image.new("RGB", (1000, 37)).save(tmp_path / "narrow.png")
    run("run", *FAST[:2], "--steps", 1, "--size", "None", "--layers", "block2_conv1",
        "--content", tmp_path / "narrow.png", "--out", tmp_path / "out.png")  # fmt: skip
    assert Image.open(tmp_path / "out.png").size == (1000, 37)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--layers", "block9_conv1"), "--layers block9_conv1 is none of compact: block1_conv1"),
        (("--layers", "block1_conv1=x"), "A layer is NAME or NAME=WEIGHT"),
        (("--channel", 9999), "--channel 9999 is out of range"),
        (("--channel", 1, "--guide", "guide.png"), "--guide seeks the features of all channels"),
        (("--octave-scale", 1), "--octave-scale must be in (1, 10]. Received: 1"),
        (("--max-memory", "1MB"), "--max-memory 1MB is less than"),
        (("--max-memory", "lots"), "--max-memory takes an amount such as 4GB"),
        (("--network", "Nothing"), "--network takes vgg16, vgg19, compact, or one of keras.applications"),
        (("--network", "InceptionV3"), "--network InceptionV3 needs the file of its weights"),
        (("--content", "gone.png"), "gone.png"),
        (("--strategy", "mirrored"), "--strategy mirrored has no effect here"),
    ],
)
def test_errors_are_one_sentence(options, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, "run", *options, "--out", tmp_path / "run")
