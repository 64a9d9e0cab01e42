"""Run folders as later commands find them: of older versions, damaged, or made by somebody else."""

import importlib
import json
import os
import re
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest
from PIL import Image

from experiments.shared.runs import OLDER_CODECS, Settings, load_run
from kerasapps.applications.classic import build_perceptron
from kerasapps.errors import UserError
from kerasapps.index import render_index
from kerasapps.records import read_runs
from tests.experiments.commands import commands, read

SAVED = Path(__file__).parent.parent / "fixtures" / "saved"
FOLDERS = [pytest.param(path.parent, id=path.parent.name) for path in sorted(SAVED.glob("*/model.keras"))]
# What `evaluate` prints of metrics.json, and options with which it sees the test set that `train` saw.
EVALUATED = {
    "gan": (["fid", "kid", "judge_accuracy"], []),
    "image_classification": (["accuracy", "loss", "macro_f1", "top5_accuracy"], []),
    "price": (["log_price_mae", "percent_error", "log_price_mae_reference"], []),
    "profile": (["age_mae", "income_accuracy", "gender_accuracy", "age_mae_reference"], []),
    "qa": (["accuracy"], ["--limit", 64]),
}


def command_line(experiment: str, *names: str) -> tuple[Callable, Callable]:
    """Returns `run` and `refused` for `train` and some more commands of an experiment."""
    module = importlib.import_module(f"experiments.{experiment}.__main__")
    return commands(f"experiments.{experiment}", *(getattr(module, name) for name in ("train", *names)))


# --- older versions


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_older_run_folder_loads(folder):
    saved = load_run(folder)
    config = read(folder, "config.json")
    assert f"-m experiments.{saved.experiment} " in config["command"]
    assert saved.settings == config["settings"]
    assert saved.codec.to_json()
    assert saved.model.count_params() > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_older_network_has_the_metrics_that_it_had(folder, tmp_path, monkeypatch, capsys):
    experiment = load_run(folder).experiment
    names, options = EVALUATED[experiment]
    run, _ = command_line(experiment, "evaluate")
    monkeypatch.chdir(tmp_path)
    run("evaluate", "--run", folder, *options)
    printed = re.findall(r"(?<![\w.])\d+\.\d+", capsys.readouterr().out)
    for name in names:
        value = read(folder)[name]
        assert any(rounds_to(value, number) or rounds_to(100 * value, number) for number in printed), name


def rounds_to(value: float, number: str) -> bool:
    """Returns whether a number was printed for a value, which may differ by 1e-4 of it on another machine."""
    return abs(value - float(number)) <= 0.501 * 10.0 ** -len(number.partition(".")[2]) + 1e-4 * abs(value)


def test_an_older_gan_draws_the_same_images_every_time(tmp_path):
    run, _ = command_line("gan", "sample")
    files = [tmp_path / "first.png", tmp_path / "second.png"]
    for file in files:
        run("sample", "--run", SAVED / "gan", "--n", 8, "--out", file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_curve_of_an_older_gan_is_that_of_its_score():
    (older,) = [one for one in read_runs(SAVED / "gan") if not one.parent]
    assert older.history[1]["val_frechet_distance"] == pytest.approx(62.61, abs=0.01)
    assert list(older.headline) == ["frechet_distance", "kernel_distance"]
    assert 'aria-label="Fréchet distance by epoch"' in render_index(SAVED / "gan", [older])


def test_an_older_classifier_is_resumed_and_predicts(tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(SAVED / "image", tmp_path / "run")
    before = (folder / "history.csv").read_text()
    settings = read(folder, "config.json")["settings"] | {"smoke": False, "limit": 64}  # the same rows, any epochs
    changed(settings=settings)(folder / "config.json")
    run, refused = command_line("image_classification", "predict")
    options = ("--limit", 64, "--precision", "float32", "--epochs", 3, "--out", folder, "--resume")
    said = refused(capsys, "train", *options)
    assert "a resumed run keeps its options" in said
    run("train", *options, "--params", settings["params"])
    after = (folder / "history.csv").read_text()
    assert after.startswith(before)
    assert after.count("\n") == before.count("\n") + 1
    assert read(folder)["epochs"] == 3
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "gray.png")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    run("predict", "--run", folder, "gray.png")
    assert "gray.png" in capsys.readouterr().out
    classes = read(SAVED / "image", "classes.json")
    assert read(folder, "codec.json").items() <= classes.items()


# --- damaged, or made by somebody else


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """The run folder of a network of 650 weights."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    config = read(SAVED / "image", "config.json") | {"experiment": "image_classification"}
    codec = {"class_names": list("0123456789"), "image_shape": [8, 8, 1], "stored_size": 8, "digest": "0"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "codec.json").write_text(json.dumps(codec))
    network((8, 8, 1), 10).save(folder / "model.keras")
    return folder


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    """A copy of it to damage."""
    return shutil.copytree(tiny, tmp_path / "run")


def network(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    return build_perceptron(image_shape=image_shape, num_classes=num_classes, dense_units=())


def refusal(folder: Path, experiment: str | None = "image_classification") -> str:
    """Returns the sentence with which a run folder is refused."""
    with pytest.raises(UserError) as refused:
        load_run(folder, experiment)
    said = str(refused.value)
    assert len(said.splitlines()) == 1
    assert len(said) < 400
    assert said.endswith(".")
    assert str(folder) in said
    return said


def changed(**values) -> Callable[[Path], None]:
    """Returns a function that changes values of a JSON object in a file, or drops those that are None."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text()) | values
        path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))

    return change


