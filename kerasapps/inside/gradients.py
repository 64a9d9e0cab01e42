"""Maps of what in an image speaks for a class, by gradients: (n, H, W), the higher the more.

References: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks", 2014 (gradient); Smilkov et al.,
"SmoothGrad", 2017; Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017; Selvaraju et al.,
"Grad-CAM", ICCV 2017; Springenberg et al., "Striving for Simplicity", 2015 (guided); Zeiler and Fergus, "Visualizing
and Understanding Convolutional Networks", ECCV 2014 (DeconvNet).
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasapps.blocks.arguments import check_at_least, refusal
from kerasapps.inside.networks import spatial_layers
from kerasapps.inside.probe import Inputs, Probe

STEPS = 64
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
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what each pixel adds to the score on the straight way from a baseline, and how far they miss its change.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        steps: Points on the way, by the rule of Gauss and Legendre.
        baseline: The image without anything, in the unit of the image.

    Returns:
        Maps (n, H, W), negative against the class, and for each the completeness error: the difference between their
        sum and the change of the score, as a share of the larger of the change and a hundredth of their total.
    """
    check_at_least(1, steps=steps)
    image = inputs[probe.image].astype(np.float32)
    start = np.broadcast_to(np.float32(baseline), image.shape)
    points, weights = np.polynomial.legendre.leggauss(steps)
    mean = np.zeros(image.shape, np.float64)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        between = start + np.float32(point) * (image - start)
        mean += weight * probe.gradient({**inputs, probe.image: between}, units)[1]
    parts = (image - start) * mean
    change = probe.scores(inputs, units) - probe.scores({**inputs, probe.image: start}, units)
    maps = parts.sum(-1)
    scale = np.maximum(np.abs(change), 0.01 * np.abs(maps).sum((1, 2)) + 1e-12)
    return maps, np.abs(maps.sum((1, 2)) - change) / scale


def grad_cam(probe: Probe, inputs: Inputs, units: Sequence[int], *, layer: str | None = None) -> np.ndarray:
    """Returns a layer's channels, weighed by the mean gradient of each, where they speak for the class.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        layer: A layer with height and width; the last one by default.

    Raises:
        ValueError: If the layer has no height and width.
    """
    named = spatial_layers(probe.model)
    if layer is None and not named:
        raise ValueError(f"`model` must have a layer with height and width. Received: {probe.model.name}")
    layer = layer or named[-1]
    values, gradient = probe.gradient_at(inputs, units, layer)
    if values.ndim != 4:
        raise refusal("have height and width", layer=layer)
    weights = gradient.mean((1, 2), keepdims=True)
    maps = np.maximum((weights * values).sum(-1, keepdims=True), 0)  # (n, h, w, 1)
    return tf.image.resize(maps, inputs[probe.image].shape[1:3]).numpy()[..., 0]


def guided(probe: Probe, inputs: Inputs, units: Sequence[int]) -> np.ndarray:
    """Returns the magnitude of guided backpropagation."""
    return strength(probe.gradient(inputs, units, rule="guided")[1])


def deconvnet(probe: Probe, inputs: Inputs, units: Sequence[int]) -> np.ndarray:
    """Returns the magnitude of what a DeconvNet projects back from the score."""
    return strength(probe.gradient(inputs, units, rule="deconvnet")[1])
