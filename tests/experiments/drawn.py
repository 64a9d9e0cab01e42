"""What tests of figures share: some predictions, and what a figure shows."""

import matplotlib
import numpy as np

from kerasapps.reports import Figure

NAMES = ("cat", "dog", "owl")
# Rows 0, 1 and 4 are right; in row 2 a cat is taken for a dog, in row 3 an owl for a cat.
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6]], np.float32
)
LABELS = np.array([0, 1, 0, 2, 2], np.int32)


def texts(figure: Figure) -> list[str]:
    figure.figure.draw_without_rendering()
    return [text.get_text() for text in figure.figure.findobj(matplotlib.text.Text) if text.get_text()]


def shown(figure: Figure) -> list[np.ndarray]:
    return [axes.images[0].get_array() for axes in figure.figure.axes if axes.images]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Texts that share more than a hair's breadth of the figure."""
    figure.figure.draw_without_rendering()
    drawn = [text for text in figure.figure.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in drawn]
    return [(a, b) for i, (a, first) in enumerate(boxes) for b, second in boxes[:i] if first.overlaps(second)]
