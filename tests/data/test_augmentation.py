"""Augmentation: a pure function of its seed, picture by picture, that does what its name says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.data.augmentation import make_augment, picture_augment
from kerasapps.data.splits import Split

ROWS, HEIGHT, WIDTH = 200, 12, 10
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (ROWS, HEIGHT, WIDTH, 3)).astype(np.uint8)
STEPS = {"flip": {"flip": True}, "shift": {"shift": 0.25}, "erase": {"erase": 0.25}}
ALL = {"flip": True, "shift": 0.25, "erase": 0.25}
every_step = pytest.mark.parametrize("steps", [*STEPS.values(), ALL], ids=[*STEPS, "all"])


def changed(augment, pictures=images, seed=(1, 2)):
    return augment({"image": tf.constant(pictures)}, {}, tf.constant(seed, tf.int32))[0]["image"].numpy()


# --- a pure function of the seed


@every_step
def test_the_seed_decides(steps):
    augment = picture_augment(**steps)
    first = changed(augment)
    others = [changed(augment, seed=seed) for seed in ((1, 3), (2, 2), (0, 0))]
    assert all((first != other).any() for other in others)
    np.testing.assert_array_equal(changed(augment), first)
    np.testing.assert_array_equal(changed(picture_augment(**steps)), first)
    np.testing.assert_array_equal(changed(tf.function(augment)), first)


@every_step
def test_shape_type_and_range_stay(steps):
    augment = picture_augment(**steps)
    for pictures in (images, np.full_like(images, 255), np.zeros_like(images), images[..., :1], images[:1]):
        out = changed(augment, pictures)
        assert out.shape == pictures.shape
        assert out.dtype == np.float32
        assert out.min() >= 0
        assert out.max() <= 255


@every_step
def test_each_picture_is_changed_by_itself(steps):
    same = np.repeat(images[:1], 40, 0)
    versions = {version.tobytes() for version in changed(picture_augment(**steps), same)}
    assert len(versions) == 2 if steps == STEPS["flip"] else len(versions) > 10


def test_what_else_is_in_a_batch_stays():
    inputs = {"image": tf.constant(images), "other": tf.range(ROWS)}
    targets = {"label": tf.range(ROWS)}
    new_inputs, new_targets = picture_augment(**ALL)(inputs, targets, tf.constant([1, 2]))
    assert new_inputs["other"] is inputs["other"]
    assert new_targets is targets
    np.testing.assert_array_equal(inputs["image"], images)


# --- what each step does


def test_flip_mirrors_about_half():
    out = changed(picture_augment(flip=True))
    kept = (out == images).all((1, 2, 3))
    mirrored = (out == images[:, :, ::-1]).all((1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 0.35 < mirrored.mean() < 0.65


def test_shift_moves_whole_pixels_and_mirrors_what_is_missing():
    out = changed(picture_augment(shift=0.25))
    down, right = 3, 2  # at most: a quarter of 12 and of 10, in whole pixels
    padded = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)), mode="symmetric")
    moved = {
        (y, x): (out == padded[:, y : y + HEIGHT, x : x + WIDTH]).all((1, 2, 3))
        for y in range(2 * down + 1)
        for x in range(2 * right + 1)
    }
    assert (np.sum(list(moved.values()), 0) == 1).all()
    assert sum(any(rows) for rows in moved.values()) > 0.75 * len(moved)


def test_erase_greys_a_rectangle_of_at_most_this_area():
    share = 0.25
    erased = (changed(picture_augment(erase=share)) == 127.5).all(-1)  # (n, H, W); no byte is 127.5
    area = erased.mean((1, 2))
    # A rectangle between two pixels can cover the middles of one more row and column.
    assert area.max() <= share * (1 + 1 / HEIGHT) * (1 + 1 / WIDTH) + 1 / HEIGHT
    assert area.max() > share / 2
    assert (area > 0).mean() > 0.8  # of every picture; the smallest rectangles lie between two pixels
    rectangles = erased.any(2)[:, :, None] & erased.any(1)[:, None]
    np.testing.assert_array_equal(erased, rectangles)
    kept = ~erased
    np.testing.assert_array_equal(changed(picture_augment(erase=share))[kept], images[kept])


def test_other_layers_of_keras():
    steps = [
        keras.layers.RandomRotation(0.1, dtype="float32"),
        keras.layers.RandomZoom(0.2, dtype="float32"),
        keras.layers.RandomBrightness(0.3, value_range=(0, 255), dtype="float32"),
        keras.layers.RandomContrast(0.3, value_range=(0, 255), dtype="float32"),
    ]
    for step in steps:
        augment = make_augment([step])
        first = changed(augment)
        assert (first != images).any()
        assert first.min() >= 0
        assert first.max() <= 255
        np.testing.assert_array_equal(changed(augment), first)
        assert (changed(augment, seed=(5, 5)) != first).any()


# --- in `tf.data`


def epochs(split, first, last):
    """What training sees, in its order, an epoch an entry: rows int (n,) and pictures float32 (n, H, W, C)."""
    batches = [(t["label"].numpy(), x["image"].numpy()) for x, t in split.epochs(32, seed=7, first=first, last=last)]
    steps = split.steps(32)
    parts = [batches[i : i + steps] for i in range(0, len(batches), steps)]
    return [tuple(np.concatenate(arrays) for arrays in zip(*part, strict=True)) for part in parts]


@every_step
def test_epochs_repeat_exactly_and_differ_from_each_other(steps):
    split = Split({"image": images}, {"label": np.arange(ROWS)}, augment=picture_augment(**steps))
    first, second = epochs(split, 0, 2)
    for once, again in zip((first, second), epochs(split, 0, 2), strict=True):
        np.testing.assert_array_equal(once[1], again[1])
    np.testing.assert_array_equal(epochs(split, 1, 2)[0][1], second[1])  # as a resumed run sees it
    same = first[1][np.argsort(first[0])] == second[1][np.argsort(second[0])]  # the same picture in both
    assert same.all((1, 2, 3)).mean() < 0.65


def test_batches_of_an_epoch_are_changed_differently():
    same = Split({"image": np.repeat(images[:1], 64, 0)}, {"label": np.arange(64)}, augment=picture_augment(shift=0.25))
    pictures = epochs(same, 0, 1)[0][1]
    assert (pictures[:32] != pictures[32:]).any()


def test_pictures_are_evaluated_as_they_are():
    split = Split({"image": images}, {"label": np.arange(ROWS)}, augment=picture_augment(**ALL))
    np.testing.assert_array_equal(np.concatenate([x["image"] for x, _ in split.batches(64)]), images)


# --- none, and refused


def test_nothing_to_do_is_none():
    assert picture_augment() is None
    assert picture_augment(flip=False, shift=0, erase=0) is None
    assert make_augment([]) is None


@pytest.mark.parametrize("name", ["shift", "erase"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 2, float("nan")])
def test_shares_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be in \[0, 1\)\. Received: {name}={value}"):
        picture_augment(**{name: value})
