"""Maps of what in an image speaks for a class, by gradients: (n, H, W), the higher the more.

References: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2014 (gradient); Smilkov et al.,
"SmoothGrad", 2017; Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017; Selvaraju et al.,
"Grad-CAM", ICCV 2017; Springenberg et al., "Striving for Simplicity", 2015 (guided); Zeiler and Fergus, "Visualizing
and Understanding Convolutional Networks", ECCV 2014 (DeconvNet).
"""

import contextlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasapps.blocks.arguments import check_at_least, refusal
from kerasapps.inside.networks import spatial_layers
from kerasapps.inside.probe import Inputs, Probe

STEPS, ROUNDS = 64, 6
SAMPLES = 25
NOISE = 0.1  # of the range of the image


def strength(gradient: np.ndarray) -> np.ndarray:
    """Reduces channels to the largest magnitude: (n, H, W, C) -> (n, H, W)."""
    return np.abs(gradient).max(-1)


def saliency(probe: Probe, inputs: Inputs, units: Sequence[int]) -> np.ndarray:
    """Returns the magnitude of the gradient."""
    return strength(probe.gradient(inputs, units)[1])


def gradient_times_input(probe: Probe, inputs: Inputs, units: Sequence[int]) -> np.ndarray:
    """Returns the gradient times the image: what the score owes to a pixel, to first order; negative against it."""
    return (probe.gradient(inputs, units)[1] * inputs[probe.image]).sum(-1)


def smooth_grad(
    probe: Probe,
    inputs: Inputs,
    units: Sequence[int],
    *,
    samples: int = SAMPLES,
    noise: float = NOISE,
    seed: int = 0,
) -> np.ndarray:
    """Returns the magnitude of the gradient, averaged over noisy images.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        samples: Noisy images of each.
        noise: Standard deviation of the noise, as a share of the image's range.
        seed: Seed of the noise.
    """
    check_at_least(1, samples=samples)
    image, rng = inputs[probe.image].astype(np.float32), np.random.default_rng(seed)
    axes = tuple(range(1, image.ndim))
    deviation = noise * (image.max(axes, keepdims=True) - image.min(axes, keepdims=True))
    total = np.zeros(image.shape[:3])
    for _ in range(samples):
        noisy = image + deviation * rng.standard_normal(image.shape, np.float32)
        total += strength(probe.gradient({**inputs, probe.image: noisy}, units)[1])
    return total / samples


def integrated_gradients(
    probe: Probe, inputs: Inputs, units: Sequence[int], *, steps: int = STEPS, baseline: float | np.ndarray = 0.0
) -> np.ndarray:
    """Returns what each pixel adds to the score on the straight way from a baseline, (n, H, W), negative against it.

    A quarter of the steps divides the way evenly. The rest halves the parts whose gradients explain the change of the
    score worst, since those of a network with ReLU change in jumps.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        steps: Gradients of each image, at least 4.
        baseline: The image without anything, in the unit of the image.
    """
    check_at_least(4, steps=steps)
    image = inputs[probe.image].astype(np.float32)
    start = np.broadcast_to(np.float32(baseline), image.shape)
    rows = [{name: one[i] for name, one in inputs.items()} for i in range(len(units))]
    return np.stack([_along(probe, *given, steps) for given in zip(rows, map(int, units), start, strict=True)])


def completeness_error(
    probe: Probe, inputs: Inputs, units: Sequence[int], maps: np.ndarray, *, baseline: float | np.ndarray = 0.0
) -> np.ndarray:
    """Returns how far maps of integrated gradients miss the change of the score, (n,).

    That is the difference between their sum and the change, as a share of the change, or of a hundredth of what is
    added and taken.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        maps: What each pixel adds, (n, H, W).
        baseline: Where the way began.
    """
    start = np.broadcast_to(np.float32(baseline), inputs[probe.image].shape)
    change = probe.scores(inputs, units) - probe.scores({**inputs, probe.image: start}, units)
    largest = np.maximum(np.abs(change), 0.01 * np.abs(maps).sum((1, 2)))
    return np.abs(maps.sum((1, 2)) - change) / np.maximum(largest, 1e-12)


