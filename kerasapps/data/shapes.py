"""Shapes on clutter, drawn by program: a data set for learning from few images that needs no file.

A shape has any color, size, place and tilt, and lies on lines, dots and patches of other colors; of its class only the
outline speaks.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

SIZE, SMOOTH = 64, 2  # pixels of a side, and the multiple of it at which is drawn
EACH = 90  # images a class
SEED = 0
CLUTTER = 10
CLASSES = ("arrow", "cross", "disc", "heart", "moon", "ring", "star", "triangle")


def draw_shapes(each: int = EACH, *, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Draws images of all classes.

    Args:
        each: Images a class.
        seed: Seed of all random choices.

    Returns:
        Images uint8 (n, SIZE, SIZE, 3), class by class, and labels int32 (n,), which index `CLASSES`.
    """
    rng = np.random.default_rng(seed)
    images = [draw_shape(name, rng) for name in CLASSES for _ in range(each)]
    return np.stack(images), np.repeat(np.arange(len(CLASSES), dtype=np.int32), each)


def draw_shape(name: str, rng: np.random.Generator) -> np.ndarray:
    """Draws one shape on clutter, uint8 (SIZE, SIZE, 3)."""
    side = SIZE * SMOOTH
    ground = rng.uniform(0, 255, 3)
    image = Image.new("RGB", (side, side), as_color(ground))
    draw = ImageDraw.Draw(image)
    for _ in range(CLUTTER):
        draw_clutter(draw, rng, side, as_color(ground + rng.normal(0, 55, 3)))
    # Far enough from the ground to be seen, whatever its hue.
    while True:
        color = rng.uniform(0, 255, 3)
        if np.abs(color - ground).sum() > 230:
            break
    mask = Image.new("L", (side, side), 0)
    _outline(ImageDraw.Draw(mask), name, rng, side)
    image.paste(as_color(color), mask=mask)
    for _ in range(2):  # in front of it
        draw_clutter(draw, rng, side, as_color(ground + rng.normal(0, 55, 3)), thin=True)
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS), np.float32)
    return np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)


def draw_clutter(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int, color, *, thin: bool = False) -> None:
    """Draws a line, a dot or a patch somewhere."""
    kind = 0 if thin else rng.integers(3)
    x, y = rng.uniform(0, side, 2)
    if kind == 0:
        angle, length = rng.uniform(0, math.pi), rng.uniform(0.3, 1.2) * side
        dx, dy = length * math.cos(angle) / 2, length * math.sin(angle) / 2
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=color, width=int(rng.integers(2, 5)))
    elif kind == 1:
        radius = rng.uniform(0.02, 0.07) * side
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    else:
        points = rng.uniform(-0.2, 0.2, (4, 2)) * side + (x, y)
        draw.polygon([tuple(point) for point in points], fill=color)


def _outline(draw: ImageDraw.ImageDraw, name: str, rng: np.random.Generator, side: int) -> None:
    """Draws a shape of a class in white, tilted, somewhere, in a mask."""
    radius = rng.uniform(0.3, 0.42) * side
    center = side / 2 + rng.uniform(-0.08, 0.08, 2) * side
    tilt = rng.normal(0, 0.15)

    def placed(points: np.ndarray) -> list[tuple[float, float]]:
        turn = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
        return [tuple(point) for point in points @ turn.T * radius + center]

    for points, fill in PARTS[name]:
        draw.polygon(placed(points), fill=fill)


def _circle(radius: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    return np.stack([radius * np.cos(angles) + x, radius * np.sin(angles) + y], 1)


def _star(points: int, inner: float) -> np.ndarray:
    angles = np.arange(2 * points) * math.pi / points - math.pi / 2
    return np.where(np.arange(2 * points) % 2, inner, 1.0)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([16 * np.sin(t) ** 3, y], 1) / 17


def as_color(values: np.ndarray) -> tuple[int, ...]:
    """Returns values as a color that Pillow takes, those beyond 0 to 255 cut off."""
    return tuple(int(min(max(value, 0), 255)) for value in values.tolist())


# Polygons within a radius of 1, y downwards, each painted over those before: white, or cut out.
PARTS = {
    "arrow": [(np.array([(0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)]), 255)],
    "cross": [
        (np.array([(-0.3, -1), (0.3, -1), (0.3, 1), (-0.3, 1)]), 255),
        (np.array([(-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3)]), 255),
    ],
    "disc": [(_circle(0.9), 255)],
    "heart": [(_heart(), 255)],
    "moon": [(_circle(0.95), 255), (_circle(0.8, 0.45, -0.1), 0)],
    "ring": [(_circle(0.95), 255), (_circle(0.55), 0)],
    "star": [(_star(5, 0.42), 255)],
    "triangle": [(np.array([(0, -1), (0.95, 0.75), (-0.95, 0.75)]), 255)],
}
