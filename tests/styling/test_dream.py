"""Deep Dream: what it changes and what it leaves, tiles, resumption, single channels, guides, odd images."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from kerasapps import build_style_taps
from kerasapps.data.paintings import draw_painting
from kerasapps.errors import UserError
from kerasapps.styling.dream import Dream, Dreamer, DreamObjective, deep_dream, octave_sizes, zoomed

LAYERS = {"block2_conv2": 1.0, "block3_conv1": 0.5}
SMALL = Dream(LAYERS, octaves=2, steps=3, jitter=4)
IMAGE = draw_painting(seed=0)[:70, :94].astype(np.float32)


@pytest.fixture(scope="module")
def dreamer():
    return Dreamer(build_style_taps(network="compact", weights="trained", layers=tuple(LAYERS), pooling="max"))


def last(image, objective, **options):
    *_, step = deep_dream(image, objective, **options)
    return step


def test_without_steps_the_image_stays(dreamer):
    step = last(IMAGE, DreamObjective(dreamer, replace(SMALL, steps=0, octaves=4)))
    np.testing.assert_allclose(step.image / 255, IMAGE / 255, atol=1e-5)


def test_the_objective_rises_at_each_size(dreamer):
    steps = list(deep_dream(IMAGE, DreamObjective(dreamer, replace(SMALL, steps=6))))
    assert [step.step for step in steps] == list(range(1, 13))
    sizes = octave_sizes((70, 94), SMALL)
    assert sizes == [(50, 67), (70, 94)]
    for size in sizes:
        values = [step.losses["objective"] for step in steps if step.scale == size]
        assert values[-1] > 1.3 * values[0]
    assert steps[-1].image.min() >= 0
    assert steps[-1].image.max() <= 255
    assert steps[-1].losses["total"] == -steps[-1].losses["objective"]


@pytest.mark.parametrize("channel", [None, 7])
def test_tiles_give_the_gradient_of_the_whole(dreamer, channel):
    dream = replace(SMALL, channel=channel)
    whole, parts = DreamObjective(dreamer, dream), DreamObjective(dreamer, dream)
    parts.tiling.core, parts.tiling.pixels = 32, 0
    x = tf.constant(IMAGE)[None]
    (a, slope), (b, other) = whole(x), parts(x)
    assert float(a) == pytest.approx(float(b), rel=1e-5)
    np.testing.assert_allclose(slope, other, atol=1e-4 * np.abs(slope).max())
    step, tiled = last(IMAGE, whole), last(IMAGE, parts)
    np.testing.assert_allclose(step.image, tiled.image, atol=255e-4)


def test_a_resumed_dream_is_the_same(dreamer):
    objective = DreamObjective(dreamer, SMALL)
    steps = list(deep_dream(IMAGE, objective))
    for at in (1, 3):  # within a size, and at the end of one
        np.testing.assert_array_equal(last(IMAGE, objective, resume=steps[at - 1].state).image, steps[-1].image)


def test_a_guide_and_a_channel_change_what_is_dreamt(dreamer):
    dreams = [
        last(IMAGE, DreamObjective(dreamer, SMALL)),
        last(IMAGE, DreamObjective(dreamer, replace(SMALL, channel=3))),
        last(IMAGE, DreamObjective(dreamer, SMALL, guide=IMAGE[::-1, ::-1])),
    ]
    for i, one in enumerate(dreams):
        assert np.abs(one.image - dreams[i - 1].image).mean() > 0.1


def test_odd_images(dreamer):
    black = np.zeros((40, 40, 3), np.float32)
    assert np.isfinite(last(black, DreamObjective(dreamer, SMALL)).image).all()
    assert last(np.zeros((300, 37, 3), np.float32), DreamObjective(dreamer, SMALL)).image.shape == (300, 37, 3)
    with pytest.raises(UserError, match="The image has 40 x 3 pixels, and the network needs at least 4 each way"):
        last(np.zeros((3, 40, 3), np.float32), DreamObjective(dreamer, SMALL))
    flat = DreamObjective(Dreamer(dreamer.taps, lambda image: 0 * image), SMALL)  # no gradient at all
    np.testing.assert_allclose(last(IMAGE, flat).image, IMAGE, atol=1e-3)


def test_what_makes_no_sense_is_refused(dreamer):
    with pytest.raises(ValueError, match="`layers` must be outputs of the network"):
        DreamObjective(dreamer, Dream({"block5_conv1": 1.0}))
    with pytest.raises(ValueError, match="`channel` must be from 0 to 63, of block2_conv2"):
        DreamObjective(dreamer, replace(SMALL, channel=64))
    with pytest.raises(ValueError, match="`octave_scale` must be above 1"):
        Dream(octave_scale=1.0)
    with pytest.raises(ValueError, match="`layers` must have a weight other than 0"):
        Dream({})
    with pytest.raises(ValueError, match=r"`memory` must be at least .* MiB, for one tile"):
        DreamObjective(dreamer, SMALL, memory=1000)


def test_a_zoom_enlarges_the_middle():
    image = np.zeros((40, 40, 3), np.float32)
    image[18:22, 18:22] = 255
    assert zoomed(image, 1.0).shape == zoomed(image, 1.5).shape == image.shape
    assert (zoomed(image, 1.5) > 128).sum() > 1.5 * (image > 128).sum()
