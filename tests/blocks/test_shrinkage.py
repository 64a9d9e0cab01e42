"""The soft threshold against what can be worked out by hand."""

import keras
import numpy as np
import pytest

from kerasapps.blocks.shrinkage import SoftThreshold


def test_weights_move_towards_zero_and_stay_there():
    weights = np.array([[0.3, -0.05], [0.1, -0.25]], np.float32)
    np.testing.assert_allclose(SoftThreshold(0.1)(weights), [[0.2, 0.0], [0.0, -0.15]], atol=1e-7)


@pytest.mark.parametrize(("momentum", "epochs"), [(0.0, 20), (0.5, 50)])
def test_gradient_descent_ends_at_the_lasso(momentum, epochs):
    """With one row a weight, the minimum of 1/4 |y - w|^2 + penalty |w| is y moved by 2 penalty towards 0."""
    truth, rate, penalty = np.array([1.0, -0.5, 0.15, -0.1], np.float32), 1.0, 0.1
    shrink = SoftThreshold(rate * penalty / (1 - momentum))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False, kernel_constraint=shrink)])
    model.compile(keras.optimizers.SGD(rate, momentum=momentum), "mse")
    model.fit(np.eye(4, dtype=np.float32), truth[:, None], epochs=epochs, batch_size=4, verbose=0)
    weights = model.get_weights()[0][:, 0]
    np.testing.assert_allclose(weights, [0.8, -0.3, 0.0, 0.0], atol=1e-5)
    assert (weights == 0).sum() == 2  # exactly, which gradient descent on the penalty does not reach
