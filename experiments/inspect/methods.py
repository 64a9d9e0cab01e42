"""The maps that are drawn: what each one is, how it is computed, and its figure with how far it can be trusted."""

from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import numpy as np

from kerasapps.inside import gradients
from kerasapps.inside.judging import judge
from kerasapps.inside.occlusion import Fill, filled, occlusion, occlusion_map
from kerasapps.reports import Animation, Figure, Table, add_axes, new_figure

from ..shared.images import as_bytes, colored, image_grid, overlay
from .subject import View

FRAMES, FRAME_SIDE = 60, 256
COLUMNS = ("deletion", "insertion", "rank_head", "rank_all")


@dataclass(frozen=True)
class Method:
    """A way to map what speaks for a class.

    Args:
        name: Its name in metrics.
        title: Its heading.
        caption: What it shows.
        compute: From a probe, inputs and units to maps (n, H, W).
    """

    name: str
    title: str
    caption: str
    compute: Callable


@dataclass(frozen=True)
class Patch:
    """How an image is occluded.

    Args:
        patch: Side of the patch in pixels; by default a quarter of the shorter side.
        stride: Pixels between positions; by default a quarter of the patch, and at most 33 positions a side.
        fill: What the patch shows: black, the mean color of the image, or the image blurred.
    """

    patch: int | None = None
    stride: int | None = None
    fill: Fill = "mean"


GRADIENTS = (
    Method("gradient", "Gradient", "How strongly the score reacts to each pixel.", gradients.saliency),
    Method(
        "gradient_input",
        "Gradient x input",
        "The gradient times the pixel: its part of the score to first order.",
        gradients.gradient_times_input,
    ),
    Method("smooth_grad", "SmoothGrad", "The gradient, averaged over noisy copies.", gradients.smooth_grad),
    Method(
        "integrated",
        "Integrated gradients",
        "What each pixel adds on the way from a black image.",
        gradients.integrated_gradients,
    ),
    Method("grad_cam", "Grad-CAM", "Where the channels of a layer that speak for the class are.", gradients.grad_cam),
    Method(
        "guided",
        "Guided backpropagation",
        "The gradient without what is negative on its way. It hardly depends on the class: look at the last columns.",
        gradients.guided,
    ),
    Method(
        "deconvnet",
        "DeconvNet",
        "The score projected back to the image, rectified at each ReLU. It hardly depends on the class.",
        gradients.deconvnet,
    ),
)


def occlusion_method(patch: Patch) -> Method:
    """Returns occlusion with a patch."""

    def compute(probe, inputs, units):
        return occlusion_map(probe, inputs, units, patch=patch.patch, stride=patch.stride, fill=patch.fill)

    caption = "The probability that is lost, on average, where a patch covers a pixel."
    return Method("occlusion", "Occlusion", caption, compute)


def judged(method: Method, view: View, *, fill: Fill) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the maps of a method and how far they can be trusted."""
    maps = method.compute(view.probe, view.inputs, view.units)
    return maps, judge(method.compute, view.probe, view.inputs, view.units, maps, fill=fill)


def method_figure(method: Method, view: View, maps: np.ndarray, numbers: dict[str, np.ndarray]) -> Figure:
    """Shows images over their maps, with deletion and insertion of each."""
    images = as_bytes(view.images)
    overlays = [overlay(image, one) for image, one in zip(images, maps, strict=True)]
    below = [*view.below(), *(score_text(numbers, i) for i in range(len(maps)))]
    shown = [*map(colored, images), *overlays]
    figure = image_grid(shown, below, columns=max(2, len(images)))
    means = ", ".join(f"{label} {np.mean(numbers[name]):.2f}" for name, label in LABELS.items())
    return Figure(method.name, f"{method.caption} On average: {means}.", figure, method.title)


LABELS = {
    "deletion": "deletion",
    "insertion": "insertion",
    "rank_head": "rank correlation after drawing the head anew",
    "rank_all": "after drawing all weights anew",
}


def score_text(numbers: dict[str, np.ndarray], i: int) -> str:
    """Returns what stands below a map."""
    return f"deletion {numbers['deletion'][i]:.2f}\ninsertion {numbers['insertion'][i]:.2f}"


def judgement_table(found: dict[str, dict[str, float]]) -> Table:
    """Compares methods: the mean of each number."""
    rows = [[title, *(numbers[name] for name in COLUMNS)] for title, numbers in found.items()]
    caption = (
        "Deletion: mean probability while the most marked pixels are taken away, low is good. Insertion: while they "
        "are put back, high is good. The last two: Spearman's correlation with the map of the same network after its "
        "last layer, or all of it, was drawn anew; a map that stays the same does not show what the network learned."
    )
    columns = ["method", "deletion", "insertion", "head drawn anew", "all drawn anew"]
    return Table("How far each map can be trusted", columns, rows, caption, digits=2)


# --- occlusion, as a function of position


def position_figure(view: View, patch: Patch) -> tuple[Figure, Animation]:
    """Shows the probability of the class as a function of where the patch is, and the patch on its way."""
    sweeps = occlusion(
        view.probe, view.inputs, view.units, patch=patch.patch, stride=patch.stride, fill=patch.fill
    )  # fmt: skip
    count = min(len(sweeps), 4)
    figure = new_figure(9.0, 2.9 if count > 1 else 3.6)
    for i, sweep in enumerate(sweeps[:count]):
        axes = add_axes(figure, 1, count, i + 1, title=view.below()[i])
        height, width = view.images.shape[1:3]
        drawn = axes.imshow(
            sweep.grid, cmap="viridis", vmin=0, vmax=max(sweep.whole, 1e-6), extent=(0, width, height, 0)
        )
        axes.grid(visible=False)
        figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, aspect=15)
    caption = "Probability of the class as a function of where the patch lies; dark is where it is needed."
    heading = "Probability by position of the patch"
    return Figure("occlusion_position", caption, figure, heading), animation(view, sweeps[0], patch)


def animation(view: View, sweep, patch: Patch) -> Animation:
    """Shows the patch move over the first image, and the probabilities found so far."""
    image = view.images[0]
    side = patch.patch or max(1, min(image.shape[:2]) // 4)
    shown = colored(as_bytes(filled(image, patch.fill)))
    places, values = sweep.corners.reshape(-1, 2), sweep.grid.ravel()
    top = max(sweep.whole, float(values.max()), 1e-6)
    frames = []
    for last in np.unique(np.linspace(0, len(places) - 1, FRAMES).astype(int)):
        covered = colored(as_bytes(image)).copy()
        row, column = places[last]
        cells = slice(max(0, row), row + side), slice(max(0, column), column + side)
        covered[cells] = shown[cells]
        known = np.where(np.arange(len(values)) <= last, values / top, np.nan).reshape(sweep.grid.shape)
        found = as_bytes(255 * matplotlib.colormaps["viridis"].with_extremes(bad="#e6e8ec")(known)[..., :3])
        frames.append(
            np.concatenate([enlarged(covered), np.full((FRAME_SIDE, 8, 3), 255, np.uint8), enlarged(found)], 1)
        )
    name = view.opened.name_of(view.units[0])
    caption = (
        f"Left: the patch on its way over the first image. Right: the probability of {name} found so far, dark is low."
    )
    return Animation("occlusion_sweep", caption, frames, seconds=6.0)


def enlarged(image: np.ndarray) -> np.ndarray:
    """Returns an image with sides of one length, its pixels repeated or left out."""
    rows, columns = (np.arange(FRAME_SIDE) * side // FRAME_SIDE for side in image.shape[:2])
    return image[rows][:, columns]
