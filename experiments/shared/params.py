"""`--params`: builder arguments from a file or as JSON, and builders that are called with them."""

import inspect
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from kerasapps.errors import UserError
from kerasapps.runs import read_json

Model = TypeVar("Model")


def read_params(params: str | None) -> dict[str, Any]:
    """Reads builder arguments from a file that `search` wrote, or from JSON as it is typed.

    Raises:
        UserError: If there is no such file, or it holds something else than a JSON object.
    """
    if params is None:
        return {}
    if params.lstrip().startswith(("{", "[")):
        try:
            values = json.loads(params)
        except (ValueError, RecursionError) as error:
            raise UserError(f"--params is not valid JSON: {error}. Received: {_short(params)}") from None
    else:
        values = read_json(Path(params))
    if not isinstance(values, dict):
        raise UserError(f"--params takes a JSON object, from argument to value. Received: {_short(params)}")
    return values


def build(
    builder: Callable[..., Model],
    params: dict[str, Any],
    *,
    what: str,
    given: dict[str, Any],
    usual: dict[str, Any] | None = None,
    decided: Collection[str] = (),
) -> Model:
    """Builds a network with `--params`.

    Args:
        builder: One of `kerasapps`.
        params: The arguments that a person chose.
        what: What is built, for people, such as "--arch vgg".
        given: Arguments that the data and other options decide, and that are therefore not for --params.
        usual: Arguments in place of the builder's defaults, where `params` have none.
        decided: Arguments that keep their defaults and are not for --params either.

    Raises:
        UserError: If `params` hold an argument that the builder does not have, or a value that it refuses.
    """
    known = inspect.signature(builder).parameters.keys() - given.keys() - {"name", *decided}
    unknown = sorted(params.keys() - known)
    if unknown:
        raise UserError(
            f"--params: {what} does not take {_short(', '.join(unknown))}; it takes {', '.join(sorted(known))}."
        )
    try:
        return builder(**given, **(usual or {}) | params)
    except Exception as error:
        if not params:
            raise
        # With other arguments than ours a builder may fail in any way: an odd type, a size that no memory holds.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        shown = _short(json.dumps(params))
        raise UserError(f"--params do not fit {what}: {_short(reason, 300)}. Received: {shown}") from error


def _short(text: str, longest: int = 200) -> str:
    """Returns a text that fits into a sentence, whatever it holds."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= longest else f"{text[:longest]}…"
