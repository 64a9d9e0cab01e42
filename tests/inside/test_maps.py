"""Occlusion, integrated gradients and the numbers that judge a map, by hand."""

import keras
import numpy as np
import pytest

from kerasapps.data.planted import PATCH, plant
from kerasapps.inside import gradients
from kerasapps.inside.judging import after_drawing_anew, deletion, mass, pointing, rank_correlation
from kerasapps.inside.networks import drawn_anew, head_weights, layers_of
from kerasapps.inside.occlusion import filled, occlusion, starts
from kerasapps.inside.probe import Probe

rng = np.random.default_rng(0)
IMAGES = rng.uniform(0, 255, (3, 12, 10, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 10, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scaled")(image)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="conv")(x)
    x = keras.layers.Flatten(name="flat")(keras.layers.MaxPooling2D(name="pool")(x))
    return keras.Model([image], {"label": keras.layers.Dense(3, activation="softmax", name="label")(x)})


def test_occlusion_is_a_loop_of_single_calls(model):
    (sweep,) = occlusion(Probe(model), {"image": IMAGES[:1]}, [2], patch=4, stride=3, fill="zeros", batch_size=5)
    assert sweep.grid.shape == sweep.corners.shape[:2] == (4, 3)
    for place in np.ndindex(sweep.grid.shape):
        top, left = sweep.corners[place]
        covered = IMAGES[:1].copy()
        covered[:, max(0, top) : top + 4, max(0, left) : left + 4] = 0
        assert sweep.grid[place] == pytest.approx(float(model([covered])["label"][0, 2]), abs=1e-6)
    assert sweep.whole == pytest.approx(float(model([IMAGES[:1]])["label"][0, 2]), abs=1e-6)
    # A pixel's drop is the mean over the patches that cover it.
    covering = [(t <= 5 < t + 4) and (left <= 5 < left + 4) for t, left in sweep.corners.reshape(-1, 2)]
    assert sweep.drop[5, 5] == pytest.approx((sweep.whole - sweep.grid.ravel()[covering]).mean(), abs=1e-6)


def test_patches_cover_all_pixels():
    for side, patch, stride in ((12, 4, 3), (10, 10, 1), (3, 5, 2), (32, 7, 2)):
        first = starts(side, patch, stride)
        assert first[0] <= 0
        assert first[-1] + patch >= side
        assert (np.diff(first) == stride).all()
    assert (filled(IMAGES[0], "zeros") == 0).all()
    np.testing.assert_allclose(filled(IMAGES[0], "mean")[3, 3], IMAGES[0].mean((0, 1)), rtol=1e-5)
    assert filled(IMAGES[0], "blur").std() < IMAGES[0].std() / 2


def test_the_gradient_of_a_linear_network_is_its_weight(model):
    image = keras.Input((4, 4, 1), name="image")
    head = keras.layers.Dense(2, name="score")
    linear = keras.Model([image], {"score": head(keras.layers.Flatten()(image))})
    images = rng.normal(size=(2, 4, 4, 1)).astype(np.float32)
    scores, found = Probe(linear).gradient({"image": images}, [0, 1])
    for i in (0, 1):
        np.testing.assert_allclose(found[i, ..., 0], head.kernel.numpy()[:, i].reshape(4, 4), rtol=1e-6)
        assert scores[i] == pytest.approx(float(linear([images])["score"][i, i]), rel=1e-5)
    given = Probe(linear), {"image": images}, [0, 1]
    maps = gradients.integrated_gradients(*given, steps=4)
    np.testing.assert_allclose(maps, found[..., 0] * images[..., 0], rtol=1e-4, atol=1e-6)
    assert gradients.completeness_error(*given, maps).max() < 1e-5


def test_the_score_of_a_class_is_its_logit(model):
    logits = keras.Model(model.input, model.get_layer("flat").output)([IMAGES])
    head = model.get_layer("label")
    expected = (logits @ head.kernel + head.bias).numpy()
    np.testing.assert_allclose(Probe(model).scores({"image": IMAGES}, [0, 1, 2]), np.diag(expected), rtol=1e-4)
    np.testing.assert_allclose(Probe(model).codes({"image": IMAGES}), logits, rtol=1e-5)
    assert Probe(model).codes({"image": IMAGES}).min() >= 0  # the ReLU is included


def test_integrated_gradients_add_up(model):
    given = Probe(model), {"image": IMAGES}, [0, 1, 2]
    maps = gradients.integrated_gradients(*given, steps=64)
    assert gradients.completeness_error(*given, maps).max() < 0.01


def test_one_kink_on_the_way_is_found_by_the_change_of_the_score():
    image = keras.Input((1, 2, 1), name="image")
    hidden = keras.layers.Dense(1, activation="relu", name="hidden")
    model = keras.Model([image], {"score": keras.layers.Dense(1, name="score")(hidden(keras.layers.Flatten()(image)))})
    hidden.set_weights([np.float32([[1.0], [2.0]]), np.float32([-1.3])])  # on from 0.26 of the way on
    model.get_layer("score").set_weights([np.float32([[3.0]]), np.float32([0.5])])
    maps = gradients.integrated_gradients(Probe(model), {"image": np.float32([[[[1.0], [2.0]]]])}, [0], steps=4)
    np.testing.assert_allclose(maps, [[[3 * 1 * 0.74, 3 * 4 * 0.74]]], rtol=1e-5)


def test_grad_cam_looks_at_what_its_output_depends_on(model):
    image = keras.Input((12, 10, 3), name="image")
    first = keras.layers.Conv2D(3, 3, activation="relu", name="first")(image)
    later = keras.layers.Conv2D(2, 3, name="later")(first)
    heads = {
        "a": keras.layers.Dense(2, name="a")(keras.layers.GlobalAveragePooling2D()(first)),
        "b": keras.layers.Dense(2, name="b")(keras.layers.GlobalAveragePooling2D()(later)),
    }
    probe = Probe(keras.Model([image], heads), output="a")
    given = probe, {"image": IMAGES}, [0, 1, 0]
    np.testing.assert_allclose(gradients.grad_cam(*given), gradients.grad_cam(*given, layer="first"), rtol=1e-6)
    with pytest.raises(ValueError, match="`layer` must be one that a depends on"):
        gradients.grad_cam(*given, layer="later")


def test_weights_drawn_anew_come_back(model):
    before = model.get_weights()
    with drawn_anew(model.weights, seed=0):
        assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True) if a.std())
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [weight.path for weight in head_weights(model, "label")] == ["label/kernel", "label/bias"]
    probe, given = Probe(model), {"image": IMAGES}
    maps = gradients.saliency(probe, given, [0, 1, 2])
    same = after_drawing_anew(lambda *_: maps, probe, given, [0, 1, 2], maps, head=True)
    np.testing.assert_allclose(same, 1)  # a map that does not look at the network is found out


