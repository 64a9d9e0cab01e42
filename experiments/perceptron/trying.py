"""A point on the page: its numbers, and the probability of both classes."""

import math
from collections.abc import Mapping
from typing import Any

from kerasapps.errors import UserError
from kerasapps.reports import Table
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .network import classes_of

TITLE = "On which side of the line?"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked: each number, at first that of the mean."""
    columns = enumerate(saved.codec.numbers.items())
    return tuple(Field(f"number{i}", name.replace("_", " "), value=f"{mean:.3g}") for i, (name, (mean, _)) in columns)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the probability of both classes.

    Raises:
        UserError: If what is given is no number.
    """
    texts = [given[f"number{i}"] for i in range(len(saved.codec.numbers))]
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise UserError(f"Please give a number in each field. Received: {', '.join(texts)}")
    rows = [[name, 100 * share] for name, share in classes_of(saved, numbers).items()]
    return Tried([Table("The classes", ["class", "probability, %"], rows)], ("predict", "--numbers", *texts))
