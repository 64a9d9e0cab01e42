"""A generator on the page: new images from noise."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasapps.errors import UserError
from kerasapps.gan.model import GAN
from kerasapps.reports import Figure
from kerasapps.serving.forms import Field

from ..shared.images import colored, image_grid
from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .sampling import as_pixels, draw

TITLE = "Draw new images"
MOST = 64
ANY = ""


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked.

    Raises:
        UserError: If the run has no generator of images.
    """
    if not isinstance(saved.model, GAN) or saved.codec is None:
        raise UserError(f"{saved.folder.name} holds no generator of images.")
    fields = (
        Field("n", "How many", "number", "16", least=1, most=MOST),
        Field("seed", "Seed", "number", "0", hint="Another number gives other images."),
    )
    if not saved.model.conditional:
        return fields
    choices = ((ANY, "all in turn"), *((name, name) for name in saved.codec.class_names))
    return (*fields, Field("label", "Class", "choice", ANY, choices=choices, required=False))


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns images that the generator makes of noise."""
    label, count = given.get("label") or None, int(given["n"])
    number = None if label is None else list(saved.codec.class_names).index(label)
    images = as_pixels(draw(saved.model, count, seed=int(given["seed"]), label=number))
    columns = max(1, round(np.sqrt(count)))
    figure = image_grid([colored(image) for image in images], [""] * count, columns=columns)
    options = ("--n", str(count), "--seed", str(int(given["seed"])), *(("--label", label) if label else ()))
    return Tried([Figure("samples", "Made of noise alone.", figure, "New images")], ("sample", *options))
