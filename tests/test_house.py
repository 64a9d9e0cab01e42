"""The architecture: imports point one way, nothing is imported that should not be, and nothing is missing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract import CONTRACTS

ROOT = Path(__file__).parent.parent
# What a module may import of kerasapps, by the first part of its own name.
ALLOWED = {
    "heads": set(),
    "blocks": {"blocks", "heads"},
    "applications": {"applications", "blocks", "heads"},
    "data": {"data", "errors", "files", "heads"},
    "losses": {"heads"},
    "gan": {"applications", "blocks"},
    "errors": set(),
    "files": {"errors"},
    "startup": {"errors"},
    "taps": set(),
    "complexity": set(),
    "distribution": {"errors", "startup", "workers"},
    "launch": {"errors", "startup", "workers"},
    "runtime": {"errors", "workers"},
    "reports": {"errors"},
    "optimizers": set(),
    "styling": {"blocks", "errors"},
    "runs": {"distribution", "errors", "files", "reports", "runtime"},
    "checkpoints": {"distribution", "errors", "files", "optimizers", "runs", "startup", "workers"},
    "training": {"checkpoints", "data", "distribution", "errors", "optimizers", "runs", "workers"},
    "workers": {"errors", "runs", "startup"},
    "search": {"errors", "reports", "runs", "runtime", "workers"},
    "__init__": {"applications", "heads", "losses", "optimizers", "taps"},
}
# A builder that only joins networks has no hyperparameters beside theirs.
JOINS = {"build_gan": {"search_space_generator"}}
ONLY_IN = {
    "keras_tuner": {"search"},
    "matplotlib": {"reports", "search"},
    "ray": {"workers"},
    "tyro": {"launch"},
}


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules() -> list[Path]:
    return sorted((ROOT / "kerasapps").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "kerasapps").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("kerasapps.")}
    assert ours <= ALLOWED[room(path)] | {room(path)}
    for library, rooms in ONLY_IN.items():
        if room(path) not in rooms:
            assert not any(name.split(".")[0] == library for name in imports(path))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_builders_are_pure_keras(path):
    # The layers that reach behind Keras fall back to Keras where there is no TensorFlow.
    faster = ("backend.py", "distinct_words.py", "recurrent.py", "normalization.py", "noise.py", "fast_conv.py")
    if room(path) in ("applications", "blocks") and path.name not in faster:
        assert not any(name.split(".")[0] == "tensorflow" for name in imports(path))


def test_every_builder_is_exported_tested_and_has_a_search_space():
    import kerasapps

    for path in (ROOT / "kerasapps" / "applications").glob("[!_]*.py"):
        functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        builders = {name for name in functions if name.startswith("build_")}
        assert builders, f"{path.name} builds nothing"
        for builder in builders:
            spaces = JOINS.get(builder, set()) | {"search_space", f"search_space_{builder.removeprefix('build_')}"}
            assert spaces & functions, f"{builder} has no search space"
            assert builder in kerasapps.__all__, f"{builder} is not exported"
            assert builder in {row.builder.__name__ for row in CONTRACTS}, f"{builder} has no contract"
            assert builder in (ROOT / "README.md").read_text(), f"{builder} is not in the README"


def test_every_dependency_is_pinned_and_every_pin_is_only_a_name_and_a_version():
    import tomllib
    from importlib.metadata import version

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line]
    names = {pin.name.lower().replace("_", "-") for pin in pins}
    assert all(str(pin.specifier).startswith("==") and not pin.url for pin in pins)
    for line in project["dependencies"] + project["optional-dependencies"]["dev"]:
        needed = Requirement(line)
        assert needed.name in names
        assert needed.specifier.contains(version(needed.name))


def test_listing_the_experiments_does_not_import_tensorflow():
    code = "import runpy, sys; runpy.run_module('experiments', run_name='__main__'); print('tensorflow' in sys.modules)"
    listing = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "qa  " in listing
    assert "Question answering" in listing
    assert listing.endswith("False\n")
