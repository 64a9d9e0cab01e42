"""`--config`: a command whose defaults are the options of an earlier run."""

import argparse
import dataclasses
import functools
import inspect
import json
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kerasapps.errors import UserError
from kerasapps.files import read_json, user_path
from kerasapps.records import experiment_of, settings_recorded
from kerasapps.runs import UNRECORDED, Options
from kerasapps.settings import convert

# Where the earlier run is: a new one gets a folder of its own.
NOT_TAKEN = {"out", "resume", *UNRECORDED}


def with_its_options(
    commands: Sequence[Callable], args: Sequence[str] | None, *, experiment: str
) -> tuple[list[Callable], bool]:
    """Returns commands, the one that is called with the options of --config as its defaults, and whether it is.

    Args:
        commands: The commands of an experiment.
        args: The arguments; those of the process by default.
        experiment: Its name.

    Raises:
        UserError: As for `with_config`.
    """
    args = sys.argv[1:] if args is None else list(args)
    path = _config_path(args)
    changed = [
        with_config(command, path, experiment=experiment)
        if path is not None and command.__name__.replace("_", "-") == args[0] and takes_config(command)
        else command
        for command in commands
    ]
    return changed, changed != list(commands)


def _config_path(args: Sequence[str]) -> Path | None:
    """Returns the value of --config among the arguments of a command, None without."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    try:
        given = parser.parse_known_args(args)[0].config
    except argparse.ArgumentError:  # without a value, which tyro reports
        return None
    return None if given is None else user_path(given)


def takes_config(command: Callable) -> bool:
    """Tells whether a command has the options that every experiment shares."""
    return Options in typing.get_type_hints(command).values()


def with_config(command: Callable, path: Path, *, experiment: str) -> Callable:
    """Returns a command with the options of an earlier run as its defaults.

    Args:
        command: A command, with keyword-only arguments that are options or dataclasses of options.
        path: A config.json, or a file that --print-config printed.
        experiment: Name of the experiment whose command it is.

    Raises:
        UserError: If the file is damaged, is of another experiment, or holds options that the command does not take.
    """
    settings = read_settings(path, experiment=experiment)
    hints, signature = typing.get_type_hints(command), inspect.signature(command)
    known: set[str] = set()
    parameters = []

    def value_of(name: str, hint: Any, default: Any) -> Any:
        known.add(name)
        if name not in settings or name in NOT_TAKEN:
            return default
        value = settings[name]
        try:
            # The trial of a search records its --params as they were read.
            return convert(name, hint, json.dumps(value) if isinstance(value, dict) else value)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    for name, parameter in signature.parameters.items():
        default = parameter.default
        if dataclasses.is_dataclass(default):
            inner = typing.get_type_hints(type(default))
            changes = {field: value_of(field, inner[field], value) for field, value in vars(default).items()}
            parameters.append(parameter.replace(default=dataclasses.replace(default, **changes)))
        else:
            parameters.append(parameter.replace(default=value_of(name, hints[name], default)))
    unknown = sorted(settings.keys() - known)
    if unknown:
        raise UserError(f"{path} has options that {command.__name__} does not take: {', '.join(unknown)}.")

    @functools.wraps(command)
    def run(*args, **kwargs):
        return command(*args, **kwargs)

    run.__signature__ = signature.replace(parameters=parameters)
    return run


def read_settings(path: Path, *, experiment: str) -> dict[str, Any]:
    """Returns the options that a config.json records.

    Raises:
        UserError: If it is damaged or of another experiment.
    """
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
        raise UserError(f"{path} is not what a run writes: it has no settings.")
    named = experiment_of(config)
    if named not in (None, experiment):
        raise UserError(f"{path} is of a run of {named}, not of {experiment}.")
    return settings_recorded(config)
