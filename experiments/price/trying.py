"""An estimate on the page: from as much of a thing as is known, in numbers, words and an image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasapps.errors import UserError
from kerasapps.reports import Table
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried

TITLE = "What is it worth?"
UNKNOWN = ("", "not known")


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    codec = saved.codec
    fields = [Field(f"number{i}", label_of(name), required=False) for i, name in enumerate(codec.numbers)]
    for i, (name, values) in enumerate(codec.categories.items()):
        choices = (UNKNOWN, *((value, value) for value in values))
        fields.append(Field(f"category{i}", label_of(name), "choice", choices=choices, required=False))
    if codec.words is not None:
        fields.append(Field("text", "Description", "lines", required=False))
    if codec.image_shape is not None:
        fields.append(Field("image", "An image", "image", required=False))
    return tuple(fields)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the estimated price.

    Raises:
        UserError: If nothing is known, or a number is none.
    """
    codec = saved.codec
    known = {name: value for name, value in given.items() if value}
    if not known:
        raise UserError("Nothing is known of the thing: please fill in something.")
    texts = {name: known[f"number{i}"] for i, name in enumerate(codec.numbers) if f"number{i}" in known}
    categories = {name: known[f"category{i}"] for i, name in enumerate(codec.categories) if f"category{i}" in known}
    numbers = {name: number(name, value) for name, value in texts.items()}
    text, image = known.get("text"), known.get("image")
    inputs = codec.encode(numbers=numbers, categories=categories, text=text, image=Path(image) if image else None)
    price = float(codec.decode(saved.outputs(inputs))[0])
    arguments = [word for option, pairs in (("--numbers", texts), ("--categories", categories)) if pairs
                 for word in (option, *(f"{name}={value}" for name, value in pairs.items()))]  # fmt: skip
    arguments += [*(("--text", text) if text else ()), *(("--image", image) if image else ())]
    table = Table("The estimate", ["estimated price"], [[price]], digits=2)
    return Tried([table], ("predict", *arguments))


def number(name: str, value: str) -> float:
    """Returns a number that was typed.

    Raises:
        UserError: If it is none.
    """
    try:
        return float(value)
    except ValueError:
        raise UserError(f"{label_of(name)} must be a number. Received: {value}") from None


def label_of(name: str) -> str:
    """Returns a name of the data as a label."""
    return name.replace("_", " ").capitalize()
