"""What activates a unit the most: images of a data set, and an image made for it by gradient ascent.

References: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014 (images of a data set);
Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017 (ascent in Fourier space, jitter).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kerasapps.blocks.arguments import check_at_least, check_positive
from kerasapps.inside.networks import called, check_unit, inputs_of, layer_at, recorded
from kerasapps.inside.probe import Inputs, Probe, logits_of
from kerasapps.inside.receptive import receptive_field

LOUDNESS, TRIES = (0.1, 0.5, 2.0), 6  # of the first waves, and how often each is tried


@dataclass(frozen=True)
class Best:
    """Where a unit was activated the most.

    Args:
        rows: Rows of the data set, the strongest first, int (k,).
        values: The activations, float32 (k,).
        places: Where in the layer, int (k, 2); zeros where it has no height and width.
        boxes: Top, left, bottom and right of what the unit sees there, the last two outside, int (k, 4).
        dead: Whether it is 0 or less for every row.
    """

    rows: np.ndarray
    values: np.ndarray
    places: np.ndarray
    boxes: np.ndarray
    dead: bool


def strongest_images(
    probe: Probe, inputs: Inputs, layer: str, units: Sequence[int], *, count: int = 9
) -> dict[int, Best]:
    """Scans a data set for the images that activate units the most, each image once.

    Args:
        probe: The network.
        inputs: The data set.
        layer: Name of the layer.
        units: Channels of it, or numbers of a vector.
        count: Images for each unit.

    Raises:
        ValueError: If there is no such layer or unit, or `count` is under 1.
    """
    check_at_least(1, count=count)
    layer_at(probe.model, layer)
    best, at = probe.run(("best", layer), _peaks(layer), inputs, layers=(layer,))
    height, width = inputs[probe.image].shape[1:3]
    field = receptive_field(probe.model, layer)
    result = {}
    for unit in units:
        check_unit(unit, best.shape[1], layer=layer)
        rows = np.argsort(-best[:, unit], kind="stable")[:count]
        places = at[rows, unit].astype(int)
        boxes = np.tile([0, 0, height, width], (len(rows), 1))
        if field is not None:
            for box, (row, column) in zip(boxes, places, strict=True):
                (box[0], box[2]), (box[1], box[3]) = field[0].of(row, height), field[1].of(column, width)
        values = best[rows, unit]
        result[unit] = Best(rows, values, places, boxes, bool(best[:, unit].max() <= 0))
    return result


def _peaks(layer: str):
    """Returns the question for the highest activation of each channel and where it is."""

    def peaks(given, seen, outputs):
        values = tf.cast(seen[layer], tf.float32)
        if values.shape.rank != 4:
            values = tf.reshape(values, (tf.shape(values)[0], 1, 1, values.shape[-1]))
        shape = tf.shape(values)
        flat = tf.reshape(values, (shape[0], shape[1] * shape[2], values.shape[-1]))
        at = tf.argmax(flat, 1, tf.int32)  # (B, C)
        return [tf.reduce_max(flat, 1), tf.stack([at // shape[2], at % shape[2]], -1)]

    return peaks


@dataclass(frozen=True)
class Ascent:
    """How an image is made for a unit.

    Args:
        steps: Steps of gradient ascent.
        learning_rate: Size of a step of Adam.
        jitter: Pixels that the image is rolled by at most in each step.
        decay: How much the amplitude of waves falls with their frequency: 1 as in photographs, 0 for none. At the
            default units react about a fifth more than at 1, where some do not reach twice what the data reach.
        values: Least and largest value of a pixel.
        seed: Seed of the first image and of the jitter.
    """

    steps: int = 128
    learning_rate: float = 0.1
    jitter: int = 2
    decay: float = 0.5
    values: tuple[float, float] = (0.0, 255.0)
    seed: int = 0

    def __post_init__(self):
        check_at_least(1, steps=self.steps)
        check_at_least(0, jitter=self.jitter, decay=self.decay, seed=self.seed)
        check_positive(learning_rate=self.learning_rate)


@dataclass(frozen=True)
class Made:
    """Images made for units.

    Args:
        images: The images, float32 (n, H, W, C).
        values: The activation of each unit's strongest position, with the finished images, float32 (n,).
        curve: The same in every step, with the jitter of that step, (steps, n).
    """

    images: np.ndarray
    values: np.ndarray
    curve: np.ndarray


def ascend(probe: Probe, units: Sequence[int], shape: tuple[int, int, int], ascent: Ascent = Ascent()) -> Made:
    """Makes an image for each unit that activates it, in the space of its Fourier transform.

    The image is a sum of waves, so that a step does not add the noise that a gradient of pixels has, and is squashed
    into the range of pixels.

    Args:
        probe: The network, and the layer or output that the units are of.
        units: The units, one image each.
        shape: Height, width and channels of the images.
        ascent: How.

    Raises:
        ValueError: If there is no such unit.
    """
    for unit in units:
        check_unit(unit, probe.width(), layer=probe.layer or probe.output)
    rng, (height, width, channels) = np.random.default_rng(ascent.seed), shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    scale = 1 / np.maximum(frequency, 1 / max(height, width)) ** ascent.decay
    scale = tf.constant(scale * np.sqrt(height * width / np.mean(scale**2)), tf.complex64)
    size = (len(units), channels, *scale.shape)
    waves = tf.Variable(tf.zeros((2, *size)))
    optimizer = _Adam(ascent.learning_rate)
    step = _step_of(probe, np.asarray(units, np.int32), waves, scale, shape, ascent, optimizer)
    waves.assign(_first_waves(step.activation, size, rng, scale, shape, ascent.values))
    curve = [step(tf.constant(shift), tf.constant(i + 1.0)).numpy() for i, shift in enumerate(_shifts(ascent, rng))]
    images = _image(waves, scale, shape, ascent.values)
    last = step.activation(images).numpy()
    return Made(images.numpy(), last, np.array(curve))


def _first_waves(activation, size, rng, scale, shape, values) -> np.ndarray:
    """Draws waves until each unit reacts, louder every few times: a ReLU that is off has no gradient to climb."""
    kept, highest = None, None
    for loudness in np.repeat(LOUDNESS, TRIES):
        waves = (loudness * rng.standard_normal((2, *size))).astype(np.float32)
        found = activation(_image(waves, scale, shape, values)).numpy()
        if kept is None:
            kept, highest = waves, found
        better = (highest <= 0) & (found > highest)
        kept[:, better], highest[better] = waves[:, better], found[better]
        if (highest > 0).all():
            break
    return kept


def _shifts(ascent: Ascent, rng: np.random.Generator) -> np.ndarray:
    """Returns how far to roll in each step, int32 (steps, 2)."""
    return rng.integers(-ascent.jitter, ascent.jitter + 1, (ascent.steps, 2)).astype(np.int32)


def _image(waves, scale, shape, values):
    """Returns images from the two parts of their waves, float32 (n, H, W, C)."""
    pixels = tf.signal.irfft2d(tf.complex(waves[0], waves[1]) * scale, fft_length=shape[:2])  # (n, C, H, W)
    low, high = values
    return low + (high - low) * tf.sigmoid(tf.transpose(pixels, (0, 2, 3, 1)))


class _Adam:
    """Adam for one variable, without the state that Keras would register."""

    def __init__(self, rate: float):
        self.rate, self.moments = rate, None

    def apply(self, x: tf.Variable, gradient, count) -> None:
        if self.moments is None:
            with tf.init_scope():
                self.moments = [tf.Variable(tf.zeros(x.shape)) for _ in range(2)]
        first, second = self.moments
        first.assign(0.9 * first + 0.1 * gradient)
        second.assign(0.99 * second + 0.01 * tf.square(gradient))
        x.assign_add(self.rate * (first / (1 - 0.9**count)) / (tf.sqrt(second / (1 - 0.99**count)) + 1e-12))


def _step_of(probe: Probe, units, waves, scale, shape, ascent: Ascent, optimizer: _Adam):
    """Returns a compiled step: (shift, count) -> activation of each unit before it, (n,)."""
    others = _others(probe)

    def activation(images):
        given = {name: tf.zeros((len(units), *one), dtype) for name, (one, dtype) in others.items()}
        found = {probe.layer: layer_at(probe.model, probe.layer)} if probe.layer else {}
        with recorded(found) as seen:
            outputs = called(probe.model, given | {probe.image: images})
        values = seen[probe.layer] if probe.layer else logits_of(outputs[probe.output])
        values = tf.cast(values, tf.float32)
        if values.shape.rank > 2:
            values = tf.reduce_max(values, [*range(1, values.shape.rank - 1)])
        return tf.gather(values, units, batch_dims=1)

    @tf.function(autograph=False)
    def step(shift, count):
        with tf.GradientTape() as tape:
            images = tf.roll(_image(waves, scale, shape, ascent.values), shift, (1, 2))
            values = activation(images)
            total = tf.reduce_sum(values)
        optimizer.apply(waves, tape.gradient(total, waves), count)
        return values

    step.activation = tf.function(activation, autograph=False)
    return step


def _others(probe: Probe) -> Mapping[str, tuple[tuple[int, ...], tf.DType]]:
    """Returns shape and dtype of the inputs beside the image; they are 0, and of length 1 where any would do."""
    return {
        name: (tuple(side or 1 for side in tensor.shape[1:]), tf.as_dtype(tensor.dtype))
        for name, tensor in inputs_of(probe.model).items()
        if name != probe.image
    }
