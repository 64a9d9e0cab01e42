"""The network that dreams, and the dream as an image that is optimized in a run folder."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_sample_image

from kerasapps import feature_taps
from kerasapps.applications.style_transfer import NETWORKS, build_style_taps, convolution_shapes
from kerasapps.data.pictures import Photo, read_photo
from kerasapps.errors import UserError
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, Side, Text, check_ranges, memory_of, or_none, ranged
from kerasapps.styling.dream import Dream, Dreamer, DreamObjective, DreamStep, deep_dream, octave_sizes, zoomed
from kerasapps.styling.loop import fit_size, resize

from ..shared.image_options import memory_left, read_layers
from ..shared.images import as_bytes
from ..shared.keras_applications import keras_application
from ..shared.optimizing import ImageJob, Outcome, optimize_image

LAYERS = ("block4_conv2=1", "block3_conv2=0.5")
ZOOM_SIDE, ZOOM_STEPS = 256, 4
COPIES = 8  # of the image, that a step keeps


@dataclass(frozen=True)
class Dreaming:
    """What is dreamt over which image, and by which network.

    Args:
        content: The image; by default a photograph that comes with scikit-learn.
        layers: Layers that are to react more strongly, as NAME or NAME=WEIGHT; by default block4_conv2=1 and
            block3_conv2=0.5.
        channel: Only this channel of the layers; all by default.
        guide: An image whose features are sought, in place of whatever the network sees already.
        size: Longer side of the result in pixels; "None" keeps that of the image.
        octaves: Number of sizes, the image's own the last.
        octave_scale: How much longer a side is at each next size.
        steps: Steps at each size; with 0 the image stays as it is.
        step_size: How far a step moves a pixel on average, of 255.
        jitter: Pixels that the image is rolled by at most before each step.
        network: compact, vgg16, vgg19, or a network of keras.applications with --weights, such as InceptionV3.
        weights: "trained" (included, for compact), "imagenet" (downloaded once, for VGG), or a file of weights.
        zoom: Frames of an animation that dreams on while it zooms in.
        max_memory: Most memory to use, such as 4GB; a larger image is computed in tiles, with the same result.
    """

    content: Path | None = None
    layers: tuple[str, ...] = ()
    channel: or_none(ranged(int, least=0)) = None
    guide: Path | None = None
    size: or_none(Side) = 512
    octaves: Count = 4
    octave_scale: ranged(float, above=1, most=10) = 1.4
    steps: ranged(int, least=0, most=10_000) = 20
    step_size: Positive = 1.5
    jitter: ranged(int, least=0, most=10_000) = 32
    network: Text = "compact"
    weights: or_none(Text) = None
    zoom: ranged(int, least=0, most=1000) = 0
    max_memory: str | None = None


def dreaming_of(given: Dreaming, *, options: Options) -> Dreaming:
    """Returns the options of a dream, shrunk by --smoke.

    Raises:
        UserError: If an option makes no sense.
    """
    if options.strategy != "none":
        raise UserError(f"--strategy {options.strategy} has no effect here: an image is changed on one device.")
    check_ranges({}, {"dreaming": given})
    memory_of(given.max_memory)
    if given.guide is not None and given.channel is not None:
        raise UserError("--guide seeks the features of all channels: leave out --channel, or --guide.")
    given = replace(given, size=given.size or 16_384) if options.smoke else given
    return options.shrunk(given, size=64, steps=2, octaves=2, zoom=2)


def dreamer_of(dreaming: Dreaming, names: tuple[str, ...]) -> Dreamer:
    """Builds the network up to the deepest layer.

    Raises:
        UserError: If there is no such network, layer or file.
    """
    network, weights = dreaming.network, dreaming.weights
    if network in NETWORKS:
        known = convolution_shapes(network)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UserError(f"--layers {unknown[0]} is none of {network}: {', '.join(known)}.")
        weights = weights or ("trained" if network == "compact" else "imagenet")
        taps = build_style_taps(network=network, weights=weights, layers=names, pooling="max", padding="mirror")
        return Dreamer(taps)
    if not callable(getattr(keras.applications, network, None)):
        raise UserError(f"--network takes {', '.join(NETWORKS)}, or one of keras.applications. Received: {network}")
    file = None if weights is None else Path(weights)
    model, preprocess_input = keras_application(network, file, option="--network", include_top=False)
    try:
        taps = feature_taps(model, names)
    except ValueError as error:
        raise UserError(f"--network {network}: {' '.join(str(error).split())[:160]}") from None
    return Dreamer(taps, lambda image: preprocess_input(tf.identity(image)))


@dataclass(frozen=True)
class Prepared:
    """Everything that is read and built before the first step."""

    dreaming: Dreaming
    photo: Photo
    image: np.ndarray
    objective: DreamObjective

    def steps(self, state=None) -> Iterator[DreamStep]:
        """Yields the steps of the dream."""
        return deep_dream(self.image, self.objective, resume=state)

    @property
    def total(self) -> int:
        """Steps at all sizes."""
        dream = self.objective.dream
        return max(1, dream.steps * len(octave_sizes(self.image.shape[:2], dream)))


def prepare(dreaming: Dreaming, *, seed: int) -> Prepared:
    """Reads the images and builds the network.

    Raises:
        UserError: If something is missing or does not fit.
    """
    photo = Photo(load_sample_image("china.jpg").astype(np.float32)) if dreaming.content is None else None
    photo = photo or read_photo(dreaming.content)
    shape = photo.pixels.shape[:2]
    shape = shape if dreaming.size is None else fit_size(shape, dreaming.size)
    layers = read_layers(dreaming.layers or LAYERS)
    dreamer = dreamer_of(dreaming, tuple(layers))
    width = min(dreamer.taps.output[name].shape[-1] for name in layers)
    if dreaming.channel is not None and dreaming.channel >= width:
        raise UserError(f"--channel {dreaming.channel} is out of range: the layers have channels 0 to {width - 1}.")
    dream = Dream(
        layers,
        dreaming.channel,
        dreaming.octaves,
        dreaming.octave_scale,
        dreaming.steps,
        dreaming.step_size,
        dreaming.jitter,
        seed,
    )
    guide = None if dreaming.guide is None else read_photo(dreaming.guide).pixels
    if guide is not None and max(guide.shape[:2]) > 224:
        guide = resize(guide, fit_size(guide.shape[:2], 224)).numpy()
    memory = memory_left(dreaming.max_memory, shape, images=COPIES, remedy="give more, or take a smaller --size")
    if memory is not None and not dreamer.in_tiles:
        raise UserError(f"--max-memory is for compact, vgg16 and vgg19, not for {dreaming.network}.")
    objective = DreamObjective(dreamer, dream, guide=guide, memory=memory)
    return Prepared(dreaming, photo, resize(photo.pixels, shape).numpy(), objective)


def optimize(run: Run, prepared: Prepared, *, save_every: int | None = None) -> Outcome:
    """Dreams in a run folder, from the checkpoint if there is one; see `optimize_image`."""
    job = ImageJob(
        prepared.steps,
        prepared.total,
        lambda step: step.image,
        prepared.photo,
        digest_of(prepared.dreaming),
        remedy="Continue with --resume --max-memory 4GB, or start again with a smaller --size.",
    )
    return optimize_image(run, job, save_every=save_every)


def digest_of(dreaming: Dreaming) -> str:
    """Returns a text that changes where an input image, or a file of weights, does."""
    digest = hashlib.blake2b(digest_size=8)
    for path in filter(None, (dreaming.content, dreaming.guide, dreaming.weights)):
        if Path(path).is_file():
            digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def zoom_frames(prepared: Prepared, image: np.ndarray, count: int) -> list[np.ndarray]:
    """Returns frames that zoom into a dream, which goes on in each, uint8 (h, w, 3)."""
    image = resize(image, fit_size(image.shape[:2], min(ZOOM_SIDE, max(image.shape[:2])))).numpy()
    dream = replace(prepared.objective.dream, octaves=1, steps=ZOOM_STEPS)
    objective = DreamObjective(prepared.objective.dreamer, dream)
    objective.guides = prepared.objective.guides
    frames = [as_bytes(image)]
    for _ in range(count):
        *_, last = deep_dream(np.clip(zoomed(image, 1.05), 0, 255), objective)
        image = last.image
        frames.append(as_bytes(image))
    return frames
