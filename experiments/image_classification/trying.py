"""An image classifier on the page: what it takes an image for, and which parts of the image that depends on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasapps.data.tables import some
from kerasapps.inside.occlusion import occlusion_map
from kerasapps.inside.probe import Probe
from kerasapps.reports import Figure
from kerasapps.serving.forms import Field

from ..shared.images import as_bytes, colored, image_grid, overlay, predictions_table
from ..shared.runs import SavedRun
from ..shared.trying import Tried

TITLE = "What is in this image?"


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    names = saved.codec.class_names
    return (Field("image", "An image", "image", hint=f"The network knows {len(names)} classes: {some(names)}."),)


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns the likeliest classes, and what each part of the image is worth to the first."""
    inputs, names = saved.codec.encode([Path(given["image"])]), saved.codec.class_names
    probabilities = saved.outputs(inputs)["label"]  # (1, classes)
    best = int(probabilities[0].argmax())
    (drop,) = occlusion_map(Probe(saved.model), inputs, [best])  # (H, W)
    (image,) = as_bytes(inputs["image"])
    caption = (
        "Left: the image as the network gets it. Right: how much probability is lost where a patch covers it; bright "
        "is what the network needs to see."
    )
    grid = image_grid([colored(image), overlay(image, np.asarray(drop))], [names[best], "occlusion"], columns=2)
    table = predictions_table(["your image"], probabilities, names)
    return Tried([table, Figure("occlusion", caption, grid, "What it depends on")], ("predict", given["image"]))
