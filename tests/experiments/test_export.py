"""Export as a person runs it: a folder whose own program prints what `predict` prints, without TensorFlow."""

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sklearn  # noqa: F401  # which sets variables of the environment, once for its process

from experiments.export import __main__ as program
from experiments.export import folder as folders
from experiments.export.__main__ import COMMANDS, named
from experiments.export.card import record_of
from experiments.shared import deploying
from experiments.shared.runs import load_run
from kerasapps.data import words as data_words
from kerasapps.exporting import runtime
from tests.experiments.commands import commands
from tests.experiments.deployed import alone, words

SAVED = Path(__file__).parent.parent / "fixtures" / "saved"
run, refused = commands("experiments.export", *COMMANDS)


def predicted(saved: Path, capsys, *arguments: str, command: str = "predict") -> str:
    """Returns what a command of the experiment prints."""
    experiment = load_run(saved).experiment
    module = importlib.import_module(f"experiments.{experiment}.__main__")
    same, _ = commands(f"experiments.{experiment}", *module.COMMANDS)
    capsys.readouterr()
    same(command, "--run", saved, *arguments)
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """The folder of a small classifier of digits."""
    out = tmp_path_factory.mktemp("deployed") / "digits"
    run("export", "--run", SAVED / "image", "--format", "onnx", "--out", out)
    return out


def test_the_folder_of_a_classifier(digits, capsys, monkeypatch):
    names = {path.name for path in digits.iterdir()}
    assert {"predict.py", "codec.json", "card.md", "model.onnx", "example.npz", "requirements.txt"} <= names
    assert not any(path.name.startswith(".") for path in digits.parent.iterdir())
    printed = alone(digits, "predict.py", "example.png")
    assert printed == (digits / "expected.txt").read_text()
    monkeypatch.chdir(digits)
    module = importlib.import_module("experiments.image_classification.__main__")
    same, _ = commands("experiments.image_classification", *module.COMMANDS)
    capsys.readouterr()
    same("predict", "example.png", "--run", SAVED / "image")
    assert words(printed) == words(capsys.readouterr().out)
    assert "differ by at most 0.0e+00" in alone(digits, "runtime.py")
    card = (digits / "card.md").read_text()
    for part in ("## Use it", "## Trained on", "## Metrics", "accuracy", "## Proof", "## Limits"):
        assert part in card


PREDICT = {
    "qa_memory": ("--story", "story.txt", "--question", "Where is the football?"),
    "price": ("--numbers", "years=3", "--categories", "kind=coat", "--text", "a warm wool coat"),
    "profile": ("--text", "my grandchildren visit the garden and the house"),
    "qa_lstm": ("--story", "story.txt", "--question", "Where is the football?"),
}
STORY = "Mary went to the garden.\nMary took the football.\nMary went to the office.\n"


