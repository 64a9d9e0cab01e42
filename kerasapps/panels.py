"""The axes of a figure as images of their own, which a page puts side by side or one below the other."""

from collections.abc import Sequence

import matplotlib.figure
import numpy as np
from PIL import Image


def columns_of(figure: matplotlib.figure.Figure) -> int:
    """Returns in how many columns the axes of a figure are."""
    return len({axes.get_subplotspec().colspan.start for axes in figure.axes})


def cut_out(figure: matplotlib.figure.Figure, images: Sequence[Image.Image]) -> list[list[Image.Image]]:
    """Returns an image for each axes of a figure, all of one size and with the frame of the axes in the same place.

    Args:
        figure: The figure, whose axes are cells of one grid.
        images: What it looks like, all of one size; a list is returned for each.
    """
    size = images[0].size
    cells = np.rint(cells_of(figure) * [*size, *size]).astype(int)  # (axes, 4)
    frames = [axes.get_position() for axes in figure.axes]
    corners = np.rint(np.array([(frame.x0, 1 - frame.y1) for frame in frames]) * size).astype(int)  # (axes, 2)
    before, after = corners - cells[:, :2], cells[:, 2:] - corners  # (axes, 2)
    shape, starts = tuple((before.max(0) + after.max(0)).tolist()), (before.max(0) - before).tolist()
    looks = []
    for image in images:
        panels = [Image.new(image.mode, shape, image.getpixel((0, 0))) for _ in starts]
        for panel, cell, start in zip(panels, cells.tolist(), starts, strict=True):
            panel.paste(image.crop(cell), start)
        looks.append(panels)
    return looks


def cells_of(figure: matplotlib.figure.Figure) -> np.ndarray:
    """Returns left, upper, right and lower edge of each axes with its labels, as shares of the figure, (axes, 4)."""
    places = [axes.get_subplotspec() for axes in figure.axes]
    boxes = [axes.get_tightbbox().transformed(figure.transFigure.inverted()) for axes in figure.axes]
    across = _edges([place.colspan.start for place in places], [(box.x0, box.x1) for box in boxes])
    down = _edges([place.rowspan.start for place in places], [(1 - box.y1, 1 - box.y0) for box in boxes])
    return np.array(
        [
            [
                across[place.colspan.start],
                down[place.rowspan.start],
                across[place.colspan.stop],
                down[place.rowspan.stop],
            ]
            for place in places
        ]
    )


def _edges(places: Sequence[int], extents: Sequence[tuple[float, float]]) -> list[float]:
    """Returns the edges of columns, halfway from what is in one to what is in the next; likewise of rows."""
    count = max(places) + 1
    starts, ends = [1.0] * count, [0.0] * count
    for place, (start, end) in zip(places, extents, strict=True):
        starts[place], ends[place] = min(starts[place], start), max(ends[place], end)
    return [0.0, *((end + start) / 2 for end, start in zip(ends[:-1], starts[1:], strict=True)), 1.0]
