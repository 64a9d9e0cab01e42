from statistics import NormalDist

import numpy as np
import pytest

from kerasapps.data import garments
from kerasapps.data.garments import NOISE, best_estimate, draw_garment, expected_log_price, simulate_garments

COAT = {"kind": "coat", "brand": "Everly", "years": 5, "material": "wool", "condition": "in good condition"}
COAT |= {"stains": 2, "pattern": "dots"}


def test_the_rule_by_hand():
    assert expected_log_price(**COAT) == pytest.approx(4.4 + 0.9 - 0.3 + 0.3 + 0.0 - 2 * 2 * 0.15 + 0.25)
    dress = COAT | {"kind": "dress", "material": "silk", "brand": "Alder", "pattern": "plain"}
    assert expected_log_price(**dress) == pytest.approx(3.8 - 0.3 + 2 * 0.5 - 2 * 0.15)


def test_a_seed_decides_everything():
    one, two, other = (simulate_garments(6, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.images, two.images)
    assert one.texts == two.texts
    np.testing.assert_array_equal(one.log_price, two.log_price)
    assert one.texts != other.texts


def test_the_description_tells_what_the_picture_does_not():
    some = simulate_garments(50, seed=0)
    for text, kind in zip(some.texts, some.kinds, strict=True):
        assert kind in text
        assert sum(material in text for material in garments.MATERIALS) == 1
        assert sum(condition in text for condition in garments.CONDITIONS) == 1
        assert "stain" not in text


@pytest.mark.parametrize("kind", garments.KINDS)
@pytest.mark.parametrize("stains", [0, 2, 4])
def test_stains_can_be_counted_in_the_picture(kind, stains):
    from scipy.ndimage import label

    image = draw_garment(kind, pattern="plain", stains=stains, rng=np.random.default_rng(stains)).astype(int)
    near = np.abs(image - np.array(garments.STAIN_COLOR)).max(-1) < 40
    assert label(near)[1] == stains


def test_nothing_missing_leaves_the_noise_alone():
    some = simulate_garments(2000, seed=3)
    error = some.log_price - some.best
    assert error.std() == pytest.approx(NOISE, rel=0.06)
    assert abs(error.mean()) < 0.03
    assert some.has_image.all()
    assert all(some.texts)


def test_the_best_estimate_is_the_median_of_what_it_could_be():
    assert best_estimate(COAT, text=True, image=True) == pytest.approx(expected_log_price(**COAT))
    estimate = best_estimate(COAT, text=True, image=False)
    means = [expected_log_price(**COAT | {"stains": s, "pattern": p}) for s in range(5) for p in garments.PATTERNS]
    assert np.mean([NormalDist(mean, NOISE).cdf(estimate) for mean in means]) == pytest.approx(0.5, abs=1e-5)


def test_what_is_missing_costs_something():
    some = simulate_garments(1500, seed=4, missing=0.5)
    empty = np.array([not text for text in some.texts])
    assert 0.4 < empty.mean() < 0.6
    assert 0.4 < some.has_image.mean() < 0.6
    error = np.abs(some.log_price - some.best)
    assert error[empty & ~some.has_image].mean() > 1.3 * error[~empty & some.has_image].mean()
