"""Points of two classes with the line, or plane, of a neuron: still, and as it moves while the neuron learns."""

import itertools
from collections.abc import Callable

import matplotlib.axes
import matplotlib.figure
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from kerasapps.data.points import PointCodec
from kerasapps.reports import INK, Animation, Figure, add_axes, frame_of, new_figure, plain

from ..shared.classification import shorten
from .rules import Learned, Neuron, step

COLORS = ("#d9822b", "#2563a8")
WRONG = "#b5485d"
GROUND = LinearSegmentedColormap.from_list("classes", [f"{COLORS[0]}90", "#ffffff00", f"{COLORS[1]}90"])
FRAMES = 20  # of an animation, at most
CELLS = 120  # of a side of the map


def in_units(points: np.ndarray, codec: PointCodec) -> np.ndarray:
    """Returns standardized features (n, F) in the units of their columns."""
    means, scales = np.array(list(codec.numbers.values())).T
    return points * scales + means


def shape_of(codec: PointCodec) -> str:
    """Returns what is between the classes."""
    return "line" if len(codec.numbers) == 2 else "plane"


def draw_points(
    figure: matplotlib.figure.Figure, points: np.ndarray, labels: np.ndarray, codec: PointCodec
) -> matplotlib.axes.Axes:
    """Draws standardized points in the units of their columns, and a legend of the classes."""
    names = [shorten(name.replace("_", " ")) for name in codec.numbers]
    known = in_units(points, codec).T
    axes = add_axes(figure) if len(names) == 2 else figure.add_subplot(projection="3d")
    for i, name in enumerate(codec.class_names):
        # Lines without a line: those of a scatter in space lose their colors when these change.
        axes.plot(*known[:, labels == i], "ox"[i], color=COLORS[i], markersize=5, label=shorten(name))
    if len(names) == 3:
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_pane_color((1, 1, 1, 0))  # on any background
    edges = [(values.min(), values.max()) for values in known]
    for dimension, label, (low, high) in zip("xyz", names, edges, strict=False):
        room = 0.06 * ((high - low) or 1)
        axes.set(**{f"{dimension}lim": (low - room, high + room), f"{dimension}label": label})
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return axes


def boundary(neuron: Neuron, codec: PointCodec, limits: np.ndarray) -> np.ndarray:
    """Returns the corners of the line or plane where a neuron's score is 0, within limits in the units of the columns.

    Args:
        neuron: A neuron of standardized features.
        codec: Their means and scales.
        limits: The least and the largest value of each column, (F, 2).

    Returns:
        Two ends of a line, or three to six corners of a plane in their order, (n, F); none if it is out of the limits.
    """
    means, scales = np.array(list(codec.numbers.values())).T
    corners = np.array(list(itertools.product(*limits)))
    scores = neuron.scores((corners - means) / scales)
    found = []
    for i, j in itertools.combinations(range(len(corners)), 2):
        is_edge = (corners[i] != corners[j]).sum() == 1
        if is_edge and (scores[i] >= 0) != (scores[j] >= 0):
            found.append(corners[i] + scores[i] / (scores[i] - scores[j]) * (corners[j] - corners[i]))
    if len(found) < 3:
        return np.array(found).reshape(-1, len(limits))
    spokes = np.array(found) - np.mean(found, 0)
    first, second = np.linalg.svd(spokes)[2][:2]  # directions in the plane
    return np.array(found)[np.argsort(np.arctan2(spokes @ second, spokes @ first))]


def add_neuron(axes: matplotlib.axes.Axes, neuron: Neuron, codec: PointCodec, wrong: np.ndarray) -> list:
    """Draws the line or plane of a neuron, and rings around points in the units of the columns (n, F)."""
    limits = np.array([getattr(axes, f"get_{name}lim")() for name in "xyz"[: len(codec.numbers)]])
    corners = boundary(neuron, codec, limits)
    rings = axes.plot(*wrong.T, "o", markersize=10, markerfacecolor="#ffffff00", markeredgecolor=WRONG)
    if len(limits) == 2:
        return [*rings, *axes.plot(*corners.T, color=INK, linewidth=2)]
    plane = Poly3DCollection([corners] if len(corners) else [], facecolor="#6b728060", edgecolor=INK)
    return [*rings, axes.add_collection3d(plane)]


def moving(
    learned: Learned, points: np.ndarray, labels: np.ndarray, codec: PointCodec, *, name: str, caption: str
) -> Animation:
    """Shows the line, or plane, as it moves while a neuron learns, and the points that it misclassifies."""
    path, known = learned.path, in_units(points, codec)
    moved = [0, *(i for i in range(1, len(path)) if path[i] is not path[i - 1])]
    # The first steps move it most.
    steps = np.unique(np.geomspace(1, len(moved), min(FRAMES, len(moved))).round().astype(int)) - 1
    figure = new_figure(5.4, 4.4)
    axes = draw_points(figure, points, labels, codec)
    caption = Figure(name, caption, figure).told  # with what stands for words in scripts that no font here has
    frames = []
    for i in np.array(moved)[steps]:
        wrong = step(path[i].scores(points)) != labels
        axes.set_title(f"after {i:,} point{'s' * bool(i != 1)}: {wrong.sum()} of {len(points)} misclassified")
        drawn = add_neuron(axes, path[i], codec, known[wrong])
        frames.append(frame_of(figure))
        for artist in drawn:
            artist.remove()
    light, dark = zip(*frames, strict=True)
    heading = f"The {shape_of(codec)} moves: {learned.rule.name}"
    return Animation(name, caption, light, seconds=6.0, heading=heading, dark_frames=dark)


def ground_figure(probability: Callable, points: np.ndarray, labels: np.ndarray, codec: PointCodec) -> Figure | None:
    """Draws the probability of the second class over the plane of two columns, with the points; None for three.

    Args:
        probability: From standardized features (n, 2) to the probability of the second class (n,).
        points: Standardized, (n, 2).
        labels: 0 or 1, (n,).
        codec: Means, scales and names.
    """
    if len(codec.numbers) != 2:
        return None
    figure = new_figure(6.0, 4.6)
    axes = draw_points(figure, points, labels, codec)
    means, scales = np.array(list(codec.numbers.values())).T
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    grid = [np.linspace(*limit, CELLS) for limit in limits]
    cells = np.stack(np.meshgrid(*grid), -1).reshape(-1, 2)
    values = probability(((cells - means) / scales).astype(np.float32)).reshape(CELLS, CELLS)
    drawn = axes.imshow(values, extent=limits.ravel(), origin="lower", aspect="auto", cmap=GROUND, vmin=0, vmax=1)
    if values.min() < 0.5 < values.max():
        axes.contour(*grid, values, levels=[0.5], colors=INK)
    axes.grid(visible=False)
    figure.colorbar(drawn, ax=axes, label=f"probability of {plain(codec.class_names[1])}")
    caption = "Test points on the probability that the trained network gives them; it is one half on the line."
    return Figure("probability", caption, figure, "What the network learned")