def test_judges_by_hand(model):
    maps = np.arange(16.0).reshape(1, 4, 4)
    boxes = np.array([[2, 2, 4, 4]])
    assert pointing(maps, boxes).tolist() == [True]
    assert pointing(-maps, boxes).tolist() == [False]
    assert mass(maps, boxes)[0] == pytest.approx((10 + 11 + 14 + 15) / 120)
    assert rank_correlation(maps, maps**3)[0] == pytest.approx(1)
    assert rank_correlation(maps, -maps)[0] == pytest.approx(-1)
    assert rank_correlation(maps, np.ones_like(maps))[0] == 0
    image = keras.Input((4, 4, 1), name="image")
    mean = keras.Model([image], {"share": keras.layers.GlobalAveragePooling2D()(image)})
    images = np.zeros((1, 4, 4, 1), np.float32)
    images[0, 0, 0] = 1  # all of the output comes from one pixel
    right, wrong = (images[..., 0], 1 - images[..., 0])
    low, high = (deletion(Probe(mean), {"image": images}, [0], one, fill="zeros")[0] for one in (right, wrong))
    assert low == pytest.approx(1 / 16 / 32)  # half a step of 16, of a value of 1/16
    assert high == pytest.approx(1 / 16 - 1 / 16 / 32)
    into = deletion(Probe(mean), {"image": images}, [0], right, fill="zeros", insert=True)[0]
    assert into == pytest.approx(1 / 16 - 1 / 16 / 32)


def test_evidence_is_where_it_was_planted():
    one, again = plant(50, seed=3), plant(50, seed=3)
    np.testing.assert_array_equal(one.images, again.images)
    assert not np.array_equal(one.images, plant(50, seed=4).images)
    assert (one.boxes[:, 2] - one.boxes[:, 0] == PATCH).all()
    inside = [image[t:b, le:r].mean() for image, (t, le, b, r) in zip(one.images, one.boxes, strict=True)]
    assert np.mean(inside) > one.images.mean() + 10


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda model: Probe(model, layer="convv"), "`layer` must be one of .*, such as conv"),
        (lambda model: Probe(model, output="labels"), "`output` must be one of label. Received: output='labels'"),
        (lambda model: Probe(model, image="picture"), "`image` must be one of image"),
        (
            lambda model: Probe(model).scores({"image": IMAGES}, [3, 0, 0]),
            "`unit` must be from 0 to 2, of output",
        ),
        (lambda model: Probe(model, layer="conv").scores({"image": IMAGES}, [6] * 3), "from 0 to 5, of layer conv"),
        (lambda model: Probe(keras.Sequential([keras.layers.Dense(2)])), "`model` must be functional, or sequential"),
        (lambda model: gradients.grad_cam(Probe(model), {"image": IMAGES}, [0] * 3, layer="flat"), "have height and"),
    ],
)
def test_what_is_not_there_is_one_sentence(model, ask, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(model)


def test_layers_of_a_network_inside_have_its_name(model):
    image = keras.Input((12, 10, 3), name="image")
    outer = keras.Model([image], {"label": model(image)["label"]})
    assert "conv" in layers_of(model)
    assert any(name.endswith("/conv") for name in layers_of(outer))
    inner = next(name for name in layers_of(outer) if name.endswith("/conv"))
    values = Probe(outer).activations({"image": IMAGES}, inner)
    np.testing.assert_allclose(values, Probe(model).activations({"image": IMAGES}, "conv"), rtol=1e-5)
    expected = gradients.grad_cam(Probe(model), {"image": IMAGES}, [0] * 3, layer="conv")
    np.testing.assert_allclose(
        gradients.grad_cam(Probe(outer), {"image": IMAGES}, [0] * 3, layer=inner), expected, rtol=1e-4
    )
