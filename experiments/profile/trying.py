"""A profile on the page: what a network predicts about the author of a text, all outputs at once."""

from collections.abc import Mapping
from typing import Any

from kerasapps.errors import UserError
from kerasapps.reports import Table
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .network import pad_inputs
from .results import shown

TITLE = "Who wrote this?"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    return (Field("text", "A text", "lines", hint=f"The network predicts {', '.join(saved.codec.heads)}."),)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns a prediction for each output.

    Raises:
        UserError: If no word is known.
    """
    inputs = saved.codec.encode(given["text"])
    if not (inputs["text"] > 1).any():
        raise UserError("No training text has any of these words, so there is nothing to predict from.")
    outputs = saved.outputs(pad_inputs(inputs, saved.model))
    rows = [[name, shown(predicted)] for name, predicted in saved.codec.decode(outputs)[0].items()]
    return Tried([Table("Predictions", ["output", "prediction"], rows)], ("predict", "--text", given["text"]))