@pytest.mark.parametrize(
    ("name", "format"),
    [
        pytest.param("price", "onnx", marks=pytest.mark.slow),
        pytest.param("qa_memory", "onnx", marks=pytest.mark.slow),
        pytest.param("qa_lstm", "litert", marks=pytest.mark.slow),
        pytest.param("profile", "litert", marks=pytest.mark.slow),
    ],
)
def test_its_program_prints_what_predict_prints(name, format, tmp_path, capsys, monkeypatch):
    run("export", "--run", SAVED / name, "--format", format, "--out", tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    Path("story.txt").write_text(STORY)
    assert words(alone(tmp_path / "out", "predict.py", *PREDICT[name])) == words(
        predicted(SAVED / name, capsys, *PREDICT[name])
    )


def drawn_twice(saved: Path, folder: Path, capsys, monkeypatch) -> int:
    """The largest difference between images of `sample` and of a folder's own program, 0 to 255."""
    from PIL import Image

    run("export", "--run", saved, "--format", "onnx", "--out", folder / "out")
    alone(folder / "out", "predict.py", "--n", "8", "--out", "ours.png")
    monkeypatch.chdir(folder)
    predicted(saved, capsys, "--n", "8", "--out", "theirs.png", command="sample")
    ours, theirs = (np.asarray(Image.open(path), int) for path in (folder / "out" / "ours.png", folder / "theirs.png"))
    return np.abs(ours - theirs).max()


@pytest.mark.slow
def test_a_generator(tmp_path, capsys, monkeypatch):
    assert drawn_twice(SAVED / "gan", tmp_path, capsys, monkeypatch) <= 1


@pytest.mark.slow
def test_a_pixelcnn(tmp_path, capsys, monkeypatch):
    same, _ = commands("experiments.pixelcnn", *importlib.import_module("experiments.pixelcnn.__main__").COMMANDS)
    same("train", "--smoke", "--precision", "mixed_bfloat16", "--out", tmp_path / "run")
    assert drawn_twice(tmp_path / "run", tmp_path, capsys, monkeypatch) == 0


GIRL = "the small girl has shown one book ."
PROGRAMS = [
    ("autoencoder", "train", (), "predict", ("example.png",), ()),
    ("captioning", "train", (), "caption", ("example.png",), ("--beam", 1)),
    ("captioning", "train", ("--arch", "gru"), "caption", ("example.png",), ("--beam", 1)),
    ("graph", "train", (), "predict", ("34", "1"), ()),
    ("image_classification", "finetune", (), "predict", ("example.png",), ()),
    ("language_model", "train", (), "generate", ("--prompt", "the poet", "--length", "60"), ("--temperature", 0)),
    (
        *("language_model", "train", ("--arch", "transformer")),
        *("generate", ("--prompt", "one lion", "--length", "200"), ("--temperature", 0)),
    ),
    ("perceptron", "train", (), "predict", ("--numbers", "-7.5e-1", "6"), ()),
    ("tagging", "train", (), "predict", ("--text", "coach Miller smiled in Oslo ."), ()),
    ("text_classification", "train", ("--arch", "gru"), "predict", ("--text", "a fine film"), ()),
    ("translation", "train", (), "translate", ("--text", GIRL), ("--beam", 1)),
    ("translation", "train", ("--arch", "transformer"), "translate", ("--text", GIRL), ("--beam", 1)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "train", "options", "command", "given", "asked"), PROGRAMS)
def test_the_program_of_each_experiment(
    experiment, train, options, command, given, asked, tmp_path, capsys, monkeypatch
):
    module = importlib.import_module(f"experiments.{experiment}.__main__")
    same, _ = commands(f"experiments.{experiment}", *module.COMMANDS)
    # What is predicted is computed in float32, whatever the network was trained in.
    same(train, "--smoke", "--precision", "mixed_bfloat16", *options, "--out", tmp_path / "run")
    run("export", "--run", tmp_path / "run", "--format", "onnx", "--out", tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    ours = alone(tmp_path / "out", "predict.py", *given)
    if experiment == "translation":  # reads a file
        (tmp_path / "text.txt").write_text(given[1] + "\n")
        given = ("--file", str(tmp_path / "text.txt"))
    theirs = predicted(tmp_path / "run", capsys, *given, *asked, command=command)
    assert words(ours) == words(theirs)


@pytest.mark.slow
def test_8_bits_and_what_they_cost(tmp_path, capsys):
    run("export", "--run", SAVED / "image", "--format", "litert", "--precision", "int8", "--out", tmp_path / "small")
    assert re.search(r"Accuracy on [\d,]+ rows of the test set: .* with 8 bits", capsys.readouterr().out)


def test_8_bits_that_cost_too_much(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(folders, "POINT", -1.0)  # nothing is good enough
    options = ("--run", SAVED / "image", "--format", "litert", "--precision", "int8")
    said = refused(capsys, "export", *options, "--out", tmp_path / "none")
    assert "loses more than a point. Accuracy on" in said
    assert not [*tmp_path.iterdir()]


def test_no_experiment_with_a_folder_is_left_out():
    """The ensemble's are in its own tests, and those that draw images above."""
    tried = {one[0] for one in PROGRAMS} | {load_run(SAVED / name).experiment for name in PREDICT}
    deployed = {path.parent.name for path in deploying.EXPERIMENTS.glob("*/exporting.py")}
    assert deployed - tried == {"ensemble", "gan", "pixelcnn"}


def test_rows_from_all_over_a_sorted_data_set():
    rows = deploying.spread(1000, 10)
    assert (rows // 100 == np.arange(10)).all()
    assert (rows == deploying.spread(1000, 10)).all()
    assert deploying.spread(5, 10).tolist() == [0, 1, 2, 3, 4]


def test_the_card_is_of_the_run_itself(tmp_path):
    shutil.copytree(SAVED / "price", tmp_path / "run")
    other = shutil.copytree(SAVED / "profile", tmp_path / "run" / "other")
    config = json.loads((other / "config.json").read_text()) | {"started": "2099-01-01 00:00:00"}
    (other / "config.json").write_text(json.dumps(config))
    assert record_of(tmp_path / "run").experiment == "price"


def test_a_full_disk_has_nothing_to_resume(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "load_run", lambda folder: None)
    monkeypatch.setattr(program, "deployable", lambda saved: None)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(program, "write_folder", fail)
    said = refused(capsys, "export", "--run", tmp_path, "--format", "onnx", "--out", tmp_path / "out")
    assert "The disk is full: free some space. There is no folder." in said


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler")
def test_a_classifier_in_c(tmp_path, digits):
    tensorflow = Path(importlib.util.find_spec("tensorflow").origin).parent
    libraries = [tensorflow / f"libtensorflow_{name}.so.2" for name in ("cc", "framework")]
    if not all(path.exists() for path in libraries):
        pytest.skip("this wheel of TensorFlow has no C library")
    run("export", "--run", SAVED / "image", "--format", "saved_model", "--out", tmp_path / "out")
    flags = [f"-I{tensorflow / 'include'}", *map(str, libraries), f"-Wl,-rpath,{tensorflow}"]
    command = ["cc", "-Wall", "-Werror", "classify.c", "-o", "classify", *flags]
    subprocess.run(command, cwd=tmp_path / "out", check=True)
    done = subprocess.run(
        ["./classify", "model", "example.raw"], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    name = words((digits / "expected.txt").read_text())
    assert done.stdout.split()[0] == name[name.index("example.png") + 1]
    broken = subprocess.run(
        ["./classify", "model", "tensors.txt"], cwd=tmp_path / "out", capture_output=True, check=False
    )
    assert broken.returncode == 2


def test_the_command_without_its_name():
    assert named(["--run", "runs/a"]) == ["export", "--run", "runs/a"]
    assert named(["inspect", "model.onnx"]) == ["inspect", "model.onnx"]


def test_inspect(digits, capsys):
    run("inspect", digits / "model.onnx")
    said = capsys.readouterr().out
    assert "MatMul" in said
    assert "It computes, and can do nothing else." in said


def test_modules_of_a_folder_import_nothing_of_the_project():
    from kerasapps.data import vocabularies

    source = folders.standing_alone(vocabularies)
    assert "from subwords import" in source
    assert "kerasapps." not in source.partition('"""\n\n')[2]


def program_of(experiment: str, monkeypatch):
    """The program of an experiment's folders as a module, with the modules that lie beside it."""
    for module in (runtime, data_words):
        monkeypatch.syspath_prepend(str(Path(module.__file__).parent))
    path = deploying.EXPERIMENTS / experiment / "deployed.py"
    spec = importlib.util.spec_from_file_location(f"program_of_{experiment}", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_story_is_read_as_by_the_experiment(tmp_path, monkeypatch):
    from kerasapps.data.question_answering import read_story

    read, path = program_of("qa", monkeypatch).read, tmp_path / "story.txt"
    for text in (
        STORY,
        "1 Mary sat.\n2 Where is Mary?\tgarden\t1\n1 Bob ran.\n2 Bob sat.\n",
        "1 a b.\n\n2 c d.\n",
        "Mary went to the garden.\nWhere is Mary?\tgarden\t1\nBob\twent home.",
        "1 Mary sat.\x0cBob ran.\r2 Bob sat.\r\n",
    ):
        path.write_bytes(text.encode())
        assert read(path) == read_story(path)[0]
    path.write_text("1 Mary sat.\nBob ran.\n2 Bob sat.\n")
    with pytest.raises(SystemExit, match="all lines or none"):
        read(path)


def test_nothing_but_a_line_feed_ends_a_line_to_translate(tmp_path, monkeypatch):
    program, path = program_of("translation", monkeypatch), tmp_path / "lines.txt"
    path.write_bytes("\ufeffone\rtwo\nthree\n".encode())
    assert program.lines_of(program.read_text(path)) == ["one\rtwo", "three"]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SystemExit, match="is not UTF-8"):
        program.read_text(path)
    lines_of = program.lines_of
    assert lines_of("one\u2028two\r\nthree\x85four\n\nlast\n") == ["one\u2028two", "three\x85four", "", "last"]
    assert lines_of("") == []


def test_what_is_refused(digits, tmp_path, capsys):
    options = ("--run", SAVED / "image", "--format", "onnx")
    assert "exists: choose another folder" in refused(capsys, "export", *options, "--out", digits)
    said = refused(capsys, "export", *options, "--out", tmp_path / "a", "--precision", "int8")
    assert "`precision` must be float32 but for LiteRT" in said
    # Before the run is loaded, which is not there.
    nowhere = ("--run", tmp_path / "nowhere", "--format", "onnx", "--out", tmp_path / "a")
    assert "fixes LiteRT alone" in refused(capsys, "export", *nowhere, "--length", 5)
    images = ("--run", SAVED / "image", "--format", "litert", "--length", 5, "--out", tmp_path / "a")
    assert "--length is about networks that read a text" in refused(capsys, "export", *images)
    assert not [*tmp_path.iterdir()]
    damaged = shutil.copytree(SAVED / "image", tmp_path / "run")
    config = json.loads((damaged / "config.json").read_text()) | {"experiment": "style_transfer"}
    (damaged / "config.json").write_text(json.dumps(config))
    said = refused(capsys, "export", "--run", damaged, "--format", "onnx", "--out", tmp_path / "b")
    assert "a run of style_transfer, which has no folder to deploy" in said


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_is_interrupted_leaves_nothing(stop, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise stop

    monkeypatch.setattr(folders, "export", fail)
    saved = load_run(SAVED / "price")
    part = deploying.Part(model=saved.model, rows={"numbers": np.zeros((1, 1))})
    deployed = deploying.Deployable(parts={"model": part}, script=Path(folders.__file__), codec={}, arguments=())
    with pytest.raises((KeyboardInterrupt, OSError)):
        folders.write_folder(saved, deployed, tmp_path / "out", format="onnx")
    assert not [*tmp_path.iterdir()]
