"""Whether the edge of a painting looks like its inside: saturation of strips of three pixels.

    python -m experiments.style_transfer run --content a.jpg --style b.jpg --size 512 --out runs/a
    python -m benchmarks.painting_border runs/a/result.png

For each side, the mean saturation of the outer three pixels as a multiple of that of the ten from the sixth on; below,
how far such a multiple is from 1 at the edges, and at all other strips, as a painting varies inside as well.
"""

from pathlib import Path

import numpy as np
import tyro

from kerasapps.data.pictures import read_picture

STRIP, NEXT = 3, slice(6, 16)  # pixels
SIDES = ("top", "right", "bottom", "left")


def main(paintings: tyro.conf.Positional[tuple[Path, ...]], /) -> None:
    """Prints the multiples of each painting, and their spread."""
    edges, others = [], []
    for path in paintings:
        found = [multiples(np.rot90(saturation(path), turn)) for turn in range(len(SIDES))]
        print(f"{path}: {', '.join(f'{side} {of[0]:.2f}' for side, of in zip(SIDES, found, strict=True))}")
        edges += [of[0] for of in found]
        others += [one for of in found for one in of[NEXT.stop // STRIP :]]
    for name, values in (("edges", edges), ("inside", others)):
        logarithms = np.abs(np.log(values))
        print(
            f"{name}: root mean square of the logarithm {np.sqrt(np.mean(logarithms**2)):.3f}, "
            f"{np.mean(logarithms > np.log(1.15)):.0%} of {len(values)} beyond 15 %"
        )


def saturation(path: Path) -> np.ndarray:
    """Returns the saturation of each pixel of a picture, in [0, 1], (H, W)."""
    pixels = read_picture(path, size=None, channels=3).astype(np.float64)
    brightest = pixels.max(-1)
    return (brightest - pixels.min(-1)) / np.maximum(brightest, 1)


def multiples(values: np.ndarray) -> list[float]:
    """Returns the mean of each strip of rows, from the upper edge on, as a multiple of that of rows a little below."""
    return [
        float(values[first : first + STRIP].mean() / values[first + NEXT.start : first + NEXT.stop].mean())
        for first in range(0, len(values) - NEXT.stop, STRIP)
    ]


if __name__ == "__main__":
    tyro.cli(main)
