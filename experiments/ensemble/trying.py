"""An ensemble on the page: what it predicts for an image, a row of a table or a text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.rows import RowCodec
from kerasapps.errors import UserError
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .results import predictions_table
from .using import inputs_of

TITLE = "What do several models say together?"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what an ensemble can be asked."""
    codec = saved.codec
    if isinstance(codec, ImageCodec):
        return (Field("image", "An image", "image"),)
    if not isinstance(codec, RowCodec):
        return (Field("text", "A text", "lines"),)
    fields = [Field(f"number{i}", name, required=False) for i, name in enumerate(codec.numbers)]
    for i, (name, known) in enumerate(codec.categories.items()):
        choices = (("", "not known"), *((value, value) for value in known if value))
        fields.append(Field(f"category{i}", name, "choice", choices=choices, required=False))
    return tuple(fields)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns what the ensemble predicts.

    Raises:
        UserError: If nothing is known of a row, or a number is none.
    """
    asked: dict[str, tuple] = {"files": (), "row": (), "text": ()}
    if "image" in given:
        asked["files"] = (Path(given["image"]),)
    elif "text" in given:
        asked["text"] = (" ".join(given["text"].split()),)
    else:
        columns = [(f"number{i}", name) for i, name in enumerate(saved.codec.numbers)]
        columns += [(f"category{i}", name) for i, name in enumerate(saved.codec.categories)]
        asked["row"] = tuple(f"{name}={given[key]}" for key, name in columns if given.get(key))
        if not asked["row"]:
            raise UserError("Nothing is known of the row: please fill in something.")
    inputs, _ = inputs_of(saved.codec, **asked)
    table = predictions_table(["it predicts"], saved.codec.decode(saved.outputs(inputs)))
    words = [word for name, values in asked.items() if values for word in (f"--{name}", *map(str, values))]
    return Tried([table], ("predict", *words))
