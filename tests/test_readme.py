"""What people read: links lead somewhere, commands and options exist, the code in it runs."""

import ast
import functools
import importlib
import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro

from experiments.__main__ import tools
from experiments.shared import cli
from kerasapps import launch

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/*/README.md")]
# Of any command, ray, tensorboard, pip and pytest.
OTHERS_OPTIONS = {"help", "version", "head", "address", "logdir", "no-deps", "wheel-dir", "pyargs"}

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
def test_modules_and_options_exist(page):
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"-m ((?:experiments|benchmarks|kerasapps)(?:\.\w+)+)", text):
        path = ROOT.joinpath(*re.sub(r"^kerasapps\.(?=experiments\.)", "", module).split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists() or module.endswith(".NAME"), module
    for option in re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", text):
        known = option in OTHERS_OPTIONS or option.removeprefix("no-").replace("-", "_") in options()
        assert known, f"there is no option --{option}"


def test_the_scaling_page_has_the_words_of_its_template():
    template = (ROOT / "benchmarks" / "scaling.md.j2").read_text(encoding="utf-8")
    words = map(re.escape, re.split(r"{{.*?}}", template))
    assert re.fullmatch("(.*?)".join(words), (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8"), re.DOTALL)


# --- code

DRAWN = np.random.default_rng(0)
TOY = {
    "epochs=10": "epochs=1",
    "epochs=20": "epochs=1",
    "max_trials=20": "max_trials=1",
    'network="vgg16", weights="imagenet"': 'network="compact", weights="trained"',
    "size=512": "size=64, steps=2",
    "steps=20": "steps=1",
}


def names_before(page: str) -> dict[str, Any]:
    """What a reader has before the code of a page begins: their data, or the rest of the file that it is from."""
    if page in ("README.md", "docs/running.md"):
        text, question, answers = (DRAWN.integers(1, 500, shape) for shape in ((8, 12), (8, 4), 8))
        return {"text": text, "question": question, "answers": answers}
    if page == "experiments/gan/README.md":
        return {"images": DRAWN.uniform(-1, 1, (4, 28, 28, 1)).astype("float32")}
    if page == "experiments/autoencoder/README.md":
        return {"images": DRAWN.uniform(0, 1, (4, 28, 28, 1)).astype("float32")}
    if page == "experiments/style_transfer/README.md":
        return dict(zip(("content", "style"), DRAWN.uniform(0, 255, (2, 48, 64, 3)).astype("float32"), strict=True))
    if page == "experiments/image_classification/README.md":
        return {"images": DRAWN.uniform(0, 255, (4, 32, 32, 3)).astype("float32"), "labels": np.arange(4)}
    if page == "experiments/deep_dream/README.md":
        return {"photo": DRAWN.uniform(0, 255, (48, 64, 3)).astype("float32")}
    if page == "docs/exporting.md":
        import keras

        from kerasapps import Head, build_multi_head_text

        build_multi_head_text(
            vocab_size=1000,
            heads={"genre": Head("classes", num_classes=3)},
            embedding_dim=8,
            filters=(4,),
            convolutions=(1,),
        ).save("model.keras")
        return {"keras": keras}
    if page == "CONTRIBUTING.md":
        from experiments.price import __main__ as commands
        from experiments.price import network

        return vars(network) | vars(commands) | {"TextClassCodec": object, "__name__": "page"}
    return {}


# The page on your own models is run, killed and resumed by tests/test_own_models.py.
CODED = [page for page in PAGES if blocks(page, "python") and page.name != "own_models.md"]


@pytest.mark.parametrize("page", CODED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_on_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.json").write_text(json.dumps({"text_units": 8}))
    names = names_before(str(page.relative_to(ROOT)))
    for block in blocks(page, "python"):
        for shown, small in TOY.items():
            block = block.replace(shown, small)
        exec(compile(block, str(page), "exec"), names)


# --- commands


def commands(text: str) -> Iterator[list[str]]:
    """The commands of this project in code blocks and code spans, each as its words."""
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [line for block in fenced for line in block.replace("\\\n", " ").splitlines()]
    for line in lines + [" ".join(span.split()) for span in spans]:
        if re.match(r"(\$ )?(python -m (kerasapps|experiments|benchmarks)\.|kerasapps )(?!NAME)", line):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            yield list(itertools.takewhile(lambda word: word not in ("|", ">", "&&"), words))


def test_commands_are_found():
    spans = "`python -m\nexperiments.qa train` `python -m experiments.NAME train` `kerasapps NAME`"
    block = "$ kerasapps qa train --tasks 1 \\\n  2  # two\nkerasapps list > x\npython -m pytest"
    assert list(commands(f"{spans}\n```\n{block}\n```\n")) == [
        ["kerasapps", "qa", "train", "--tasks", "1", "2"],
        ["kerasapps", "list"],
        ["python", "-m", "experiments.qa", "train"],
    ]


def read_only(command: Callable) -> Callable:
    """A command that reads its options and does nothing."""
    return functools.wraps(command)(lambda *args, **kwargs: None)


def read(words: list[str]) -> None:
    """Has the real command line read a command, up to where it would begin."""
    if words[0] == "kerasapps":
        if words[1].startswith("--") or words[1] in ("list", "completion"):
            return
        words = ["python", "-m", f"experiments.{words[1]}", *words[2:]]
    module, arguments = words[2].removeprefix("kerasapps.experiments."), words[3:]
    if module == "kerasapps.launch":
        own = [*itertools.takewhile(lambda word: word != "--", arguments)]
        tyro.cli(read_only(launch.main), args=own)
        if arguments[len(own) + 1 :][:1] == ["-m"]:
            read(["python", *arguments[len(own) + 1 :]])
        return
    package, name = module.split(".") if "." in module else ("experiments", module)
    if not arguments or "..." in arguments:
        return
    if package == "benchmarks" or name in tools():
        script = importlib.import_module(f"{package}.{name}")
        command = getattr(script, arguments[0], None)  # of a script with several commands
        arguments = arguments[1:] if command else arguments
        made = (getattr(script, one, None) for one in (name, "main", "run"))  # not what it imports by such a name
        command = command or next(one for one in made if getattr(one, "__module__", None) == script.__name__)
        tyro.cli(read_only(command), args=arguments)
    else:
        experiment = importlib.import_module(f"experiments.{name}.__main__")
        arguments = getattr(experiment, "named", list)(arguments)  # of a folder whose first command need not be named
        cli.main(f"experiments.{name}", *map(read_only, experiment.COMMANDS), args=arguments)


SOURCES = [*PAGES, *ROOT.glob("experiments/*/__main__.py"), ROOT / "kerasapps" / "launch.py"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_what_the_command_line_takes(source, capsys):
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".py":
        text = "```\n" + ast.get_docstring(ast.parse(text)) + "\n```"
    for words in commands(text):
        try:
            read(words)
        except SystemExit as end:
            if end.code:
                pytest.fail(f"{shlex.join(words)}\n{capsys.readouterr().err}")


def test_nothing_is_promised_from_an_index_where_it_is_not():
    code = (path for folder in ("experiments", "benchmarks", "kerasapps") for path in (ROOT / folder).rglob("*.py"))
    for path in [*PAGES, *code]:
        assert not re.search(r"pip install ['\"]?kerasapps", path.read_text(encoding="utf-8")), path
