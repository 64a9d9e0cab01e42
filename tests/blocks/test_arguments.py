"""Every check says argument, rule and value, and lets what keeps the rule pass."""

import math

import pytest

from kerasapps.blocks import arguments


@pytest.mark.parametrize(
    ("check", "rule", "good", "bad"),
    [
        (
            lambda value: arguments.check_at_least(2, size=value),
            "be at least 2",
            [2, 3.5, (), (2, 3)],
            [1, None, (2, 1)],
        ),
        (
            lambda value: arguments.check_numbers(1, size=value),
            "hold at least one number, each at least 1",
            [(1,), [1, 2]],
            [(), [0, 2]],
        ),
        (lambda value: arguments.check_positive(size=value), "be above 0", [1e-9, 3], [0, -1.0, math.nan]),
        (lambda value: arguments.check_share(size=value), "be in [0, 1)", [0, 0.99], [1.0, -0.1, math.nan]),
        (lambda value: arguments.check_choice({"a": 1, "b": 2}, size=value), "be one of a, b", ["a"], ["c", None]),
        (lambda value: arguments.check_length(2, size=value), "hold 2 widths", [(1, 2)], [(1,), [1, 2, 3]]),
    ],
)
def test_a_check_names_argument_rule_and_value(check, rule, good, bad):
    for value in good:
        check(value)
    for value in bad:
        with pytest.raises(ValueError, match="`size`") as error:
            check(value)
        assert str(error.value) == f"`size` must {rule}. Received: size={value!r}"


def test_a_refusal_can_name_several_arguments():
    assert str(arguments.refusal("differ", a=1, b="x")) == "`a` and `b` must differ. Received: a=1, b='x'"
