"""Planted evidence: noise with a small shape in it, whose kind is the class and whose place is known, and a distractor.

What a network must look at is known here, so that whatever claims to show where it looks can be measured.
"""

from dataclasses import dataclass

import numpy as np

SIDE, PATCH = 32, 7  # pixels of the image, and of a shape
SHAPES = {
    "plus": ("...#...", "...#...", "...#...", "#######", "...#...", "...#...", "...#..."),
    "cross": ("#.....#", ".#...#.", "..#.#..", "...#...", "..#.#..", ".#...#.", "#.....#"),
    "frame": (".......", ".#####.", ".#...#.", ".#...#.", ".#...#.", ".#####.", "......."),
    "bars": ("#..#..#", "#..#..#", "#..#..#", "#..#..#", "#..#..#", "#..#..#", "#..#..#"),
}
GRAY, NOISE, CONTRAST = 110.0, 25.0, 100.0


@dataclass(frozen=True)
class Planted:
    """Images with planted evidence.

    Args:
        images: float32 (n, 32, 32, 1), values 0 to 255.
        labels: Which of `SHAPES` each one shows, int32 (n,).
        boxes: Top, left, bottom and right of it, the last two outside, int (n, 4).
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


def plant(count: int, *, seed: int) -> Planted:
    """Draws images: Gaussian noise, one shape, and elsewhere the same pixels of a shape in a random order."""
    rng = np.random.default_rng(seed)
    shapes = np.array([[[cell == "#" for cell in row] for row in shape] for shape in SHAPES.values()], np.float32)
    # Equal energy: a shape of few pixels is brighter.
    shapes *= CONTRAST * np.sqrt(shapes.sum((1, 2)).mean() / shapes.sum((1, 2)))[:, None, None]
    images = rng.normal(GRAY, NOISE, (count, SIDE, SIDE, 1)).astype(np.float32)
    labels = rng.integers(0, len(SHAPES), count).astype(np.int32)
    boxes = np.zeros((count, 4), int)
    for image, label, box in zip(images, labels, boxes, strict=True):
        top, left = there = rng.integers(0, SIDE - PATCH + 1, 2)
        away = there
        while np.abs(away - there).max() < PATCH:
            away = rng.integers(0, SIDE - PATCH + 1, 2)
        box[:] = top, left, top + PATCH, left + PATCH
        image[top : top + PATCH, left : left + PATCH, 0] += shapes[label]
        scrambled = rng.permutation(shapes[rng.integers(0, len(SHAPES))].ravel()).reshape(PATCH, PATCH)
        image[away[0] : away[0] + PATCH, away[1] : away[1] + PATCH, 0] += scrambled
    return Planted(np.clip(images, 0, 255), labels, boxes)
