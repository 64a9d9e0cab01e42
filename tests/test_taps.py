"""Taps: a second model on the same tensors, and errors that help."""

import keras
import numpy as np
import pytest

from kerasapps import build_memory_network, build_residual_classifier, feature_taps

NAMES = ["stage1_block1_relu", "stage3_block1_add", "label"]
images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")


@pytest.fixture
def model():
    return build_residual_classifier(image_shape=(8, 8, 3), num_classes=4, depth=8)


def test_names_and_shapes(model):
    taps = feature_taps(model, NAMES)
    assert taps.name == "residual_classifier_taps"
    outputs = taps({"image": images})
    assert {name: value.shape for name, value in outputs.items()} == {
        "stage1_block1_relu": (2, 8, 8, 16),
        "stage3_block1_add": (2, 2, 2, 64),
        "label": (2, 4),
    }
    np.testing.assert_array_equal(outputs["label"], model({"image": images})["label"])
    assert list(feature_taps(model, ("features",))({"image": images})) == ["features"]


def test_they_are_what_the_layers_give(model):
    seen = {}
    x = images
    for layer in model.layers[1:5]:  # a chain up to here: rescaling, stem
        x = seen[layer.name] = layer(x)
    assert list(seen) == ["scaled_pixels", "stem_conv", "stem_bn", "stem_relu"]
    for name, value in feature_taps(model, list(seen))({"image": images}).items():
        np.testing.assert_allclose(value, seen[name], atol=1e-6)


def test_the_weights_are_shared(model):
    taps = feature_taps(model, NAMES)
    assert {id(weight) for weight in taps.weights} <= {id(weight) for weight in model.weights}
    before = np.asarray(taps({"image": images})["stage3_block1_add"])
    kernel = model.get_layer("stem_conv").kernel
    kernel.assign(kernel * 0)
    assert np.abs(taps({"image": images})["stage3_block1_add"] - before).max() > 1e-3


def test_training_through_taps_trains_the_model(model):
    taps = feature_taps(model, ["features"])
    taps.compile("sgd", "mse")
    before = model.get_layer("stem_conv").get_weights()[0]
    taps.fit({"image": images}, {"features": np.ones((2, 64))}, verbose=0)
    assert np.abs(model.get_layer("stem_conv").get_weights()[0] - before).max() > 0


def test_a_loaded_model(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = feature_taps(keras.saving.load_model(tmp_path / "model.keras"), NAMES)({"image": images})
    for name, value in feature_taps(model, NAMES)({"image": images}).items():
        np.testing.assert_allclose(again[name], value, atol=1e-6)


def test_several_inputs():
    model = build_memory_network(vocab_size=9, num_answers=3, sentence_length=4, units=4, hops=1)
    inputs = {"story": np.ones((2, 3, 4), "int32"), "question": np.ones((2, 4), "int32")}
    taps = feature_taps(model, ["answer"])
    np.testing.assert_allclose(taps(inputs)["answer"], model(inputs)["answer"], atol=1e-6)


def test_a_wrong_name_names_near_layers(model):
    with pytest.raises(ValueError, match="`names` must be layers of residual_classifier, such as") as error:
        feature_taps(model, ["features", "stage2_block1_reul"])
    assert "stage2_block1_relu" in str(error.value)
    assert str(error.value).endswith("Received: 'stage2_block1_reul'")


@pytest.mark.parametrize("names", [[], ["label", "label"]])
def test_none_or_twice(model, names):
    with pytest.raises(ValueError, match=r"at least one layer, none twice\. Received: names="):
        feature_taps(model, names)
