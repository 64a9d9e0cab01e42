"""The weights of a SuperLearner: what holds for any predictions, and members that are no use."""

import numpy as np
import pytest
from scipy.optimize import nnls

from kerasapps import superlearner
from kerasapps.superlearner import METHODS, combined, fit_weights, mean_of, risk, row_losses

SEEDS = range(6)


def classes_of(seed: int, *, rows: int = 300, classes: int = 3, members: int = 4):
    """Members whose probabilities know more or less of the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    knows = rng.uniform(0, 3, members)
    scores = [know * np.eye(classes)[truth] + rng.normal(size=(rows, classes)) for know in knows]
    return {f"m{i}": np.exp(s) / np.exp(s).sum(1, keepdims=True) for i, s in enumerate(scores)}, truth


def numbers_of(seed: int, *, rows: int = 300, members: int = 4):
    rng = np.random.default_rng(seed)
    truth = rng.normal(50, 10, rows)
    return {f"m{i}": truth + rng.normal(0, rng.uniform(1, 20), rows) for i in range(members)}, truth


TASKS = [pytest.param(made, seed, id=f"{made.__name__}-{seed}") for made in (classes_of, numbers_of) for seed in SEEDS]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("made", "seed"), TASKS)
def test_weights_are_non_negative_sum_to_one_and_are_the_same_again(made, seed, method):
    predictions, truth = made(seed)
    weights = fit_weights(predictions, truth, method=method).values
    assert weights.keys() == predictions.keys()
    assert min(weights.values()) >= 0
    assert sum(weights.values()) == pytest.approx(1, abs=1e-12)
    assert fit_weights(predictions, truth, method=method).values == weights


@pytest.mark.parametrize("loss", ["log_loss", "squared"])
@pytest.mark.parametrize(("made", "seed"), TASKS)
def test_convex_weights_are_optimal(made, seed, loss):
    """None of many other points of the simplex is lower, and the conditions of Karush, Kuhn and Tucker hold."""
    predictions, truth = made(seed)
    weights = fit_weights(predictions, truth, loss=loss).values
    lowest = risk(combined(predictions, weights), truth, loss=loss).mean
    rng = np.random.default_rng(seed)
    others = [*np.eye(4), *rng.dirichlet(np.ones(4), 50)]
    others += [0.99 * np.array([*weights.values()]) + 0.01 * point for point in others]
    for point in others:
        other = combined(predictions, dict(zip(predictions, point, strict=True)))
        assert lowest <= risk(other, truth, loss=loss).mean * (1 + 1e-7)


def test_log_loss_weights_meet_the_conditions_of_an_optimum():
    for seed in SEEDS:
        predictions, truth = classes_of(seed)
        weights = fit_weights(predictions, truth).values
        mean = combined(predictions, weights)[np.arange(len(truth)), truth]
        for name, one in predictions.items():
            gain = (one[np.arange(len(truth)), truth] / mean).mean()  # 1 where it has weight, at most 1 elsewhere
            assert gain <= 1 + 1e-3
            if weights[name] > 0.01:
                assert gain == pytest.approx(1, abs=1e-3)


def test_nnls_is_that_of_scipy():
    for seed in SEEDS:
        predictions, truth = numbers_of(seed)
        expected = nnls(np.stack([*predictions.values()], 1), truth)[0]
        found = fit_weights(predictions, truth, method="nnls").values
        np.testing.assert_allclose([*found.values()], expected / expected.sum(), atol=1e-9)
        predictions, truth = classes_of(seed)
        expected = nnls(np.stack([one.ravel() for one in predictions.values()], 1), np.eye(3)[truth].ravel())[0]
        found = fit_weights(predictions, truth, method="nnls").values
        np.testing.assert_allclose([*found.values()], expected / expected.sum(), atol=1e-9)


def test_nnls_without_any_positive_weight_takes_the_best_member():
    truth = np.linspace(1, 2, 50)
    found = fit_weights({"wrong": -truth, "worse": -3 * truth}, truth, method="nnls")
    assert found.values == {"wrong": 1.0, "worse": 0.0}
    assert found.notes == ("No member has a positive weight by nnls: the one of the lowest risk is taken.",)


def test_known_weights_are_found():
    rng = np.random.default_rng(0)
    parts = {"a": rng.normal(size=4000), "b": rng.normal(size=4000), "c": rng.normal(size=4000)}
    truth = 0.7 * parts["a"] + 0.3 * parts["b"]
    for method in ("convex", "nnls"):
        found = fit_weights(parts, truth, method=method).values
        np.testing.assert_allclose([found[name] for name in "abc"], [0.7, 0.3, 0], atol=1e-4)


def test_the_gap_to_the_oracle_shrinks_with_the_rows():
    gaps = {}
    for rows in (100, 400, 1600):
        found = []
        for seed in range(12):
            predictions, truth = classes_of(seed, rows=rows + 4000, members=6)
            seen = {name: one[:rows] for name, one in predictions.items()}
            fresh = {name: one[rows:] for name, one in predictions.items()}
            reached = [
                risk(combined(fresh, fit_weights(part, part_truth).values), truth[rows:]).mean
                for part, part_truth in ((seen, truth[:rows]), (fresh, truth[rows:]))
            ]
            found.append(reached[0] - reached[1])
        gaps[rows] = np.mean(found)
    assert gaps[100] > gaps[400] > gaps[1600] > 0


def test_log_linear_weights_are_optimal_and_never_worse_than_a_member():
    for seed in SEEDS:
        predictions, truth = classes_of(seed)
        found = fit_weights(predictions, truth, method="log_linear")

        def objective(weights, predictions=predictions, truth=truth):
            prior = (weights.sharpness - 1) ** 2 / (2 * len(truth))
            return risk(weights.pooled(predictions), truth).mean + prior

        lowest = objective(found)
        rng = np.random.default_rng(seed)
        for point in [*np.eye(4), *(2 * rng.dirichlet(np.ones(4), 30))]:
            values = dict(zip(predictions, point / point.sum(), strict=True))
            assert lowest <= objective(superlearner.Weights(values, sharpness=float(point.sum()))) + 1e-6
        pooled = found.pooled(predictions)
        np.testing.assert_allclose(pooled.sum(1), 1)
        np.testing.assert_allclose(pooled[:1], found.pooled({name: one[:1] for name, one in predictions.items()}))


def test_members_that_know_different_things_are_surer_together():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 4000)
    votes = {f"m{i}": np.where(rng.random(4000) < 0.8, truth, 1 - truth) for i in range(5)}
    given = {name: np.stack([0.8 - 0.6 * vote, 0.2 + 0.6 * vote], 1) for name, vote in votes.items()}
    mean, product = (fit_weights(given, truth, method=way) for way in ("convex", "log_linear"))
    assert product.sharpness == pytest.approx(5, abs=0.5)  # independent evidence adds up
    assert risk(product.pooled(given), truth).mean < 0.8 * risk(mean.pooled(given), truth).mean


def test_a_few_rows_that_all_members_get_right_do_not_make_them_certain():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2040)
    right = np.where(np.arange(2040) < 40, True, rng.random(2040) < 0.9)  # the first 40 are fitted on
    chance = np.clip(0.85 + 0.05 * rng.normal(size=(2, 2040)), 0.6, 0.99)
    of_truth = np.where(right, chance, 1 - chance)
    given = {f"m{i}": np.where(truth[:, None] == [0, 1], p[:, None], 1 - p[:, None]) for i, p in enumerate(of_truth)}
    found = fit_weights({name: one[:40] for name, one in given.items()}, truth[:40], method="log_linear")
    assert 1 < found.sharpness < 4
    fresh = {name: one[40:] for name, one in given.items()}
    best = min(risk(one, truth[40:]).mean for one in fresh.values())
    assert risk(found.pooled(fresh), truth[40:]).mean < 1.5 * best


# --- members that nothing can be done with


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("made", [classes_of, numbers_of])
def test_failed_constant_and_repeated_members_get_no_weight_and_a_sentence(made, method):
    predictions, truth = made(0)
    one = predictions["m1"]
    broken = one.copy()
    broken[7] = np.nan
    more = {"failed": np.full_like(one, np.nan), "broken": broken, "constant": np.full_like(one, 1 / 3)}
    given = {"m0": predictions["m0"], "twin": predictions["m0"].astype(np.float32), **more, "m1": one}
    found = fit_weights(given, truth, method=method)
    assert {name for name, weight in found.values.items() if weight > 0} <= {"m0", "m1"}
    assert found.notes == (
        "twin gets no weight: it predicts what m0 does.",
        "failed gets no weight: 300 of its 300 predictions are not finite.",
        "broken gets no weight: 1 of its 300 predictions are not finite.",
        "constant gets no weight: it predicts the same for all rows.",
    )
    alone = fit_weights({"m0": predictions["m0"], "m1": one}, truth, method=method).values
    assert {name: found.values[name] for name in alone} == pytest.approx(alone)
    assert np.isfinite(found.pooled(given)).all()
    assert np.isfinite(found.pooled({name: one[:1] for name, one in given.items()})).all()


def test_what_is_constant_in_each_fold_is_constant():
    predictions, truth = classes_of(0)
    folds = np.arange(300) % 2
    lazy = np.where(folds[:, None] == 0, [0.3, 0.3, 0.4], [0.4, 0.3, 0.3])
    assert fit_weights(predictions | {"lazy": lazy}, truth, folds=folds).values["lazy"] == 0
    assert fit_weights(predictions | {"lazy": lazy}, truth, folds=folds).notes


def test_constants_alone_are_taken_and_nothing_at_all_is_refused():
    truth = np.array([0, 1, 1])
    assert fit_weights({"a": np.full((3, 2), 0.5), "b": np.full((3, 2), 0.5)}, truth).values == {"a": 1.0, "b": 0.0}
    with pytest.raises(ValueError, match="`predictions` must be finite for one member"):
        fit_weights({"a": np.full((3, 2), np.nan)}, truth)
    with pytest.raises(ValueError, match="must have a row for each of 3"):
        fit_weights({"a": np.full((4, 2), 0.5)}, truth)


def test_the_base_rate_draws_members_at_chance_towards_it():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 2000)
    noise = {f"m{i}": rng.dirichlet(np.ones(3), 2000) for i in range(3)}
    base = np.broadcast_to(superlearner.base_rate(truth, 3), (2000, 3))
    found = fit_weights(noise | {"base": base}, truth, base="base")
    assert found.values["base"] > 0.9
    assert risk(combined(noise | {"base": base}, found.values), truth).mean <= risk(base, truth).mean
    assert fit_weights(noise | {"base": base}, truth, base="base", method="mean").values["base"] == 0


# --- losses


def test_losses_by_hand():
    probabilities, truth = np.array([[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]]), np.array([0, 1, 1])
    expected = [np.log(2), -np.log(0.8), -np.log(1e-7)]
    np.testing.assert_allclose(row_losses(probabilities, truth), expected)
    np.testing.assert_allclose(row_losses(probabilities, truth, loss="squared"), [0.5, 0.08, 2])
    np.testing.assert_allclose(row_losses(np.array([1.0, 4.0]), np.array([1.0, 2.0])), [0, 4])


def test_the_standard_error_counts_groups():
    losses = np.random.default_rng(0).normal(size=400)
    assert mean_of(losses).error == pytest.approx(losses.std(ddof=1) / 20)
    assert mean_of(losses, groups=np.arange(400)).error == pytest.approx(losses.std(ddof=1) / 20)
    assert mean_of(np.repeat(losses, 5), groups=np.repeat(np.arange(400), 5)).error == pytest.approx(
        losses.std(ddof=1) / 20
    )
    assert np.isnan(mean_of(losses[:1]).error)


def test_a_perfect_member_gets_all_the_weight():
    predictions, truth = numbers_of(0)
    assert fit_weights(predictions | {"perfect": truth}, truth).values["perfect"] == pytest.approx(1)
    predictions, truth = classes_of(0)
    assert fit_weights(predictions | {"perfect": np.eye(3)[truth]}, truth).values["perfect"] == pytest.approx(1)
