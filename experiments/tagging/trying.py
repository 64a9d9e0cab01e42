"""A tagger of words on the page: each word with its tag."""

from collections.abc import Mapping
from typing import Any

from kerasapps.data.tables import some
from kerasapps.data.words import tokenize
from kerasapps.errors import UserError
from kerasapps.reports import Table
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried

TITLE = "What is each word?"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked.

    Raises:
        UserError: If it reads numbers.
    """
    if saved.codec.feature_names:
        raise UserError(f"{saved.folder.name} reads numbers: `predict --columns FILE` tags them.")
    return (Field("text", "A sentence", "lines", hint=f"The tags are {some(saved.codec.tag_names)}."),)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the words with their tags.

    Raises:
        UserError: If there is no word.
    """
    words = tokenize(" ".join(given["text"].split()), "cased")
    if not words:
        raise UserError("There is no word to tag.")
    (tags,) = saved.codec.decode(saved.outputs(saved.codec.encode(words)), [len(words)])
    unknown = saved.codec.unknown([words])
    notes = [f"Unknown, as not in the training set or too rare there: {some(unknown)}."] if unknown else []
    table = Table("The tags", ["word", "tag"], list(zip(words, tags, strict=True)))
    return Tried([table], ("predict", "--text", " ".join(words)), notes)