def holding(content: str | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_an_option_of_another_type_is_damage():
    settings = Settings(Path("run/config.json"), {"arch": "lenet5"})
    assert settings.of("arch", Literal["lenet5", "vgg"]) == "lenet5"
    with pytest.raises(UserError, match=r"^run/config\.json is damaged: .*arch"):
        settings.of("arch", Literal["vgg"])
    with pytest.raises(UserError, match="it has no setting data"):
        settings.of("data", str)


def test_what_is_not_damaged_loads(folder):
    saved = load_run(folder, "image_classification")
    assert saved.experiment == load_run(folder).experiment == "image_classification"
    assert saved.codec.class_names == tuple("0123456789")
    assert saved.codec.image_shape == saved.model.inputs[0].shape[1:]


NO_JSON = {
    "missing": Path.unlink,
    "empty": holding(""),
    "no JSON": holding("{'a': 1}"),
    "no text": holding(b"\xff\xfe\x00"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "a list": holding("[1, 2]"),
    "a number": holding("3"),
    "null": holding("null"),
    "text": holding('"class_names image_shape stored_size digest settings precision"'),
    "nested": holding("[" * 100_000),
    "nested in an object": holding('{"settings": ' * 100_000),
    "another object": holding('{"a": 1}'),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("name", ["config.json", "codec.json"])
def test_a_damaged_side_file(name, damage, folder):
    damage(folder / name)
    if (folder / name).is_file():
        assert str(folder / name) in refusal(folder)
    else:
        assert name in refusal(folder)


@pytest.mark.parametrize("damage", NO_JSON.values(), ids=NO_JSON)
def test_damaged_metrics(damage, folder):
    path = folder / "metrics.json"
    path.write_text('{"accuracy": 0.75, "seconds": 12.0, "peak_memory_mib": 900.0}')
    saved = load_run(folder)
    assert saved.metric("accuracy") == 0.75
    damage(path)
    with pytest.raises(UserError, match=r"^.+metrics\.json .+\.$"):
        saved.metric("accuracy")


@pytest.mark.parametrize(
    "values",
    [
        {"settings": None},
        {"settings": ["data", "digits"]},
        {"settings": "digits"},
        {"precision": None},
        {"experiment": 5},
        {"experiment": ["image_classification"]},
        {"experiment": "qa\nqa"},
        {"experiment": "../price"},
        {"experiment": "shared"},
        {"experiment": "none"},
        {"experiment": "price"},
        {"experiment": None, "command": "python -m experiments.price train"},
    ],
    ids=str,
)
def test_a_config_that_no_run_of_this_experiment_writes(values, folder):
    changed(**values)(folder / "config.json")
    refusal(folder)


def test_a_run_of_another_experiment(folder):
    said = refusal(folder, "price")
    assert said == f"{folder} is a run of image_classification, not of price."


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize(
    "settings", [{}, {"data": 5}, {"data": ["digits"]}, {"data": "digits", "seed": "zero"}], ids=str
)
def test_settings_that_no_run_writes(settings, command, folder, capsys):
    changed(settings=settings)(folder / "config.json")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "zero.png")
    run, refused = command_line("image_classification", "evaluate", "predict")
    if command == "evaluate":
        assert refused(capsys, "evaluate", "--run", folder)
    else:  # needs none of them
        run("predict", folder / "zero.png", "--run", folder)


def test_settings_of_older_versions_may_lack_what_has_a_default(folder, capsys):
    changed(settings={"data": "digits", "limit": 20})(folder / "config.json")
    run, _ = command_line("image_classification", "evaluate")
    run("evaluate", "--run", folder)
    assert "accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "values",
    [
        {"class_names": None},
        {"class_names": 10},
        {"class_names": list(range(10))},
        {"class_names": {"0": 1}},
        {"class_names": list("012")},
        {"image_shape": [8, 8]},
        {"image_shape": ["8", "8", "1"]},
        {"image_shape": [8, 8, 3]},
        {"image_shape": [16, 16, 1]},
        {"image_shape": 8},
        {"stored_size": None},
        {"stored_size": "8"},
        {"stored_size": 0},
        {"stored_size": -8},
        {"stored_size": 10**12},
        {"stored_size": 1e400},
        {"digest": 0},
    ],
    ids=str,
)
def test_a_codec_of_another_shape(values, folder):
    changed(**values)(folder / "codec.json")
    assert "codec.json" in refusal(folder)


@pytest.mark.parametrize(
    "content", [{}, [], None, 3, "words", {"words": 3}, {"words": [["a"]]}, {"class_names": 3}], ids=str
)
@pytest.mark.parametrize("saved", FOLDERS)
def test_a_codec_that_no_experiment_writes(saved, content, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "run")
    (folder / "codec.json").write_text(json.dumps(content))
    assert "codec.json" in refusal(folder, None)


@pytest.mark.parametrize("saved", FOLDERS)
def test_the_codec_of_another_experiment(saved, tmp_path):
    def kind(folder: Path) -> str:
        return {"gan": "image"}.get(folder.name, folder.name.partition("_")[0])  # these have one kind of codec

    folder = shutil.copytree(saved, tmp_path / "run")
    others = [path for path in SAVED.glob("*/*.json") if path.name in OLDER_CODECS and kind(path.parent) != kind(saved)]
    assert len(others) > 2
    for other in others:
        shutil.copy(other, folder / "codec.json")
        assert "codec.json" in refusal(folder, None), other


def repacked(change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED) -> Callable:
    """Returns a function that changes the members of a zip file, or drops those that become None."""

    def repack(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            members = {name: change(name, archive.read(name)) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members.items():
                if content is not None:
                    archive.writestr(name, content)

    return repack


def without(member: str) -> Callable:
    return repacked(lambda name, content: None if name == member else content)


def replaced(member: str, value: bytes) -> Callable:
    return repacked(lambda name, content: value if name == member else content)


def with_flipped_bits(path: Path, compression: int) -> None:
    """Damages the compressed weights; the zip file as such is whole."""
    repacked(lambda name, content: content, compression)(path)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("model.weights.h5").header_offset
    content = bytearray(path.read_bytes())
    for i in range(start + 100, start + 160):
        content[i] ^= 0xFF
    path.write_bytes(content)


def unbuilt(path: Path) -> None:
    with pytest.warns(UserWarning, match="not yet been built"):
        keras.Sequential([keras.layers.Dense(2)]).save(path)


def with_a_list_of_outputs(path: Path) -> None:
    image = keras.Input((8, 8, 1), name="image")
    keras.Model(image, [keras.layers.Flatten(name="label")(image)]).save(path)


def of_an_unknown_class(path: Path) -> None:
    @keras.saving.register_keras_serializable("somebody")
    class Unknown(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    image = keras.Input((8, 8, 1), name="image")
    keras.Model({"image": image}, {"label": Unknown(name="label")(image)}).save(path)
    del keras.saving.get_custom_objects()["somebody>Unknown"]


NO_MODEL = {
    "missing": Path.unlink,
    "empty": holding(b""),
    "text": holding("a model"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "end alone": lambda path: path.write_bytes(path.read_bytes()[-2000:]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "another zip": lambda path: zipfile.ZipFile(path, "w").writestr("hello.txt", "hello"),
    "an empty zip": lambda path: zipfile.ZipFile(path, "w").close(),
    "without config": without("config.json"),
    "without weights": without("model.weights.h5"),
    "config is empty": replaced("config.json", b""),
    "config is a list": replaced("config.json", b"[1]"),
    "config is null": replaced("config.json", b"null"),
    "config is no text": replaced("config.json", b"\xff\xfe"),
    "config is nested": replaced("config.json", b"[" * 100_000),
    "config is of nothing": replaced("config.json", b"{}"),
    "weights are text": replaced("model.weights.h5", b"weights"),
    "weights are cut off": repacked(lambda name, content: content[:2000] if name.endswith(".h5") else content),
    "deflated bits flipped": lambda path: with_flipped_bits(path, zipfile.ZIP_DEFLATED),
    "LZMA bits flipped": lambda path: with_flipped_bits(path, zipfile.ZIP_LZMA),
    "BZIP2 bits flipped": lambda path: with_flipped_bits(path, zipfile.ZIP_BZIP2),
    "an unknown class": of_an_unknown_class,
    "of other classes": lambda path: network((8, 8, 1), 3).save(path),
    "of other images": lambda path: network((16, 16, 1), 10).save(path),
    "of other colors": lambda path: network((8, 8, 3), 10).save(path),
    "of another application": lambda path: shutil.copy(SAVED / "price" / "model.keras", path),
    "unbuilt": unbuilt,
    "a list of outputs": with_a_list_of_outputs,
}


@pytest.mark.parametrize("damage", NO_MODEL.values(), ids=NO_MODEL)
def test_a_damaged_model(damage, folder):
    damage(folder / "model.keras")
    said = refusal(folder)
    assert "model.keras" in said
    assert "File not found" not in said  # as Keras reports whatever is not a zip file


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["config.json", "codec.json", "model.keras"])
def test_a_file_without_rights(name, folder):
    (folder / name).chmod(0)
    assert "Permission denied" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "codec.json", "model.keras"])
def test_a_named_pipe_is_not_waited_for(name, folder):
    path, opened, refused = folder / name, [], threading.Event()
    path.unlink()
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb"):  # waits for a reader
            opened.append(not refused.is_set())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert name in refusal(folder)
    finally:
        refused.set()
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer.join()
        os.close(reader)
    assert opened == [False]


# --- nothing is executed


def with_code(folder: Path, proof: Path) -> None:
    """Saves a model whose Lambda layer leaves a file behind when it is called."""
    code = f"lambda x: (__import__('pathlib').Path({str(proof)!r}).touch(), x)[1]"
    image = keras.Input((8, 8, 1), name="image")
    flat = keras.layers.Flatten(name="flat")(image)
    label = keras.layers.Lambda(eval(code), name="label")(flat)
    keras.Model({"image": image}, {"label": label}).save(folder / "model.keras")
    proof.unlink()


def test_a_lambda_layer_is_not_executed(folder, tmp_path):
    proof = tmp_path / "executed"
    with_code(folder, proof)
    said = refusal(folder)
    assert "Lambda" in said
    assert not proof.exists()
    keras.models.load_model(folder / "model.keras", compile=False, safe_mode=False)
    assert proof.exists()  # it would have been


@pytest.mark.parametrize(("module", "name"), [("hostile", "Layer"), ("os", "system"), ("builtins", "eval")])
def test_no_module_that_a_model_names_is_imported(module, name, folder, tmp_path, monkeypatch):
    proof = tmp_path / "executed"
    (tmp_path / "hostile.py").write_text(f"open({str(proof)!r}, 'w')\nclass Layer: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    layer = {"module": module, "class_name": name, "config": {"name": f"touch {proof}"}, "registered_name": name}

    def rename(member: str, content: bytes) -> bytes:
        if member != "config.json":
            return content
        config = json.loads(content)
        config["config"]["layers"][1] |= layer
        return json.dumps(config).encode()

    repacked(rename)(folder / "model.keras")
    assert "model.keras" in refusal(folder)
    assert not proof.exists()
    assert "hostile" not in sys.modules
