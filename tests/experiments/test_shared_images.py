"""Figures of images: that they show the images and words that they should."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from experiments.shared.images import (
    augmentation_figure,
    image_grid,
    mistakes_figure,
    predict_probabilities,
    predictions_figure,
    predictions_table,
    stored_images,
)
from kerasapps.data.splits import Split
from kerasapps.reports import Figure
from tests.experiments.drawn import LABELS, NAMES, PROBABILITIES, overlapping, shown, texts


@pytest.fixture
def digits() -> Split:
    data = load_digits()
    images = np.kron(data.images[:60] / 16 * 255, np.ones((1, 2, 2)))[..., None]
    return Split({"image": images.astype(np.uint8)}, {"label": data.target[:60].astype(np.int32)})


@pytest.fixture
def left_half() -> keras.Model:
    """A classifier of the left column of an image alone."""
    image = keras.Input((2, 2, 1), name="image")
    left = keras.layers.Cropping2D(((0, 0), (0, 1)), name="left")(image)
    flat = keras.layers.Flatten(name="flat")(left)
    return keras.Model({"image": image}, {"label": keras.layers.Softmax(name="label")(flat)})


def test_images_and_their_mirror_images_are_classified(left_half):
    images = np.random.default_rng(0).normal(size=(5, 2, 2, 1)).astype(np.float32)
    split = Split({"image": images}, {"label": np.zeros(5, np.int32)})
    left, right = (np.exp(images[:, :, i, 0]) / np.exp(images[:, :, i, 0]).sum(1, keepdims=True) for i in (0, 1))
    np.testing.assert_allclose(predict_probabilities(left_half, split, batch_size=2), left, rtol=1e-5)
    mirrored = predict_probabilities(left_half, split, mirrored=True, batch_size=2)
    np.testing.assert_allclose(mirrored, right, rtol=1e-5)


def test_mistakes_are_shown_with_their_images_the_most_confident_first(digits):
    split = digits.take(np.arange(5))
    split = dataclasses.replace(split, targets={"label": LABELS})
    figure = mistakes_figure(PROBABILITIES, split, NAMES)
    assert texts(figure) == ["owl → cat  90 %", "cat → dog  60 %"]
    for image, row in zip(shown(figure), (3, 2), strict=True):
        np.testing.assert_array_equal(image, digits.inputs["image"][row, ..., 0])
    assert figure.figure.axes[0].images[0].get_cmap().name == "gray"
    assert len(shown(mistakes_figure(PROBABILITIES, split, NAMES, count=1))) == 1


def test_long_names_do_not_overlap(digits):
    labels = digits.targets["label"]
    names = [f"a class of the number {i}" for i in range(10)]
    figure = mistakes_figure(np.eye(10)[(labels + 1) % 10], digits, names)
    assert len(shown(figure)) == 24
    assert not overlapping(figure)


def test_no_mistake_is_a_sentence(digits):
    figure = mistakes_figure(np.eye(10)[digits.targets["label"]], digits, [str(i) for i in range(10)])
    assert "All 60 test images" in figure.caption
    assert not shown(figure)


def test_only_the_images_that_are_shown_are_read_and_at_stored_size():
    touched = []

    def read(inputs):
        def load(rows):
            touched.extend(rows.tolist())
            return np.stack([np.full((4, 4, 3), row, np.uint8) for row in rows])

        images = tf.numpy_function(load, [inputs["image"]], tf.uint8)
        return {"image": tf.ensure_shape(images, (None, 4, 4, 3))}

    def enlarge(inputs):
        return {"image": tf.image.resize(inputs["image"], (8, 8)) / 255}

    split = Split({"image": np.arange(200)}, {"label": np.zeros(200, np.int32)}, read=read, prepare=enlarge)
    images = stored_images(split, np.array([150, 7, 7]))
    assert images.shape == (3, 4, 4, 3)
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [150, 7, 7]
    assert set(touched) == {7, 150}


def brighten(inputs, targets, seed):
    """Adds up to 400, so that values leave 0 to 255, and makes labels soft as a mix of images does."""
    more = tf.random.stateless_uniform((tf.shape(inputs["image"])[0], 1, 1, 1), seed, 100, 400)
    return {"image": tf.cast(inputs["image"], tf.float32) + more}, {"label": tf.one_hot(targets["label"], 10)}


def test_augmentation_shows_each_original_first(digits):
    split = dataclasses.replace(digits, augment=brighten, prepare=lambda inputs: {"image": inputs["image"] / 255})
    figure = augmentation_figure(split, 3, count=2, versions=4)
    images = shown(figure)
    assert len(images) == 2 * 5
    stored = digits.inputs["image"][..., 0]
    kinds = []
    for row in (images[:5], images[5:]):
        (place,) = np.flatnonzero((stored == row[0]).all((1, 2)))
        kinds.append(digits.targets["label"][place])
        assert all((version.astype(int) >= row[0]).all() and version.max() == 255 for version in row[1:])
        assert len({version.tobytes() for version in row[1:]}) > 1
    assert len(set(kinds)) == 2
    assert texts(figure) == ["original", "augmented"]
    again = shown(augmentation_figure(split, 3, count=2, versions=4))
    np.testing.assert_array_equal(images, again)
    other = shown(augmentation_figure(split, 4, count=2, versions=4))
    assert not np.array_equal(images, other)


def test_no_augmentation_no_figure(digits):
    assert augmentation_figure(digits, 0) is None


def test_predictions_name_the_likeliest_classes_of_images_of_any_size():
    files = ["some/folder/first.jpg", "second.png"]
    table = predictions_table(files, PROBABILITIES[:2], NAMES)
    assert table.rows[0][0] == files[0]
    assert table.rows[1][1::2] == ["dog", "cat", "owl"]
    assert table.rows[1][2::2] == pytest.approx([70, 20, 10], rel=1e-5)
    assert len(table.columns) == len(table.rows[0])
    two = predictions_table(files[:1], np.array([[0.2, 0.8]]), NAMES[:2])
    assert len(two.columns) == len(two.rows[0]) == 5
    images = [np.zeros((5, 9, 3), np.uint8), np.full((7, 3, 1), 255.0)]
    figure = predictions_figure(files, images, PROBABILITIES[:2], NAMES)
    assert [image.shape for image in shown(figure)] == [(5, 9, 3), (7, 3)]
    assert "first.jpg" in texts(figure)
    assert "dog  70 %" in texts(figure)
    assert not overlapping(figure)
    assert len(shown(predictions_figure(files, images, PROBABILITIES[:2], NAMES, count=1))) == 1


def test_names_with_dollars_are_not_formulas(digits):
    names = ["$\\a$", "100$ or 200$^", "owl", *map(str, range(7))]
    wrong = np.eye(10)[(digits.targets["label"] + 1) % 10]
    assert mistakes_figure(wrong, digits, names).png
    images = [np.zeros((5, 9, 3), np.uint8)]
    assert predictions_figure(["$_$.jpg"], images, PROBABILITIES[:1], names[:3]).png


def test_file_names_that_are_not_text_can_be_printed():
    table = predictions_table(["caf\udce9.jpg"], PROBABILITIES[:1], NAMES)
    assert table.rows[0][0] == "caf\ufffd.jpg"
    assert predictions_figure(["caf\udce9.jpg"], [np.zeros((5, 9, 3))], PROBABILITIES[:1], NAMES).png


def test_an_image_without_text_fits_a_phone():
    image = np.zeros((8, 12, 3), np.uint8)
    alone, named = (Figure("images", "", image_grid([image], [label], columns=1)) for label in ("", "a name"))
    assert (alone.wide, named.wide) == (False, True)
