"""A text classifier on the page: the likeliest classes, and the words that speak for the first."""

from collections.abc import Mapping
from typing import Any

from kerasapps.serving.forms import Field

from ..shared.highlighting import text_block
from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .results import predictions_table

TITLE = "What kind of text is this?"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    names = saved.codec.class_names
    some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return (Field("text", "A text", "lines", hint=f"The network knows {len(names)} classes: {some}."),)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the likeliest classes, and what each word speaks for."""
    text = " ".join(given["text"].split())
    likely = saved.codec.decode(saved.model.predict(saved.codec.encode(text), verbose=0))
    unknown = saved.codec.unknown([text])
    notes = [f"Not in the training texts, and therefore unknown: {', '.join(unknown[:12])}."] if unknown else []
    blocks = [predictions_table([text], likely), text_block(saved, [text], None, occlusion=False)]
    return Tried(blocks, ("predict", "--text", text), notes)
