"""Simulated reviews: the posterior is the one that their generative model has."""

import numpy as np

from kerasapps.data import snippets
from kerasapps.data.snippets import LABELS, optimal_accuracy, write_snippets


def test_a_posterior_by_hand(monkeypatch):
    monkeypatch.setattr(snippets, "CLAUSES", (1, 1))
    one = next(one for one in write_snippets(5_000, seed=1) if "soup" in one.text and "superb" in one.text)
    # A food noun: 0.7 + 0.1 for food, 0.1 for each other topic; an opinion that agrees with probability 0.85, not 0.15.
    good = 0.15 if any(word in one.text for word in snippets.NOT) else 0.85
    topic = np.array([0.1, 0.1, 0.8, 0.8, 0.1, 0.1])
    sentiment = np.array([good, 1 - good] * 3)
    np.testing.assert_allclose(one.posterior, topic * sentiment, atol=1e-12)
    assert [label.split(", ")[0] for label in LABELS[2:4]] == ["food", "food"]


def test_the_posterior_is_calibrated():
    reviews = write_snippets(20_000, seed=3)
    highest = np.array([one.posterior.max() for one in reviews])
    right = np.array([one.posterior.argmax() == one.label for one in reviews])
    assert abs(right.mean() - highest.mean()) < 0.01
    for low in (0.4, 0.7, 0.8, 0.9):
        rows = (highest >= low) & (highest < low + 0.1)
        assert rows.sum() > 500
        assert abs(right[rows].mean() - highest[rows].mean()) < 0.04
    assert 0.82 < optimal_accuracy(reviews) < 0.85


def test_more_reviews_begin_with_the_same():
    few, many = write_snippets(5, seed=2), write_snippets(9, seed=2)
    assert [one.text for one in few] == [one.text for one in many[:5]]
    assert {one.label for one in write_snippets(300, seed=0)} == set(range(len(LABELS)))
    assert all(one.text[0].isupper() and one.text.endswith(".") for one in many)
