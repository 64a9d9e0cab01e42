"""Dense layers with a step: what they compute, and how they are saved."""

import keras
import numpy as np
import pytest

from kerasapps import build_perceptron, portable
from kerasapps.blocks.perceptron import Step


def test_a_step_is_1_from_0_on():
    scores = np.array([[-2.0, -1e-6, 0.0, 1e-6, 3.0]], np.float32)
    np.testing.assert_array_equal(Step()(scores), [[0, 0, 1, 1, 1]])


def test_one_neuron_by_hand():
    model = build_perceptron(features=2, num_classes=2, dense_units=(), output="sigmoid")
    model.set_weights([np.array([[2.0], [-1.0]]), np.array([0.5])])
    # Scores 2 * 1 - 3 + 0.5 and 2 * 0.25 - 1 + 0.5.
    found = model.predict({"features": np.array([[1.0, 3.0], [0.25, 1.0]], np.float32)}, verbose=0)["label"]
    np.testing.assert_allclose(found, [[0.3775407], [0.5]], atol=1e-6)


def test_a_sigmoid_is_a_softmax_of_two_scores_one_of_which_is_0():
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    one = build_perceptron(features=3, num_classes=2, dense_units=(), output="sigmoid")
    two = build_perceptron(features=3, num_classes=2, dense_units=())
    kernel, bias = one.get_weights()
    two.set_weights([np.hstack([0 * kernel, kernel]), np.hstack([0 * bias, bias])])
    probability = one({"features": points})["label"][:, 0]
    np.testing.assert_allclose(two({"features": points})["label"][:, 1], probability, atol=1e-6)


def test_a_network_of_steps_is_saved_and_portable(tmp_path):
    arguments = {"dense_units": (3,), "activation": "step", "output": "step"}
    model = build_perceptron(features=2, num_classes=2, **arguments)
    points = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    expected = model({"features": points})["label"]
    assert set(np.unique(expected)) <= {0.0, 1.0}
    model.save(tmp_path / "model.keras")
    for other in (keras.models.load_model(tmp_path / "model.keras"), portable(model)):
        np.testing.assert_array_equal(other({"features": points})["label"], expected)


@pytest.mark.parametrize("output", ["sigmoid", "step"])
def test_one_output_is_for_two_classes(output):
    with pytest.raises(ValueError, match="num_classes=3"):
        build_perceptron(features=2, num_classes=3, output=output)
