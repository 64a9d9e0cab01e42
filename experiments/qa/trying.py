"""Question answering on the page: a story, a question, the answer and the sentences that were attended to."""

from collections.abc import Mapping
from typing import Any

from kerasapps.data.question_answering import ask
from kerasapps.reports import Readings
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .results import read_questions

TITLE = "Ask about a story"
STORY = "Nora wandered to the bakery.\nNora took the umbrella.\nTomas hurried to the library."
CAPTION = "The likeliest answers. Where there are hops, how much each of them attended to each sentence."


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    example = saved.settings.get("data") == "stories"
    return (
        Field("story", "A story", "lines", STORY if example else "", hint="One sentence on each line."),
        Field("question", "A question", "text", "Where is the umbrella?" if example else ""),
    )


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the likeliest answers with the attention."""
    asked = ask(given["story"].splitlines(), given["question"])
    notes = saved.codec.left_out(asked)
    unknown = saved.codec.unknown(asked)
    if unknown:
        notes = [*notes, f"Not in the training stories, and therefore unknown: {', '.join(unknown)}."]
    readings = read_questions(saved.model, saved.codec, [asked])
    command = ("predict", "--story", "story.txt", "--question", given["question"])
    return Tried([Readings("The answer", CAPTION, readings)], command, notes)
