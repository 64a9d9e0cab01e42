"""Images by what the classifier reads of them, on a plane and on a grid.

References: van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008; Venna and Kaski, "Neighborhood
Preservation in Nonlinear Projection Methods", ICANN 2001 (trustworthiness).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

from kerasapps.blocks.arguments import refusal

Kind = Literal["tsne", "pca"]
NEIGHBORS = 5
LEAST = 4  # rows, for a plane and its neighbors


@dataclass(frozen=True)
class Plane:
    """Rows on a plane.

    Args:
        places: float32 (n, 2).
        trust: Share, weighed by rank, of neighbors on the plane that are neighbors in the codes too, in [0, 1].
    """

    places: np.ndarray
    trust: float


def embed(codes: np.ndarray, *, kind: Kind = "tsne", seed: int = 0) -> Plane:
    """Puts rows of codes (n, D) on a plane so that near ones stay near.

    Raises:
        ValueError: If there are fewer than 4 rows.
    """
    if len(codes) < LEAST:
        raise refusal(f"hold at least {LEAST} rows", codes=codes.shape)
    pca = PCA(min(50, *codes.shape), random_state=seed).fit_transform(codes.astype(np.float64))
    places = np.pad(pca, [(0, 0), (0, 1)])[:, :2]
    if kind == "tsne":
        perplexity = min(30.0, (len(codes) - 1) / 3)
        places = TSNE(2, perplexity=perplexity, init="pca" if pca.shape[1] > 1 else "random", random_state=seed)
        places = places.fit_transform(pca.astype(np.float32))
    neighbors = max(1, min(NEIGHBORS, (len(codes) - 1) // 2))
    return Plane(places.astype(np.float32), float(trustworthiness(codes, places, n_neighbors=neighbors)))


def on_grid(places: np.ndarray) -> np.ndarray:
    """Moves rows of a plane to the cells of a square grid, each to one of its own, as near as all of them allow.

    Args:
        places: float (n, 2), of which as many as a square has are used, the first ones.

    Returns:
        The row in each cell, int (side, side).
    """
    side = int(np.sqrt(len(places)))
    places = places[: side * side].astype(np.float64)
    low, high = places.min(0), places.max(0)
    scaled = (places - low) / np.maximum(high - low, 1e-12)
    cells = np.stack(np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side)), -1).reshape(-1, 2)  # x, then y
    cost = ((scaled[:, None] - cells[None]) ** 2).sum(-1)  # (n, cells)
    rows, columns = linear_sum_assignment(cost)
    grid = np.empty(side * side, int)
    grid[columns] = rows
    return grid.reshape(side, side)[::-1]  # y grows upwards on the plane
