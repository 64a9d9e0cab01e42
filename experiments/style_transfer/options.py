"""What the style-transfer experiment paints and how: its options, and what they mean."""

import typing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.settings import Count, Positive, Side, Text, Weight, check_ranges, memory_of, option, or_none, ranged
from kerasapps.styling import PRESETS, Objective

from ..shared.image_options import read_layers

Colors = Literal["style", "free", "luminance", "histogram"]


@dataclass(frozen=True)
class Painting:
    """What is painted, and how.

    Args:
        content: Content image; by default a photograph that comes with scikit-learn.
        style: Style images, one or more; by default a painting that this program draws.
        style_weights: Weight of each style; by default all the same.
        masks: Gray images of the content's size, one per style, white where it applies; by default everywhere.
        colors: "style" gives the content the first style's colors before anything else, "free" leaves colors to the
            network, "luminance" and "histogram" keep those of the content: by transferring lightness alone, or by
            giving the styles the content's colors first.
        size: Longer side of the result in pixels.
        steps: Evaluations of loss and gradient at each size.
        optimizer: How the loss is minimized.
        learning_rate: Learning rate of Adam; pixels range from 0 to 255.
        start: "content", "style", "noise", "blank", "statistics" (noise in the style's colors), or an image.
        noise_share: Share of noise mixed into the start.
        smallest: Longer side of the first, smallest size; one that is not below --size paints at that size only.
        style_scale: Longer side of the styles, relative to that of the result.
        network: VGG-16, VGG-19, or compact: VGG-16 at half its width.
        weights: "trained" (included, for compact), "random", "imagenet" (downloaded once), or an .h5 or .keras file in
            the layout of keras.applications; by default trained for compact and random for the others.
        pooling: Kind of the pooling layers.
        padding: How convolutions pad images: mirrored, or with zeros as in VGG, which leaves a frame.
        preset: "default", or layers, weights and losses of the course notes: "vgg16", "vgg19" and "vgg19_blank", made
            for that --network with --weights imagenet. Other options override it.
        content_layers: Layers of the content loss as NAME or NAME=WEIGHT, such as block4_conv2.
        style_layers: Layers of the style loss as NAME or NAME=WEIGHT.
        content_weight: Weight of the content loss.
        style_weight: Weight of the style loss.
        tv_weight: Weight of the total variation, which smooths.
        max_memory: Most memory to use, such as 4GB, on a GPU that of the GPU; a larger image is computed in tiles.
    """

    content: Path | None = None
    style: tuple[Path, ...] = ()
    style_weights: tuple[Weight, ...] = ()
    masks: tuple[Path, ...] = ()
    colors: Colors = "style"
    size: Side = 512
    steps: Count = 60
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    learning_rate: Positive = 5.0
    start: str = "content"
    noise_share: ranged(float, least=0, most=1) = 0.0
    smallest: Side = 128
    style_scale: ranged(float, above=0, most=100) = 1.0
    network: Literal["vgg16", "vgg19", "compact"] = "compact"
    weights: or_none(Text) = None
    pooling: Literal["max", "average", "l2"] = "average"
    padding: Literal["mirror", "zeros"] = "mirror"
    preset: Literal["default", "vgg16", "vgg19", "vgg19_blank"] = "default"
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    content_weight: or_none(Weight) = None
    style_weight: or_none(Weight) = None
    tv_weight: or_none(Weight) = None
    max_memory: str | None = None


def painting_of(given: Painting, *, options: Options) -> Painting:
    """Returns the options of a painting, shrunk by --smoke.

    Raises:
        UserError: If an option makes no sense.
    """
    if options.strategy != "none":
        raise UserError(f"--strategy {options.strategy} has no effect here: an image is painted on one device.")
    check_ranges({}, {"painting": given})
    memory_of(given.max_memory)
    return options.shrunk(given, size=64, steps=3)


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
        raise UserError(f"{option(name)} {rule}. Received: {value}") from None


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
            given[name] = value
    return replace(objective, **given)
