"""The command line of a tool, which needs neither devices nor TensorFlow, so not the stage of the experiments."""

import shlex
import sys
from collections.abc import Callable, Sequence

import tyro

from kerasapps.errors import explain
from kerasapps.settings import REGISTRY, checked
from kerasapps.startup import typed


def main(tool: Callable, module: str, args: Sequence[str] | None = None) -> None:
    """Runs the command and exits with its status.

    Args:
        tool: A function whose arguments are the options and whose docstring is the help.
        module: Name of its module.
        args: The arguments; those of the process by default.
    """
    prog = shlex.join(typed(module))
    try:
        tyro.cli(checked(tool), prog=prog, args=args, config=(tyro.conf.FlagCreatePairsOff,), registry=REGISTRY)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        print(f"\n{sentence}", file=sys.stderr)
        sys.exit(2)
