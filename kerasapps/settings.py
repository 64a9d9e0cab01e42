"""Options as frozen dataclasses: to flat settings and back, following the type hints, and the range of each number."""

import dataclasses
import functools
import inspect
import math
import operator
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from kerasapps.errors import UserError

T = TypeVar("T")
REGISTRY = tyro.constructors.ConstructorRegistry()  # how options are read and shown, beyond what tyro does by itself


@dataclass(frozen=True)
class Range:
    """The finite numbers that an option takes; a limit is inclusive (`least`, `most`) or exclusive (`above`, `below`).

    Example:
        >>> 0.5 in Range(least=0, below=1)
        True
        >>> str(Range(least=0, below=1))
        'in [0, 1)'
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self == Range():
            return "finite"
        low = f"{self.least:g}" if self.above is None else f"{self.above:g}"
        if self.most is None and self.below is None:
            return f"at least {low}" if self.above is None else f"above {low}"
        high = f"{self.most:.10g}]" if self.below is None else f"{self.below:.10g})"
        return f"in {'[' if self.above is None else '('}{low}, {high}"

    def metavar(self, kind: str) -> str:
        """Returns what `--help` shows for the value, such as 0<=FLOAT<1."""
        if self == Range():
            return kind
        low, low_sign = (self.least, "=") if self.above is None else (self.above, "")
        if self.most is None and self.below is None:
            return f"{kind}>{low_sign}{low:g}"
        high = f"<={self.most:.10g}" if self.below is None else f"<{self.below:.10g}"
        return f"{low:g}<{low_sign}{kind}{high}"


def ranged(kind: type, **limits: float) -> Any:
    """Returns a type whose range `--help` shows and `check_ranges` checks; see `Range` for the limits."""
    rule = Range(**limits)
    return Annotated[kind, rule, tyro.conf.arg(metavar=rule.metavar(kind.__name__.upper()))]


@dataclass(frozen=True)
class NonEmpty:
    """Text that is not blank, or tuples that hold something."""

    def __contains__(self, value: str | tuple) -> bool:
        return bool(value.strip() if isinstance(value, str) else value)

    def __str__(self) -> str:
        return "non-empty"


def nonempty(hint: Any) -> Any:
    """Returns a type of text or of a tuple whose values must not be empty, which `check_ranges` checks."""
    return Annotated[hint, NonEmpty()]


Text = nonempty(str)
Count = ranged(int, least=1)
Positive = ranged(float, above=0)
Share = ranged(float, least=0, below=1)
Weight = ranged(float, least=0)
Finite = ranged(float)
Side = ranged(int, least=1, most=16_384)  # of an image in pixels
UNITS = {"": 1, "MB": 10**6, "GB": 10**9, "MIB": 2**20, "GIB": 2**30}


def memory_of(text: str | None, option: str = "--max-memory") -> int | None:
    """Reads an amount of memory in bytes, such as 4GB or 500MiB; None stays None.

    Raises:
        UserError: If it is none.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?i?B?)", text.strip(), re.IGNORECASE)
    amount = float(found[1]) * UNITS.get(found[2].upper(), math.nan) if found else math.nan
    if not math.isfinite(amount):
        raise UserError(f"{option} takes an amount such as 4GB or 500MiB. Received: {text}")
    return int(amount)


def or_none(hint: Any) -> Any:
    """Returns a type that may be None, with its range; `hint | None` would hide that from `--help`."""
    metadata = getattr(hint, "__metadata__", ())
    kind = typing.get_args(hint)[0] if metadata else hint
    return functools.reduce(lambda annotated, one: Annotated[annotated, one], metadata, kind | None)


@REGISTRY.primitive_rule
def _shown_without_none(info: tyro.constructors.PrimitiveTypeInfo) -> Any:
    """Has `--help` show `X | None` as it shows X: an option that may be left out is not one that takes two types."""
    kinds = typing.get_args(info.type) if info.type_origin in (types.UnionType, typing.Union) else ()
    if types.NoneType not in kinds:
        return None
    rest = functools.reduce(operator.or_, (kind for kind in kinds if kind is not types.NoneType))
    make = tyro.constructors.PrimitiveTypeInfo.make
    spec = tyro.constructors.ConstructorRegistry.get_primitive_spec(make(rest, info.markers))
    if not isinstance(spec, tyro.constructors.PrimitiveConstructorSpec):
        return spec  # a type that tyro cannot read
    words = spec.nargs if isinstance(spec.nargs, tuple) else (spec.nargs,)
    return dataclasses.replace(
        spec,
        # The word None is still taken: it undoes what a --config file gives.
        nargs="*" if "*" in words else tuple(sorted({1, *words})) if words != (1,) else 1,
        instance_from_str=lambda given: None if given == ["None"] else spec.instance_from_str(given),
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
        choices=spec.choices and (*spec.choices, "None"),
    )


