"""A painting that a program draws: thick strokes along a flow with whirls, the embedded style of style transfer."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

# Night blues against warm yellows: hue, saturation and value, from the dark to the light.
PALETTE = (
    (0.64, 0.75, 0.25),
    (0.61, 0.80, 0.45),
    (0.57, 0.65, 0.65),
    (0.50, 0.35, 0.75),
    (0.13, 0.55, 0.85),
    (0.11, 0.80, 0.95),
    (0.06, 0.80, 0.85),
)
# Width, length and number of the strokes in each layer, coarse below fine: shares of the height, of it, and a count.
LAYERS = ((0.09, 0.45, 260), (0.045, 0.40, 900), (0.022, 0.30, 1800))
SMOOTH = 2  # drawn at so many times the size
WHIRLS = 7
SEGMENTS = 14
BRISTLES = 4


def draw_painting(*, height: int = 384, width: int = 512, seed: int = 0) -> np.ndarray:
    """Draws a painting.

    Args:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        seed: Decides whirls, colours and strokes.

    Returns:
        uint8 (height, width, 3).
    """
    rng = np.random.default_rng(seed)
    h, w = SMOOTH * height, SMOOTH * width
    image = Image.new("RGB", (w, h), _color(0.1, 0.0))
    draw = ImageDraw.Draw(image)
    centres = rng.uniform(0, 1, (WHIRLS, 2)) * (w, h)
    reach = rng.uniform(0.08, 0.22, WHIRLS) * h
    spin = rng.choice([-1.0, 1.0], WHIRLS)
    phases = rng.uniform(0, 2 * np.pi, 4)

    def flow(point: np.ndarray) -> np.ndarray:
        """Returns the direction of the strokes at a point, of length 1."""
        x, y = point / h
        angle = 0.5 * np.sin(2.3 * x + phases[0]) + 0.5 * np.sin(3.1 * y + 1.7 * x + phases[1])
        away = point - centres  # (WHIRLS, 2)
        near = np.exp(-((away**2).sum(1) / (2 * reach) ** 2))
        around = np.stack([-away[:, 1], away[:, 0]], 1) / (np.linalg.norm(away, axis=1, keepdims=True) + 1e-6)
        direction = np.array([np.cos(angle), np.sin(angle)]) * 0.6 + (3 * spin * near) @ around
        return direction / (np.linalg.norm(direction) + 1e-6)

    def shade(point: np.ndarray) -> float:
        """Returns the place of a point's colour in the palette, in [0, 1]: light in the whirls, dark below."""
        x, y = point / h
        glow = np.exp(-(((point - centres) ** 2).sum(1) / reach**2)).max()
        ground = 0.30 + 0.16 * np.sin(4.1 * x + 2.2 * y + phases[2]) - 0.25 * max(0.0, y - 0.6)
        return float(np.clip(ground + 0.75 * glow, 0, 1))

    for thickness, length, count in LAYERS:
        for start in rng.uniform(-0.05, 1.05, (count, 2)) * (w, h):
            points = [start]
            for _ in range(SEGMENTS):
                points.append(points[-1] + flow(points[-1]) * length * h / SEGMENTS)
            place = shade(points[SEGMENTS // 2]) + rng.normal(0, 0.07)
            across = np.array([-1, 1]) * flow(start)[::-1]
            for bristle in np.linspace(-0.5, 0.5, BRISTLES):
                color = _color(place, rng.normal(0, 0.07))
                line = [tuple(point + across * bristle * thickness * h * 0.6) for point in points]
                draw.line(line, fill=color, width=max(1, round(thickness * h / BRISTLES)), joint="curve")
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _color(place: float, lighter: float) -> tuple[int, int, int]:
    """Returns a colour between those of the palette."""
    at = float(np.clip(place, 0, 1)) * (len(PALETTE) - 1)
    below = min(int(at), len(PALETTE) - 2)
    ends = [np.array(colorsys.hsv_to_rgb(*PALETTE[i])) for i in (below, below + 1)]
    mixed = ends[0] + (at - below) * (ends[1] - ends[0]) + lighter
    return tuple(int(value) for value in np.clip(255 * mixed, 0, 255))
