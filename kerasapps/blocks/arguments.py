"""What builders refuse: every message states argument, rule and value.

`checked` compares arguments with their annotations. What it does not know, such as the range of a number, a builder
checks by name, as in `check_at_least(1, units=units, depth=depth)`.
"""

import functools
import inspect
import math
import numbers
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# What a type is called, one of it and several.
NAMES = {
    int: ("an integer", "integers"),
    float: ("a finite number", "finite numbers"),
    bool: ("True or False", "True or False"),
    str: ("a string", "strings"),
    NoneType: ("None", "None"),
}


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Has a function refuse keyword arguments that are not what their annotations say.

    It gets them as plain Python values: integers and numbers of NumPy as int and float, sequences as tuples.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*positional, **arguments):
        for name in arguments.keys() & signature.parameters.keys():
            arguments[name] = _converted(name, signature.parameters[name].annotation, arguments[name])
        return function(*positional, **arguments)

    return wrapper


def _converted(name: str, annotation: Any, value: Any) -> Any:
    """Returns an argument as the plain value that its annotation names, or raises ValueError."""
    try:
        value = _plain(annotation, value)
    except (TypeError, OverflowError):
        raise refusal(f"be {_described(annotation)}", **{name: value}) from None
    if name == "name" and (not value or "/" in value):
        raise refusal("hold a character and no slash", name=value)
    return value


def _plain(annotation: Any, value: Any) -> Any:
    """Returns a value as the plain one that an annotation names; raises TypeError where it is something else."""
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, UnionType):
        return None if value is None else _plain(inner[0], value)
    if kind is Literal:
        fits = isinstance(value, str) and value in inner
    elif kind in (int, float) and isinstance(value, bool | np.bool_):
        fits = False
    elif kind is int:
        return operator.index(value)
    elif kind is float:
        fits = isinstance(value, numbers.Real) and math.isfinite(value)
        value = float(value) if fits else value
    elif kind is bool:
        fits = isinstance(value, bool | np.bool_)
        value = bool(value) if fits else value
    elif kind in (tuple, Sequence):
        fits = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)
        if fits:
            of = inner if kind is tuple else inner * len(value)
            fits = len(of) == len(value)
            value = tuple(map(_plain, of, value)) if fits else value
    elif kind is Mapping:
        fits = isinstance(value, Mapping)
        value = {_plain(inner[0], key): _plain(inner[1], one) for key, one in value.items()} if fits else value
    else:
        fits = not isinstance(kind, type) or isinstance(value, kind)
    if not fits:
        raise TypeError
    return value


def _described(annotation: Any, number: int = 0) -> str:
    """Returns what an annotation stands for in words, for one of it (`number` 0) or several (1)."""
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, UnionType):
        return " or ".join(_described(one, number) for one in inner)
    if kind is Literal:
        return f"one of {', '.join(inner)}"
    if kind is tuple:
        return f"{('a sequence', 'sequences')[number]} of {len(inner)} {_described(inner[0], 1)}"
    if kind is Sequence:
        return f"{('a sequence', 'sequences')[number]} of {_described(inner[0], 1)}"
    if kind is Mapping:
        return f"a mapping from {_described(inner[0], 1)} to values of {inner[1].__name__}"
    return NAMES[kind][number] if kind in NAMES else f"a {kind.__name__}"


def refusal(rule: str, **received) -> ValueError:
    """Returns the error for arguments that break a rule, such as "be odd"."""
    names = " and ".join(f"`{name}`" for name in received)
    values = ", ".join(f"{name}={value!r}" for name, value in received.items())
    return ValueError(f"{names} must {rule}. Received: {values}")


def check_at_least(least: float, **arguments) -> None:
    """Raises ValueError for a number under `least`, also in a sequence of numbers, and for None."""
    for name, value in arguments.items():
        numbers = value if isinstance(value, Sequence) else [value]
        if any(number is None or not number >= least for number in numbers):
            raise refusal(f"be at least {least}", **{name: value})


def check_numbers(least: float, **arguments: Sequence[float]) -> None:
    """Raises ValueError for an empty sequence, and for one with a number under `least`."""
    for name, value in arguments.items():
        if not value or not min(value) >= least:
            raise refusal(f"hold at least one number, each at least {least}", **{name: value})


def check_positive(**arguments: float) -> None:
    """Raises ValueError for a number that is not above 0."""
    for name, value in arguments.items():
        if not isinstance(value, numbers.Real) or not value > 0:
            raise refusal("be above 0", **{name: value})


def check_share(**arguments: float) -> None:
    """Raises ValueError for a number outside [0, 1), such as a dropout of 1."""
    for name, value in arguments.items():
        if not isinstance(value, numbers.Real) or not 0 <= value < 1:
            raise refusal("be in [0, 1)", **{name: value})


def check_choice(choices: Collection, **arguments) -> None:
    """Raises ValueError for a value that is none of the choices."""
    for name, value in arguments.items():
        if value not in choices:
            raise refusal(f"be one of {', '.join(map(str, choices))}", **{name: value})


def check_length(length: int, **arguments: Sequence[int]) -> None:
    """Raises ValueError unless a sequence of widths has this length."""
    for name, value in arguments.items():
        if len(value) != length:
            raise refusal(f"hold {length} widths", **{name: value})


def check_image_arguments(*, image_shape: Sequence[int], num_classes: int, dropout: float, smallest: int) -> None:
    """Raises ValueError for a side under `smallest`, fewer than 2 classes, or a dropout outside [0, 1)."""
    if len(image_shape) != 3 or min(image_shape[:2]) < smallest or image_shape[2] < 1:
        rule = f"be (height, width, channels) with at least one channel, and with both sides at least {smallest}"
        raise refusal(rule, image_shape=image_shape)
    check_at_least(2, num_classes=num_classes)
    check_share(dropout=dropout)


def check_gan_arguments(*, image_shape: Sequence[int], num_classes: int | None, classifies: bool = False) -> None:
    """Raises ValueError for sides that are not multiples of 4, and for fewer than 2 classes where there are any."""
    if len(image_shape) != 3 or any(side < 4 or side % 4 for side in image_shape[:2]) or image_shape[2] < 1:
        rule = "be (height, width, channels) with at least one channel, and with both sides multiples of 4"
        raise refusal(rule, image_shape=image_shape)
    if classifies or num_classes is not None:
        check_at_least(2, num_classes=num_classes)
