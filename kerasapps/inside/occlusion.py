"""Occlusion: the probability of a class as a function of where a patch of the image is covered.

Reference: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.ndimage

from kerasapps.blocks.arguments import check_at_least, check_choice
from kerasapps.inside.probe import Inputs, Probe

Fill = Literal["zeros", "mean", "blur"]
FILLS = ("zeros", "mean", "blur")
BLUR = 0.15  # standard deviation, as a share of the shorter side


@dataclass(frozen=True)
class Sweep:
    """What one image became under a patch that moved over it.

    Args:
        whole: Probability of the class for the image as it is.
        grid: Probability at each position of the patch, float32 (rows, columns).
        corners: Upper left corner of each position, int (rows, columns, 2); the patch may reach beyond the edge.
        drop: How much probability a pixel's patches cost on average, float32 (H, W).
    """

    whole: float
    grid: np.ndarray
    corners: np.ndarray
    drop: np.ndarray


def filled(image: np.ndarray, fill: Fill) -> np.ndarray:
    """Returns what a patch shows, as large as the image: black, the mean color, or the image blurred (H, W, C)."""
    check_choice(FILLS, fill=fill)
    if fill == "zeros":
        return np.zeros_like(image)
    if fill == "mean":
        return np.broadcast_to(image.mean((0, 1), keepdims=True), image.shape)
    deviation = BLUR * min(image.shape[:2])
    return scipy.ndimage.gaussian_filter(image, (deviation, deviation, 0), mode="nearest")


def starts(side: int, patch: int, stride: int) -> np.ndarray:
    """Returns where patches begin along a side, so that all pixels are covered as often from either end."""
    count = -(-(side - patch) // stride) + 1 if side > patch else 1
    length = (count - 1) * stride + patch
    return np.arange(count) * stride - (length - side) // 2


def occluded(image: np.ndarray, corners: np.ndarray, patch: int, fill: np.ndarray) -> np.ndarray:
    """Returns copies of an image (H, W, C) with a patch covered: (n, H, W, C)."""
    rows, columns = np.arange(image.shape[0]), np.arange(image.shape[1])
    top, left = corners[:, 0, None], corners[:, 1, None]  # (n, 1)
    tall = (rows >= top) & (rows < top + patch)  # (n, H)
    wide = (columns >= left) & (columns < left + patch)  # (n, W)
    covered = tall[:, :, None, None] & wide[:, None, :, None]
    return np.where(covered, fill, image)


def occlusion(
    probe: Probe,
    inputs: Inputs,
    units: Sequence[int],
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: Fill = "mean",
    batch_size: int = 256,
) -> list[Sweep]:
    """Covers a patch of each image at every position and asks for the probability of the class.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        patch: Side of the patch in pixels; by default a quarter of the shorter side.
        stride: Pixels between positions; by default a quarter of the patch, at most 33 positions a side.
        fill: What the patch shows.
        batch_size: Images in a forward pass.

    Raises:
        ValueError: If `patch` or `stride` is under 1 or `fill` unknown.
    """
    shape = inputs[probe.image].shape[1:3]
    patch = max(1, min(shape) // 4) if patch is None else patch
    stride = max(1, patch // 4, max(shape) // 32) if stride is None else stride
    check_at_least(1, patch=patch, stride=stride)
    grid = np.stack(
        np.meshgrid(starts(shape[0], patch, stride), starts(shape[1], patch, stride), indexing="ij"), -1
    )  # (rows, columns, 2)
    whole = probe.predict(inputs)
    return [
        _sweep(
            probe, {name: one[i] for name, one in inputs.items()}, int(unit), whole[i], grid, patch, fill, batch_size
        )
        for i, unit in enumerate(units)
    ]


def _sweep(probe, row, unit, whole, corners, patch, fill, batch_size) -> Sweep:
    image = row[probe.image].astype(np.float32)
    shown, places = filled(image, fill), corners.reshape(-1, 2)
    found = []
    for start in range(0, len(places), batch_size):
        covered = occluded(image, places[start : start + batch_size], patch, shown)
        others = {name: np.repeat(one[None], len(covered), 0) for name, one in row.items()}
        (values,) = probe.run(
            "output",
            lambda given, seen, outputs: [outputs[probe.output]],
            {**others, probe.image: covered},
            batch_size=batch_size,
        )
        found.append(values[..., unit].reshape(len(covered), -1).mean(-1))
    grid = np.concatenate(found).reshape(corners.shape[:2])
    whole = float(np.mean(whole[..., unit]))
    total, times = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for (top, left), value in zip(places, grid.ravel(), strict=True):
        cells = slice(max(0, top), top + patch), slice(max(0, left), left + patch)
        total[cells] += whole - value
        times[cells] += 1
    return Sweep(whole, grid, corners, (total / np.maximum(times, 1)).astype(np.float32))


def occlusion_map(probe: Probe, inputs: Inputs, units: Sequence[int], **options) -> np.ndarray:
    """Returns how much probability a pixel's patches cost on average, (n, H, W)."""
    return np.stack([sweep.drop for sweep in occlusion(probe, inputs, units, **options)])
