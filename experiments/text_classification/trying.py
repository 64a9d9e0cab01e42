"""A text classifier on the page: the likeliest classes, and the words that speak for the first."""

from collections.abc import Mapping
from typing import Any

from kerasapps.data.tables import some
from kerasapps.serving.forms import Field

from ..shared.highlighting import text_block
from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .results import predictions_table

TITLE = "What kind of text is this?"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    names = saved.codec.class_names
    return (Field("text", "A text", "lines", hint=f"The network knows {len(names)} classes: {some(names)}."),)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the likeliest classes, and what each word speaks for."""
    text = " ".join(given["text"].split())
    likely = saved.codec.decode(saved.outputs(saved.codec.encode(text)))
    unknown = saved.codec.unknown([text])
    notes = [f"Words that the network does not know, and reads as unknown: {some(unknown)}."] if unknown else []
    blocks = [predictions_table([text], likely), text_block(saved, [text], None, occlusion=False)]
    return Tried(blocks, ("predict", "--text", text), notes)
