"""Experiments as a person runs them, in the process of the test."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.shared.cli import main


def commands(prog: str, *functions: Callable) -> tuple[Callable, Callable]:
    """Returns `run(*arguments)`, and `refused(capsys, *arguments)`, which must fail and returns what it said."""

    def run(*arguments) -> None:
        main(prog, *functions, args=[str(argument) for argument in arguments])

    def refused(capsys, *arguments, lines: int = 1) -> str:
        with pytest.raises(SystemExit) as left:
            run(*arguments)
        assert left.value.code == 2
        said = capsys.readouterr().err.strip()
        # One sentence, but for what tyro says of options that there are not.
        assert len([line for line in said.splitlines() if line]) == lines or "full helptext" in said, said
        return " ".join(said.split())

    return run, refused


def read(folder: Path, name: str = "metrics.json"):
    """Returns what a JSON file of a run folder holds."""
    return json.loads((folder / name).read_text())
