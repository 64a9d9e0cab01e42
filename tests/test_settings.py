"""Options: to settings and back, their ranges, defaults that depend on other options."""

import json
import typing
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pytest

from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.settings import (
    Count,
    Positive,
    Range,
    Share,
    Text,
    call_with,
    check_ranges,
    checked,
    convert,
    from_settings,
    nonempty,
    optional,
    or_none,
    settings_of,
    settle,
)


@dataclass(frozen=True)
class Recipe:
    """How.

    Args:
        epochs: Epochs.
        rate: Learning rate.
        labels: Range of labels.
        files: Files.
        loss: Loss.
    """

    epochs: Count = 10
    rate: Positive = 0.1
    labels: tuple[Share, Share] = (0.0, 0.5)
    files: tuple[Path, ...] = ()
    loss: Literal["a", "b"] = "a"

    def __post_init__(self):
        if self.labels[0] > self.labels[1]:
            raise ValueError(f"`labels` must ascend. Received: labels={self.labels}")


def through_json(settings: dict) -> dict:
    return json.loads(json.dumps(settings, default=str))


@pytest.mark.parametrize(
    "options",
    [
        Recipe(epochs=3, labels=(0.1, 0.2), files=(Path("a"), Path("b")), loss="b"),
        Options(out=Path("runs/x"), seed=3, limit=5, smoke=True),
        Trials(tuner="grid", trial_minutes=1.5),
    ],
)
def test_options_come_back_from_json(options):
    settings = through_json(settings_of({"options": options, "other": 1}))
    assert settings["other"] == 1
    assert from_settings(type(options), settings) == options


def test_what_an_older_run_lacks_has_its_default():
    assert from_settings(Recipe, {"epochs": 2, "unknown": "x"}) == Recipe(epochs=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "3"),
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", None),
        ("rate", "fast"),
        ("labels", [0.1]),
        ("labels", 0.1),
        ("files", [1]),
        ("loss", "c"),
        ("loss", ["a"]),
    ],
)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_option(name, value):
    with pytest.raises(UserError, match=rf"^--{name} does not take .*\.$"):
        from_settings(Recipe, {name: value})


def test_sequences_come_back_as_tuples():
    assert convert("widths", Sequence[Sequence[int]], [[1, 2], [3]]) == ((1, 2), (3,))
    for value in ("12", [1.5], 3):
        with pytest.raises(UserError):
            convert("widths", Sequence[int], value)


def test_two_options_of_one_name_are_a_defect():
    with pytest.raises(ValueError, match="epochs"):
        settings_of({"recipe": Recipe(), "epochs": 3})


def test_a_function_gets_what_the_settings_hold():
    def train_one(run: str, *, recipe: Recipe, params: dict[str, Any], patience: int | None = None):
        return run, recipe, params, patience

    settings = through_json(settings_of({"recipe": Recipe(epochs=4), "params": {"units": [1]}, "seed": 1}))
    assert call_with(train_one, settings, run="here") == ("here", Recipe(epochs=4), {"units": [1]}, None)


# --- defaults that depend on other options


def test_an_optional_recipe_is_settled():
    given = optional(Recipe)
    assert {field.name for field in fields(given)} == {field.name for field in fields(Recipe)}
    assert all(value is None for value in vars(given()).values())
    assert settle(Recipe(epochs=30), given()) == Recipe(epochs=30)
    assert settle(Recipe(epochs=30), given(epochs=3, rate=0.5), rate=1.0) == Recipe(epochs=3, rate=1.0)


def test_a_flag_stays_a_flag():
    @dataclass(frozen=True)
    class Flags:
        lazy: bool = False

    given = optional(Flags, flags=("lazy",))
    assert given().lazy is False  # None would make it an option that takes a value
    assert settle(Flags(), given(lazy=True)) == Flags(lazy=True)


def test_what_a_recipe_refuses_is_said_of_the_option():
    with pytest.raises(UserError, match=r"^--labels must ascend\. Received: labels=\(0\.5, 0\.1\)$"):
        settle(Recipe(), optional(Recipe)(labels=(0.5, 0.1)))


# --- ranges


