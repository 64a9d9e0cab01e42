"""The minimax problem f = xy: what is known of each kind of step."""

import numpy as np
import pytest

from experiments.gan.saddle import alternating, averages, extragradient, path, saddle_figure, simultaneous


def taken(step, rate: float = 0.1, steps: int = 1000) -> np.ndarray:
    return path(step, start=(0.6, -0.8), rate=rate, steps=steps)


def test_one_step_by_hand():
    assert simultaneous(2, 3, 0.1) == pytest.approx((1.7, 3.2))
    assert alternating(2, 3, 0.1) == pytest.approx((1.7, 3.17))
    assert extragradient(2, 3, 0.1) == pytest.approx((1.68, 3.17))  # the gradient at (1.7, 3.2)


def norms(points: np.ndarray) -> np.ndarray:
    return np.hypot(*points.T)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_simultaneous_steps_move_away_and_extragradient_comes_closer(rate):
    out, closer = (norms(taken(step, rate, 50)) for step in (simultaneous, extragradient))
    np.testing.assert_allclose(out[1:] / out[:-1], np.sqrt(1 + rate**2))
    np.testing.assert_allclose(closer[1:] / closer[:-1], np.sqrt(1 - rate**2 + rate**4))


def test_alternating_steps_stay_on_an_ellipse_whose_average_is_the_equilibrium():
    points = taken(alternating)
    x, y = points.T
    np.testing.assert_allclose(x**2 - 0.1 * x * y + y**2, 1 + 0.1 * 0.48)
    distance = norms(averages(points))
    # The sum of the steps is bounded, so that the average falls as 1 over their number.
    assert (distance * np.arange(1, len(points) + 1)).max() < 2 * 1.1 / 0.1
    assert distance[-1] < 0.03 < 0.5 < distance[0]


def test_the_figure_has_the_last_distances():
    plane, over_time = saddle_figure().figure.axes
    assert len(plane.lines) == 5  # the equilibrium is one of them
    ends = {line.get_label().partition(":")[0]: line.get_ydata()[-1] for line in over_time.lines}
    assert ends["simultaneous"] == pytest.approx(1.01**125)
    assert ends["average of alternating"] < 0.1
    assert ends["extragradient"] < 0.3 < 0.9 < ends["alternating"]
