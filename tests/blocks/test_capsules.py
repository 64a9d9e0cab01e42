"""Capsules: squashing and routing by hand and against NumPy, and the decoder's loss."""

import keras
import numpy as np
import pytest

from kerasapps.applications.capsule_network import RECONSTRUCTION, build_capsule_network
from kerasapps.blocks.capsules import Capsules, Lengths, LongestCapsule, route, squash
from kerasapps.losses import MarginLoss

rng = np.random.default_rng(0)


def test_squash_by_hand():
    # Of length 5: 25 / 26 in the same direction. Of length 0.1: about a hundredth.
    found = np.asarray(squash(np.array([[3.0, 4.0], [0.1, 0.0], [0.0, 0.0]], np.float32)))
    np.testing.assert_allclose(found, [[3 / 5 * 25 / 26, 4 / 5 * 25 / 26], [0.01 / 1.01, 0], [0, 0]], atol=1e-5)


def routed(votes: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Procedure 1 of the paper, for one image: votes (N, K, E)."""
    logits = np.zeros(votes.shape[:2])
    for i in range(iterations):
        couplings = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        sums = np.einsum("nk,nke->ke", couplings, votes)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        parents = norms / (1 + norms**2) * sums
        if i < iterations - 1:
            logits += np.einsum("nke,ke->nk", votes, parents)
    return parents, couplings


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_as_in_the_paper(iterations):
    votes = rng.normal(size=(2, 5, 3, 4)).astype(np.float32)
    parents, couplings = map(np.asarray, route(votes, iterations))
    np.testing.assert_allclose(couplings.sum(-1), 1, atol=1e-6)
    for row in range(2):
        expected = routed(votes[row], iterations)
        np.testing.assert_allclose(parents[row], expected[0], atol=1e-5)
        np.testing.assert_allclose(couplings[row], expected[1], atol=1e-5)


def test_who_agrees_gets_more():
    """Two capsules of three vote alike for the first parent; all vote apart for the second."""
    apart = [[1, 0], [0, 1], [-1, -1]]
    votes = np.array([[[[2, 0], apart[0]], [[2, 0], apart[1]], [[-1, 1], apart[2]]]], np.float32)
    _, couplings = map(np.asarray, route(votes, 3))
    assert (couplings[0, :2, 0] > 0.6).all()
    assert couplings[0, 2, 0] < 0.5


def test_capsules_vote_by_a_matrix_for_each_pair():
    layer = Capsules(2, 3, iterations=2)
    x = rng.normal(size=(1, 4, 5)).astype(np.float32)
    found = np.asarray(layer(x))
    votes = np.einsum("nd,ndf->nf", x[0], layer.get_weights()[0]).reshape(4, 2, 3)
    np.testing.assert_allclose(found[0], routed(votes, 2)[0], atol=1e-5)


def test_lengths_and_the_longest():
    capsules = np.array([[[3.0, 4.0], [0.0, 1.0]], [[0.0, 0.0], [0.5, 0.0]]], np.float32)
    np.testing.assert_allclose(Lengths()(capsules), [[5, 1], [0, 0.5]], atol=1e-3)
    kept = np.asarray(LongestCapsule()(capsules))
    np.testing.assert_array_equal(kept, [[[3, 4], [0, 0]], [[0, 0], [0.5, 0]]])


def test_the_margin_loss_by_hand():
    lengths = np.array([[0.95, 0.3, 0.0], [0.5, 0.05, 0.1]], np.float32)
    # Row 0: right and sure, half of (0.3 - 0.1)^2. Row 1 is class 1: (0.9 - 0.05)^2 and half of (0.5 - 0.1)^2.
    expected = [0.5 * 0.04, 0.85**2 + 0.5 * 0.16]
    loss = MarginLoss(reduction=None)
    np.testing.assert_allclose(loss(np.array([0, 1]), lengths), expected, atol=1e-6)
    np.testing.assert_allclose(loss(np.array([[0], [1]]), lengths), expected, atol=1e-6)
    again = MarginLoss.from_config(MarginLoss(0.8, 0.2, 1.0).get_config())
    assert (again.present, again.absent, again.weight) == (0.8, 0.2, 1.0)


def test_the_decoder_draws_from_the_longest_capsule_and_its_error_joins_the_loss(tmp_path):
    sizes = {"image_shape": (17, 17, 1), "num_classes": 3, "filters": 4, "primary_capsules": 2}
    model = build_capsule_network(**sizes, decoder_units=(6,))
    images = rng.integers(0, 256, (4, 17, 17, 1)).astype(np.float32)
    labels = np.array([0, 1, 2, 0])
    drawn = keras.Model(model.input, model.get_layer(RECONSTRUCTION).output)(images)
    error = 5e-4 * np.square(images / 255 - np.asarray(drawn)).sum((1, 2, 3)).mean()
    scores = model(images)["label"]
    model.compile("sgd", MarginLoss(), jit_compile=False)
    expected = float(MarginLoss()(labels, scores)) + error
    assert model.evaluate(images, labels, verbose=0) == pytest.approx(expected, rel=1e-4)
    before = model.get_layer("decoder_pixels").get_weights()[1]
    model.fit(images, labels, epochs=1, verbose=0)
    assert not np.array_equal(before, model.get_layer("decoder_pixels").get_weights()[1])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images)["label"], model(images)["label"], atol=1e-6)
