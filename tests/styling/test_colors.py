"""Transfer of colors between images."""

import numpy as np

from kerasapps.data.paintings import draw_painting
from kerasapps.styling import colors
from kerasapps.styling.colors import lightness, match_colors, match_lightness, with_colors_of

rng = np.random.default_rng(0)
IMAGE = rng.normal((120, 130, 110), (10, 20, 15), (30, 40, 3)).astype("float32")
OTHER = rng.normal((140, 120, 100), (12, 8, 18), (20, 25, 3)).astype("float32")


def test_matched_colors_have_mean_and_covariance_of_the_other():
    matched = match_colors(IMAGE, OTHER).reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(0), OTHER.reshape(-1, 3).mean(0), atol=0.1)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(OTHER.reshape(-1, 3).T), atol=3)
    np.testing.assert_allclose(match_colors(IMAGE, IMAGE), IMAGE, atol=0.01)


def test_an_image_is_the_same_in_pieces(monkeypatch):
    whole = [match_colors(IMAGE, OTHER), match_lightness(IMAGE, OTHER), lightness(IMAGE)]
    monkeypatch.setattr(colors, "PIECE", 7)
    for one, other in zip(
        whole, [match_colors(IMAGE, OTHER), match_lightness(IMAGE, OTHER), lightness(IMAGE)], strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_one_color_alone_can_be_matched():
    for image in (np.zeros((4, 4, 3)), np.full((1, 1, 3), 200.0)):
        assert np.isfinite(match_colors(image, OTHER)).all()
        assert np.isfinite(match_colors(OTHER, image)).all()
        assert np.isfinite(match_lightness(image, OTHER)).all()


def test_lightness_and_colors_come_apart_and_together():
    gray = match_lightness(IMAGE, IMAGE)
    np.testing.assert_allclose(gray[..., 0], lightness(IMAGE), atol=1e-3)
    np.testing.assert_allclose(with_colors_of(gray, IMAGE), IMAGE, atol=0.1)
    np.testing.assert_allclose(lightness(with_colors_of(IMAGE, OTHER.mean() + 0 * IMAGE)), lightness(IMAGE), atol=0.1)


def test_the_painting_is_the_same_for_a_seed_and_full_of_colors():
    painting = draw_painting(height=48, width=64)
    assert painting.shape == (48, 64, 3)
    assert painting.dtype == np.uint8
    np.testing.assert_array_equal(painting, draw_painting(height=48, width=64))
    assert not np.array_equal(painting, draw_painting(height=48, width=64, seed=1))
    assert (painting.std((0, 1)) > 15).all()
