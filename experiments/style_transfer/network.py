"""What the style-transfer experiment paints and how: options, pictures, network, and the calls of `stylize`."""

import functools
import math
import re
import resource
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_sample_image

from kerasapps.applications.style_transfer import build_style_taps
from kerasapps.data.paintings import draw_painting
from kerasapps.data.pictures import SUFFIXES, Photo, read_photo, read_picture
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.styling import LBFGS, PRESETS, Adam, Objective, Step, stylize
from kerasapps.styling.colors import match_colors, match_lightness, with_colors_of
from kerasapps.styling.loop import STARTS, fit_size, resize, scale_sizes

Colors = Literal["style", "free", "luminance", "histogram"]
UNITS = {"": 1, "MB": 10**6, "GB": 10**9, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class Painting:
    """What is painted, and how.

    Args:
        content: A picture; by default a photograph that comes with scikit-learn.
        style: Pictures, one or more; by default a painting that this program draws.
        style_weights: How much each style counts; by default all the same.
        masks: Grey pictures of the content's size, one a style, white where it applies; by default everywhere.
        colors: "style" gives the content the first style's colours before anything else, "free" leaves colours to
            the network, "luminance" and "histogram" keep those of the content: by transferring lightness alone, or by
            giving the styles the content's colours first.
        size: Longer side of the result in pixels.
        steps: Evaluations of loss and gradient at each size.
        optimizer: How to go down.
        learning_rate: Of Adam, in steps of 255.
        start: "content", "style", "noise", "blank", "statistics" (noise in the style's colours), or a picture.
        noise_share: Share of noise mixed into the start, from 0 to 1.
        smallest: Longer side of the smallest size; that of the result for one size only.
        style_scale: Longer side of the styles as a share of that of the result.
        network: VGG-16, VGG-19, or VGG-16 at half its width.
        weights: "trained" (of the compact network, in this package), "random", "imagenet" (downloaded once), or an .h5
            or .keras file in the layout of keras.applications; by default trained where there are such, else random.
        pooling: How activations are made smaller.
        padding: What the network sees beyond the edge: the picture itself, or zeros as in VGG, which leave a frame.
        preset: "default", or layers and weights of the lectures, "vgg16", "vgg19" and "vgg19_blank", with their losses
            as they are: made for that --network with --weights imagenet. What is given beside it counts instead.
        content_layers: NAME or NAME=WEIGHT, such as block4_conv2.
        style_layers: NAME or NAME=WEIGHT.
        content_weight: Weight of the content loss.
        style_weight: Weight of the style loss.
        tv_weight: Weight of the total variation, which smooths.
        max_memory: Memory that may be used, such as 4GB, on a GPU that of the GPU; a picture that needs more is
            computed in tiles.
    """

    content: Path | None = None
    style: tuple[Path, ...] = ()
    style_weights: tuple[float, ...] = ()
    masks: tuple[Path, ...] = ()
    colors: Colors = "style"
    size: int = 512
    steps: int = 60
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    learning_rate: float = 5.0
    start: str = "content"
    noise_share: float = 0.0
    smallest: int = 128
    style_scale: float = 1.0
    network: Literal["vgg16", "vgg19", "compact"] = "compact"
    weights: str | None = None
    pooling: Literal["max", "average", "l2"] = "average"
    padding: Literal["mirror", "zeros"] = "mirror"
    preset: Literal["default", "vgg16", "vgg19", "vgg19_blank"] = "default"
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    content_weight: float | None = None
    style_weight: float | None = None
    tv_weight: float | None = None
    max_memory: str | None = None


@dataclass(frozen=True)
class Canvas:
    """Everything that is read and built before the first step.

    Args:
        painting: The options.
        content: The content as it was read.
        styles: The styles as they were read, each (h, w, 3).
        shown: The content as the network is to see it.
        arguments: Of `stylize`, beside the content.
    """

    painting: Painting
    content: Photo
    styles: list[np.ndarray]
    shown: np.ndarray
    arguments: Mapping[str, Any]

    def steps(self, resume: Mapping[str, np.ndarray] | None = None, **changes) -> Iterator[Step]:
        """Paints."""
        return stylize(self.shown, **self.arguments | changes, resume=resume)

    def picture(self, step: Step) -> np.ndarray:
        """Returns the picture of a step in the colours asked for, float32 (H, W, 3)."""
        if self.painting.colors != "luminance":
            return step.image
        return with_colors_of(step.image, resize(self.content.pixels, step.scale).numpy())

    @property
    def total(self) -> int:
        """Evaluations that the whole painting takes at most."""
        sizes = scale_sizes(self.shown.shape[:2], size=self.painting.size, smallest=self.painting.smallest)
        return self.painting.steps * len(sizes)


def painting_of(given: Painting, *, options: Options) -> Painting:
    """Returns the options of a painting, shrunk by --smoke.

    Raises:
        UserError: If an option makes no sense.
    """
    if options.strategy != "none":
        raise UserError(f"--strategy {options.strategy} has nothing to share here: a picture is painted on one device.")
    for name in ("size", "steps", "smallest", "style_scale", "learning_rate"):
        if not getattr(given, name) > 0:
            raise UserError(f"--{name.replace('_', '-')} must be above 0. Received: {getattr(given, name)}")
    memory_of(given.max_memory)
    return replace(given, size=options.shrink(given.size, 64), steps=options.shrink(given.steps, 3))


def check_folder(options: Options) -> None:
    """Refuses an --out that names a picture, where a folder is written.

    Raises:
        UserError: So it says.
    """
    if options.out is not None and options.out.suffix.lower() in SUFFIXES:
        raise UserError(f"--out must name a folder here, not a picture. Received: {options.out}")


def with_params(painting: Painting, params: dict[str, Any]) -> Painting:
    """Returns a painting with what a search found.

    Raises:
        UserError: If that is for something else.
    """
    params = dict(params)
    if "content_layer" in params:
        params["content_layers"] = (params.pop("content_layer"),)
    unknown = sorted(params.keys() - vars(painting).keys())
    if unknown:
        raise UserError(f"--params holds what is no option of a painting: {', '.join(unknown)}.")
    return replace(painting, **{name: as_option(name, value) for name, value in params.items()})


def as_option(name: str, value: Any) -> Any:
    """Turns text, or what JSON holds, into what an option of a painting takes; in text, + joins several values.

    Raises:
        UserError: If it does not fit.
    """
    hint = typing.get_type_hints(Painting)[name]
    choices = typing.get_args(hint)
    several = typing.get_origin(hint) is tuple
    kind = choices[0] if several else next((kind for kind in choices if kind is not type(None)), hint)
    try:
        if several:
            return tuple(kind(str(part)) for part in (value.split("+") if isinstance(value, str) else value))
        if typing.get_origin(hint) is Literal:
            return choices[choices.index(value)]
        return None if value is None and type(None) in choices else kind(str(value))
    except (TypeError, ValueError):
        rule = f"must be one of {', '.join(choices)}" if isinstance(kind, str) else f"takes {kind.__name__}"
        raise UserError(f"--{name.replace('_', '-')} {rule}. Received: {value}") from None


def prepare(painting: Painting, *, seed: int) -> Canvas:
    """Reads the pictures and builds the network.

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
    """Builds the network for an objective, and lets the sentence of what is wrong with it through."""
    if not objective.layers:
        raise UserError("Nothing is asked of the picture: --content-weight and --style-weight are both 0.")
    return build_style_taps(
        network=painting.network,
        weights=weights_of(painting),
        pooling=painting.pooling,
        padding=painting.padding,
        layers=objective.layers,
        seed=seed,
    )


def weights_of(painting: Painting) -> str:
    """Returns the weights that are given, or else the best that need no network."""
    return painting.weights or ("trained" if painting.network == "compact" else "random")


def objective_of(painting: Painting) -> Objective:
    """Returns the preset with what is given beside it."""
    objective = PRESETS[painting.preset]
    given = {
        name: read_layers(getattr(painting, name))
        for name in ("content_layers", "style_layers")
        if getattr(painting, name)
    }
    for name in ("content_weight", "style_weight", "tv_weight"):
        value = getattr(painting, name)
        if value is not None:
            if value < 0:
                raise UserError(f"--{name.replace('_', '-')} must be 0 or more. Received: {value}")
            given[name] = value
    return replace(objective, **given)


def read_layers(layers: tuple[str, ...]) -> dict[str, float]:
    """Reads NAME or NAME=WEIGHT.

    Raises:
        UserError: If a weight is no number above 0.
    """
    result = {}
    for layer in layers:
        name, _, weight = layer.partition("=")
        try:
            result[name] = float(weight or 1)
        except ValueError:
            result[name] = math.nan
        if not result[name] > 0:
            raise UserError(f"A layer is NAME or NAME=WEIGHT, its weight above 0. Received: {layer}")
    return result


def memory_of(text: str | None) -> int | None:
    """Reads an amount of memory, such as 4GB or 500MiB.

    Raises:
        UserError: If it is none.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?i?B?)", text.strip(), re.IGNORECASE)
    unit = found[2].upper() if found else "?"
    if unit not in UNITS:
        raise UserError(f"--max-memory takes an amount such as 4GB or 500MiB. Received: {text}")
    return int(float(found[1]) * UNITS[unit])


def activation_memory(painting: Painting, shape: tuple[int, int]) -> int | None:
    """Returns what --max-memory leaves to the network's activations beside the process and the optimizer's pictures."""
    most = memory_of(painting.max_memory)
    if most is None:
        return None
    used = memory_held()
    kept = 2 * LBFGS().memory + 12 if painting.optimizer == "lbfgs" else 12
    picture = 12 * math.prod(fit_size(shape, painting.size))  # bytes: three float32 a pixel
    left = most - used - kept * picture
    if left <= 0:
        raise UserError(
            f"--max-memory {painting.max_memory} is less than the {(used + kept * picture) / 1e9:.1f} GB that the "
            "program and the optimizer's pictures take: give more, or --optimizer adam."
        )
    return left


def memory_held() -> int:
    """Returns the bytes that the process holds now, on a GPU those of the GPU."""
    if tf.config.get_visible_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["current"]
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the most so far: there is no simple way to more
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
