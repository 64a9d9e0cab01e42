"""Ensembles: one network of several, whatever they are called and wherever they come from."""

import keras
import numpy as np
import pytest

from kerasapps import build_ensemble, build_perceptron, load_model, portable
from kerasapps.superlearner import Weights
from tests.contract_row import images

SHAPE = (4, 5, 1)
INPUTS = {"image": images(*SHAPE)}


def network(*units: int) -> keras.Model:
    return build_perceptron(image_shape=SHAPE, num_classes=3, dense_units=units)


def test_it_predicts_the_weighted_mean_with_the_weights_divided_by_their_sum():
    members = {"one": network(4), "two": network(5), "three": network(4)}  # all are called "perceptron"
    model = build_ensemble(members=members, weights={"one": 1, "two": 0, "three": 3})
    expected = 0.25 * members["one"](INPUTS)["label"] + 0.75 * members["three"](INPUTS)["label"]
    np.testing.assert_allclose(model(INPUTS)["label"], expected, atol=1e-6)
    np.testing.assert_allclose(model.get_layer("label_weights").get_weights()[0].ravel(), [0.25, 0.75])
    np.testing.assert_allclose(model({"image": INPUTS["image"][:1]})["label"], expected[:1], atol=1e-6)
    mean = build_ensemble(members=members)(INPUTS)["label"]
    np.testing.assert_allclose(mean, sum(one(INPUTS)["label"] for one in members.values()) / 3, atol=1e-6)


def test_a_member_without_weight_has_no_effect_even_if_it_predicts_nan():
    good, bad = network(4), network(4)
    bad.set_weights([np.full_like(weight, np.nan) for weight in bad.get_weights()])
    model = build_ensemble(members={"bad": bad, "good": good}, weights={"bad": 0, "good": 1})
    np.testing.assert_allclose(model(INPUTS)["label"], good(INPUTS)["label"], atol=1e-6)
    assert "bad" not in {layer.name for layer in model.layers}


def test_members_keep_their_names_and_are_the_same_layers():
    members = {"one": network(4), "two": network(4)}
    model = build_ensemble(members=members)
    assert [one.name for one in members.values()] == ["perceptron"] * 2
    members["one"].set_weights([0 * weight for weight in members["one"].get_weights()])
    np.testing.assert_allclose(model.get_layer("one")([INPUTS["image"]])[0], 1 / 3, atol=1e-6)


def test_networks_of_others_are_joined_whatever_their_tensors_are_called(tmp_path):
    sequential = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    entry = keras.Input((3,), name="numbers")
    functional = keras.Model(entry, keras.layers.Dense(2, activation="softmax")(entry))
    model = build_ensemble(members={"a": functional, "b": sequential})
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected = (sequential(x) + functional(x)) / 2
    np.testing.assert_allclose(model.predict(x, verbose=0)["output"], expected, atol=1e-6)
    mixed = build_ensemble(members={"a": model, "b": sequential})  # one of ensembles
    np.testing.assert_allclose(mixed(x)["output"], (expected + sequential(x)) / 2, atol=1e-6)
    model.save(tmp_path / "model.keras")
    for loaded in (load_model(tmp_path / "model.keras"), portable(model)):
        np.testing.assert_allclose(loaded(x)["output"], expected, atol=1e-6)


def test_several_inputs_and_outputs_go_by_name():
    def made(order, seed):
        keras.utils.set_random_seed(seed)
        entries = {name: keras.Input((size,), name=name) for name, size in (("a", 2), ("b", 3))}
        joined = keras.layers.Concatenate()([entries["a"], entries["b"]])
        heads = {name: keras.layers.Dense(width)(joined) for name, width in (("age", 1), ("job", 4))}
        return keras.Model([entries[name] for name in order], heads)

    one, two = made("ab", 0), made("ba", 1)
    a, b = np.ones((2, 2), np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    model = build_ensemble(members={"one": one, "two": two})
    for head, value in model({"a": a, "b": b}).items():
        np.testing.assert_allclose(value, (one([a, b])[head] + two([b, a])[head]) / 2, atol=1e-5)


def test_all_members_train_together_and_the_weights_of_the_mean_stay():
    members = {"one": network(4), "two": network(5)}
    model = build_ensemble(members=members, weights={"one": 1, "two": 3})
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(INPUTS, np.array([0, 1, 2, 0]), verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed.count(False) == 1
    np.testing.assert_allclose(model.get_layer("label_weights").get_weights()[0].ravel(), [0.25, 0.75])


def test_several_outputs_without_names_are_refused():
    entry = keras.Input((3,))
    several = keras.Model(entry, [keras.layers.Dense(2)(entry), keras.layers.Dense(2)(entry)])
    with pytest.raises(ValueError, match="must name their outputs in a dict"):
        build_ensemble(members={"a": several})


def test_sharpness_pools_logarithms_as_superlearner_does():
    members = {"one": network(4), "two": network(5)}
    model = build_ensemble(members=members, weights={"one": 1, "two": 3}, sharpness=1.7)
    given = {name: member(INPUTS)["label"].numpy() for name, member in members.items()}
    expected = Weights({"one": 0.25, "two": 0.75}, sharpness=1.7).pooled(given)
    np.testing.assert_allclose(model(INPUTS)["label"], expected, atol=1e-5)


def test_sharpness_needs_classes():
    entry = keras.Input((3,))
    number = keras.Model(entry, {"age": keras.layers.Dense(1)(entry)})
    with pytest.raises(ValueError, match="`sharpness` must be None for outputs without classes"):
        build_ensemble(members={"a": number, "b": number}, sharpness=1.0)


@pytest.mark.parametrize("name", ["image", "label", "label_weights", "label_stacked", "label_2"])
def test_a_member_called_like_a_part_of_the_ensemble_is_refused(name):
    with pytest.raises(ValueError, match=f"must not be called like an input, output or layer. Received: {name}"):
        build_ensemble(members={"one": network(4), name: network(4)})
