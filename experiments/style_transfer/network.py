"""The images and the network of a painting, read and built from its options, and how it is painted."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_sample_image

from kerasapps.applications.style_transfer import build_style_taps
from kerasapps.data.paintings import draw_painting
from kerasapps.data.pictures import Photo, read_photo, read_picture
from kerasapps.errors import UserError
from kerasapps.runs import Run
from kerasapps.styling import LBFGS, Adam, Objective, Step, stylize
from kerasapps.styling.colors import match_colors, match_lightness, with_colors_of
from kerasapps.styling.loop import STARTS, fit_size, resize, scale_sizes

from ..shared.image_options import memory_left
from ..shared.optimizing import ImageJob, Outcome, optimize_image
from .options import Painting, objective_of, weights_of


@dataclass(frozen=True)
class Canvas:
    """Everything that is read and built before the first step.

    Args:
        painting: The options.
        content: The content as it was read.
        styles: The styles as they were read, each (h, w, 3).
        shown: The content as the network gets it.
        arguments: Of `stylize`, except the content.
    """

    painting: Painting
    content: Photo
    styles: list[np.ndarray]
    shown: np.ndarray
    arguments: Mapping[str, Any]

    def steps(self, resume: Mapping[str, np.ndarray] | None = None, **changes) -> Iterator[Step]:
        """Yields the steps of the painting."""
        return stylize(self.shown, **self.arguments | changes, resume=resume)

    def image_of(self, step: Step) -> np.ndarray:
        """Returns the image of a step in the colors asked for, float32 (H, W, 3)."""
        if self.painting.colors != "luminance":
            return step.image
        return with_colors_of(step.image, resize(self.content.pixels, step.scale).numpy())

    @property
    def total(self) -> int:
        """Evaluations of the whole painting at most."""
        sizes = scale_sizes(self.shown.shape[:2], size=self.painting.size, smallest=self.painting.smallest)
        return self.painting.steps * len(sizes)


def prepare(painting: Painting, *, seed: int) -> Canvas:
    """Reads the images and builds the network.

    Raises:
        UserError: If something is missing or does not fit.
    """
    content = Photo(load_sample_image("china.jpg").astype(np.float32)) if painting.content is None else None
    content = content or read_photo(painting.content)
    styles = [read_photo(path).pixels for path in painting.style] or [embedded_style(seed)]
    masks = [read_picture(path, size=None, channels=1)[..., 0] / 255.0 for path in painting.masks] or None
    start = painting.start if painting.start in STARTS else read_photo(painting.start).pixels
    shown = content.pixels
    seen = styles
    if painting.colors == "style":
        shown = match_colors(shown, styles[0])
    elif painting.colors == "histogram":
        seen = [match_colors(style, content.pixels) for style in styles]
    elif painting.colors == "luminance":
        shown = match_lightness(shown, shown)
        seen = [match_lightness(style, shown) for style in styles]
    objective = objective_of(painting)
    taps = build_taps(painting, objective, seed=seed)
    arguments = {
        "styles": seen,
        "taps": taps,
        "objective": objective,
        "size": painting.size,
        "steps": painting.steps,
        "optimizer": LBFGS() if painting.optimizer == "lbfgs" else Adam(painting.learning_rate),
        "start": start,
        "noise_share": painting.noise_share,
        "smallest": painting.smallest,
        "style_weights": painting.style_weights or None,
        "style_scale": painting.style_scale,
        "masks": masks,
        "memory": activation_memory(painting, content.pixels.shape[:2]),
        "seed": seed,
    }
    return Canvas(painting, content, styles, shown, arguments)


@functools.cache
def embedded_style(seed: int) -> np.ndarray:
    """Returns the painting that this program draws, float32 (h, w, 3)."""
    painting = draw_painting(seed=seed).astype(np.float32)
    painting.flags.writeable = False
    return painting


def build_taps(painting: Painting, objective: Objective, *, seed: int) -> keras.Model:
    """Builds the network for an objective."""
    if not objective.layers:
        raise UserError("There is nothing to optimize: --content-weight and --style-weight are both 0.")
    return build_style_taps(
        network=painting.network,
        weights=weights_of(painting),
        pooling=painting.pooling,
        padding=painting.padding,
        layers=objective.layers,
        seed=seed,
    )


def activation_memory(painting: Painting, shape: tuple[int, int]) -> int | None:
    """Returns what --max-memory leaves for the network's activations after the process and the optimizer's images."""
    kept = 2 * LBFGS().memory + 12 if painting.optimizer == "lbfgs" else 12
    return memory_left(
        painting.max_memory, fit_size(shape, painting.size), images=kept, remedy="give more, or --optimizer adam"
    )


def paint(run: Run, canvas: Canvas, *, save_every: int | None = None) -> Outcome:
    """Paints in a run folder, from the checkpoint if there is one; see `optimize_image`."""
    job = ImageJob(
        lambda state: canvas.steps(resume=state),
        canvas.total,
        canvas.image_of,
        canvas.content,
        digest_of(canvas.painting),
        remedy="Continue with --resume --max-memory 4GB, or start again with a smaller --size.",
    )
    return optimize_image(run, job, save_every=save_every)


def digest_of(painting: Painting) -> str:
    """Returns a text that changes where an input image, or a file of weights, does."""
    digest = hashlib.blake2b(digest_size=8)
    for path in (painting.content or "", *painting.style, *painting.masks, painting.start, painting.weights or ""):
        if Path(path).is_file():
            digest.update(hashlib.blake2b(Path(path).read_bytes()).digest())
    return digest.hexdigest()
