"""The transfer classifier: what is frozen, what is copied, and what each base needs."""

import keras
import numpy as np
import pytest

from kerasapps import build_transfer_classifier, freeze_base
from kerasapps.applications.quick_residual_classifier import build_quick_residual_classifier
from kerasapps.applications.residual_classifier import build_residual_classifier
from kerasapps.applications.transfer_classifier import FEATURES, base_layers, head_of, put_head
from kerasapps.applications.vgg import build_vgg
from kerasapps.blocks.pixels import scaled_pixels
from kerasapps.optimizers import LayerwiseAdam

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0])
NORMALIZATION = keras.layers.BatchNormalization


def narrow_vgg(**arguments):
    return build_vgg(image_shape=(32, 32, 3), num_classes=5, depth=11, filters=(4, 4, 6, 6, 6), dense_units=(8,),
                     **arguments)  # fmt: skip


def trained(model, rate=0.05):
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    model.fit({"image": IMAGES}, LABELS, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("freeze", [0, 1, 5, None])
def test_frozen_layers_and_statistics_stay_to_the_bit_and_nothing_else_does(freeze):
    model = build_transfer_classifier(
        base=narrow_vgg(batch_norm=True), layer="block4_pool", num_classes=3, freeze=freeze
    )
    before = {layer.name: layer.get_weights() for layer in model.layers}
    trained(model)
    inside = [layer.name for layer in base_layers(model)]
    assert len(inside) == 6
    frozen = set(inside[:freeze])
    for layer in model.layers:
        same = all(map(np.array_equal, layer.get_weights(), before[layer.name]))
        if layer.name in frozen or isinstance(layer, NORMALIZATION):
            assert same, layer.name
    for name in [*set(inside) - frozen, "label"]:
        assert not np.array_equal(model.get_layer(name).get_weights()[0], before[name][0]), name


def test_the_base_stays_as_it_is():
    base = narrow_vgg()
    before = base.get_weights()
    trained(build_transfer_classifier(base=base, layer="block4_pool", num_classes=3, freeze=0))
    for a, b in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(layer.trainable for layer in base.layers)


def test_in_training_the_base_does_what_it_does_in_inference():
    base = keras.Sequential([
        keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)
    ])  # fmt: skip
    model = build_transfer_classifier(base=base, num_classes=3)
    body = keras.Model(model.input, model.get_layer(FEATURES).output)
    images = {"image": IMAGES[:, :8, :8]}
    np.testing.assert_array_equal(body(images, training=True), body(images, training=False))


def test_what_was_frozen_after_compiling_needs_a_new_compile():
    model = trained(build_transfer_classifier(base=narrow_vgg(), layer="block4_pool", num_classes=3))
    freeze_base(model, 2)
    with pytest.raises(ValueError, match="compile"):
        model.fit({"image": IMAGES}, LABELS, verbose=0)


def test_a_head_that_is_trained_by_itself():
    model = build_transfer_classifier(base=narrow_vgg(), layer="block4_pool", num_classes=3, dense_units=(5,))
    head = head_of(model)
    features = keras.Model(model.input, model.get_layer(FEATURES).output)({"image": IMAGES})
    np.testing.assert_allclose(head(features)["label"], model({"image": IMAGES})["label"], atol=1e-6)
    head.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    head.fit(features, LABELS, verbose=0)
    put_head(model, head)
    np.testing.assert_allclose(head(features)["label"], model({"image": IMAGES})["label"], atol=1e-6)


def test_a_network_of_this_package_ends_before_its_classes():
    base = build_residual_classifier(image_shape=(16, 16, 3), num_classes=4, depth=8, filters=(4, 4, 6))
    model = build_transfer_classifier(base=base, num_classes=3)
    assert model.get_layer(FEATURES).output.shape[-1] == 6
    again = build_transfer_classifier(base=model, num_classes=7)  # on one that was fine-tuned before
    assert again.output["label"].shape == (None, 7)


def test_a_network_that_scales_its_scores_ends_before_them():
    base = build_quick_residual_classifier(image_shape=(16, 16, 3), num_classes=4, filters=(4, 4, 6))
    model = build_transfer_classifier(base=base, num_classes=3)
    assert model.get_layer(FEATURES).output.shape[-1] == 6


def test_several_layers_are_joined():
    model = build_transfer_classifier(
        base=narrow_vgg(), layer="block2_pool+block4_conv2", num_classes=3, pooling="grid"
    )
    assert model.get_layer(FEATURES).output.shape[-1] == 4 * (4 + 6)


@pytest.mark.parametrize("side", [1, 2, 3, 6, 7])
def test_a_grid_has_four_cells_of_any_size(side):
    base = keras.Sequential([keras.Input((side, side, 1)), keras.layers.Conv2D(1, 1)])
    model = build_transfer_classifier(base=base, num_classes=2, pooling="grid")
    assert model.get_layer(FEATURES).output.shape[-1] == (4 if side > 1 else 1)


@pytest.mark.parametrize(("expected", "mode"), [("tf", "tf"), ("torch", "torch"), ("caffe", "caffe")])
def test_pixels_are_those_of_keras_applications(expected, mode):
    image = keras.Input((32, 32, 3))
    ours = keras.Model(image, scaled_pixels(image, expected=expected, name="pixels"))(IMAGES)
    theirs = keras.applications.imagenet_utils.preprocess_input(IMAGES.copy(), mode=mode)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "pixels", "pooling", "features"),
    [("VGG16", "caffe", "flat", 25_088), ("DenseNet121", "torch", "average", 1_024)],
)
def test_heads_of_the_course_notes(network, pixels, pooling, features):
    base = getattr(keras.applications, network)(include_top=False, weights=None)
    model = build_transfer_classifier(base=base, num_classes=2, image_shape=(224, 224, 3), pixels=pixels,
                                      pooling=pooling)  # fmt: skip
    assert model.get_layer("label").kernel.shape == (features, 2)


def test_rates_fall_towards_the_image():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="b")(keras.layers.Dense(2, name="a")(inputs)))
    optimizer = LayerwiseAdam(0.1, factors={"a/kernel": 0.01})
    model.compile(optimizer, "mse", jit_compile=False)
    before = {weight.path: weight.numpy() for weight in model.weights}
    model.train_on_batch(np.ones((4, 2), np.float32), np.full((4, 1), 5.0, np.float32))
    moved = {path: np.abs(weight.numpy() - before[path]).max() for path, weight in
             ((weight.path, weight) for weight in model.weights)}  # fmt: skip
    assert moved["a/kernel"] == pytest.approx(0.001, rel=1e-2)
    assert moved["b/kernel"] == pytest.approx(0.1, rel=1e-2)
    copy = LayerwiseAdam.from_config(optimizer.get_config())
    assert copy.factors == optimizer.factors
