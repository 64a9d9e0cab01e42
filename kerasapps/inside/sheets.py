"""Filters and activations as images to look at."""

import numpy as np

MOST = 64


def filter_images(kernel: np.ndarray, *, most: int = MOST) -> tuple[np.ndarray, list[str]]:
    """Returns filters as images, each scaled so that 0 is gray and its largest magnitude black or white.

    Args:
        kernel: float32 (H, W, C, F); of a depthwise convolution F is the number of filters of each channel.
        most: How many to return at most.

    Returns:
        uint8 (n, H, W, 3 or 1) and what each one is: filters in color where they read three channels, and otherwise
        each channel of the first filters by itself.
    """
    channels, filters = kernel.shape[2:]
    if channels == 3:
        images = np.moveaxis(kernel, -1, 0)[:most]  # (n, H, W, 3)
        names = [f"{i}" for i in range(len(images))]
    else:
        # As many channels of as many filters as fit, in a square where there are more of both.
        across = min(channels, max(int(np.sqrt(most)), most // filters))
        shown = min(filters, max(1, most // across))
        images = kernel[:, :, :across, :shown].transpose(3, 2, 0, 1).reshape(-1, *kernel.shape[:2])[..., None]
        pairs = [(i, j) for i in range(shown) for j in range(across)]
        names = [f"{i}" if channels == 1 else f"{i}, of {j}" for i, j in pairs]
    largest = np.abs(images).max((1, 2, 3), keepdims=True)
    return np.round(127.5 * (1 + images / np.maximum(largest, 1e-12))).astype(np.uint8), names


def activation_images(values: np.ndarray, *, most: int = MOST) -> tuple[np.ndarray, np.ndarray]:
    """Returns the channels of a layer for one image, the strongest first, on one scale.

    Args:
        values: float32 (H, W, C).
        most: How many to return at most.

    Returns:
        uint8 (n, H, W, 1) and the number of each channel, int (n,).
    """
    order = np.argsort(-values.max((0, 1)), kind="stable")[:most]
    low, high = min(0.0, float(values.min())), float(values.max())
    images = np.moveaxis(values, -1, 0)[order, ..., None]
    return np.round(255 * (images - low) / max(high - low, 1e-12)).astype(np.uint8), order
