"""Receptive fields, what activates units, embeddings and sheets."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasapps.inside.embedding import embed, on_grid
from kerasapps.inside.maximal import Ascent, ascend, strongest_images
from kerasapps.inside.probe import Probe
from kerasapps.inside.receptive import Field, receptive_field
from kerasapps.inside.sheets import activation_images, filter_images

rng = np.random.default_rng(0)


def test_receptive_fields_by_hand():
    image = keras.Input((32, 32, 1), name="image")
    x = layers.Conv2D(2, 5, padding="same", name="a")(image)  # 5, step 1, from -2
    x = layers.MaxPooling2D(2, name="b")(x)  # 6, step 2
    x = layers.Conv2D(2, 3, padding="same", name="c")(x)  # 6 + 2 * 2 = 10, from -2 - 2 = -4
    model = keras.Model([image], {"x": layers.Flatten(name="flat")(x)})
    assert receptive_field(model, "a") == (Field(-2, 5, 1),) * 2
    assert receptive_field(model, "b") == (Field(-2, 6, 2),) * 2
    assert receptive_field(model, "c") == (Field(-4, 10, 2),) * 2
    assert receptive_field(model, "flat") is None
    assert Field(-4, 10, 2).of(0, 32) == (0, 6)
    assert Field(-4, 10, 2).of(15, 32) == (26, 32)


@pytest.mark.parametrize("side", [17, 20])
def test_a_receptive_field_is_where_the_gradient_is(side):
    image = keras.Input((side, side, 1), name="image")
    x = layers.Conv2D(2, 3, strides=2, padding="same", name="a")(image)
    y = layers.SeparableConv2D(2, 3, padding="same", name="b")(x)
    z = layers.Conv2D(2, 3, dilation_rate=2, padding="same", name="c")(x)
    x = layers.Add(name="d")([y, z])
    x = layers.AveragePooling2D(3, 2, padding="same", name="e")(x)
    model = keras.Model([image], {"x": layers.Conv2D(1, 2, name="f")(layers.ZeroPadding2D(1, name="g")(x))})
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    for name in "abcdef":
        down, across = receptive_field(model, name)
        cut = keras.Model(model.input, model.get_layer(name).output)
        height, width = cut.output_shape[1:3]
        base = cut([np.zeros((1, side, side, 1), np.float32)]).numpy()
        moved = cut([np.eye(side * side, dtype=np.float32).reshape(-1, side, side, 1)]).numpy()  # a pixel at a time
        for row, column in ((0, 0), (height // 2, width // 2), (height - 1, width - 1)):
            seen = (np.abs(moved - base)[:, row, column].max(-1) > 0).reshape(side, side)
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            if len(rows):
                assert down.of(row, side) == (rows[0], rows[-1] + 1), name
                assert across.of(column, side) == (columns[0], columns[-1] + 1), name


@pytest.fixture(scope="module")
def model():
    """A network whose last filter is dead."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled")(image)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv2")(layers.MaxPooling2D(name="pool")(x))
    model = keras.Model([image], {"label": layers.Dense(3, activation="softmax", name="label")(layers.Flatten()(x))})
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[..., 5], bias[5] = 0, -1
    model.get_layer("conv2").set_weights([kernel, bias])
    return model


def gray_images(count: int) -> np.ndarray:
    return rng.normal(128, 30, (count, 16, 16, 1)).clip(0, 255).astype(np.float32)


def test_the_strongest_images_are_those_of_a_full_scan(model):
    images = gray_images(150)  # more than a batch
    found = strongest_images(Probe(model), {"image": images}, "conv2", [0, 3, 5], count=4)
    values = keras.Model(model.input, model.get_layer("conv2").output).predict(images, verbose=0)
    for unit in (0, 3):
        peaks = values[..., unit].reshape(150, -1).max(1)
        np.testing.assert_array_equal(found[unit].rows, np.argsort(-peaks, kind="stable")[:4])
        np.testing.assert_allclose(found[unit].values, np.sort(peaks)[::-1][:4], rtol=1e-5)
        for row, place, value in zip(found[unit].rows, found[unit].places, found[unit].values, strict=True):
            assert values[row, place[0], place[1], unit] == pytest.approx(value, rel=1e-5)
        top, left, bottom, right = found[unit].boxes[0]
        assert (bottom - top, right - left) <= (8, 8)
        # What is outside the box does not matter to the unit.
        other = np.zeros_like(images[:1])
        other[:, top:bottom, left:right] = images[found[unit].rows[0], top:bottom, left:right]
        again = keras.Model(model.input, model.get_layer("conv2").output)([other]).numpy()
        assert again[0, *found[unit].places[0], unit] == pytest.approx(found[unit].values[0], rel=1e-4)
    assert found[5].dead
    assert not found[0].dead


def test_gradient_ascent_finds_more_than_the_data_have(model):
    units = list(range(5))
    best = strongest_images(Probe(model), {"image": gray_images(100)}, "conv2", units)
    alive = [unit for unit in units if not best[unit].dead]
    # Ten images for each unit, which begin with other waves.
    made = ascend(Probe(model, layer="conv2"), 10 * alive, (16, 16, 1), Ascent(steps=32))
    rises = made.curve[-4:].mean(0) > made.curve[:4].mean(0)  # (10 * units,)
    assert rises.reshape(10, -1).all(1).sum() >= 9
    assert made.images.min() >= 0
    assert made.images.max() <= 255
    gains = made.values.reshape(10, -1) / [best[unit].values[0] for unit in alive]
    assert np.median(gains, 0).min() >= 2


def test_an_embedding_keeps_neighbors_and_the_grid_has_no_holes_or_doubles():
    groups = np.repeat(np.eye(3), 12, axis=0) * 10
    codes = np.concatenate([groups, np.zeros((36, 5))], 1) + rng.normal(size=(36, 8))
    for kind in ("tsne", "pca"):
        plane = embed(codes, kind=kind)
        assert plane.places.shape == (36, 2)
        assert plane.trust > 0.8
        centers = plane.places.reshape(3, 12, 2).mean(1)
        spread = plane.places.reshape(3, 12, 2).std(1).mean()
        assert np.linalg.norm(centers[0] - centers[1]) > 2 * spread
    grid = on_grid(plane.places)
    assert sorted(grid.ravel()) == list(range(36))
    assert on_grid(np.array([[0, 1], [1, 1], [0, 0], [1, 0]], float)).tolist() == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="at least 4 rows"):
        embed(codes[:3])


def test_sheets():
    colored, names = filter_images(rng.normal(size=(5, 5, 3, 8)).astype("f"))
    assert colored.shape == (8, 5, 5, 3)
    assert names[:2] == ["0", "1"]
    deep, names = filter_images(rng.normal(size=(3, 3, 64, 64)).astype("f"), most=16)
    assert deep.shape == (16, 3, 3, 1)
    assert names[4] == "1, of 0"
    zero, _ = filter_images(np.zeros((3, 3, 1, 2), np.float32))
    assert (zero == 128).all()
    values = np.stack([np.full((4, 4), 1.0), np.full((4, 4), 3.0), np.full((4, 4), -1.0)], -1)
    images, order = activation_images(values, most=2)
    assert order.tolist() == [1, 0]
    assert images[0].max() == 255
