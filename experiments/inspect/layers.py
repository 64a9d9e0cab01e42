"""Filters, activations, what activates a unit the most, and the codes on a plane."""

from collections.abc import Sequence

import matplotlib
import numpy as np

from kerasapps.errors import UserError
from kerasapps.inside.embedding import embed, on_grid
from kerasapps.inside.maximal import Ascent, Best, Made, ascend, strongest_images
from kerasapps.inside.networks import convolutions, layers_of, outputs_of, shape_of, spatial_layers
from kerasapps.inside.probe import Probe
from kerasapps.inside.sheets import activation_images, filter_images
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure

from ..shared.images import as_bytes, colored, image_grid, show_image, tile
from .subject import Opened, View

PALETTE = matplotlib.colormaps["tab10"]
MOST_UNITS = 6
COLUMNS = 8
EMBEDDED, LEAST_EMBEDDED = 900, 4  # images


def layer_table(opened: Opened) -> Table:
    """Lists the layers by the names that --layer takes."""
    rows = [
        [name, type(layer).__name__, " x ".join("?" if side is None else str(side) for side in shape_of(layer)[1:])]
        for name, layer in layers_of(opened.model).items()
    ]
    return Table("Layers", ["layer", "kind", "output"], rows, "Names that --layer takes.")


def first_convolution(opened: Opened, layer: str | None) -> str:
    """Returns the layer that is named, or the first convolution.

    Raises:
        UserError: If it is no convolution, or there is none.
    """
    names = list(convolutions(opened.model))
    if not names:
        raise UserError(f"{opened.title} has no convolution.")
    layer = full_name(names, layer)
    if layer is not None and layer not in names:
        raise UserError(f"--layer {layer} is no convolution with filters. There are: {', '.join(names[:12])}.")
    return layer or names[0]


def full_name(names: Sequence[str], layer: str | None) -> str | None:
    """Returns the only name that ends in a layer's own, such as network/conv1 for conv1; else the one that is given."""
    found = [name for name in names if layer is not None and name.endswith(f"/{layer}")]
    return found[0] if len(found) == 1 and layer not in names else layer


def known_layer(opened: Opened, layer: str | None, default: int) -> str:
    """Returns the layer that is named, or one of those with height and width, by its place among them.

    Raises:
        UserError: If there is none of that name, when it lists the nearest, or none with height and width.
    """
    names = list(layers_of(opened.model))
    layer = full_name(names, layer)
    if layer is not None and layer not in names:
        near = sorted(names, key=lambda name: (layer not in name, name))[:8]
        raise UserError(f"--layer {layer} is none of the {len(names)} layers. There are: {', '.join(near)}.")
    spatial = spatial_layers(opened.model)
    if layer is None and not spatial:
        raise UserError(f"{opened.title} has no layer with height and width: name another with --layer.")
    return layer or spatial[default]


def filters_figure(opened: Opened, layer: str) -> Figure:
    """Shows the filters of a convolution as a sheet."""
    kernel = convolutions(opened.model)[layer]
    images, names = filter_images(kernel)
    figure = image_grid(list(images), names, columns=COLUMNS)
    height, width, channels, count = kernel.shape
    what = "in color" if channels == 3 else "gray is 0, white positive, black negative"
    caption = f"{len(images)} of {count * (1 if channels == 3 else channels):,} filters of {layer}, {height} x {width} "
    caption += f"over {channels} channel{'s' * (channels != 1)}, each scaled by itself: {what}."
    if channels not in (1, 3):
        caption += " Each is labeled filter, of channel."
    return Figure(f"filters_{layer.replace('/', '_')}", caption, figure, f"Filters of {layer}")


def activations_figure(view: View, layer: str) -> Figure:
    """Shows the channels of a layer for the first image, the strongest first."""
    values = view.probe.activations({name: one[:1] for name, one in view.inputs.items()}, layer)[0]
    if values.ndim != 3:
        figure = new_figure(9.0, 2.4)
        axes = add_axes(figure, xlabel="unit", title=f"{layer}")
        axes.bar(np.arange(values.size), values.ravel(), width=0.9)
        return Figure(f"activations_{layer}", f"The {values.size} units of {layer} for the first image.", figure)
    images, order = activation_images(values)
    shown = [colored(as_bytes(view.images[0])), *images]
    figure = image_grid(shown, ["the image", *map(str, order)], columns=COLUMNS)
    caption = f"{len(images)} of {values.shape[-1]} channels of {layer}, {values.shape[0]} x {values.shape[1]}, the "
    caption += "strongest first, all on one scale: black is 0 or less, white the largest."
    return Figure(f"activations_{layer.replace('/', '_')}", caption, figure, f"Activations of {layer}")


# --- what activates a unit the most


