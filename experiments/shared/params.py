"""`--params`: builder arguments from a file or as JSON, and builders that are called with them."""

import inspect
import json
import reprlib
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import keras

from kerasapps.errors import UserError
from kerasapps.files import user_path
from kerasapps.runs import read_json
from kerasapps.settings import convert

Model = TypeVar("Model")

# No width, depth or count of a network that fits into a machine is larger, buckets of n-grams included, and a builder
# would try for hours.
LARGEST = 10_000_000


def read_params(params: str | None) -> dict[str, Any]:
    """Reads builder arguments from a file that `search` wrote, or from JSON as it is typed.

    Raises:
        UserError: If there is no such file, or it holds something else than a JSON object.
    """
    if params is None:
        return {}
    try:
        values = json.loads(params)
    except (ValueError, RecursionError) as error:
        if params.lstrip().startswith(("{", "[")):
            raise UserError(f"--params is not valid JSON: {error}. Received: {_short(params)}") from None
        values = read_json(user_path(params))
    if not isinstance(values, dict):
        raise UserError(f"--params takes a JSON object, or a file that holds one. Received: {_short(params)}")
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
    parameters = inspect.signature(builder, eval_str=True).parameters
    known = parameters.keys() - given.keys() - {"name", *decided}
    unknown = sorted(params.keys() - known)
    if unknown:
        raise UserError(
            f"--params: {what} does not take {_short(', '.join(unknown))}; it takes {', '.join(sorted(known))}."
        )
    params = {name: _checked(parameters[name], value, what=what) for name, value in params.items()}
    try:
        return builder(**given, **(usual or {}) | params)
    except Exception as error:
        if not params:
            raise
        # With other arguments than ours a builder may fail in any way: widths that do not fit, more than memory holds.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        received = "" if "Received: " in reason else f" Received: {_short(json.dumps(params))}"
        raise UserError(f"--params do not fit {what}: {_short(reason, 300)}.{received}") from error


def _checked(parameter: inspect.Parameter, value: Any, *, what: str) -> Any:
    """Returns a value of JSON as the type that an argument has.

    Raises:
        UserError: If it does not fit, or holds a number that no network needs.
    """
    try:
        converted = convert(parameter.name, parameter.annotation, value)
    except (UserError, OverflowError, RecursionError):
        rule = inspect.formatannotation(parameter.annotation).replace("collections.abc.", "")
    else:
        numbers = [one for one in keras.tree.flatten(converted) if isinstance(one, int | float)]
        if all(-LARGEST <= number <= LARGEST for number in numbers):
            return converted
        rule = f"in [-{LARGEST:,}, {LARGEST:,}]"
    received = _short(f"{parameter.name}={reprlib.repr(value)}")
    raise UserError(f"--params do not fit {what}: `{parameter.name}` must be {rule}. Received: {received}")


def _short(text: str, longest: int = 200) -> str:
    """Returns a text that fits into a sentence, whatever it holds."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= longest else f"{text[:longest]}…"
