"""Adam and L-BFGS, alone and against scipy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize

from kerasapps.errors import TrainingError
from kerasapps.styling.descent import LBFGS, Adam, all_products

SHAPE = (1, 5, 4, 3)
START = tf.constant(np.random.default_rng(0).normal(0, 1, SHAPE), tf.float64)


def rosenbrock(x):
    """The valley of Rosenbrock, whose bottom is at 1."""
    flat = tf.reshape(x, [-1])
    value = tf.reduce_sum(100 * tf.square(flat[1:] - tf.square(flat[:-1])) + tf.square(1 - flat[:-1]))
    return value


def evaluate(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = rosenbrock(x)
    return value, tape.gradient(value, x), value


def descend(optimizer, evaluations: int, function=evaluate, x=START):
    state, calls, lowest = optimizer.start(x), 0, np.inf
    while calls < evaluations:
        state, told, more = optimizer.step(state, function, evaluations - calls)
        if told is None:
            break
        calls += more
        lowest = min(lowest, float(told))
    return state, lowest, calls


def scipy_lowest(evaluations: int) -> float:
    def flat(x):
        value, gradient, _ = evaluate(tf.constant(x.reshape(SHAPE)))
        return float(value), gradient.numpy().ravel()

    options = {"maxfun": evaluations, "maxiter": 10_000, "maxcor": 10, "ftol": 0, "gtol": 0}
    return minimize(flat, START.numpy().ravel(), jac=True, method="L-BFGS-B", options=options).fun


def test_lbfgs_keeps_up_with_scipy_and_leaves_adam_behind():
    _, ours, calls = descend(LBFGS(first_move=0.01), 120)
    assert calls <= 120
    assert np.log10(ours) <= np.log10(scipy_lowest(120)) + 0.5
    _, adam, _ = descend(Adam(learning_rate=0.05, average=0.0), 120)
    assert ours < adam


def test_lbfgs_finds_the_bottom_of_a_quadratic_form():
    scales = tf.constant(np.geomspace(1, 1e4, 60).reshape(SHAPE))

    def quadratic(x):
        value = tf.reduce_sum(scales * tf.square(x)) / 2
        return value, scales * x, value

    _, lowest, _ = descend(LBFGS(), 200, quadratic)
    assert lowest < 1e-6 * float(quadratic(START)[0])


@pytest.mark.parametrize("steps", [2, 5, 30])
def test_inner_products_are_kept_from_step_to_step(steps):
    state, _, _ = descend(LBFGS(memory=4), steps)
    basis = state["steps"], state["changes"], state["gradient"]
    flat = np.concatenate([part.numpy().reshape(len(part), -1) for part in basis])
    known = state["products"].numpy()
    assert len(known) == 2 * min(len(basis[0]) - 1, 3)  # all but those of the last pair
    np.testing.assert_allclose(all_products(*basis, known), flat @ flat.T, rtol=1e-9)


def test_lbfgs_never_climbs_and_stops_at_the_bottom():
    seen = []
    optimizer, state = LBFGS(first_move=0.01), LBFGS().start(START)
    for _ in range(40):
        state, told, _ = optimizer.step(state, evaluate, 20)
        seen.append(float(told))
    assert seen == sorted(seen, reverse=True)

    def flat(x):
        return tf.reduce_sum(0 * x), 0 * x, tf.constant(0.0)

    state, _, calls = descend(LBFGS(), 50, flat)
    assert calls == 1
    np.testing.assert_array_equal(state["x"], START)


def test_lbfgs_backs_out_of_where_there_is_no_number():
    def wall(x):
        inside = tf.where(tf.reduce_max(tf.abs(x)) < 5, 1.0, np.nan)
        value = tf.reduce_sum(tf.sqrt(1 + tf.square(x))) * tf.cast(inside, x.dtype)
        return value, x / tf.sqrt(1 + tf.square(x)) * tf.cast(inside, x.dtype), value

    state, lowest, _ = descend(LBFGS(first_move=100.0), 60, wall)
    assert np.isfinite(lowest)
    assert np.isfinite(state["x"]).all()


def test_lbfgs_tells_a_gradient_that_is_no_number_from_the_bottom():
    def broken(x):
        return tf.reduce_sum(x), x * np.nan, tf.reduce_sum(x)

    with pytest.raises(TrainingError, match="The gradient is NaN or infinite"):
        descend(LBFGS(), 5, broken)


def test_adam_moves_by_its_learning_rate_first_and_averages_without_bias():
    optimizer = Adam(learning_rate=0.5, average=0.9)
    state, _, calls = optimizer.step(optimizer.start(START), evaluate, 5)
    assert calls == 1
    gradient = evaluate(START)[1]
    np.testing.assert_allclose(state["x"], START - 0.5 * np.sign(gradient), atol=1e-6)
    np.testing.assert_allclose(optimizer.solution(state), state["x"], atol=1e-12)


@pytest.mark.parametrize("optimizer", [Adam(learning_rate=0.01), LBFGS(first_move=0.01)])
def test_the_state_is_carried_over_to_another_size(optimizer):
    state, _, _ = descend(optimizer, 8)
    larger = optimizer.resize(state, lambda x: tf.cast(tf.image.resize(x, (8, 6)), tf.float64))
    assert optimizer.solution(larger).shape == (1, 8, 6, 3)
    kept = {name: value.shape for name, value in larger.items() if name not in ("count", "products")}
    assert all(shape[1:] == (8, 6, 3) for shape in kept.values())
    if isinstance(optimizer, LBFGS):
        assert kept["steps"][0] == state["steps"].shape[0] > 0
    _, told, _ = optimizer.step(larger, evaluate, 9)
    assert told is not None
