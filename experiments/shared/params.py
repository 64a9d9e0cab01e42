"""Options with numbers, and `--params`: builder arguments from a file or from the command line."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasapps.errors import UserError, explain
from kerasapps.runs import read_json


def read_params(params: str | None) -> dict[str, Any]:
    """Reads builder arguments from a file that `search` wrote, or from JSON as it is typed."""
    if params is None:
        return {}
    if not params.lstrip().startswith("{"):
        values = read_json(Path(params))
        if not isinstance(values, dict):
            raise UserError(f"{params} holds no JSON object, from argument to value.")
        return values
    try:
        return json.loads(params)
    except ValueError as error:
        raise UserError(f"--params is not valid JSON: {error}. Received: {params}") from None


@contextlib.contextmanager
def fitting(params: dict[str, Any], what: str) -> Iterator[None]:
    """Says what a builder does not like about `--params`; `what` they are for."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        if not params or explain(error):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"--params do not fit {what}: {reason}. Received: {json.dumps(params)}") from error


def check_positive(**options: float) -> None:
    """Refuses options of 0 and less."""
    for name, value in options.items():
        if not value > 0:
            rule = "at least 1" if isinstance(value, int) else "above 0"
            raise UserError(f"--{name.replace('_', '-')} must be {rule}. Received: {value}")
