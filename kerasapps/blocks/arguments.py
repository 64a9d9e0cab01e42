"""What builders refuse alike."""

from collections.abc import Sequence


def check_image_arguments(*, image_shape: Sequence[int], num_classes: int, dropout: float, smallest: int) -> None:
    """Raises ValueError for a side under `smallest`, fewer than 2 classes, or a dropout outside [0, 1)."""
    if len(image_shape) != 3 or any(side is None or side < smallest for side in image_shape[:2]):
        rule = f"must be (height, width, channels) with both sides at least {smallest}"
        raise ValueError(f"`image_shape` {rule}. Received: image_shape={image_shape}")
    if num_classes < 2:
        raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")


def check_length(name: str, value: Sequence[int], length: int) -> None:
    """Raises ValueError unless a sequence of widths has this length."""
    if len(value) != length:
        raise ValueError(f"`{name}` must hold {length} widths. Received: {name}={value}")


def check_gan_arguments(
    *,
    image_shape: Sequence[int],
    num_classes: int | None,
    classifies: bool = False,
    dropout: float,
    **at_least_one: int,
) -> None:
    """Raises ValueError for sides not multiples of 4, classes under 2, dropout outside [0, 1), sizes under 1."""
    if len(image_shape) != 3 or any(side is None or side < 4 or side % 4 for side in image_shape[:2]):
        rule = "must be (height, width, channels) with both sides multiples of 4"
        raise ValueError(f"`image_shape` {rule}. Received: image_shape={image_shape}")
    if (classifies or num_classes is not None) and (num_classes or 0) < 2:
        raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
    for name, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
