"""The axes of a figure as images of their own."""

import numpy as np
import pytest

from kerasapps.panels import cells_of, columns_of, cut_out
from kerasapps.reports import Figure, add_axes, new_figure

COLORS = ["#ff0000", "#00ff00", "#0000ff", "#ff00ff", "#00ffff"]


@pytest.fixture
def drawn() -> Figure:
    """Five axes in two rows of three, each filled with its color, with labels of several widths."""
    figure = new_figure(6, 4)
    for i, color in enumerate(COLORS, start=1):
        axes = add_axes(figure, 2, 3, i, ylabel="y\n" * i, title=str(i))
        axes.grid(visible=False)
        axes.patch.set_facecolor(color)
    return Figure("five", "", figure, wraps=True)


def test_each_panel_has_its_axes_alone_and_all_have_them_in_the_same_place(drawn):
    frames = []
    for color, panel in zip(COLORS, cut_out(drawn.figure, [drawn.image])[0], strict=True):
        pixels = np.asarray(panel)
        there = {other: (pixels == tuple(bytes.fromhex(other[1:]))).all(-1) for other in COLORS}
        assert [other for other, mask in there.items() if mask.any()] == [color]
        rows, columns = np.nonzero(there[color])
        frames.append((*pixels.shape[:2], rows.min(), columns.min(), rows.max(), columns.max()))
    np.testing.assert_allclose(frames, [frames[0]] * len(COLORS), atol=2)  # pixels


def test_cells_share_their_edges_and_fill_the_figure(drawn):
    assert drawn.image
    assert columns_of(drawn.figure) == 3
    cells = cells_of(drawn.figure)
    assert cells[0, :2].tolist() == [0, 0]
    assert cells[2, 2] == cells[4, 3] == 1
    np.testing.assert_array_equal(cells[:2, 2], cells[1:3, 0])
    np.testing.assert_array_equal(cells[:2, 3], cells[3:, 1])
