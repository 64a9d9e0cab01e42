import numpy as np
import pytest

from kerasapps.blocks.heads import OrderedProbabilities
from kerasapps.heads import Head


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_ordered_probabilities_by_hand():
    layer = OrderedProbabilities(3)
    layer.build((None, 1))
    layer.set_weights([np.array([-1.0]), np.array([np.log(np.expm1(2.0))])])  # thresholds -1 and 1
    below = sigmoid(np.array([[-1.0, 1.0], [-3.0, -1.0]]))  # scores 0 and 2
    expected = np.stack([below[:, 0], below[:, 1] - below[:, 0], 1 - below[:, 1]], 1)
    np.testing.assert_allclose(layer(np.array([[0.0], [2.0]])), expected, atol=1e-6)


def test_ordered_probabilities_begin_one_apart_around_zero():
    layer = OrderedProbabilities(4)
    probabilities = np.array(layer(np.zeros((1, 1), np.float32)))[0]
    np.testing.assert_allclose(np.cumsum(probabilities)[:3], sigmoid(np.array([-1.0, 0.0, 1.0])), atol=1e-3)
    assert probabilities.sum() == pytest.approx(1)


def test_many_ordered_classes_all_begin_alive():
    probabilities = np.array(OrderedProbabilities(60)(np.zeros((1, 1), np.float32)))[0]
    assert probabilities.min() > 1e-3


def test_two_ordered_classes_have_one_threshold():
    layer = OrderedProbabilities(2)
    np.testing.assert_allclose(layer(np.zeros((1, 1), np.float32)), [[0.5, 0.5]])
    assert layer.count_params() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "number"}, "`kind` must be one of regression, classes, ordinal, binary. Received: kind='number'"),
        ({"kind": "classes"}, "`num_classes` of a head of kind 'classes' must be an integer of at least 2"),
        ({"kind": "ordinal", "num_classes": 1}, "must be an integer of at least 2. Received: 1"),
        ({"kind": "binary", "num_classes": 2}, "has no `num_classes`"),
        ({"kind": "regression", "scale": 0.0}, "`scale` must be above 0. Received: scale=0.0"),
    ],
)
def test_a_head_that_makes_no_sense(arguments, message):
    with pytest.raises(ValueError, match=r"must be|has no") as error:
        Head(**arguments)
    assert message in str(error.value)
