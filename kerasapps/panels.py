"""The axes of a figure as images of their own, which a page puts side by side or one below the other."""

import io
from collections.abc import Sequence

import matplotlib.figure
import numpy as np
from PIL import Image


def columns_of(figure: matplotlib.figure.Figure) -> int:
    """Returns in how many columns the axes of a figure are."""
    return len({axes.get_subplotspec().colspan.start for axes in figure.axes})


def cut_out(figure: matplotlib.figure.Figure, png: bytes) -> list[bytes]:
    """Returns a PNG file for each axes of a figure, all of one size and with the frame of the axes in the same place.

    Args:
        figure: The figure, whose axes are cells of one grid.
        png: The PNG file that it was drawn into.
    """
    panels = []
    with Image.open(io.BytesIO(png)) as whole:
        cells = np.rint(cells_of(figure) * [*whole.size, *whole.size]).astype(int)  # (axes, 4)
        frames = [axes.get_position() for axes in figure.axes]
        corners = np.array([(frame.x0, 1 - frame.y1) for frame in frames])
        corners = np.rint(corners * whole.size).astype(int)  # (axes, 2)
        before, after = corners - cells[:, :2], cells[:, 2:] - corners  # (axes, 2)
        size, paper = before.max(0) + after.max(0), whole.getpixel((0, 0))
        for cell, start in zip(cells.tolist(), (before.max(0) - before).tolist(), strict=True):
            panel = Image.new(whole.mode, tuple(size.tolist()), paper)
            panel.paste(whole.crop(cell), tuple(start))
            buffer = io.BytesIO()
            panel.save(buffer, "PNG")
            panels.append(buffer.getvalue())
    return panels


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
