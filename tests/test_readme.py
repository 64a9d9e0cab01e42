"""What people read: links lead somewhere, commands and options exist, the code in it runs."""

import ast
import functools
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/*/README.md")]
OTHERS_OPTIONS = {"help", "head", "address", "logdir"}  # of any command, ray and tensorboard

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names by which GitHub links to headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@functools.cache
def options() -> set[str]:
    """Every argument and field of the code, which is where options come from."""
    paths = (path for folder in ("experiments", "benchmarks", "kerasapps") for path in (ROOT / folder).rglob("*.py"))
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    fields = {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    return fields | {node.arg for node in nodes if isinstance(node, ast.arg)}


def commands(experiment: str) -> set[str]:
    """What `main` of an experiment is called with."""
    calls = ast.walk(ast.parse((ROOT / "experiments" / experiment / "__main__.py").read_text(encoding="utf-8")))
    mains = [node for node in calls if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "main"]
    return {node.id.replace("_", "-") for call in mains for node in ast.walk(call) if isinstance(node, ast.Name)}


def test_the_readme_is_one_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


@each_page
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', text):
        target, _, anchor = "".join(link).partition("#")
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{target} does not exist"
        assert path.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(path), f"{path.name} has no heading #{anchor}"


@each_page
def test_commands_and_options_exist(page):
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"-m ((?:experiments|benchmarks|kerasapps)(?:\.\w+)+)", text):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists() or module.endswith(".NAME"), module
    for experiment, command in re.findall(r"-m experiments\.([a-z]\w*) ([a-z][\w-]*)", text):
        assert command in commands(experiment), f"experiments.{experiment} has no command {command}"
    for option in re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", text):
        assert option in OTHERS_OPTIONS or option.replace("-", "_") in options(), f"there is no option --{option}"


@each_page
def test_what_code_imports_exists(page):
    for block in blocks(page, "python"):
        imports = [node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), str(page), "exec"), {})


def test_the_code_in_the_readme_runs():
    rng = np.random.default_rng(0)
    text, question = rng.integers(1, 10_000, (8, 12)), rng.integers(1, 10_000, (8, 4))
    names = {"text": text, "question": question, "answers": rng.integers(0, 500, 8)}
    for block in blocks(README, "python"):
        exec(block, names)
    assert names["model"].predict({"text": text, "question": question}, verbose=0)["answer"].shape == (8, 500)


def test_the_code_for_a_gan_runs():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 1)).astype("float32")
    names = {"images": images}
    (block,) = blocks(ROOT / "experiments" / "gan" / "README.md", "python")
    exec(block.replace("epochs=20", "epochs=1"), names)
    assert names["samples"].shape == (16, 28, 28, 1)


def test_the_scaling_page_has_the_words_of_its_template():
    template = (ROOT / "benchmarks" / "scaling.md.j2").read_text(encoding="utf-8")
    words = map(re.escape, re.split(r"{{.*?}}", template))
    assert re.fullmatch("(.*?)".join(words), (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8"), re.DOTALL)
