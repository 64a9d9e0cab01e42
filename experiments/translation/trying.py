"""A translator on the page: translations with their scores, and what was read while the best one was written."""

from collections.abc import Mapping
from typing import Any

from kerasapps.errors import DataError
from kerasapps.serving.forms import Field
from kerasapps.settings import from_settings

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from ..shared.writing import Writing
from .network import Arch, Source, languages, translate_texts, writer_of
from .results import attention_figures, translations_table

TITLE = "Translate a sentence"
SHOWN = 3


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    pair = languages(from_settings(Source, saved.settings))
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
