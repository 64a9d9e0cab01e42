"""The command line of every experiment: signatures in, one clear sentence out when something is wrong."""

import contextlib
import inspect
import io
import json
import shlex
import sys
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import rich
import rich.box
import rich.table
import rich.text
import tyro

from kerasapps import distribution, startup
from kerasapps.errors import explain
from kerasapps.formats import format_number
from kerasapps.reports import Table
from kerasapps.runs import release
from kerasapps.session import ConfigOnly
from kerasapps.settings import REGISTRY, checked

from . import earlier

LONGEST_NAME = 40  # characters
LOOK = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)


def main(prog: str, *commands: Callable, args: Sequence[str] | None = None) -> None:
    """Runs the command that the arguments name and exits with its status.

    Args:
        prog: Name of the script's module in a checkout, such as "experiments.qa".
        commands: Functions whose keyword-only arguments are the options and whose docstrings are the help.
        args: The arguments; those of the process by default.
    """
    with contextlib.ExitStack() as end:
        end.callback(release)
        end.enter_context(startup.when_stopped(startup.stop))
        try:
            startup.own_temp_folder()
            _run(prog, commands, args)
            distribution.exit_together()
        except SystemExit:  # by a signal, or after --help
            distribution.exit_now(startup.STOPPED)
            raise
        except KeyboardInterrupt:
            print("\nStopped.", file=sys.stderr)
            distribution.exit_now(130)
            sys.exit(130)
        except Exception as error:
            if distribution.lost_others(error):
                print("\nAnother worker is gone.", file=sys.stderr)
                distribution.exit_lost()
            sentence = explain(error)
            if sentence is None or startup.DEBUG:
                if distribution.joined():
                    traceback.print_exc()
                distribution.exit_now(1)
                raise
            print(f"\n{sentence}", file=sys.stderr)
            distribution.exit_now(2)
            sys.exit(2)


def _run(prog: str, commands: Sequence[Callable], args: Sequence[str] | None) -> None:
    """Reads the arguments and calls the command."""
    commands, taken = earlier.with_its_options(commands, args, experiment=prog.rpartition(".")[2])
    wheel = "kerasapps." if __package__.startswith("kerasapps.") else ""
    try:
        tyro.extras.subcommand_cli_from_dict(
            {command.__name__.replace("_", "-"): _titled(checked(command)) for command in commands},
            prog=shlex.join(startup.typed(f"{wheel}{prog}")),
            args=args,
            # A flag that an earlier run has set can be unset.
            config=LOOK[:1] if taken else LOOK,
            registry=REGISTRY,
        )
    except ConfigOnly as asked:
        print(json.dumps(asked.config, indent=2, default=str))
    except SystemExit:  # after --help
        startup.check_output()
        raise
    startup.check_output()


def completion(programs: Mapping[str, Sequence[Callable]], single: Sequence[Callable], shell: str) -> str:
    """Returns a script that completes `kerasapps` in a shell.

    Args:
        programs: The commands of each experiment by its name.
        single: What is one command by itself.
        shell: "bash", "zsh" or "fish".
    """
    app = tyro.extras.SubcommandApp()
    for name, commands in programs.items():
        inner = tyro.extras.SubcommandApp()
        for command in commands:
            inner.command(_titled(checked(command)), name=command.__name__.replace("_", "-"))
        app.command(inner, name=name)
    for command in single:
        app.command(command, name=command.__name__)
    arguments = ["--tyro-write-completion", shell, "-"]
    with contextlib.redirect_stdout(io.StringIO()) as script, contextlib.suppress(SystemExit):
        app.cli(prog="kerasapps", args=arguments, config=LOOK, registry=REGISTRY)
    return script.getvalue()


def _titled(command: Callable) -> Callable:
    """Returns a wrapped command whose `options`, which every experiment shares, are not headed "options options"."""
    hints = typing.get_type_hints(command, include_extras=True)
    shared = hints.get("options")
    if shared is not None:
        hints["options"] = Annotated[shared, tyro.conf.arg(name="shared")]
    # tyro reads the innermost function, which must stay as it is: `call_with` reads it too.
    command.__signature__, command.__annotations__ = inspect.signature(command), hints
    del command.__wrapped__
    return command


def print_metrics(metrics: Mapping[str, float]) -> None:
    """Prints a line for each metric, the numbers below each other."""
    width = max(map(len, metrics), default=0) + 2
    for name, value in metrics.items():
        print(f"{name:<{width}}{value:.4f}")


def print_table(table: Table) -> None:
    """Prints a report's table to the terminal."""
    text = rich.text.Text  # verbatim: rich would parse a plain string as markup, and names may hold any character
    look = {"box": rich.box.SIMPLE_HEAD, "collapse_padding": True, "pad_edge": False}
    shown = rich.table.Table(title=text(table.title, "table.title"), **look)
    longest = max((len(str(row[0])) for row in table.rows), default=0)
    for i, column in enumerate(table.columns):
        # A name stays on one line; a path may wrap, or it would leave no room for the other columns.
        whole = i == 0 and longest <= LONGEST_NAME
        shown.add_column(text(column), justify="left" if i == 0 else "right", no_wrap=whole, overflow="fold")
    for row in table.rows:
        shown.add_row(*(text(format_number(cell, table.digits)) for cell in row))
    rich.print(shown)
