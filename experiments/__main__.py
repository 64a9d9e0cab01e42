"""The command `kerasapps`, which is `python -m experiments` in a checkout: lists the experiments, and starts one.

Nothing here imports TensorFlow, which would take seconds.
"""

import ast
import difflib
import importlib
import runpy
import shlex
import sys
from pathlib import Path

import kerasapps
from kerasapps import startup

FOLDER = Path(__file__).parent
SHELLS = ("bash", "zsh", "fish")


def experiments() -> dict[str, str]:
    """Returns the first line of each experiment's docstring by name: every folder here that has a `__main__.py`."""
    return {path.parent.name: summary(path) for path in sorted(FOLDER.glob("*/__main__.py"))}


def tools() -> dict[str, str]:
    """Returns the same of the commands that are no experiment: every module here, with a function of its name."""
    return {path.stem: summary(path) for path in sorted(FOLDER.glob("[!_]*.py"))}


def summary(path: Path) -> str:
    """Returns the first line of a module's docstring, without importing it."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def typed(name: str = "") -> str:
    """Returns what starts an experiment, or the command itself."""
    return shlex.join(startup.typed(".".join(filter(None, [__package__, name]))))


def usage() -> str:
    """Returns the list of experiments and how to start them."""
    lines = [f"usage: {typed('NAME')} COMMAND [OPTIONS]", ""]
    lines += [f"  {name:<24}{first}" for name, first in (experiments() | tools()).items()]
    explained = {
        f"{typed('NAME')} --help": "the commands of one of them",
        f"{typed()} completion {'|'.join(SHELLS)}": "a script that completes all of this in a shell",
        f"{typed()} --version": "the version",
    }
    width = max(map(len, explained))
    lines += ["", *(f"{words:<{width}}  {what}" for words, what in explained.items())]
    return "\n".join(lines)


def completion(shell: str) -> str:
    """Returns a script that completes names, commands and options."""
    from .shared import cli

    modules = {name: importlib.import_module(f".{name}.__main__", __package__) for name in experiments()}
    single = [getattr(importlib.import_module(f".{name}", __package__), name) for name in tools()]
    return cli.completion({name: module.COMMANDS for name, module in modules.items()}, single, shell)


def main() -> None:
    """Does what the first argument names."""
    name, *arguments = sys.argv[1:] or ["list"]
    if name in ("list", "--help", "-h"):
        print(usage())
    elif name == "--version":
        print(f"kerasapps {kerasapps.__version__}")
    elif name == "completion":
        if arguments not in ([shell] for shell in SHELLS):
            refuse(f"{typed()} completion takes one of {', '.join(SHELLS)}.")
        print(completion(*arguments))
    else:
        run(name.replace("-", "_"), arguments)


def run(name: str, arguments: list[str]) -> None:
    """Runs an experiment as `python -m` would."""
    names = [*experiments(), *tools()]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        refuse(f"There is no experiment {name}.{hint} They are: {', '.join(names)}.")
    sys.argv[1:] = arguments
    runpy.run_module(f"{__package__}.{name}", run_name="__main__", alter_sys=True)


def refuse(sentence: str) -> None:
    """Exits with a sentence and status 2."""
    print(sentence, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