def optional(cls: type[T], *, flags: Collection[str] = ()) -> type[T]:
    """Returns a dataclass with the fields of another, each of which may be None and is so by default.

    The command line takes it where a default depends on other options; `settle` makes it one of `cls`.

    Args:
        cls: The dataclass.
        flags: Fields that are off everywhere unless they are given: flags, where others take True or False.

    Example:
        >>> @dataclass(frozen=True)
        ... class Recipe:
        ...     epochs: int = 10
        >>> settle(Recipe(epochs=30), optional(Recipe)())
        Recipe(epochs=30)
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = [
        (field.name, bool, False) if field.name in flags else (field.name, or_none(hints[field.name]), None)
        for field in dataclasses.fields(cls)
    ]
    made = dataclasses.make_dataclass(f"Optional{cls.__name__}", fields, frozen=True)
    made.__doc__, made.__module__ = cls.__doc__, cls.__module__
    return made


def settle(defaults: T, given: Any, **fixed: Any) -> T:
    """Returns `defaults` with the values of an `optional` of it that are not None, and `fixed` ones before all.

    Raises:
        UserError: If the dataclass refuses them.
    """
    values = {name: value for name, value in vars(given).items() if value is not None}
    try:
        return dataclasses.replace(defaults, **values | fixed)
    except ValueError as error:  # a rule of the dataclass's own, which names its arguments in backticks
        raise UserError(re.sub(r"`(\w+)`", lambda name: option(name[1]), str(error))) from None


def settings_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options by name as config.json holds them: those of a dataclass next to the others.

    Args:
        arguments: Name to option or to a dataclass of options; `locals()` in the first line of a command.

    Raises:
        ValueError: If two options have one name, which the command line could not tell apart either.
    """
    settings: dict[str, Any] = {}
    for name, value in arguments.items():
        found = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else {name: value}
        twice = settings.keys() & found.keys()
        if twice:
            raise ValueError(f"`arguments` must not hold an option twice. Received: {', '.join(sorted(twice))}")
        settings |= found
    return settings


def from_settings(cls: type[T], settings: Mapping[str, Any]) -> T:
    """Returns the dataclass that `settings_of` flattened, also after a journey through JSON.

    Fields that the settings lack, as those of an older run may, keep their defaults.

    Raises:
        UserError: If a value does not fit its type.
    """
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls) if field.name in settings]
    return cls(**{name: convert(name, hints[name], settings[name]) for name in names})


def call_with(function: Callable[..., T], settings: Mapping[str, Any], **given: Any) -> T:
    """Calls a function with what the settings hold for each of its parameters: an option, or a dataclass of options.

    Args:
        function: Its parameters are annotated.
        settings: As `settings_of` gives them, also after a journey through JSON.
        given: Arguments that are no settings.
    """
    hints = typing.get_type_hints(function)
    arguments = dict(given)
    for name in inspect.signature(function).parameters.keys() - given.keys():
        if dataclasses.is_dataclass(hints[name]):
            arguments[name] = from_settings(hints[name], settings)
        elif name in settings:
            arguments[name] = convert(name, hints[name], settings[name])
    return function(**arguments)


def convert(name: str, hint: Any, value: Any) -> Any:
    """Returns a value of JSON as the type that an option has.

    Raises:
        UserError: If it does not fit.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return convert(name, arguments[0], value)
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in arguments:
            return None
        return convert(name, next(one for one in arguments if one is not types.NoneType), value)
    if origin is Literal and value in arguments:
        return value
    if origin in (tuple, Sequence) and isinstance(value, list | tuple):
        alike = origin is Sequence or arguments[-1] is Ellipsis
        kinds = [arguments[0]] * len(value) if alike else arguments
        if len(kinds) == len(value):
            return tuple(convert(name, kind, one) for kind, one in zip(kinds, value, strict=True))
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    kind = origin or hint
    if kind is Any or (isinstance(kind, type) and kind not in (int, float, Sequence) and isinstance(value, kind)):
        return value
    raise UserError(f"{option(name)} does not take {value!r}.")


def check_ranges(hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuses what is out of the range that its type states; of options in a dataclass too.

    Args:
        hints: Name to type, annotations included: `typing.get_type_hints(..., include_extras=True)`.
        values: Name to value.

    Raises:
        UserError: If one is out of range; it names the option as a person types it.
    """
    for name, value in values.items():
        if dataclasses.is_dataclass(value):
            check_ranges(typing.get_type_hints(type(value), include_extras=True), vars(value))
            continue
        for rule, broken in _broken(hints.get(name), value):
            raise UserError(f"{option(name)} must be {rule}. Received: {broken!r}")


def checked(command: Callable[..., T]) -> Callable[..., T]:
    """Returns a function that refuses what is out of range before it does anything."""
    hints = typing.get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)

    @functools.wraps(command)
    def run(*args, **kwargs):
        check_ranges(hints, signature.bind(*args, **kwargs).arguments)
        return command(*args, **kwargs)

    return run


def option(name: str) -> str:
    """Returns an option as a person types it."""
    return f"--{name.replace('_', '-')}"


def _broken(hint: Any, value: Any) -> Iterator[tuple[Range | NonEmpty, Any]]:
    """Yields the rules of a type that a value, or an element of a tuple, does not keep, with that value."""
    if value is None:
        return
    for rule in getattr(hint, "__metadata__", ()):
        if isinstance(rule, Range | NonEmpty) and value not in rule:
            yield rule, value
    within = typing.get_origin(hint) is tuple
    for argument in typing.get_args(hint):
        for one in value if within else [value]:
            yield from _broken(argument, one)
