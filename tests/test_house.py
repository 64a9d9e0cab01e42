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
    "bases": {"applications", "blocks", "data", "errors", "files", "runs", "saving", "weights"},
    "blocks": {"blocks", "heads"},
    "applications": {"applications", "blocks", "heads", "weights"},
    "data": {"data", "errors", "files", "heads"},
    "losses": {"blocks", "heads"},
    "gan": {"applications", "blocks", "taps"},
    "inside": {"applications", "blocks"},
    "errors": set(),
    "exporting": {"errors", "files", "saving", "weights"},
    "files": {"errors"},
    "startup": {"errors"},
    "estimators": {"blocks"},
    "superlearner": set(),
    "spaces": set(),  # it imports builders by name
    "taps": set(),
    "weights": set(),
    "complexity": set(),
    "decoding": set(),
    "generation": {"decoding"},
    "distribution": {"errors", "startup", "workers"},
    "launch": {"errors", "startup", "workers"},
    "runtime": {"errors", "workers"},
    "records": {"errors", "files"},
    "index": {"files", "formats", "records", "reports"},
    "fonts": set(),
    "formats": set(),
    "panels": set(),
    "networks": {"reports"},
    "pretraining": {"blocks", "data", "errors"},
    "reports": {"errors", "fonts", "formats", "panels"},
    "optimizers": {"blocks"},
    "styling": {"blocks", "errors"},
    "runs": {"distribution", "errors", "files", "records", "reports", "runtime", "saving", "settings", "tracking"},
    "serving": {"data", "errors", "files", "records"},
    "saving": {"blocks"},  # it imports by name what registers classes
    "session": {"distribution", "runs", "runtime", "settings", "startup", "tracking"},
    "settings": {"errors"},
    "tracking": {"errors", "files"},
    "checkpoints": {"distribution", "errors", "files", "optimizers", "records", "runs", "startup", "workers"},
    "training": {
        *("checkpoints", "data", "distribution", "errors", "formats", "optimizers", "runs", "tracking", "workers")
    },
    "workers": {"errors", "runs", "startup"},
    "search": {"errors", "formats", "reports", "runs", "runtime", "settings", "tracking", "workers"},
    "__init__": set(),
}
# A builder that only joins networks has no hyperparameters beside theirs.
JOINS = {"build_gan": {"search_space_generator"}, "build_ensemble": {"build_ensemble"}}
ONLY_IN = {
    "keras_tuner": {"search"},
    "matplotlib": {"fonts", "panels", "reports", "search"},
    "mlflow": set(),  # by name, where it is asked for
    "wandb": set(),
    "ray": {"workers"},
    "tyro": {"launch", "settings"},
}
# What takes long to import, and is imported for its types alone.
FOR_TYPES = {"keras_tuner", "polars"}


