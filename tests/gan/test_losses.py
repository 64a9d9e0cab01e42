"""GAN losses against numbers worked out by hand, and their equilibria against a numerical search."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from kerasapps.gan.losses import (
    CROSS_ENTROPY,
    Rules,
    cross_entropy,
    discriminator_loss,
    generator_loss,
    rest,
    shown_verdict,
)

REAL, FAKE = np.array([[2.0], [-1.0]], np.float32), np.array([[0.5], [-3.0]], np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        (
            "minimax",
            -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
            np.log(1 - sigmoid(FAKE)).mean(),
        ),
        (
            "non_saturating",
            -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
            -np.log(sigmoid(FAKE)).mean(),
        ),
        ("least_squares", (1 + 4) / 4 + (0.25 + 9) / 4, (0.25 + 16) / 4),
        ("hinge", (0 + 2) / 2 + (1.5 + 0) / 2, 2.5 / 2),
        ("wasserstein", -2.5 / 2 - 1 / 2, 2.5 / 2),
    ],
)
def test_losses_by_hand(loss, discriminator, generator):
    assert float(discriminator_loss(loss, REAL, FAKE)) == pytest.approx(discriminator, rel=1e-5)
    assert float(generator_loss(loss, FAKE)) == pytest.approx(generator, rel=1e-5)


def test_soft_targets_beyond_one():
    p = sigmoid(REAL)
    expected = -1.2 * np.log(p) + 0.2 * np.log(1 - p)
    np.testing.assert_allclose(cross_entropy(1.2, REAL), expected, rtol=1e-5)


def test_large_logits_stay_finite():
    logits = np.array([[1e4], [-1e4]], np.float32)
    for loss in ("minimax", "non_saturating"):
        assert np.isfinite(float(discriminator_loss(loss, logits, logits)))
        assert np.isfinite(float(generator_loss(loss, logits)))


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "least_squares"])
@pytest.mark.parametrize("labels", [{}, {"real_labels": (0.7, 1.2), "fake_labels": (0.0, 0.3)}])
@pytest.mark.parametrize("flip", [0.0, 0.1])
def test_a_game_rests_where_the_best_discriminator_meets_equal_distributions(loss, labels, flip):
    rules = Rules(loss=loss, flip=flip, **labels)
    rng = np.random.default_rng(0)

    def draw(usual, others):
        targets = rng.uniform(*usual, (200_000, 1))
        return np.where(rng.uniform(size=targets.shape) < flip, rng.uniform(*others, targets.shape), targets)

    real, fake = draw(rules.real_labels, rules.fake_labels), draw(rules.fake_labels, rules.real_labels)

    def objective(logit):
        return float(discriminator_loss(loss, logit, logit, real, fake))

    best = minimize_scalar(objective, bounds=(-5, 5), method="bounded")
    expected = rest(rules)
    assert float(shown_verdict(loss, np.float64(best.x))) == pytest.approx(expected.verdict, abs=5e-3)
    assert best.fun == pytest.approx(expected.discriminator_loss, abs=5e-3)
    wanted = rng.uniform(*rules.real_labels, (200_000, 1))
    assert float(generator_loss(loss, np.full((1, 1), best.x), wanted)) == pytest.approx(
        expected.generator_loss, abs=5e-3
    )


def test_where_the_others_rest():
    assert rest(Rules()).verdict == 0.5
    assert rest(Rules()).discriminator_loss == pytest.approx(2 * np.log(2))
    assert rest(Rules(loss="minimax")).generator_loss == pytest.approx(-np.log(2))
    # Equal logits everywhere: (1 - v)+ + (1 + v)+ is 2 for all v in [-1, 1].
    assert rest(Rules(loss="hinge")).discriminator_loss == pytest.approx(
        float(discriminator_loss("hinge", np.float32(0.3), np.float32(0.3)))
    )
    assert rest(Rules(loss="wasserstein", clip=0.01)).verdict is None


def test_only_cross_entropy_has_probabilities():
    assert {loss for loss in ("minimax", "non_saturating", "hinge") if shown_verdict(loss, 0.0) == 0.5} == set(
        CROSS_ENTROPY
    )
