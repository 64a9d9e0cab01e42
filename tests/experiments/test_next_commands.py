"""What a report says may come next: commands that the experiment takes, started as the run was."""

import ast
import functools
import importlib
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import tyro

from experiments.shared.training import next_commands
from kerasapps.settings import checked

EXPERIMENTS = Path(importlib.import_module("experiments").__file__).parent
# Every line that a `following` of an experiment holds, by experiment.
LINES = [
    (path.parent.name, node.value)
    for path in sorted(EXPERIMENTS.glob("*/*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "--run RUN" in node.value
]


def begun(command: str) -> SimpleNamespace:
    return SimpleNamespace(config={"command": command, "experiment": "qa"}, folder=Path("runs/my run"))


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("python -m experiments.qa train --arch lstm --out x", "python -m experiments.qa"),
        ("kerasapps qa train --arch lstm --out x", "kerasapps qa"),
    ],
)
def test_they_are_started_as_the_run_was(command, program):
    one, resume = (made.line for made in next_commands(begun(command), {"Evaluate": "evaluate --run RUN"}))
    assert one == f"{program} evaluate --run 'runs/my run'"
    assert resume == f"{program} train --arch lstm --resume --out 'runs/my run'"


def test_a_run_of_own_code_has_those_of_its_experiment():
    (one,) = next_commands(begun("python train.py"), {"Evaluate": "evaluate --run RUN"})
    assert one.line == "python -m experiments.qa evaluate --run 'runs/my run'"


@pytest.mark.parametrize(("experiment", "line"), LINES)
def test_the_experiment_takes_them(experiment, line):
    name, *arguments = shlex.split(line.replace("RUN", "runs/x"))
    commands = importlib.import_module(f"experiments.{experiment}.__main__").COMMANDS
    command = {one.__name__: one for one in commands}[name]
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    called = []
    signature = checked(command)

    @functools.wraps(signature)
    def noted(*positional, **options):
        called.append((positional, options))

    tyro.cli(noted, args=arguments, config=config)
    assert called
