"""Points from a mixture of Gaussians in the plane, whose density is known.

Reference: Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, section 3.1 (the ring of 8).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from kerasapps.data.splits import Split, Splits


@dataclass(frozen=True)
class Mixture:
    """Gaussians of equal weight and spread.

    Args:
        centers: Their means, float (K, 2).
        spread: Their standard deviation in each direction.
    """

    centers: np.ndarray
    spread: float

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Draws points, float32 (count, 2)."""
        rng = np.random.default_rng(seed)
        centers = self.centers[rng.integers(0, len(self.centers), count)]
        return (centers + self.spread * rng.normal(size=(count, 2))).astype(np.float32)

    def density(self, points: np.ndarray, *, blur: float = 0.0) -> np.ndarray:
        """Returns the probability density at points (n, 2), float64 (n,).

        Args:
            points: Where.
            blur: Standard deviation of noise added to the mixture.
        """
        variance = self.spread**2 + blur**2
        squares = ((points[:, None] - self.centers) ** 2).sum(-1)  # (n, K)
        return np.exp(logsumexp(-squares / (2 * variance), axis=1)) / (2 * np.pi * variance * len(self.centers))

    def modes_of(self, points: np.ndarray, *, within: float = 3.0) -> np.ndarray:
        """Returns the nearest center's number for each point, or -1 if it is over `within` spreads away; int (n,)."""
        distances = np.sqrt(((points[:, None] - self.centers) ** 2).sum(-1))  # (n, K)
        return np.where(distances.min(1) <= within * self.spread, distances.argmin(1), -1)


def ring(count: int = 8, *, radius: float = 2.0, spread: float = 0.1) -> Mixture:
    """Returns Gaussians evenly on a circle."""
    angles = 2 * np.pi * np.arange(count) / count
    return Mixture(radius * np.stack([np.cos(angles), np.sin(angles)], 1), spread)


def load_gaussians(mixture: Mixture, *, rows: int = 25_600, seed: int = 0, limit: int | None = None) -> Splits:
    """Draws points.

    Inputs of the model: "point" float32 (B, 2). Targets: "mode" int32 (B,), the nearest center.

    Args:
        mixture: What to draw from.
        rows: Points of the training set; validation and test set have a tenth of them each.
        seed: Seed of the points.
        limit: Maximum number of points in each set.

    Raises:
        ValueError: If `rows` is under 10.
    """
    if rows < 10:
        raise ValueError(f"`rows` must be at least 10. Received: rows={rows}")
    parts = []
    for i, count in enumerate((rows, rows // 10, rows // 10)):
        points = mixture.sample(min(count, limit or count), seed=3 * seed + i)
        modes = mixture.modes_of(points, within=np.inf).astype(np.int32)
        parts.append(Split({"point": points}, {"mode": modes}))
    return Splits(*parts, sizes={"dimensions": 2})
