"""Few images a class, and the data sets for them."""

import numpy as np
import pytest

from kerasapps.data.image_sets import PHOTOGRAPHS, find_photographs
from kerasapps.data.images import colored_images, load_images
from kerasapps.data.shapes import CLASSES, draw_shapes
from kerasapps.data.shots import draw_shots
from kerasapps.errors import DataError

LABELS = np.repeat([0, 1, 2], [130, 40, 5])


def counts(parts, labels=LABELS):
    return {name: np.bincount(labels[rows], minlength=3).tolist() for name, rows in parts.items()}


def test_so_many_of_each_class_and_the_rest_tests():
    parts = draw_shots(LABELS, 20, others=("test", "validation"), seed=0)
    assert counts(parts) == {"train": [20, 20, 3], "test": [106, 16, 1], "validation": [4, 4, 1]}
    rows = np.concatenate([*parts.values()])
    assert sorted(rows) == list(range(len(LABELS)))


def test_a_source_with_a_test_set_of_its_own_keeps_the_rest_for_nothing():
    parts = draw_shots(LABELS, 30, others=("validation",), seed=0)
    assert counts(parts) == {"train": [30, 30, 4], "validation": [6, 6, 1]}


def test_draws_differ_and_repeat():
    one, same, other = (draw_shots(LABELS, 5, others=("test",), seed=seed)["train"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert set(one) != set(other)


@pytest.mark.parametrize("size", [1, 2])
def test_a_class_of_one_or_two_rows_serves_the_training_set_first(size):
    labels = np.repeat([0, 1], [10, size])
    parts = draw_shots(labels, 4, others=("test", "validation"), seed=0)
    assert np.bincount(labels[parts["train"]])[1] == 1


def test_shapes_are_the_same_everywhere_and_all_there():
    images, labels = draw_shapes(3)
    assert images.shape == (3 * len(CLASSES), 64, 64, 3)
    np.testing.assert_array_equal(images, draw_shapes(3)[0])
    assert np.bincount(labels).tolist() == [3] * len(CLASSES)


def test_shots_of_the_shapes():
    splits = load_images("shapes", shots=5)
    assert len(splits.train) == 5 * len(CLASSES)
    assert splits.class_names == CLASSES
    assert "split 40/8/672 by seed" in splits.notes[-1]


def test_gray_images_in_three_channels():
    splits = load_images("digits", shots=2)
    colored = colored_images(splits)
    assert colored.sizes["image_shape"] == (8, 8, 3)
    np.testing.assert_array_equal(colored.train.inputs["image"][..., 1], splits.train.inputs["image"][..., 0])


def test_photographs_are_found_or_where_to_get_them_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=rf"get them from {PHOTOGRAPHS['signs'].url}, put its class folders"):
        find_photographs("signs")
    (tmp_path / "signs" / "0").mkdir(parents=True)
    assert find_photographs("signs") == tmp_path / "signs"


@pytest.mark.real_data
def test_the_flowers():
    splits = load_images("flowers", size=32, shots=30)
    assert len(splits.train) == 150
    assert splits.class_names == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
