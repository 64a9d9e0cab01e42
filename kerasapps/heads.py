"""What each output of a network predicts, as data sets, builders and losses describe it."""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

import numpy as np

Kind = Literal["regression", "classes", "ordinal", "binary"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Head:
    """What one output of a network is.

    Args:
        kind: "regression": a number. "classes": one of `num_classes`. "ordinal": one of `num_classes` that have an
            order, such as decades. "binary": yes or no.
        num_classes: Number of classes, at least 2; only for "classes" and "ordinal".
        mean: For "regression", the mean of the number in its own unit: the network learns the standardized number.
        scale: For "regression", the standard deviation of the number in its own unit, above 0.

    Raises:
        ValueError: If `kind` is none of these, `num_classes` is under 2 or given for a kind without classes, or
            `scale` is not above 0.

    Example:
        >>> Head("regression", mean=1900, scale=50)  # a year
        >>> Head("classes", num_classes=4)  # one of four genres
    """

    kind: Kind
    num_classes: int | None = None
    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: kind={self.kind!r}")
        if self.has_classes:
            count = self.num_classes
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 2:
                rule = f"`num_classes` of a head of kind {self.kind!r} must be an integer of at least 2"
                raise ValueError(f"{rule}. Received: {count!r}")
            object.__setattr__(self, "num_classes", int(count))  # one of NumPy could not be saved
        if not self.has_classes and self.num_classes is not None:
            raise ValueError(f"A head of kind {self.kind!r} has no `num_classes`. Received: {self.num_classes}")
        for name, value in (("mean", self.mean), ("scale", self.scale)):
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
                raise ValueError(f"`{name}` must be a finite number. Received: {name}={value!r}")
        if not self.scale > 0:
            raise ValueError(f"`scale` must be above 0. Received: scale={self.scale}")

    @property
    def has_classes(self) -> bool:
        """Whether it predicts one of several classes."""
        return self.kind in ("classes", "ordinal")


def label_weights(known: np.ndarray) -> np.ndarray:
    """Returns the sample weights of one head: 0 for rows without its label, equal for the others, 1 on average.

    The loss of a head is then the mean over the rows with a label, whatever batch or replica they are in.

    Args:
        known: Whether a row has the label, bool (n,).

    Returns:
        float32 (n,); all 0 if no row has the label.
    """
    return (known / max(known.mean(), 1e-12)).astype(np.float32) if len(known) else known.astype(np.float32)
