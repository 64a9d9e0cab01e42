"""Second-hand garments, simulated: metadata, a description, a drawn image, and a price by a known rule.

The logarithm of the price is a sum of

* metadata: the kind of garment and its brand, and minus 6 % a year of age;
* description alone: the material and the condition, as a seller would put them;
* image alone: minus 15 % a stain (none to four), and 25 % more for a pattern, stripes or dots;
* interactions: a stain costs twice as much on one of the two expensive brands, and silk counts double in a dress;
* Gaussian noise of 0.25, which no estimate can remove.

Brands and sellers are invented.
"""

import itertools
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from PIL import Image, ImageDraw

SIZE = 48  # pixels
NOISE = 0.25
YEARLY, STAIN, PATTERN = 0.06, 0.15, 0.25
KINDS = {"shirt": 3.0, "trousers": 3.3, "skirt": 3.2, "dress": 3.8, "coat": 4.4}
BRANDS = {"Alder": 0.0, "Birch & Co": 0.1, "Cobalt": 0.2, "Dune": 0.3, "Everly": 0.9, "Fontaine": 1.2}
DEAR = ("Everly", "Fontaine")
MATERIALS = {"cotton": 0.0, "polyester": -0.2, "linen": 0.15, "wool": 0.3, "silk": 0.5}
CONDITIONS = {
    "worn often and it shows": -0.4,
    "some signs of wear": -0.2,
    "in good condition": 0.0,
    "hardly worn": 0.15,
    "new with the label still on": 0.35,
}
OPENINGS = ("Lovely {kind} in {material}", "{material} {kind}", "Selling my {kind}, {material}", "A {material} {kind}")
ASIDES = (
    "from a home without smoke",
    "bought for a wedding",
    "too small for me now",
    "collection in person preferred",
    "washed once",
    "I have to make room",
)
PATTERNS = ("plain", "stripes", "dots")
MOST_STAINS, OLDEST = 4, 10
IN_TEXT = {"material": tuple(MATERIALS), "condition": tuple(CONDITIONS)}
IN_PICTURE = {"stains": range(MOST_STAINS + 1), "pattern": PATTERNS}
COLORS = ((181, 72, 93), (37, 99, 168), (58, 145, 105), (217, 130, 43), (122, 94, 168), (90, 98, 112))
STAIN_COLOR = (70, 48, 22)
# Outlines in a square of side 1.
OUTLINES = {
    "shirt": [(0.3, 0.15), (0.7, 0.15), (0.95, 0.4), (0.8, 0.5), (0.72, 0.42), (0.72, 0.85), (0.28, 0.85), (0.28, 0.42),
              (0.2, 0.5), (0.05, 0.4)],
    "trousers": [(0.3, 0.1), (0.7, 0.1), (0.78, 0.92), (0.57, 0.92), (0.5, 0.4), (0.43, 0.92), (0.22, 0.92)],
    "skirt": [(0.35, 0.2), (0.65, 0.2), (0.9, 0.85), (0.1, 0.85)],
    "dress": [(0.38, 0.06), (0.62, 0.06), (0.6, 0.4), (0.88, 0.94), (0.12, 0.94), (0.4, 0.4)],
    "coat": [(0.33, 0.06), (0.67, 0.06), (0.97, 0.6), (0.84, 0.66), (0.74, 0.42), (0.78, 0.95), (0.22, 0.95),
             (0.26, 0.42), (0.16, 0.66), (0.03, 0.6)],
}  # fmt: skip


@dataclass(frozen=True)
class Garments:
    """Garments on offer.

    Args:
        numbers: Age in years, float32 (n, 1).
        kinds: Kind of each garment.
        brands: Brand of each garment.
        texts: What the seller writes; empty where there is no description.
        images: Images, uint8 (n, SIZE, SIZE, 3).
        has_image: Whether there is one, bool (n,).
        log_price: Natural logarithm of the price, float64 (n,).
        best: The estimate with the least possible mean absolute error, given what is present, float64 (n,).
    """

    numbers: np.ndarray
    kinds: list[str]
    brands: list[str]
    texts: list[str]
    images: np.ndarray
    has_image: np.ndarray
    log_price: np.ndarray
    best: np.ndarray


