"""The measures against closed forms, scipy and sets small enough to count."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from kerasapps.gan.metrics import (
    class_coverage,
    diversity,
    frechet_distance,
    kernel_distance,
    nearest_rows,
    precision_recall,
)


def features(count: int = 400, width: int = 6, *, seed: int = 0, mean=0.0, scale=1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (mean + scale * rng.normal(size=(count, width)) @ np.triu(np.ones((width, width)))).astype(np.float32)


def test_frechet_distance_is_what_scipy_gives():
    real, fake = features(), features(300, seed=1, mean=0.3, scale=1.5)
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    difference = real.mean(0) - fake.mean(0)
    expected = difference @ difference + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real), rel=1e-6)


def test_frechet_distance_of_one_dimension_is_known():
    # Of N(m, s**2): (m1 - m2)**2 + (s1 - s2)**2.
    real = np.array([-1.0, 0.0, 1.0])[:, None]
    assert frechet_distance(real, 3 * real + 2) == pytest.approx(4 + (3 - 1) ** 2)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_with_fewer_rows_than_features():
    real, fake = features(5, 20), features(5, 20, seed=1)
    assert np.isfinite(frechet_distance(real, fake))
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-3)


def test_kernel_distance_by_hand():
    real, fake = features(7, 3), features(5, 3, seed=1, mean=0.5)

    def kernel(a, b):
        return (np.dot(a, b) / 3 + 1) ** 3

    def mean(pairs):
        return np.mean([kernel(a, b) for a, b in pairs])

    def within(rows):
        return mean([(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j])

    expected = within(real) + within(fake) - 2 * mean([(a, b) for a in real for b in fake])
    assert kernel_distance(real, fake) == pytest.approx(expected, rel=1e-4)


def test_kernel_distance_has_no_bias():
    values = [kernel_distance(features(50, 2, seed=2 * i), features(50, 2, seed=2 * i + 1)) for i in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    assert kernel_distance(features(50, 2), features(50, 2, seed=1, mean=2.0)) > 10 * np.std(values)


def test_precision_and_recall_by_counting():
    # Real rows one apart: with one neighbor, each holds what is within 1.
    real = np.array([[0.0], [1.0], [2.0], [3.0]])
    fake = np.array([[0.5], [0.6], [9.0]])
    precision, recall = precision_recall(real, fake, neighbors=1)
    assert precision == pytest.approx(2 / 3)
    # Radii of the generated rows: 0.1, 0.1 and 8.4, and that reaches down to 0.6.
    assert recall == pytest.approx(3 / 4)
    assert precision_recall(real, real, neighbors=1) == (1.0, 1.0)


def test_precision_and_recall_tell_collapse_from_nonsense():
    real = features()
    precision, recall = precision_recall(real, real[:1] + 0.01 * features(200, seed=2))
    assert precision > 0.95
    assert recall < 0.1
    precision, recall = precision_recall(real, features(400, seed=3, scale=10))
    assert precision < 0.3


def test_coverage_of_classes():
    probabilities = np.full((100, 4), 0.01)
    probabilities[:50, 0] = probabilities[50:90, 1] = 0.97
    probabilities[90:, 2] = 0.5
    result = class_coverage(probabilities)
    assert result["classes_covered"] == 2
    assert result["confident_share"] == pytest.approx(0.9)
    shares = np.array([0.5, 0.4, 0.1])
    assert result["class_balance"] == pytest.approx(-(shares * np.log(shares)).sum() / np.log(4))
    # One row of a hundred is less than a tenth of an even share.
    probabilities[99] = [0, 0, 0, 1]
    assert class_coverage(probabilities)["classes_covered"] == 2


def test_diversity_of_a_collapsed_generator():
    real = features()
    assert diversity(real, real) == pytest.approx(1)
    assert diversity(real, 3 * real) == pytest.approx(3, rel=1e-5)
    assert diversity(real, np.repeat(real[:1], 50, 0)) == pytest.approx(0, abs=1e-6)


def test_nearest_rows():
    others = np.arange(12.0).reshape(6, 2, 1)
    rows, distances = nearest_rows(others[[4, 1]] + 0.1, others)
    assert rows.tolist() == [4, 1]
    np.testing.assert_allclose(distances, np.sqrt(2) * 0.1, rtol=1e-4)
    pixels = np.array([[0], [200], [255]], np.uint8)  # whose differences are no uint8
    assert [values.tolist() for values in nearest_rows(pixels[:1], pixels[1:])] == [[0], [200.0]]


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance, precision_recall, diversity])
def test_what_cannot_be_measured(measure):
    good = features(10)
    with pytest.raises(ValueError, match="must be finite"):
        measure(good, np.full((10, 6), np.nan))
    with pytest.raises(ValueError, match="n at least 2"):
        measure(good[:1], good)
    with pytest.raises(ValueError, match="more than 3 rows"):
        precision_recall(good[:3], good)