def imports(path: Path, *, for_types: bool = False) -> set[str]:
    """What a module imports when it runs, or what it imports for type checkers and editors alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    if for_types:
        tree.body = blocks
    else:
        tree.body = [node for node in tree.body if node not in blocks]
    nodes = list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    package = path.relative_to(ROOT).parent.parts
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
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
def test_types_point_the_same_way(path):
    names = imports(path, for_types=True)
    ours = {name.split(".")[1] for name in names if name.startswith("kerasapps.")}
    if path.name == "__init__.py" and path.parent == ROOT / "kerasapps":
        assert ours <= ALLOWED.keys()  # it shows the names of all others
    else:
        assert ours <= ALLOWED[room(path)] | {room(path)}
    assert {name.split(".")[0] for name in names} - {"kerasapps"} <= FOR_TYPES


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_builders_are_pure_keras(path):
    # The layers that reach behind Keras fall back to Keras where there is no TensorFlow.
    faster = {"attention_loop", "backend", "distinct_words", "fast_conv", "gru", "noise", "normalization", "recurrent"}
    if room(path) in ("applications", "blocks") and path.stem not in faster:
        assert not any(name.split(".")[0] == "tensorflow" for name in imports(path))


# --- experiments


def experiment_modules() -> list[Path]:
    return sorted((ROOT / "experiments").rglob("*.py"))  # `experiments/runs.py` as well, which is a tool


@pytest.mark.parametrize("path", experiment_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_experiments_import_the_shared_stage_and_never_each_other(path):
    folders = {name.split(".")[1] for name in imports(path) if name.startswith("experiments.")}
    assert folders <= {"shared", path.parent.name}


def test_the_shared_stage_knows_no_application():
    for path in (ROOT / "experiments" / "shared").glob("*.py"):
        assert not any(name.startswith("kerasapps.applications") for name in imports(path)), path


LONGEST = {"function": 60, "builder": 80, "module": 300, "train": 30}  # lines, docstrings of functions left out


def test_nothing_is_longer_than_a_reader_can_hold():
    long = []
    for path in [*modules(), *experiment_modules()]:
        text = path.read_text(encoding="utf-8")
        experiment = path in experiment_modules()
        if experiment and len(text.splitlines()) > LONGEST["module"]:
            long.append(f"{path.name}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body[0]
                lines = node.end_lineno - first.lineno + 1
                kind = "builder" if node.name.startswith("build_") else "function"
                kind = "train" if experiment and path.name == "__main__.py" and node.name == "train" else kind
                if lines > LONGEST[kind]:
                    long.append(f"{path.relative_to(ROOT)} {node.name}: {lines} lines")
    assert not long


def code_lines(path: Path) -> list[str]:
    """The lines of a module without imports, signatures, docstrings, comments and lone brackets."""
    text = path.read_text(encoding="utf-8")
    left_out = set()
    for node in ast.walk(ast.parse(text)):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom) or is_docstring:
            left_out |= set(range(node.lineno, node.end_lineno + 1))
        if isinstance(node, ast.FunctionDef):  # options are spelled alike everywhere, on purpose
            left_out |= set(range(node.lineno, node.body[0].lineno))
    lines = [line.strip() for i, line in enumerate(text.splitlines(), start=1) if i not in left_out]
    return [line for line in lines if line.strip("()[]{},") and not line.startswith("#")]


def test_no_two_experiments_share_six_lines():
    seen: dict[tuple[str, ...], Path] = {}
    for path in experiment_modules():
        lines = code_lines(path)
        for run in zip(*(lines[i:] for i in range(6)), strict=False):
            other = seen.setdefault(run, path)
            assert other.parent == path.parent, f"{other} and {path} share: {run}"


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
            assert any(builder in page.read_text() for page in (ROOT / "experiments").glob("*/README.md")), builder


def test_every_dependency_is_pinned_and_every_pin_is_only_a_name_and_a_version():
    import tomllib
    from importlib.metadata import version

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line]
    names = {pin.name.lower().replace("_", "-") for pin in pins}
    assert all(str(pin.specifier).startswith("==") and not pin.url for pin in pins)
    extras = project["optional-dependencies"]
    # `dev` holds other extras, as kerasapps[web].
    lines = [line for line in project["dependencies"] + extras["dev"] if not line.startswith("kerasapps[")]
    for extra in (one for line in extras["dev"] if line not in lines for one in Requirement(line).extras):
        lines += extras[extra]
    for needed in map(Requirement, lines):
        assert needed.name in names
        assert needed.specifier.contains(version(needed.name))


def test_the_list_the_version_and_the_help_do_not_import_tensorflow():
    code = (
        "import sys\n"
        "from experiments.__main__ import main\n"
        "for arguments in ([], ['list'], ['--help'], ['--version']):\n"
        "    sys.argv[1:] = arguments\n"
        "    main()\n"
        "print({'keras', 'tensorflow', 'tyro', 'numpy'} & sys.modules.keys())"
    )
    listing = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert listing.count("Question answering") == 3
    assert listing.endswith("set()\n")
