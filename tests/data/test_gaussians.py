"""The mixture of Gaussians: its points follow its density."""

import numpy as np
import pytest

from kerasapps.data.gaussians import load_gaussians, ring


def test_the_density_adds_up_to_one():
    mixture = ring(spread=0.3)
    axis = np.linspace(-5, 5, 401)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    for blur in (0.0, 0.4):
        assert mixture.density(points, blur=blur).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-4)


def test_points_follow_the_density():
    mixture = ring(3, spread=0.5)
    points = mixture.sample(50_000, seed=1)
    box = (np.abs(points - mixture.centers[0]) < 0.25).all(1).mean() / 0.5**2
    axis = np.linspace(-0.25, 0.25, 21)
    inside = mixture.centers[0] + np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert box == pytest.approx(mixture.density(inside).mean(), rel=0.05)


def test_modes():
    mixture = ring()
    points = np.concatenate([mixture.centers + 0.01, [[0.0, 0.0]]])
    assert mixture.modes_of(points).tolist() == [*range(8), -1]


def test_splits_are_different_points_of_the_same_mixture():
    splits = load_gaussians(ring(), rows=1000, seed=2)
    parts = [split.inputs["point"] for split in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [1000, 100, 100]
    assert not np.array_equal(parts[1], parts[2])
    again = load_gaussians(ring(), rows=1000, seed=2, limit=10)
    assert len(again.train) == 10
    with pytest.raises(ValueError, match="`rows` must be at least 10"):
        load_gaussians(ring(), rows=9)