def strongest_units(opened: Opened, layer: str, count: int) -> list[int]:
    """Returns the units of a layer that vary the most over the data, so that there is something to see."""
    probe = Probe(opened.model, layer=layer)
    if not len(opened.rows):
        return list(range(min(count, probe.width())))
    values = probe.activations(opened.inputs(opened.rows[:200]), layer)
    peaks = values.reshape(len(values), -1, values.shape[-1]).max(1)  # (n, C)
    spread = peaks.std(0) / (np.abs(peaks).mean() + 1e-12)
    return np.sort(np.argsort(-spread, kind="stable")[:count]).tolist()


def maximal_blocks(opened: Opened, layer: str, units: Sequence[int], ascent: Ascent) -> tuple[list[Block], dict]:
    """Shows for each unit the images of the data that activate it the most, and one that was made for it."""
    probe = Probe(opened.model, layer=layer)
    best = {}
    if len(opened.rows):
        best = strongest_images(
            Probe(opened.model, output=first_output(opened)), opened.inputs(opened.rows), layer, units
        )
    alive = [unit for unit in units if unit not in best or not best[unit].dead]
    made = ascend(probe, alive, opened.shape, ascent) if alive else None
    metrics = {}
    for unit, one in best.items():
        metrics[f"largest_{unit}"] = float(one.values[0])
    for i, unit in enumerate(alive):
        metrics[f"ascent_{unit}"] = float(made.values[i])
    return [maximal_figure(opened, layer, units, best, alive, made)], metrics


def first_output(opened: Opened) -> str:
    """Returns the name of an output."""
    return next(iter(outputs_of(opened.model)))


def maximal_figure(
    opened: Opened, layer: str, units: Sequence[int], best: dict[int, Best], alive: list[int], made: Made | None
) -> Figure:
    """Draws a row a unit: the image made for it, then what it sees in the data."""
    count = max((len(one.rows) for one in best.values()), default=0)
    shown, below = [], []
    blank = np.full((8, 8, 3), 230, np.uint8)
    for unit in units:
        one = best.get(unit)
        if unit in alive:
            i = alive.index(unit)
            shown.append(colored(as_bytes(made.images[i])))
            below.append(f"unit {unit}: {made.values[i]:.3g}")
        else:
            shown.append(blank)
            below.append(f"unit {unit}: dead")
        for row, value, (top, left, bottom, right) in zip(one.rows, one.values, one.boxes, strict=True) if one else ():
            shown.append(colored(as_bytes(opened.rows[row][top:bottom, left:right])))
            below.append(f"{value:.3g}")
    figure = image_grid(shown, below, columns=1 + count)
    dead = [str(unit) for unit in units if unit not in alive]
    caption = (
        f"Units of {layer}, a row each. Left: an image made for the unit by gradient ascent, with its activation. "
    )
    if best:
        caption += f"Right: what it sees in the {len(opened.rows):,} images that it reacts to the most. "
    if dead:
        caption += f"Dead, as no image activates them: {', '.join(dead)}."
    return Figure(f"maximal_{layer.replace('/', '_')}", caption.strip(), figure, f"What activates units of {layer}")


# --- embedding


def embedding_blocks(opened: Opened, output: str | None, *, seed: int) -> tuple[list[Block], dict[str, float]]:
    """Shows the images of the data by what the classifier reads of them."""
    if len(opened.rows) < LEAST_EMBEDDED:
        raise UserError("An embedding needs images: give --data, or a run whose data are there.")
    order = np.random.default_rng(seed).permutation(len(opened.rows))[:EMBEDDED]
    rows, labels = opened.rows[order], opened.labels[order] if len(opened.labels) else np.zeros(len(order), int)
    codes = Probe(opened.model, output=output).codes(opened.inputs(rows))
    planes = {"t-SNE": embed(codes, kind="tsne", seed=seed), "PCA": embed(codes, kind="pca", seed=seed)}
    figure = new_figure(9.0, 4.4)
    for i, (name, plane) in enumerate(planes.items(), start=1):
        axes = add_axes(figure, 1, 2, i, title=f"{name}, trustworthiness {plane.trust:.3f}", xticks=[], yticks=[])
        for label in np.unique(labels):
            axes.scatter(*plane.places[labels == label].T, s=7, color=PALETTE(label % 10), label=opened.name_of(label))
    if 1 < len(np.unique(labels)) <= 10:
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower center", ncols=10, frameon=False, markerscale=2
        )
    caption = f"{len(rows):,} images by the {codes.shape[1]} numbers that the classifier reads, a color a class."
    grid = on_grid(planes["t-SNE"].places)
    images = as_bytes(rows)[grid.ravel()]
    sheet = tile(images, columns=grid.shape[1])
    drawn = new_figure(9.0, 9.0)
    show_image(add_axes(drawn), sheet)
    text = (
        f"{grid.size} of them on a grid, each in one cell near its place under t-SNE: none is left out or there twice."
    )
    metrics = {"tsne_trustworthiness": planes["t-SNE"].trust, "pca_trustworthiness": planes["PCA"].trust}
    blocks = [
        Figure("embedding", caption, figure, "Embedding"),
        Figure("embedding_grid", text, drawn, "Embedding as a grid"),
    ]
    return blocks, metrics
