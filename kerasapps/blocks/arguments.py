"""What builders refuse: every message states argument, rule and value.

Arguments are given by name, as in `check_at_least(1, units=units, depth=depth)`.
"""

from collections.abc import Collection, Sequence


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
        if not value > 0:
            raise refusal("be above 0", **{name: value})


def check_share(**arguments: float) -> None:
    """Raises ValueError for a number outside [0, 1), such as a dropout of 1."""
    for name, value in arguments.items():
        if not 0 <= value < 1:
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
    if len(image_shape) != 3 or any(side is None or side < smallest for side in image_shape[:2]):
        rule = f"be (height, width, channels) with both sides at least {smallest}"
        raise refusal(rule, image_shape=image_shape)
    check_at_least(2, num_classes=num_classes)
    check_share(dropout=dropout)


def check_gan_arguments(*, image_shape: Sequence[int], num_classes: int | None, classifies: bool = False) -> None:
    """Raises ValueError for sides that are not multiples of 4, and for fewer than 2 classes where there are any."""
    if len(image_shape) != 3 or any(side is None or side < 4 or side % 4 for side in image_shape[:2]):
        raise refusal("be (height, width, channels) with both sides multiples of 4", image_shape=image_shape)
    if classifies or num_classes is not None:
        check_at_least(2, num_classes=num_classes)
