"""Deep Dream: an image is changed so that layers of a network react to it more strongly, at sizes that grow.

Reference: Mordvintsev, Olah and Tyka, "Inceptionism: Going Deeper into Neural Networks", Google Research, 2015.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from kerasapps.blocks.arguments import check_at_least, check_positive, refusal
from kerasapps.blocks.backend import require_tensorflow
from kerasapps.blocks.style import preprocess
from kerasapps.errors import UserError
from kerasapps.styling.tiling import AnySize, Tiling, stride_of

NOTHING = 1e-8
EDGE = 2  # activations at each edge that do not count: they see the padding, and would grow into a frame
SMALLEST = 32  # pixels of the shorter side at the first size
SMALLEST_OTHERWISE = 75  # what the networks of keras.applications take


@dataclass(frozen=True)
class Dreamer:
    """What looks at the image.

    Args:
        taps: A network whose outputs are the activations of layers by name.
        prepare: From images of 0 to 255 to what it takes; by default as VGG expects them.
    """

    taps: keras.Model
    prepare: Callable = preprocess

    def features(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the activations of the layers, from an image (1, H, W, 3)."""
        name = self.taps.inputs[0].name
        return self.taps({name: self.prepare(image)}, training=False)

    @property
    def in_tiles(self) -> bool:
        """Whether its layers are those of a VGG, of which it is known what a tile needs."""
        return all(re.fullmatch(r"block\d_(conv\d|pool)", name) for name in self.taps.output_names)


@dataclass(frozen=True)
class Dream:
    """What is dreamt, and how.

    Args:
        layers: Weight of each layer; a negative one suppresses what it sees.
        channel: Only this channel of each layer; all by default.
        octaves: Number of sizes.
        octave_scale: How much longer a side is at each next size.
        steps: Steps at each size.
        step_size: How far a step moves a pixel on average, of 255.
        jitter: Pixels that the image is rolled by at most before each step, which hides the grid of the strides.
        seed: Seed of that.
    """

    layers: Mapping[str, float] = field(default_factory=lambda: {"block4_conv2": 1.0})
    channel: int | None = None
    octaves: int = 4
    octave_scale: float = 1.4
    steps: int = 20
    step_size: float = 1.5
    jitter: int = 32
    seed: int = 0

    def __post_init__(self):
        if not self.layers or not any(self.layers.values()):
            raise refusal("have a weight other than 0", layers=dict(self.layers))
        check_at_least(1, octaves=self.octaves)
        check_at_least(0, steps=self.steps, jitter=self.jitter, seed=self.seed)
        check_positive(step_size=self.step_size)
        if not self.octave_scale > 1:
            raise refusal("be above 1", octave_scale=self.octave_scale)


@dataclass(frozen=True)
class DreamStep:
    """An intermediate result.

    Args:
        step: Steps so far, over all sizes.
        scale: Height and width of the image.
        losses: "objective", of the image before the step, and "total", which is its negative.
        state: All that is needed to continue from here.
        image: The image, 0 to 255, float32 (H, W, 3).
    """

    step: int
    scale: tuple[int, int]
    losses: Mapping[str, float]
    state: Mapping[str, np.ndarray]
    image: np.ndarray


