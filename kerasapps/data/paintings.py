"""A painting drawn by program: thick strokes along a swirling flow, the embedded style image of style transfer."""

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
SMOOTH = 2  # drawn at this multiple of the size and scaled down
WHIRLS = 7
SEGMENTS = 14
BRISTLES = 4


def draw_painting(*, height: int = 384, width: int = 512, seed: int = 0) -> np.ndarray:
    """Draws a painting.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        seed: Seed of whirls, colors and strokes.

    Returns:
        uint8 (height, width, 3).
    """
    rng = np.random.default_rng(seed)
    h, w = SMOOTH * height, SMOOTH * width
    image = Image.new("RGB", (w, h), _color(0.1, 0.0))
    draw = ImageDraw.Draw(image)
    centers = rng.uniform(0, 1, (WHIRLS, 2)) * (w, h)
    reach = rng.uniform(0.08, 0.22, WHIRLS) * h
    spin = rng.choice([-1.0, 1.0], WHIRLS)
    phases = rng.uniform(0, 2 * np.pi, 4)

    def flow(points: np.ndarray) -> np.ndarray:
        """Returns the unit direction of the strokes at some points: (N, 2) -> (N, 2)."""
        x, y = points.T / h
        angle = 0.5 * np.sin(2.3 * x + phases[0]) + 0.5 * np.sin(3.1 * y + 1.7 * x + phases[1])
        away = points[:, None] - centers  # (N, WHIRLS, 2)
        distance = np.linalg.norm(away, axis=-1)  # (N, WHIRLS)
        pull = 3 * spin * np.exp(-((distance / (2 * reach)) ** 2)) / (distance + 1e-6)
        around = np.einsum("nw,nwd->nd", pull, away[..., ::-1] * (-1, 1))
        direction = 0.6 * np.stack([np.cos(angle), np.sin(angle)], 1) + around
        return direction / (np.linalg.norm(direction, axis=1, keepdims=True) + 1e-6)

    def shade(points: np.ndarray) -> np.ndarray:
        """Returns positions in the palette, light in the whirls and dark below: (N, 2) -> (N,)."""
        x, y = points.T / h
        glow = np.exp(-((np.linalg.norm(points[:, None] - centers, axis=-1) / reach) ** 2)).max(1)
        ground = 0.30 + 0.16 * np.sin(4.1 * x + 2.2 * y + phases[2]) - 0.25 * np.maximum(0.0, y - 0.6)
        return ground + 0.75 * glow

    for thickness, length, count in LAYERS:
        points = [rng.uniform(-0.05, 1.05, (count, 2)) * (w, h)]
        for _ in range(SEGMENTS):
            points.append(points[-1] + flow(points[-1]) * length * h / SEGMENTS)
        places = shade(points[SEGMENTS // 2]) + rng.normal(0, 0.07, count)
        lighter = rng.normal(0, 0.07, (count, BRISTLES))
        across = flow(points[0])[:, ::-1] * (-1, 1) * thickness * h * 0.6
        lines = np.stack(points, 1)  # (count, SEGMENTS + 1, 2)
        for i in range(count):
            for bristle, light in zip(np.linspace(-0.5, 0.5, BRISTLES), lighter[i], strict=True):
                line = (lines[i] + across[i] * bristle).ravel().tolist()
                width_in_pixels = max(1, round(thickness * h / BRISTLES))
                draw.line(line, fill=_color(places[i], light), width=width_in_pixels, joint="curve")
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _color(place: float, lighter: float) -> tuple[int, int, int]:
    """Returns a color interpolated from the palette."""
    at = float(np.clip(place, 0, 1)) * (len(PALETTE) - 1)
    below = min(int(at), len(PALETTE) - 2)
    ends = [np.array(colorsys.hsv_to_rgb(*PALETTE[i])) for i in (below, below + 1)]
    mixed = ends[0] + (at - below) * (ends[1] - ends[0]) + lighter
    return tuple(int(value) for value in np.clip(255 * mixed, 0, 255))
