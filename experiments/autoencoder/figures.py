"""What the autoencoder experiment draws: reconstructions, the plane of codes, images between images, anomalies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from kerasapps.formats import format_share
from kerasapps.reports import Figure, add_axes, new_figure

from ..shared.classification import WIDTH, shorten
from ..shared.images import sheet_figure

COLUMNS = 12
GRID = 15  # images of a side
ENDS = 0.03  # share of the codes beyond the first and the last column of the grid
LEGEND = 12  # classes at most that get colors
STEPS = 10  # images between two
# Ten that can be told apart, by light and dark as well.
COLORS = ("#2563a8", "#d9822b", "#3a9169", "#b5485d", "#7a5ea8", "#6b7280", "#59b4e0", "#e3c44a", "#8c5a3c", "#e08cc0")

Decode = Callable[[np.ndarray], np.ndarray]  # codes (n, Z) -> images uint8 (n, H, W, C)


@dataclass(frozen=True)
class Plane:
    """A plane through the space of codes, whose points are two numbers.

    Args:
        origin: Where both are 0, (Z,).
        axes: The steps of 1, (2, Z).
        what: What they are, for people.
    """

    origin: np.ndarray
    axes: np.ndarray
    what: tuple[str, str]

    @classmethod
    def of(cls, codes: np.ndarray, *, standard: bool) -> "Plane":
        """Returns the plane in which codes (n, Z) vary most; of two `standard` numbers, the plane that they are."""
        if codes.shape[1] == 2 and standard:
            return cls(np.zeros(2), np.eye(2), ("first number of the code", "second number"))
        origin = codes.mean(0)
        _, lengths, directions = np.linalg.svd(codes - origin, full_matrices=False)
        axes = np.zeros((2, codes.shape[1]))
        known = min(2, len(lengths))
        axes[:known] = (lengths[:known, None] / np.sqrt(len(codes))) * directions[:known]
        return cls(origin, axes, ("first principal component of the codes", "second"))

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Returns where codes (n, Z) are seen in the plane, (n, 2)."""
        return (codes - self.origin) @ np.linalg.pinv(self.axes)

    def codes(self, points: np.ndarray) -> np.ndarray:
        """Returns the codes (n, Z) of points (n, 2) of the plane."""
        return (self.origin + points @ self.axes).astype(np.float32)


def reconstructions_figure(images: np.ndarray, decoded: np.ndarray, *, numbers: int) -> Figure:
    """Shows images above their reconstructions, uint8 (n, H, W, C)."""
    lines = [part[i : i + COLUMNS] for i in range(0, len(images), COLUMNS) for part in (images, decoded)]
    caption = (
        f"Rows 1 and 3: test images. Below each: what the decoder makes of its code, {numbers} "
        f"{'numbers' if numbers > 1 else 'number'} in place of {images[0].size:,} pixel values."
    )
    columns = min(COLUMNS, len(images))
    return Figure("reconstructions", caption, sheet_figure(np.concatenate(lines), columns=columns))


def codes_figure(plane: Plane, codes: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Figure:
    """Draws the code of each test image as a point in the color of its class."""
    figure = new_figure(width=6.0, height=5.0)
    axes = add_axes(figure, xlabel=plane.what[0], ylabel=plane.what[1])
    points, colored = plane.points(codes), 0 < len(names) <= LEGEND
    if not colored:
        axes.scatter(*points.T, s=10, alpha=0.6, linewidths=0)
    for label, name in enumerate(names if colored else ()):
        own = points[labels == label]
        marker = "o" if label < len(COLORS) else "^"
        axes.scatter(*own.T, s=14, color=COLORS[label % len(COLORS)], marker=marker, linewidths=0, label=shorten(name))
    axes.set_aspect("equal", adjustable="datalim")
    if colored:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.6)
    caption = "The code of each test image, one point each"
    caption += ", in the color of its class, which the network was never told." if colored else "."
    return Figure("codes", caption, figure)


def grid_figure(plane: Plane, decode: Decode) -> Figure:
    """Shows what the decoder makes of the points of a grid, which is spaced so that each is about equally frequent."""
    steps = norm.ppf(np.linspace(ENDS, 1 - ENDS, GRID))
    points = np.stack(np.meshgrid(steps, steps[::-1]), -1).reshape(-1, 2)  # from the top left, as the images are shown
    caption = (
        f"Images of {GRID} x {GRID} points of the same plane, from {steps[0]:.1f} to {steps[-1]:.1f} to the right and "
        "upward, closer together in the middle, where most codes are."
    )
    return Figure("grid", caption, sheet_figure(decode(plane.codes(points)), columns=GRID), "Grid of codes")


def interpolation_figure(images: np.ndarray, codes: np.ndarray, decode: Decode) -> Figure:
    """Shows images between the first and second, third and fourth and so on, of images with their codes."""
    lines = []
    for i in range(0, len(images) - 1, 2):
        shares = np.linspace(0, 1, STEPS, dtype=np.float32)[:, None]
        between = decode((1 - shares) * codes[i] + shares * codes[i + 1])
        lines += [images[i : i + 1], between, images[i + 1 : i + 2]]
    caption = (
        "Interpolation: left and right a test image each; between them what the decoder makes of the straight line "
        "from one code to the other. A mean of the two images themselves would show both at once."
    )
    return Figure("interpolation", caption, sheet_figure(np.concatenate(lines), columns=STEPS + 2))


def anomaly_figure(usual: np.ndarray, unusual: np.ndarray, *, what: str) -> tuple[Figure, float]:
    """Draws the reconstruction errors of usual and unusual images, and the ROC curve; returns the area under it too."""
    errors, truth = np.concatenate([usual, unusual]), np.repeat([0, 1], [len(usual), len(unusual)])
    area = float(roc_auc_score(truth, errors))
    alarms, found, _ = roc_curve(truth, errors)
    at_five = float(found[alarms <= 0.05].max(initial=0.0))
    figure = new_figure(WIDTH, 4.0)
    axes = add_axes(figure, 1, 2, 1, xlabel="reconstruction error", ylabel="share of the images", title="errors")
    bins = np.linspace(0, np.quantile(errors, 0.995), 30)
    for values, label in ((usual, "usual"), (unusual, "anomalies")):
        axes.hist(values, bins, weights=np.full(len(values), 1 / len(values)), alpha=0.6, label=label)
    axes.legend(frameon=False)
    axes = add_axes(figure, 1, 2, 2, xlabel="usual images reported", ylabel="anomalies reported", title="ROC curve")
    axes.plot([0, 1], [0, 1], color="#9aa1ab", linestyle=":", linewidth=1)
    axes.plot(alarms, found)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    caption = (
        f"Anomaly detection: {what}. Each threshold of the error is a point of the ROC curve, under which the area is "
        f"{area:.3f}; 0.5 is chance. Where 5 % of the usual images are reported, so are {format_share(at_five)} of the "
        "anomalies."
    )
    return Figure("anomalies", caption, figure, "Anomaly detection", wraps=True), area
