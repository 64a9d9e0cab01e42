"""`--config` and `--print-config`: the options of one run for another, in every command that has them."""

import importlib
import json
from pathlib import Path

import pytest

from experiments.__main__ import experiments
from experiments.shared import earlier
from kerasapps.errors import UserError
from tests.experiments.commands import commands, read

SAVED = Path(__file__).parent.parent / "fixtures" / "saved"


def commands_of(name: str) -> dict:
    """The commands of an experiment that have the shared options, by the name that a person types."""
    module = importlib.import_module(f"experiments.{name}.__main__")
    return {one.__name__.replace("_", "-"): one for one in module.COMMANDS if earlier.takes_config(one)}


COMMANDS = [(name, command) for name in experiments() for command in commands_of(name)]
# Options by which a command takes another way than by default.
WAYS = {
    ("gan", "train"): [["--data", "gaussians"], ["--labels", 50], ["--baseline", "--arch", "resnet", "--smoke"]],
    ("qa", "train"): [["--baseline", "lstm", "--params", '{"dropout": 0.1}']],
    ("qa", "babi"): [["--columns", "lstm_single", "--tasks", 1, 2]],
    ("image_classification", "train"): [["--data", "cifar10", "--arch", "residual", "--size", 24]],
    ("profile", "train"): [["--data", "posts.csv", "--labels", "age=regression"]],
    ("style_transfer", "run"): [["--style", "a.png", "--params", '{"style_weight": 30.0}']],
}
REQUIRED = {("ensemble", "combine"): ["--runs", "a", "b"], ("ensemble", "distill"): ["--run", "a"]}
CASES = [(*one, way) for one in COMMANDS for way in (REQUIRED.get(one, []), *WAYS.get(one, []))]


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """Returns a function that runs a command with --print-config and returns what that prints."""
    monkeypatch.chdir(tmp_path)

    def print_config(name, command, *arguments):
        run, _ = commands(f"experiments.{name}", *commands_of(name).values())
        run(command, "--print-config", *arguments)
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out)

    return print_config


@pytest.mark.parametrize(("name", "command", "way"), CASES)
def test_the_options_of_a_run_give_the_same_run(name, command, way, printed, tmp_path):
    before = printed(name, command, "--seed", 3, "--limit", 100, *way)
    assert before["experiment"] == name
    assert (before["settings"]["seed"], before["settings"]["limit"]) == (3, 100)
    assert not before["settings"].keys() & {"config", "print_config"}
    (tmp_path / "config.json").write_text(json.dumps(before))
    assert printed(name, command, "--config", "config.json") == before
    # What is typed overrides it.
    after = printed(name, command, "--limit", 7, "--config", "config.json", "--out", "elsewhere")["settings"]
    assert after == before["settings"] | {"limit": 7, "out": "elsewhere"}
    # Nothing was run or written.
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("folder", sorted(SAVED.glob("*/config.json")), ids=lambda path: path.parent.name)
def test_the_options_of_an_older_run_are_taken(folder, printed, tmp_path):
    settings = read(folder.parent, "config.json")["settings"]
    experiment = earlier.experiment_of(read(folder.parent, "config.json"))
    command = "run" if experiment == "style_transfer" else "train"
    taken = printed(experiment, command, "--config", folder, "--seed", 5)["settings"]
    assert {name: taken[name] for name in settings} == settings | {"seed": 5, "out": None}
    # A flag that it has set can be unset; values that it has shrunk stay.
    assert settings["smoke"] is True
    assert printed(experiment, command, "--config", folder, "--no-smoke")["settings"]["smoke"] is False


def test_a_run_writes_what_config_takes_and_the_next_one_gets_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    def stop(*args, **kwargs):
        raise UserError("Stopped.")

    module = importlib.import_module("experiments.qa.__main__")
    monkeypatch.setattr(module, "train_networks", stop)
    monkeypatch.chdir(tmp_path)
    _, refused = commands("experiments.qa", module.train)
    assert refused(capsys, "train", "--precision", "float32", "--epochs", 3, "--out", "first") == "Stopped."
    assert refused(capsys, "train", "--config", "first/config.json", "--out", "second") == "Stopped."
    first, second = (read(tmp_path / name, "config.json")["settings"] for name in ("first", "second"))
    assert first["epochs"] == 3
    assert second == first | {"out": "second"}
    assert not first.keys() & {"config", "print_config"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"experiment": "gan", "settings": {}}', "bad.json is of a run of gan, not of qa."),
        ('{"settings": {"epoch": 3, "tuner": "grid"}}', "bad.json has options that train does not take: epoch, tuner."),
        ('{"settings": {"epochs": "many"}}', "bad.json: --epochs does not take 'many'."),
        ('{"settings": {"epochs": 0}}', "--epochs must be at least 1. Received: 0"),
        ('{"settings": {"arch": "cnn"}}', "bad.json: --arch does not take 'cnn'."),
        ('{"settings": [1]}', "bad.json is not what a run writes: it has no settings."),
        ("[]", "bad.json is not what a run writes: it has no settings."),
        ("{", "bad.json is not valid JSON: "),
        (None, "bad.json cannot be read: No such file or directory."),
    ],
)
def test_a_config_that_does_not_fit_is_a_sentence(content, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("bad.json").write_text(content)
    _, refused = commands("experiments.qa", *commands_of("qa").values())
    assert refused(capsys, "train", "--config", "bad.json").startswith(sentence)
    assert not Path("runs").exists()


def test_the_baseline_of_question_answering_keeps_its_own_recipe(tmp_path):
    network = importlib.import_module("experiments.qa.network")
    options = importlib.import_module("kerasapps.runs").Options
    given = network.GivenRecipe(epochs=40, batch_size=16, learning_rate=2e-3)  # of a memory network, but for the batch
    typed, taken = options(), options(config=tmp_path / "config.json")
    assert network.chosen_of("memory", given, options=typed) == given
    assert network.chosen_of("memory", given, options=taken) == network.GivenRecipe(batch_size=16)


def test_where_the_value_is_missing_or_a_command_has_no_such_option_tyro_says_so(capsys):
    for arguments in (["train", "--config"], ["evaluate", "--config", "x.json"], ["--config", "x.json"]):
        module = importlib.import_module("experiments.qa.__main__")
        _, refused = commands("experiments.qa", module.train, module.evaluate)
        assert "full helptext" in refused(capsys, *arguments)