@pytest.mark.parametrize(
    ("rule", "text", "metavar", "inside", "outside"),
    [
        (Range(), "finite", "INT", (-(10**9), 0.5), (float("nan"), float("inf"))),
        (Range(least=1), "at least 1", "INT>=1", (1, 10**9), (0, -1)),
        (Range(above=0), "above 0", "INT>0", (1e-9, 1), (0, -1)),
        (Range(least=0, below=1), "in [0, 1)", "0<=INT<1", (0, 0.99), (1, -0.1)),
        (Range(above=0, most=100), "in (0, 100]", "0<INT<=100", (0.1, 100), (0, 100.5)),
        (Range(least=0, most=2**31 - 1), "in [0, 2147483647]", "0<=INT<=2147483647", (0,), (2**31,)),
    ],
)
def test_a_range(rule, text, metavar, inside, outside):
    assert (str(rule), rule.metavar("INT")) == (text, metavar)
    assert all(value in rule for value in inside)
    assert not any(value in rule for value in (*outside, float("inf"), float("nan"), -float("inf")))


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (Recipe(epochs=0), "--epochs must be at least 1. Received: 0"),
        (Recipe(rate=float("nan")), "--rate must be above 0. Received: nan"),
        (Recipe(labels=(0.5, 1.0)), "--labels must be in [0, 1). Received: 1.0"),
        (optional(Recipe)(rate=-1.0), "--rate must be above 0. Received: -1.0"),
        (optional(Recipe)(labels=(-0.5, 0.2)), "--labels must be in [0, 1). Received: -0.5"),
    ],
)
def test_a_number_out_of_range_is_refused_before_the_command_begins(recipe, sentence):
    begun = []

    @checked
    def command(*, recipe: type(recipe), patience: or_none(Count) = None) -> None:
        begun.append(recipe)

    with pytest.raises(UserError) as refused:
        command(recipe=recipe)
    assert str(refused.value) == sentence
    assert not begun
    with pytest.raises(UserError, match=r"^--patience must be at least 1\. Received: -1$"):
        command(recipe=type(recipe)(), patience=-1)
    command(recipe=type(recipe)())
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("hint", "value", "rule"),
    [
        (Text, " ", "non-empty"),
        (or_none(Text), "", "non-empty"),
        (nonempty(tuple[Share, ...]), (), "non-empty"),
        (nonempty(tuple[Share, ...]), (0.5, float("nan")), "in [0, 1)"),
        (or_none(nonempty(tuple[Share, ...])), (1.0,), "in [0, 1)"),
    ],
)
def test_what_is_empty_is_refused(hint, value, rule):
    with pytest.raises(UserError) as error:
        check_ranges({"some_option": hint}, {"some_option": value})
    assert str(error.value).startswith(f"--some-option must be {rule}. Received: ")
    check_ranges({"some_option": hint}, {"some_option": None})


def test_no_option_of_a_search_or_a_run_takes_what_makes_no_sense():
    for options in (
        Trials(workers=0),
        Trials(max_trials=0),
        Trials(trial_minutes=0.0),
        Options(limit=0),
        Options(seed=-1),
    ):
        with pytest.raises(UserError, match=r"^--[a-z-]+ must be "):
            check_ranges({}, {"options": options})


def test_every_number_that_a_command_takes_has_a_range():
    """A new option without a range would take 0, -1 and 1e30."""
    import importlib

    from experiments.__main__ import experiments

    for name in experiments():
        module = importlib.import_module(f"experiments.{name}.__main__")
        for command in module.COMMANDS:
            for option, hint in numbers(command):
                assert has_range(hint), f"{name} {command.__name__}: {option}"


def numbers(command):
    """The options of a command, and of its dataclasses, that take a number."""
    hints = typing.get_type_hints(command, include_extras=True)
    if hints.get("return") is not type(None) or ("run" in hints and hints["run"] is not Path):
        return
    for name, hint in hints.items():
        if hasattr(hint, "__dataclass_fields__"):
            inner = typing.get_type_hints(hint, include_extras=True)
            yield from ((field, inner[field]) for field in hint.__dataclass_fields__ if is_number(inner[field]))
        elif is_number(hint):
            yield name, hint


def is_number(hint) -> bool:
    return hint in (int, float) or any(is_number(argument) for argument in typing.get_args(hint))


def has_range(hint) -> bool:
    ranged = any(isinstance(one, Range) for one in getattr(hint, "__metadata__", ()))
    return ranged or any(has_range(argument) for argument in typing.get_args(hint))
