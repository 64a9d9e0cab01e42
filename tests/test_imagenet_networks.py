"""SqueezeNet, ResNet and Inception v3: equations by hand, and the same features as `keras.applications`."""

import keras
import numpy as np
import pytest

from experiments.image_classification.network import ARCHITECTURES
from kerasapps import build_inception_v3, build_resnet, build_squeezenet
from kerasapps.applications.squeezenet import fire_block, pool_block
from kerasapps.blocks.conv import EPSILON

rng = np.random.default_rng(0)

# --- SqueezeNet


def test_a_fire_module_by_hand():
    image = keras.Input((2, 2, 1))
    model = keras.Model(image, fire_block(image, filters=1, batch_norm=False, name="fire"))
    one, three = np.zeros((1, 1, 1, 4)), np.zeros((3, 3, 1, 4))
    one[..., 0], three[..., 0], three[0, 1, 0, 1] = -1, 1, 1
    for name, weights in (
        ("fire_squeeze_conv", [np.full((1, 1, 1, 1), 2), [-3]]),
        ("fire_expand1x1_conv", [one, [4, 0, 0, 0]]),
        ("fire_expand3x3_conv", [three, [0, 0, 5, -5]]),
    ):
        model.get_layer(name).set_weights([np.asarray(weight, "float32") for weight in weights])
    # Squeezed to s = relu(2x - 3): (0, 1), (3, 5).
    maps = np.moveaxis(np.asarray(model(np.reshape([1.0, 2.0, 3.0, 4.0], (1, 2, 2, 1))))[0], -1, 0)
    np.testing.assert_allclose(maps[0], [[4, 3], [1, 0]])  # relu(4 - s)
    np.testing.assert_allclose(maps[4], [[9, 9], [9, 9]])  # the sum of all four, which each window holds
    np.testing.assert_allclose(maps[5], [[0, 0], [0, 1]])  # the pixel above
    np.testing.assert_allclose(maps[[1, 2, 3, 6, 7]], np.array([0, 0, 0, 5, 0])[:, None, None] * np.ones((5, 2, 2)))


def test_a_pool_reaches_the_edge_of_an_even_side():
    image = keras.Input((5, 6, 1))
    model = keras.Model(image, pool_block(image, name="pool"))
    x = rng.uniform(size=(1, 5, 6, 1)).astype("float32")
    expected = [[x[0, i : i + 3, j : j + 3].max() for j in (0, 2, 4)] for i in (0, 2)]
    np.testing.assert_array_equal(np.squeeze(model(x)), expected)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_smallest_image_leaves_one_pixel(version):
    side = {"1.0": 21, "1.1": 17}[version]
    model = build_squeezenet(image_shape=(side, side, 1), num_classes=2, version=version, width=0.1)
    assert model.get_layer("fire9_joined").output.shape[1:3] == (1, 1)


# --- ResNet


@pytest.mark.parametrize("depth", [18, 50])
def test_dilated_stages_compute_the_same_at_more_pixels(depth):
    shared = {"image_shape": (33, 64, 3), "num_classes": 2, "depth": depth, "filters": (2, 3, 4, 5)}
    last = f"stage4_block{3 if depth == 50 else 2}_relu"

    def features(stages):
        model = build_resnet(dilated_stages=stages, **shared)
        return keras.Model(model.input, model.get_layer(last).output)

    strided, dilated = features(0), features(2)
    dilated.set_weights(strided.get_weights())
    x = rng.integers(0, 256, (2, 33, 64, 3)).astype("float32")
    few, many = np.asarray(strided({"image": x})), np.asarray(dilated({"image": x}))
    assert few.shape[1:3] == (2, 2)
    assert many.shape[1:3] == (5, 8)
    assert few.std() > 0
    np.testing.assert_allclose(many[:, ::4, ::4], few, rtol=1e-4, atol=1e-4 * few.max())


# --- the same features as those of `keras.applications`


def weighted_layers(output) -> list[keras.layers.Layer]:
    """Layers with weights in the order in which a tensor is computed, whatever their names."""
    seen, found = set(), []

    def visit(tensor):
        layer, node, _ = tensor._keras_history
        if layer in seen:
            return
        seen.add(layer)
        for source in layer._inbound_nodes[node].input_tensors:
            visit(source)
        if layer.weights:
            found.append(layer)

    visit(output)
    return found


def copy_weights(theirs, ours) -> None:
    """Copies weights by position, and moves variances by what the epsilons differ."""
    for source, target in zip(weighted_layers(theirs), weighted_layers(ours), strict=True):
        values = {"gamma": 1.0} | {one.name: one.numpy() for one in source.weights}
        if isinstance(source, keras.layers.BatchNormalization):
            values["moving_variance"] = values["moving_variance"] + source.epsilon - EPSILON
        target.set_weights([np.broadcast_to(values[one.name], one.shape) for one in target.weights])


@pytest.mark.parametrize(
    ("build", "tap", "application", "theirs"),
    [
        # Their ResNet has biases, of zero, and its strides elsewhere, but in the first stage, which has none.
        (build_resnet, "stage1_block3_relu", "ResNet50", "conv2_block3_out"),
        (build_inception_v3, "stage3_block2_joined", "InceptionV3", "mixed10"),
    ],
)
def test_the_weights_of_keras_applications_give_the_same_features(build, tap, application, theirs):
    shape = (75, 96, 3)
    model = getattr(keras.applications, application)(weights=None, include_top=False, input_shape=shape)
    model = keras.Model(model.input, model.get_layer(theirs).output)
    ours = build(image_shape=shape, num_classes=2)
    ours = keras.Model(ours.input, ours.get_layer(tap).output)
    copy_weights(model.output, ours.output)
    images = rng.integers(0, 256, (2, *shape)).astype("float32")
    expected = np.asarray(model(images / 127.5 - 1))
    assert expected.std() > 0
    np.testing.assert_allclose(ours({"image": images}), expected, atol=1e-4 * expected.max())


# --- at the size of ImageNet


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["alexnet", "vgg11", "resnet50", "squeezenet1_0", "densenet121", "inception_v3"])
def test_it_classifies_an_image_of_its_own_size(arch):
    network = ARCHITECTURES[arch]
    model = network.build(**network.params)
    side = 299 if arch == "inception_v3" else 224
    probabilities = np.asarray(model(rng.integers(0, 256, (2, side, side, 3)).astype("float32"))["label"])
    assert probabilities.shape == (2, 1000)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-4)
