"""Scenes drawn by program, of which everything is known: the data set of captioning that needs no download.

A scene is a ground of one kind with clutter on it, and one to three groups of objects. The objects of a group are one
to three of one kind, color and size; no two groups have the same kind. Each group keeps to a column of its own, or each
to a row, so that of any two groups one is left of the other or above it; what holds is read off the boxes of the
objects, not drawn by chance.

Eight of the 64 pairs of kind and color are never drawn but for a set of their own, which tests whether a network that
knows hearts and knows purple describes a purple heart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from kerasapps.data.shapes import PARTS, as_color, draw_clutter

SIZE, SMOOTH = 48, 2  # pixels of a side, and the multiple of it at which is drawn
CELLS = 3  # rows and columns in which objects stand
KINDS = tuple(PARTS)
COLORS = {
    "red": (212, 38, 38),
    "orange": (244, 140, 28),
    "yellow": (250, 226, 48),
    "green": (30, 128, 58),
    "blue": (36, 74, 200),
    "purple": (140, 52, 170),
    "white": (246, 246, 246),
    "black": (24, 24, 24),
}
GROUNDS = {"grass": (150, 190, 118), "sand": (222, 200, 156), "water": (124, 170, 212), "snow": (216, 222, 230)}
SIZES = {"small": 0.10, "large": 0.155}  # radius, as a share of the side
UNSEEN = tuple((kind, list(COLORS)[(3 * i + 1) % len(COLORS)]) for i, kind in enumerate(KINDS))
SEEN = tuple((kind, color) for kind in KINDS for color in COLORS if (kind, color) not in UNSEEN)
GROUPS = (0.25, 0.45, 0.3)  # probabilities of one, two and three groups
COUNTS = (0.5, 0.3, 0.2)  # and of as many objects in a group
CLUTTER = 4

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Group:
    """Objects that are alike.

    Args:
        kind: One of `KINDS`.
        color: One of `COLORS`.
        size: One of `SIZES`.
        boxes: Left, upper, right and lower edge of each object, as shares of the side.
    """

    kind: str
    color: str
    size: str
    boxes: tuple[Box, ...]

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.boxes)

    def edges(self) -> Box:
        """Returns the box around all objects."""
        left, upper, right, lower = zip(*self.boxes, strict=True)
        return min(left), min(upper), max(right), max(lower)


@dataclass(frozen=True)
class Scene:
    """What there is to be seen.

    Args:
        ground: One of `GROUNDS`.
        groups: The groups.
    """

    ground: str
    groups: tuple[Group, ...]

    def relations(self, first: int, second: int) -> tuple[str, ...]:
        """Returns where one group is from another: "left", "right", "above" and "below", those that hold."""
        left, upper, right, lower = self.groups[first].edges()
        other = self.groups[second].edges()
        holds = {
            "left": right < other[0],
            "right": left > other[2],
            "above": lower < other[1],
            "below": upper > other[3],
        }
        return tuple(name for name, true in holds.items() if true)


def draw_scenes(count: int, *, seed: int, unseen: bool = False) -> tuple[list[Scene], np.ndarray]:
    """Draws scenes; those of a smaller count are the first of a larger one, pixel for pixel.

    Args:
        count: Number of scenes.
        seed: Seed of all random choices.
        unseen: Whether one group of each scene has a pair of kind and color of `UNSEEN`; by default none has.

    Returns:
        The scenes, and their images uint8 (n, SIZE, SIZE, 3).
    """
    each = [np.random.default_rng(np.random.SeedSequence([seed, int(unseen), i])) for i in range(count)]
    scenes = [draw_scene(rng, unseen=unseen) for rng in each]
    return scenes, np.stack([paint(scene, rng) for scene, rng in zip(scenes, each, strict=True)])


def draw_scene(rng: np.random.Generator, *, unseen: bool = False) -> Scene:
    """Draws what there is in a scene, and where."""
    number = 1 + rng.choice(len(GROUPS), p=GROUPS)
    pairs = [UNSEEN[rng.integers(len(UNSEEN))]] if unseen else []
    while len(pairs) < number:
        pair = SEEN[rng.integers(len(SEEN))]
        if pair[0] not in {kind for kind, _ in pairs}:
            pairs.append(pair)
    bands, across = rng.permutation(CELLS), rng.integers(2)
    groups = []
    for (kind, color), band in zip(pairs, bands, strict=False):
        size = str(rng.choice(list(SIZES)))
        places = rng.permutation(CELLS)[: 1 + rng.choice(len(COUNTS), p=COUNTS)]
        cells = [(band, place) if across else (place, band) for place in sorted(places)]
        groups.append(Group(kind, color, size, tuple(_box(cell, size, rng) for cell in cells)))
    return Scene(str(rng.choice(list(GROUNDS))), tuple(groups))


def _box(cell: Sequence[int], size: str, rng: np.random.Generator) -> Box:
    """Places an object somewhere in a cell, all of it."""
    radius = SIZES[size] * rng.uniform(0.95, 1.03)
    x, y = ((place + 0.5) / CELLS + rng.uniform(-1, 1) * (0.5 / CELLS - radius) for place in cell)
    return x - radius, y - radius, x + radius, y + radius


def paint(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Paints a scene, uint8 (SIZE, SIZE, 3)."""
    side = SIZE * SMOOTH
    ground = np.array(GROUNDS[scene.ground]) + rng.normal(0, 5, 3)
    image = Image.new("RGB", (side, side), as_color(ground))
    draw = ImageDraw.Draw(image)
    for _ in range(CLUTTER):
        draw_clutter(draw, rng, side, as_color(ground + rng.normal(0, 12, 3)))
    for group in scene.groups:
        for box in group.boxes:
            _paint_object(draw, group, np.array(box) * side, rng, ground=as_color(ground))
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32)
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def _paint_object(
    draw: ImageDraw.ImageDraw, group: Group, box: np.ndarray, rng: np.random.Generator, *, ground: tuple[int, ...]
) -> None:
    color = np.array(COLORS[group.color]) + rng.normal(0, 8, 3)
    tilt = rng.normal(0, 0.2)
    turn = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    center, radius = (box[:2] + box[2:]) / 2, (box[2] - box[0]) / 2
    for points, fill in PARTS[group.kind]:
        places = (points @ turn.T * radius + center).ravel().tolist()
        # A rim a shade darker, so that nothing vanishes on a ground of its color.
        draw.polygon(places, fill=as_color(color) if fill else ground, outline=as_color(color * 0.55))
