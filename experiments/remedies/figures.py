"""The curves of the remedies: the median of the seeds, and a band from the lowest to the highest of them."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from kerasapps.reports import Figure, add_axes, new_figure

from .network import REMEDIES, Part
from .results import Results, told
from .training import TRAIN, VALIDATION, Outcome

Curve = Callable[[Outcome], np.ndarray]
BAND = "Lines are medians of the seeds, bands reach from the lowest to the highest."


def losses_on(which: int) -> Curve:
    """Returns a function to the loss on a set over the epochs, (epochs + 1,)."""
    return lambda outcome: outcome.losses[:, which]


def part_figure(part: Part, results: Results) -> Figure:
    """Draws a part: for each network in trouble a panel with the remedies that are compared with it."""
    groups = {}
    for remedy in REMEDIES.values():
        for against in remedy.against:
            if remedy.part == part and {remedy.title, against} <= results.keys():
                groups.setdefault(against, [against]).append(remedy.title)
    if part == "over-fitting":
        return over_fitting_figure(groups, results)
    gradients = part == "vanishing gradients"
    rows, columns = (len(groups), 2) if gradients else (1, max(2, len(groups)))
    figure = new_figure(3.6 * columns, 3.4 * rows)
    for i, (against, titles) in enumerate(groups.items()):
        chosen = {title: results[title] for title in titles}
        place = (rows, columns, (1 + gradients) * i + 1)
        axes = add_axes(figure, *place, xlabel="epoch", ylabel="training loss", title=against)
        draw(axes, chosen, losses_on(TRAIN))
        if gradients:
            labels = {"xlabel": "layer", "ylabel": "norm of the gradient", "title": "before the training"}
            axes = add_axes(figure, rows, columns, 2 * i + 2, **labels)
            draw(axes, chosen, lambda outcome: outcome.norms, first=1)
            axes.set_yscale("log")
    return figure_of(part, results, figure, BAND)


def over_fitting_figure(groups: dict[str, Sequence[str]], results: Results) -> Figure:
    """Draws the network in trouble by itself, then the validation loss with each remedy, and where it stops early."""
    figure = new_figure(7.6, 3.4)
    ((against, titles),) = groups.items()
    axes = add_axes(figure, 1, 2, 1, xlabel="epoch", ylabel="loss", title=against)
    for label, which in (("training", TRAIN), ("validation", VALIDATION)):
        draw(axes, {label: results[against]}, losses_on(which))
    axes = add_axes(figure, 1, 2, 2, xlabel="epoch", ylabel="validation loss", title="with each remedy")
    early = REMEDIES["early_stopping"].title
    draw(axes, {title: results[title] for title in titles if title != early}, losses_on(VALIDATION))
    caption = f"{BAND} Scales are logarithmic."
    if early in titles:
        kept = [(one.epoch, one.losses[one.epoch, VALIDATION]) for one in results[early]]
        axes.scatter(*zip(*kept, strict=True), color="#1c2430", s=14, zorder=3, label=early)
        axes.legend(frameon=False, fontsize=8)
        caption += " Dots: the epochs that early stopping keeps, one a seed."
    for axes in figure.axes:
        axes.set_yscale("log")
    return figure_of("over-fitting", results, figure, caption)


def figure_of(part: Part, results: Results, figure, caption: str) -> Figure:
    """Returns the block of a part, headed by it."""
    heading = f"{part[:1].upper()}{part[1:]}"
    return Figure(part.replace(" ", "_"), f"{told(part, results)} {caption}", figure, heading, wraps=True)


def draw(axes: Axes, results: Results, curve: Curve, *, first: int = 0) -> None:
    """Draws the median and the range of the seeds for each setup, numbered from `first`."""
    for title, outcomes in results.items():
        values = np.array([curve(outcome) for outcome in outcomes])  # (seeds, points)
        points = np.arange(first, first + values.shape[1])
        (line,) = axes.plot(points, np.median(values, 0), label=title)
        axes.fill_between(points, values.min(0), values.max(0), alpha=0.18, color=line.get_color(), linewidth=0)
    axes.legend(frameon=False, fontsize=8)