class DreamObjective:
    """The objective of an image and its gradient, for the whole image or one tile after the other.

    The objective is a weighed sum over layers of the mean of squared activations; of the mean activation for a single
    channel; and with a guide the mean product of each activation with that of the guide that is most like it.

    Args:
        dreamer: What looks at the image.
        dream: What is dreamt.
        guide: An image whose activations are sought, 0 to 255, float32 (H, W, 3).
        memory: Bytes that the activations may take; by default as many as they need.

    Raises:
        ValueError: If the dreamer lacks a layer or channel, or `memory` is too small for the smallest tile, or the
            network is one that tiles are not known of.
    """

    def __init__(self, dreamer: Dreamer, dream: Dream, *, guide: np.ndarray | None = None, memory: int | None = None):
        outputs = dreamer.taps.output
        missing = sorted(set(dream.layers) - set(outputs))
        if missing:
            raise refusal(f"be outputs of the network, {', '.join(outputs)}", layers=missing)
        for name in dream.layers:
            width = outputs[name].shape[-1]
            if dream.channel is not None and not 0 <= dream.channel < width:
                raise refusal(f"be from 0 to {width - 1}, of {name}", channel=dream.channel)
        if memory is not None and not dreamer.in_tiles:
            raise ValueError("`memory` is for networks of the VGG family, of which it is known what a tile needs.")
        self.dreamer, self.dream = dreamer, dream
        self.tiling = Tiling(dreamer.taps, memory) if dreamer.in_tiles else None
        self.guides = {} if guide is None else self._of_guide(guide)
        self._whole, self._part = AnySize(self._whole_of), AnySize(self._part_of)

    def __call__(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the objective and its gradient (1, H, W, 3) for an image (1, H, W, 3)."""
        found = self.tiling.divide(image) if self.tiling else [None]
        if len(found) == 1:
            return self._whole(image)
        sizes = image.shape[1:3]
        total, gradient = 0.0, np.zeros(image.shape, np.float32)
        for tile in found:
            top, left, bottom, right = tile.padded
            place = tf.constant([*tile.core, *tile.padded, *sizes])
            value, part = self._part(tile.cut(image), place)
            gradient[:, top:bottom, left:right] += part.numpy()
            total += value
        return total, tf.constant(gradient)

    @property
    def smallest(self) -> int:
        """The least side of an image in pixels."""
        return max(map(stride_of, self.dream.layers)) if self.dreamer.in_tiles else SMALLEST_OTHERWISE

    def _of_guide(self, guide: np.ndarray) -> dict[str, tf.Tensor]:
        """Returns the activations of a guide by layer, (positions, C)."""
        features = self.dreamer.features(tf.constant(guide, tf.float32)[None])
        return {name: tf.reshape(features[name], (-1, features[name].shape[-1])) for name in self.dream.layers}

    def _whole_of(self, image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = self.dreamer.features(image)
            value = 0.0
            for name, weight in self.dream.layers.items():
                shape = tf.shape(features[name])
                # What is too small to have an inside counts whole.
                margin = tf.where(tf.reduce_min(shape[1:3]) > 2 * EDGE, EDGE, 0)
                inside = features[name][:, margin : shape[1] - margin, margin : shape[2] - margin]
                value += weight * self._reaction(name, inside) / self._count(name, inside)
        return value, tape.gradient(value, image)

    def _part_of(self, image, place):
        """Returns what a tile adds; `place` is its core, itself and the size of the image, int32 (10,)."""
        core, padded, sizes = place[:4], place[4:8], place[8:]
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = self.dreamer.features(image)
            value = 0.0
            for name, weight in self.dream.layers.items():
                stride = stride_of(name)
                sides = sizes // stride  # of the whole layer
                margin = tf.where(tf.reduce_min(sides) > 2 * EDGE, EDGE, 0)
                start, end = padded[:2] // stride, sides - margin
                first = tf.maximum(core[:2] // stride, margin) - start
                last = tf.minimum(tf.minimum(core[2:] // stride, end), sides) - start
                inside = features[name][:, first[0] : last[0], first[1] : last[1]]
                area = tf.cast(tf.reduce_prod(sides - 2 * margin), tf.float32)
                channels = 1.0 if self.dream.channel is not None else float(inside.shape[-1])
                value += weight * self._reaction(name, inside) / (area * channels)
        return value, tape.gradient(value, image)

    def _count(self, name, inside):
        """Returns the number of activations that count."""
        size = tf.size(inside) if self.dream.channel is None else tf.size(inside[..., 0])
        return tf.cast(tf.maximum(size, 1), tf.float32)

    def _reaction(self, name, inside):
        """Returns the sum over some activations (1, h, w, C) that is to rise."""
        inside = tf.cast(inside, tf.float32)
        if self.dream.channel is not None:
            return tf.reduce_sum(inside[..., self.dream.channel])
        if name not in self.guides:
            return tf.reduce_sum(tf.square(inside))
        here = tf.reshape(inside, (-1, inside.shape[-1]))  # (positions, C)
        there = tf.cast(self.guides[name], tf.float32)
        likest = tf.gather(there, tf.argmax(tf.matmul(here, there, transpose_b=True), 1))
        return tf.reduce_sum(here * tf.stop_gradient(likest))


def octave_sizes(shape: tuple[int, int], dream: Dream, *, smallest: int = SMALLEST) -> list[tuple[int, int]]:
    """Returns height and width at each size, the smallest first; sizes under `smallest` are left out."""
    factors = [dream.octave_scale**-i for i in reversed(range(dream.octaves))]
    sizes = [tuple(max(1, round(side * factor)) for side in shape) for factor in factors]
    return [size for size in sizes[:-1] if min(size) >= smallest] + [tuple(shape)]


def deep_dream(
    image: np.ndarray, objective: DreamObjective, *, resume: Mapping[str, np.ndarray] | None = None
) -> Iterator[DreamStep]:
    """Dreams over an image, coarse to fine; at each size the detail that is lost by shrinking is put back.

    Args:
        image: The image, 0 to 255, (H, W, 3).
        objective: What is dreamt, how, and by which network.
        resume: The state of an earlier step of a call with the same arguments, to continue from it.

    Returns:
        An iterator that yields a record after each step, and the image itself where there are no steps.

    Raises:
        UserError: If the image is too small for the network.

    Example:
        >>> taps = build_style_taps(network="compact", weights="trained", layers=("block4_conv2",))
        >>> for step in deep_dream(photo, DreamObjective(Dreamer(taps), Dream(steps=5))):  # photo (H, W, 3)
        ...     print(step.scale, step.losses["objective"])
    """
    require_tensorflow("Deep Dream")
    (height, width), least = image.shape[:2], objective.smallest
    if min(height, width) < least:
        raise UserError(f"The image has {width} x {height} pixels, and the network needs at least {least} each way.")
    sizes = octave_sizes((height, width), objective.dream)
    return _dream(tf.constant(image, tf.float32)[None], sizes, objective, resume)


def _dream(original, sizes, objective: DreamObjective, resume) -> Iterator[DreamStep]:
    dream = objective.dream
    x, octave, done, total = None, 0, 0, 0
    if resume is not None:
        octave, done, total = (int(resume[name]) for name in ("octave", "done", "total"))
        x = tf.constant(resume["x"])
    for i in range(octave, len(sizes)):
        base = _resized(original, sizes[i])
        if x is None:
            x = base
        elif done == 0 and tuple(x.shape[1:3]) != sizes[i]:
            lost = base - _resized(_resized(original, sizes[i - 1]), sizes[i])
            x = _resized(x, sizes[i]) + lost
        while done < dream.steps:
            shift = _shift(dream, total, sizes[i])
            value, gradient = objective(tf.roll(x, shift, (1, 2)))
            x = _moved(x, tf.roll(gradient, [-one for one in shift], (1, 2)), dream.step_size)
            done, total = done + 1, total + 1
            yield _step(x, float(value), i, done, total, sizes[i])
        done = 0
    if not dream.steps:
        yield _step(x, float(objective(x)[0]), len(sizes) - 1, 0, 1, sizes[-1])


def _step(x, value: float, octave: int, done: int, total: int, size: tuple[int, int]) -> DreamStep:
    state = {"x": x.numpy(), "octave": np.array(octave), "done": np.array(done), "total": np.array(total)}
    return DreamStep(total, size, {"total": -value, "objective": value}, state, np.clip(state["x"][0], 0, 255))


def _shift(dream: Dream, step: int, size: tuple[int, int]) -> list[int]:
    """Returns how far the image is rolled in a step, down and across."""
    most = min(dream.jitter, min(size) // 2)
    return np.random.default_rng([dream.seed, step]).integers(-most, most + 1, 2).tolist()


@tf.function(reduce_retracing=True)
def _moved(x, gradient, step_size):
    """Moves an image along its gradient; a pixel by `step_size` on average, and none where there is no gradient."""
    scale = tf.reduce_mean(tf.abs(gradient))
    return tf.clip_by_value(x + step_size * gradient / (scale + NOTHING * tf.cast(scale == 0, tf.float32)), 0.0, 255.0)


def _resized(x: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resizes images (1, H, W, 3)."""
    return x if tuple(x.shape[1:3]) == tuple(size) else tf.image.resize(x, size, "bilinear", antialias=True)


def zoomed(image: np.ndarray, factor: float) -> np.ndarray:
    """Enlarges the middle of an image to its size: (H, W, 3) -> float32 (H, W, 3)."""
    height, width = image.shape[:2]
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    return tf.image.resize(image[top : top + rows, left : left + columns], (height, width), "bicubic").numpy()
