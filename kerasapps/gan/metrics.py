"""How close generated rows are to real ones: distances between features, precision and recall, coverage of classes.

Features are float arrays (n, F) of any network; distances compare only with others of the same network.
"""

import numpy as np
from scipy.spatial.distance import cdist

CONFIDENT = 0.9
CHUNK = 1024  # rows whose distances to all others are held at a time


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the squared Fréchet distance between Gaussians fitted to two sets of features.

    Reference: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
    NeurIPS 2017. With features of Inception v3 it is the FID. It is biased upwards for few rows: compare equal numbers.

    Raises:
        ValueError: If a set has fewer than 2 rows, or a feature is not finite.
    """
    real, fake = _checked(real, fake)
    difference = real.mean(0) - fake.mean(0)
    first, second = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (real, fake))
    # The trace of the root of a product of covariances equals that of a symmetric matrix with the same eigenvalues,
    # which has no complex roots to discard.
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    crossed = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(max(0.0, difference @ difference + np.trace(first) + np.trace(second) - 2 * crossed))


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the squared maximum mean discrepancy under the kernel (x y / F + 1)**3, without bias: 0 on average for
    equal distributions, sometimes below.

    Reference: Bińkowski et al., "Demystifying MMD GANs", ICLR 2018. With features of Inception v3 it is the KID.

    Raises:
        ValueError: As for `frechet_distance`.
    """
    real, fake = _checked(real, fake)

    def kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
        return sum(((a[i : i + CHUNK] @ b.T / a.shape[1] + 1) ** 3).sum() for i in range(0, len(a), CHUNK))

    def within(rows: np.ndarray) -> float:
        itself = (((rows**2).sum(1) / rows.shape[1] + 1) ** 3).sum()
        return (kernel_sum(rows, rows) - itself) / (len(rows) * (len(rows) - 1))

    return float(within(real) + within(fake) - 2 * kernel_sum(real, fake) / (len(real) * len(fake)))


def precision_recall(real: np.ndarray, fake: np.ndarray, *, neighbors: int = 3) -> tuple[float, float]:
    """Returns the share of generated rows among the real ones, and the share of real rows among the generated ones.

    A row is among others if one of them is no farther away than that one's `neighbors`-th nearest of its own kind. Low
    precision means unrealistic samples, low recall that some kinds of rows are never generated.

    Reference: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS
    2019.

    Raises:
        ValueError: As for `frechet_distance`, or if a set has no more rows than `neighbors`.
    """
    real, fake = _checked(real, fake)
    if min(len(real), len(fake)) <= neighbors:
        raise ValueError(
            f"`real` and `fake` must have more than {neighbors} rows. Received: {len(real)} and {len(fake)}"
        )
    return _share_among(fake, real, neighbors), _share_among(real, fake, neighbors)


def _share_among(rows: np.ndarray, others: np.ndarray, neighbors: int) -> float:
    radii = np.concatenate(
        [
            # The nearest is the row itself.
            np.partition(cdist(others[i : i + CHUNK], others), neighbors, axis=1)[:, neighbors]
            for i in range(0, len(others), CHUNK)
        ]
    )
    inside = [(cdist(rows[i : i + CHUNK], others) <= radii).any(1) for i in range(0, len(rows), CHUNK)]
    return float(np.concatenate(inside).mean())


def class_coverage(probabilities: np.ndarray) -> dict[str, float]:
    """Measures which classes a classifier finds among generated rows.

    Args:
        probabilities: Of each class, (n, classes).

    Returns:
        `classes_covered`: number of classes that at least a tenth of an even share of the rows belongs to with a
        probability of at least 0.9. `confident_share`: share of the rows with such a class. `class_balance`: entropy of
        the classes, 1 if all are equally frequent and 0 if there is only one.
    """
    probabilities = np.asarray(probabilities, np.float64)
    count, classes = probabilities.shape
    found = probabilities.argmax(1)
    sure = probabilities.max(1) >= CONFIDENT
    shares = np.bincount(found, minlength=classes) / count
    some = shares[shares > 0]
    enough = max(1.0, 0.1 * count / classes)
    return {
        "classes_covered": int((np.bincount(found[sure], minlength=classes) >= enough).sum()),
        "confident_share": float(sure.mean()),
        "class_balance": float(abs((some * np.log(some)).sum()) / np.log(classes)),
    }


def diversity(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the spread of generated rows as a share of that of real rows: near 0 after a mode collapse.

    The spread is the root mean square distance between rows, computed from their variances.

    Raises:
        ValueError: As for `frechet_distance`.
    """
    real, fake = _checked(real, fake)
    return float(np.sqrt(fake.var(0).sum() / max(real.var(0).sum(), 1e-12)))


def nearest_rows(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of the nearest of the others for each row, and its distance; rows may have any shape."""
    rows, others = (np.asarray(array).reshape(len(array), -1) for array in (rows, others))
    chunks = [cdist(rows, others[i : i + CHUNK]) for i in range(0, len(others), CHUNK)]  # as float64
    distances = np.concatenate(chunks, 1)  # (n, others)
    return distances.argmin(1), distances.min(1)


def _checked(*sets: np.ndarray) -> list[np.ndarray]:
    for rows in sets:
        if rows.ndim != 2 or len(rows) < 2:
            raise ValueError(f"Features must be (n, F) with n at least 2. Received: shape {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("Features must be finite. Received: NaN or infinite values")
    return [np.asarray(rows, np.float64) for rows in sets]
