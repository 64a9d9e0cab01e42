"""A captioner on the page: captions with their scores, and where the network attends for each word of the best one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasapps.reports import Table
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .attention import attention_figure, attention_to
from .describing import WRITING, describe, writer_of

TITLE = "Describe an image"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    return (Field("image", "An image", "image", hint="It is cropped to its center, and shown as the network gets it."),)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the best captions, and the attention of the first."""
    images = saved.codec.encode([Path(given["image"])])["image"]
    (best,) = describe(writer_of(saved.model), saved.codec, images, WRITING.search)
    blocks = [Table("", ["caption", "score"], [list(one) for one in best], digits=3)]
    if "attention" in saved.model.output:
        text = best[0][0]
        weights = attention_to(saved.model, saved.codec, images, [text])
        blocks += [attention_figure(images[0], text, saved.codec.pieces_of(text), weights[0], name="attention")]
    return Tried(blocks, ("caption", given["image"], "--n-best", str(WRITING.beam)))
