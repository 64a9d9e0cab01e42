"""What the style-transfer experiment reports: content, style and result, intermediate images, curves, sheets."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from kerasapps.reports import Figure, add_axes, new_figure

from ..shared.optimizing import Outcome, grid_of, thumbnail
from .network import Canvas
from .options import Painting, weights_of

TERMS = ("total", "content", "style", "tv")
SHOWN_STYLES = 3


def summary_of(painting: Painting, outcome: Outcome) -> str:
    """Returns the sentences that the report begins with."""
    names = [path.name if path else "an embedded image" for path in (painting.content, *(painting.style or (None,)))]
    height, width = outcome.image.shape[:2]
    summary = f"{names[0]} in the style of {', '.join(names[1:])}, {width} x {height} pixels, "
    summary += f"by {painting.network} with {weights_of(painting)} weights."
    return f"{summary} Interrupted: this is the best so far." if outcome.interrupted else summary


def sources_figure(canvas: Canvas, outcome: Outcome) -> Figure:
    """Shows content, styles and result side by side."""
    styles = canvas.styles[:SHOWN_STYLES]
    images = [thumbnail(image) for image in (canvas.content.pixels, *styles, outcome.image)]
    below = ["content", *["style"] * len(styles), "result"]
    drawn = grid_of(images, below, columns=len(images))
    return Figure("sources", "The result next to what it was made from.", drawn, "Content, style and result")


def loss_figure(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Draws the losses over the steps; a dotted line is a new size."""
    figure = new_figure(width=9.0)
    steps = np.array([row["step"] for row in rows])
    grown = [b["step"] for a, b in itertools.pairwise(rows) if b["height"] != a["height"]]
    for i, names in enumerate((TERMS[:1], TERMS[1:]), start=1):
        axes = add_axes(figure, 1, 2, i, xlabel="step", yscale="log", title="loss" if i == 1 else "its terms")
        for name in names:
            values = np.array([row[name] for row in rows])
            if (values > 0).any():
                axes.plot(steps, np.where(values > 0, values, np.nan), label=name)
        for step in grown:
            axes.axvline(step, color="#9aa1ab", linewidth=1, linestyle=":")
        axes.legend(frameon=False)
    caption = "Losses over evaluations; the terms are shown without their weights. A dotted line marks a larger size."
    return Figure("losses", caption, figure, wraps=True)


def sheet_figure(
    images: Sequence[np.ndarray], below: Sequence[str], *, columns: int, name: str, caption: str
) -> Figure:
    """Shows images as a contact sheet."""
    return Figure(name, caption, grid_of([thumbnail(image) for image in images], below, columns=columns))
