"""Options: what their types refuse, and how those that may be left out are settled."""

from dataclasses import dataclass

import pytest

from kerasapps.errors import UserError
from kerasapps.settings import Count, Share, Text, check_ranges, checked, convert, nonempty, optional, or_none, settle


@dataclass(frozen=True)
class Recipe:
    """How it is trained.

    Args:
        epochs: Epochs.
        lazy: A flag.
    """

    epochs: Count = 10
    lazy: bool = False


@pytest.mark.parametrize(
    ("hint", "value", "rule"),
    [
        (Count, 0, "at least 1"),
        (or_none(Count), 0, "at least 1"),
        (tuple[Share, ...], (0.5, 1.5), "in [0, 1)"),
        (nonempty(tuple[Share, ...]), (), "non-empty"),
        (nonempty(tuple[Share, ...]), (0.5, float("nan")), "in [0, 1)"),
        (Text, " ", "non-empty"),
        (or_none(Text), "", "non-empty"),
    ],
)
def test_what_a_type_refuses(hint, value, rule):
    with pytest.raises(UserError) as error:
        check_ranges({"some_option": hint}, {"some_option": value})
    assert str(error.value).startswith(f"--some-option must be {rule}. Received: ")


@pytest.mark.parametrize(
    ("hint", "value"),
    [(or_none(Count), None), (nonempty(tuple[Share, ...]), (0.0,)), (or_none(nonempty(tuple[Count, ...])), None)],
)
def test_what_a_type_takes(hint, value):
    check_ranges({"some_option": hint}, {"some_option": value})


def test_ranges_hold_within_groups_of_options():
    @checked
    def train(*, recipe: Recipe = Recipe()) -> None: ...

    with pytest.raises(UserError, match="--epochs must be at least 1"):
        train(recipe=optional(Recipe)(epochs=-3))


def test_what_is_given_goes_before_the_defaults():
    given = optional(Recipe)
    assert settle(Recipe(epochs=3), given()) == Recipe(epochs=3)
    assert settle(Recipe(epochs=3), given(epochs=5, lazy=True)) == Recipe(epochs=5, lazy=True)


def test_sequences_of_json():
    from collections.abc import Sequence

    assert convert("widths", Sequence[Sequence[int]], [[1, 2], [3]]) == ((1, 2), (3,))
    for value in ("12", [1.5], 3):
        with pytest.raises(UserError):
            convert("widths", Sequence[int], value)
