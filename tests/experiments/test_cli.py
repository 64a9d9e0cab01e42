"""The command line: how it is started, what its help looks like, and its completion in a shell."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import __main__ as command
from experiments.shared import cli
from kerasapps import __version__, startup

ROOT = Path(__file__).parents[2]
EXPERIMENTS = {name: importlib.import_module(f"experiments.{name}.__main__") for name in command.experiments()}
COMMANDS = [(name, one.__name__.replace("_", "-")) for name, module in EXPERIMENTS.items() for one in module.COMMANDS]


def show_help(monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as end:
        cli.main(f"experiments.{arguments[0]}", *EXPERIMENTS[arguments[0]].COMMANDS, args=[*arguments[1:], "--help"])
    assert not end.value.code
    return capsys.readouterr().out


# Those that are imported by name, when somebody asks for them; `deployed.py` runs beside what it is exported with.
BY_NAME = sorted(path for name in ("trying", "exporting") for path in ROOT.glob(f"experiments/*/{name}.py"))


@pytest.mark.parametrize("path", BY_NAME, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_module_that_is_imported_by_name_can_be(path):
    importlib.import_module(f"experiments.{path.parent.name}.{path.stem}")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_help_is_plain(experiment, monkeypatch, capsys):
    for name, one in COMMANDS:
        if name == experiment:
            shown = show_help(monkeypatch, capsys, name, one)
            assert shown.startswith(f"usage: python -m experiments.{name} {one} ")
            assert "options options" not in shown
            # The type of an option that may be left out is that of its value.
            for option in re.findall(r"--[\w-]+ (.*)", shown):
                assert "None" not in option.partition("  ")[0].partition(" (")[0], option


def test_what_is_left_out_is_none_and_can_be_said():
    got = []

    def train(*, params: str | None = None, rates: tuple[float, float] | None = None, kind: bool | None = None) -> None:
        """Trains."""
        got.append((params, rates, kind))

    def other() -> None:
        """Does nothing."""

    for words, values in {
        "": (None, None, None),
        "--params x --rates 1 2 --kind False": ("x", (1.0, 2.0), False),
        "--params None --rates None --kind None": (None, None, None),
    }.items():
        cli.main("experiments.toy", train, other, args=["train", *words.split()])
        assert got.pop() == values


def test_the_usage_is_what_a_person_typed(monkeypatch, capsys):
    assert startup.typed("experiments.qa") == ["python", "-m", "experiments.qa"]
    assert startup.typed("kerasapps.experiments.qa") == ["kerasapps", "qa"]
    assert startup.typed("kerasapps.experiments") == ["kerasapps"]
    assert startup.typed("kerasapps.launch") == ["python", "-m", "kerasapps.launch"]
    monkeypatch.setattr(cli, "__package__", "kerasapps.experiments.shared")
    assert show_help(monkeypatch, capsys, "qa").startswith("usage: kerasapps qa [-h] {train,")


# --- the command that starts them


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["kerasapps", *arguments])
    command.main()


@pytest.mark.parametrize("arguments", [[], ["list"], ["--help"]])
def test_the_list(arguments, monkeypatch, capsys):
    run(monkeypatch, *arguments)
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m experiments.NAME COMMAND")
    names = command.experiments() | command.tools()
    assert all(re.search(rf"^  {name} +[A-Z]", shown, re.MULTILINE) for name in names)


def test_the_version(monkeypatch, capsys):
    run(monkeypatch, "--version")
    assert capsys.readouterr().out == f"kerasapps {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["prize"],
            "There is no experiment prize. Did you mean price? They are: autoencoder, captioning, deep_dream, ",
        ),
        (["train"], "There is no experiment train. "),
        (["completion"], "python -m experiments completion takes one of bash, zsh, fish."),
        (["completion", "tcsh"], "python -m experiments completion takes one of bash, zsh, fish."),
    ],
)
def test_what_there_is_not_is_one_sentence(arguments, sentence, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *arguments)
    assert end.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith(sentence)
    assert shown.count("\n") == 1


def test_an_experiment_is_started_as_a_script(monkeypatch, capsys):
    started = []
    monkeypatch.delitem(sys.modules, "experiments.image_classification.__main__")
    monkeypatch.setattr(cli, "main", lambda prog, *commands: started.append((prog, sys.argv[1:])))
    for name in ("image_classification", "image-classification"):
        run(monkeypatch, name, "train", "--smoke")
    assert started == [("experiments.image_classification", ["train", "--smoke"])] * 2


# --- completion


@pytest.fixture(scope="module")
def script() -> str:
    return command.completion("bash")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("kerasapps pri", {"price"}),
        ("kerasapps qa se", {"search"}),
        ("kerasapps qa train --see", {"--seed"}),
        ("kerasapps qa train --arch l", {"lstm"}),
    ],
)
def test_completion(script, typed, completed, tmp_path):
    (tmp_path / "completion").write_text(script)
    words = " ".join(f"'{word}'" for word in typed.split())
    ask = f"source completion; COMP_WORDS=({words}); COMP_CWORD={len(typed.split()) - 1}; _tyro_kerasapps"
    done = subprocess.run(
        ["bash", "-c", f'{ask}; printf "%s\\n" "${{COMPREPLY[@]}}"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert completed <= set(done.stdout.split())
    assert all(word.startswith(typed.split()[-1]) for word in done.stdout.split())
