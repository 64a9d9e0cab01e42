"""Color apart from style: transfers the colors of one image to another, or its lightness to another's colors.

Reference: Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017.
"""

from collections.abc import Callable

import numpy as np

# Lightness and two color differences, as in NTSC television.
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
# Added to covariances, in squared steps of 255: an image of one color has none.
FLOOR = 1e-2
PIECE = 1 << 18  # pixels computed with at a time: double precision of a whole photograph would take gigabytes


def match_colors(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Gives an image the mean and covariance of another's colors, by the map that changes them least.

    Args:
        image: 0 to 255, (H, W, 3).
        reference: 0 to 255, (h, w, 3).

    Returns:
        float32 (H, W, 3), 0 to 255.
    """
    (center, have), (aim, want) = _moments(image), _moments(reference)
    root = _root(have)
    back = np.linalg.inv(root)
    # The optimal transport between two Gaussians.
    move = back @ _root(root @ want @ root) @ back
    return _mapped(image, lambda pixels: np.clip((pixels - center) @ move + aim, 0, 255))


def match_lightness(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns an image in gray whose lightness has the mean and deviation of another's: float32 (H, W, 3)."""
    have, want = lightness(image), lightness(reference)
    center, scale, aim = have.mean(), want.std() / max(have.std(), FLOOR), want.mean()
    del have, want

    def match(pixels: np.ndarray) -> np.ndarray:
        return np.clip((pixels @ YIQ[0] - center) * scale + aim, 0, 255)[:, None]

    return _mapped(image, match)


def lightness(image: np.ndarray) -> np.ndarray:
    """Returns the lightness of each pixel, 0 to 255: (H, W, 3) -> (H, W)."""
    pixels, made = image.reshape(-1, 3), np.empty(image.size // 3)
    for i in range(0, len(pixels), PIECE):
        made[i : i + PIECE] = pixels[i : i + PIECE].astype(np.float64) @ YIQ[0]
    return made.reshape(image.shape[:-1])


def with_colors_of(image: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Returns the lightness of one image with the colors of another of the same size: float32 (H, W, 3)."""
    both = colors.astype(np.float64) @ YIQ.T
    both[..., 0] = lightness(image)
    return np.clip(both @ np.linalg.inv(YIQ).T, 0, 255).astype(np.float32)


def _moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean of an image's colors (3,) and their covariance (3, 3), raised by `FLOOR`."""
    pixels = image.reshape(-1, 3)
    parts = [pixels[i : i + PIECE] for i in range(0, len(pixels), PIECE)]
    mean = sum(part.sum(0, dtype=np.float64) for part in parts) / len(pixels)
    products = sum((part - mean).T @ (part - mean) for part in parts)
    return mean, products / len(pixels) + FLOOR * np.eye(3)


def _mapped(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Changes the pixels of an image, (n, 3) each time: float32 (H, W, 3)."""
    pixels, made = image.reshape(-1, 3), np.empty((image.size // 3, 3), np.float32)
    for i in range(0, len(pixels), PIECE):
        made[i : i + PIECE] = change(pixels[i : i + PIECE].astype(np.float64))
    return made.reshape(image.shape)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Returns the symmetric square root of a positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
