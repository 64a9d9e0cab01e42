"""A translator on the page: translations with their scores, and what was read while the best one was written."""

from collections.abc import Mapping
from typing import Any

from kerasapps.data.pairs import NAMED
from kerasapps.errors import DataError
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .network import Arch, Writing, translate_texts, writer_of
from .results import attention_figures, translations_table

TITLE = "Translate a sentence"
SHOWN = 3


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    # Of an own file the languages are not known, whatever runs of before say.
    pair = saved.settings.get("pair") if saved.settings.get("data") in NAMED else None
    return (Field("text", "A sentence", "text", hint=f"The languages are {pair}." if pair else ""),)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the best translations, and the attention of the first."""
    text, arch = " ".join(given["text"].split()), saved.settings.of("arch", Arch)
    if not text:
        raise DataError("There is nothing to translate.")
    writing = Writing()
    best = translate_texts(writer_of(saved.model, arch), saved.codec, [text], writing.search)
    figures = attention_figures(saved.model, arch, saved.codec, [text], [best[0][0][0]])
    table = translations_table([text], [best[0][:SHOWN]])
    return Tried([table, *figures], ("translate", "--file", "lines.txt", "--n-best", str(SHOWN)))