def simulate_garments(count: int, *, seed: int, missing: float = 0.0) -> Garments:
    """Draws garments.

    Args:
        count: Number of garments.
        seed: Seed of all random choices.
        missing: Share of descriptions, and of images, that are left out independently.
    """
    rng = np.random.default_rng(seed)
    options = {"kind": tuple(KINDS), "brand": tuple(BRANDS), "years": range(OLDEST + 1), **IN_TEXT, **IN_PICTURE}
    drawn = [dict(zip(options, values, strict=True)) for values in zip(
        *([values[j] for j in rng.integers(len(values), size=count)] for values in options.values()), strict=True
    )]  # fmt: skip
    noise = rng.normal(0, NOISE, count)
    has_text, has_image = rng.random((2, count)) >= missing
    texts, images = [], np.empty((count, SIZE, SIZE, 3), np.uint8)
    for i, garment in enumerate(drawn):
        opening = OPENINGS[rng.integers(len(OPENINGS))].format(**garment)
        aside = ASIDES[rng.integers(len(ASIDES))]
        texts.append(f"{opening}, {garment['condition']}, {aside}." if has_text[i] else "")
        images[i] = draw_garment(garment["kind"], pattern=garment["pattern"], stains=garment["stains"], rng=rng)
    best = [
        best_estimate(garment, text=text, image=image)
        for garment, text, image in zip(drawn, has_text, has_image, strict=True)
    ]
    return Garments(
        np.array([[garment["years"]] for garment in drawn], np.float32),
        [garment["kind"] for garment in drawn],
        [garment["brand"] for garment in drawn],
        texts,
        images,
        has_image,
        np.array([expected_log_price(**garment) for garment in drawn]) + noise,
        np.array(best),
    )


def expected_log_price(
    *, kind: str, brand: str, years: int, material: str, condition: str, stains: int, pattern: str
) -> float:
    """Returns the logarithm of the price by the rule, without noise."""
    return (
        KINDS[kind]
        + BRANDS[brand]
        - YEARLY * years
        + MATERIALS[material] * (2 if (material, kind) == ("silk", "dress") else 1)
        + CONDITIONS[condition]
        - STAIN * stains * (2 if brand in DEAR else 1)
        + (0 if pattern == "plain" else PATTERN)
    )


def best_estimate(garment: dict, *, text: bool, image: bool) -> float:
    """Returns the median of the logarithm of the price, given metadata and, where present, text and image.

    All values of what is missing are equally likely: the price is a mixture of Gaussians, whose median is bisected.
    """
    unknown = ({} if text else IN_TEXT) | ({} if image else IN_PICTURE)
    means = np.array(
        [
            expected_log_price(**garment | dict(zip(unknown, values, strict=True)))
            for values in itertools.product(*unknown.values())
        ]
    )
    low, high = means.min(), means.max()
    while high - low > 1e-6:
        middle = (low + high) / 2
        if np.mean([NormalDist(mean, NOISE).cdf(middle) for mean in means]) < 0.5:
            low = middle
        else:
            high = middle
    return float((low + high) / 2)


def draw_garment(kind: str, *, pattern: str, stains: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a garment: uint8 (SIZE, SIZE, 3). Its color, position and size vary and do not affect the price."""
    scale = 4  # drawn larger and scaled down, for smooth edges
    side = SIZE * scale
    grow, shift = rng.uniform(0.85, 1.0), rng.uniform(-0.04, 0.04, 2)
    outline = [tuple(side * ((np.array(point) - 0.5) * grow + 0.5 + shift)) for point in OUTLINES[kind]]
    color = tuple(
        int(c) for c in np.clip(np.array(COLORS[rng.integers(len(COLORS))]) + rng.integers(-15, 16, 3), 0, 255)
    )
    light = tuple(int(c + 0.65 * (255 - c)) for c in color)
    cloth = Image.new("RGB", (side, side), color)
    draw = ImageDraw.Draw(cloth)
    step = side // 8
    if pattern == "stripes":
        for x in range(0, side, step):
            draw.rectangle((x, 0, x + step // 3, side), fill=light)
    elif pattern == "dots":
        for x in range(0, side, step):
            for y in range(0, side, step):
                draw.ellipse((x, y, x + step // 2, y + step // 2), fill=light)
    shape = Image.new("L", (side, side), 0)
    ImageDraw.Draw(shape).polygon(outline, fill=255)
    inside = np.argwhere(np.array(shape.reduce(scale)) > 250)  # (m, 2) pixels of the garment
    radius = side * 0.035
    for y, x in _apart(inside, stains, rng):
        draw.ellipse((x * scale - radius, y * scale - radius, x * scale + radius, y * scale + radius), fill=STAIN_COLOR)
    ground = int(rng.integers(225, 250))
    image = Image.new("RGB", (side, side), (ground, ground, ground))
    image.paste(cloth, mask=shape)
    return np.array(image.reduce(scale))


def _apart(points: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Picks points at a distance from each other, so that stains can be counted."""
    chosen: list[np.ndarray] = []
    for point in points[rng.permutation(len(points))]:
        if len(chosen) == count:
            break
        if all(np.abs(point - other).max() > SIZE // 10 for other in chosen):
            chosen.append(point)
    return chosen