def _along(probe: Probe, row: Inputs, unit: int, start: np.ndarray, steps: int) -> np.ndarray:
    """Integrates over the way to one image: what each pixel adds, (H, W)."""
    way = row[probe.image].astype(np.float32) - start

    def at(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns places on the way, the scores there (n,), and what each pixel adds at this rate (n, H, W)."""
        others = {name: np.repeat(one[None], len(shares), 0) for name, one in row.items()}
        points = start + shares.astype(np.float32)[:, None, None, None] * way
        scores, found = probe.gradient({**others, probe.image: points}, [unit] * len(shares))
        return shares, scores.astype(float), (found * way).sum(-1, dtype=float)

    known = at(np.linspace(0, 1, max(2, steps // 4)))
    for count in np.diff(np.linspace(len(known[0]), steps, ROUNDS + 1).astype(int)):
        if not count:
            continue
        shares, scores, rates = known
        _, missed = _parts(shares, scores, rates.sum((1, 2)))
        # Where the change of the score is explained, pixels may still trade places.
        doubt = np.abs(missed) + 0.02 * np.diff(shares) * np.abs(np.diff(rates, axis=0)).sum((1, 2))
        worst = np.argsort(-doubt)[:count]
        more = at((shares[worst] + shares[worst + 1]) / 2)
        order = np.argsort(np.concatenate([shares, more[0]]))
        known = tuple(np.concatenate(pair)[order] for pair in zip(known, more, strict=True))
    shares, scores, rates = known
    weights, _ = _parts(shares, scores, rates.sum((1, 2)))
    return np.tensordot(weights, rates, 1)


def _parts(shares: np.ndarray, scores: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights of the places (n,), and the change of the score that is not explained in each part (n - 1,).

    A network with ReLU is linear between kinks. Where its score goes on at the first slope of a part up to a kink and
    then at the second, the change of the score says where the kink is.
    """
    length, change = np.diff(shares), np.diff(scores)
    first, second = slopes[:-1] * length, slopes[1:] * length
    apart = first - second
    kink = np.full_like(length, 0.5)
    np.divide(change - second, apart, out=kink, where=np.abs(apart) > 1e-9 * (np.abs(first) + np.abs(second)))
    kink = np.clip(kink, 0, 1)
    weights = np.zeros_like(shares)
    weights[:-1] += kink * length
    weights[1:] += (1 - kink) * length
    return weights, change - kink * first - (1 - kink) * second


def grad_cam(probe: Probe, inputs: Inputs, units: Sequence[int], *, layer: str | None = None) -> np.ndarray:
    """Returns a layer's channels, weighed by the mean gradient of each, where they speak for the class.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        layer: A layer with height and width; by default the last one that the score depends on.

    Raises:
        ValueError: If the layer has no height and width, or the score does not depend on it.
    """
    if layer is None:
        layer = _last_before(probe, inputs, units)
    values, gradient = probe.gradient_at(inputs, units, layer)
    if values.ndim != 4:
        raise refusal("have height and width", layer=layer)
    weights = gradient.mean((1, 2), keepdims=True)
    maps = np.maximum((weights * values).sum(-1, keepdims=True), 0)  # (n, h, w, 1)
    return tf.image.resize(maps, inputs[probe.image].shape[1:3]).numpy()[..., 0]


def _last_before(probe: Probe, inputs: Inputs, units: Sequence[int]) -> str:
    """Returns the last layer with height and width that the score depends on; another head may have later ones."""
    one = {name: array[:1] for name, array in inputs.items()}
    for layer in reversed(spatial_layers(probe.model)):
        with contextlib.suppress(ValueError):
            probe.gradient_at(one, units[:1], layer)
            return layer
    raise ValueError(f"`model` must have a layer with height and width. Received: {probe.model.name}")


def guided(probe: Probe, inputs: Inputs, units: Sequence[int]) -> np.ndarray:
    """Returns the magnitude of guided backpropagation."""
    return strength(probe.gradient(inputs, units, rule="guided")[1])


def deconvnet(probe: Probe, inputs: Inputs, units: Sequence[int]) -> np.ndarray:
    """Returns the magnitude of what a DeconvNet projects back from the score."""
    return strength(probe.gradient(inputs, units, rule="deconvnet")[1])
