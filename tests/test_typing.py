"""Types: what a type checker and an editor make of the package."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kerasapps
from tests.contract import CONTRACTS

ROOT = Path(__file__).parent.parent
OWN_CODE = ROOT / "tests" / "fixtures" / "typing" / "own_code.py"
# A name may be anything, that of a layer of another network too, and weights are a word or a path.
FREE = {"experiment", "layer", "monitor", "name", "title", "weights"}


def found(*options: str, env: dict[str, str]) -> set[int]:
    """The lines of own code in which mypy finds a mistake."""
    command = [sys.executable, "-m", "mypy", "--strict-optional", "--ignore-missing-imports", *options, str(OWN_CODE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | env)
    assert done.returncode == 1, done.stdout + done.stderr
    return {int(line) for line in re.findall(r"own_code\.py:(\d+): error:", done.stdout)}


def planted() -> set[int]:
    lines = OWN_CODE.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if "# mistake: " in line}


def test_a_type_checker_finds_every_mistake_in_own_code_and_nothing_else():
    assert len(planted()) >= 7
    assert found("--follow-imports", "silent", env={"MYPYPATH": str(ROOT)}) == planted()


def test_editors_see_every_name():
    (block,) = [
        node
        for node in ast.parse(Path(kerasapps.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    seen = {alias.asname: node.module.partition(".")[2] for node in block.body for alias in node.names}
    assert seen == kerasapps._MODULES


@pytest.mark.parametrize(
    "name", [name for name in kerasapps.__all__ if callable(getattr(kerasapps, name)) and name[0].islower()]
)
def test_every_argument_has_a_type_and_a_choice_of_words_is_a_literal(name):
    for argument, parameter in inspect.signature(getattr(kerasapps, name)).parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty, argument
        words = re.fullmatch(r"str(\s*\|\s*None)?", inspect.formatannotation(parameter.annotation))
        assert not words or argument in FREE, f"{name}: {argument} takes any string"


@pytest.mark.parametrize("row", CONTRACTS, ids=lambda row: row.builder.__name__)
def test_search_spaces_have_types(row):
    assert row.search_space is None or row.search_space.__annotations__["hp"] == "HyperParameters"
