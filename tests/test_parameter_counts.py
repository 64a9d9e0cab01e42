"""At full size the classic networks have as many parameters as published, and are those of `keras.applications`."""

import math

import keras
import numpy as np
import pytest

from experiments.image_classification.imagenet import PUBLISHED, count_parameters
from kerasapps.applications.cifar_network import build_cifar_network
from kerasapps.applications.classic import build_alexnet, build_lenet5, build_mnist_network, build_perceptron
from kerasapps.applications.densenet import DENSENET_BLOCKS, build_densenet
from kerasapps.applications.inception_v3 import build_inception_v3
from kerasapps.applications.multi_head_text import build_profile
from kerasapps.applications.residual_classifier import build_residual_classifier
from kerasapps.applications.separable_classifier import build_separable_classifier
from kerasapps.applications.vgg import build_vgg
from kerasapps.applications.xception import build_xception


@pytest.fixture
def _no_values():
    """Builds weights as shapes without values, or VGG-19 would fill half a gigabyte."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()


def trainable(model: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


IMAGENET = {"image_shape": (299, 299, 3), "num_classes": 1000}
SMALL = {"image_shape": (32, 32, 3), "num_classes": 10, "small_images": True}


@pytest.mark.usefixtures("_no_values")
@pytest.mark.parametrize(
    ("builder", "arguments", "published"),
    [
        (build_perceptron, {}, 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10),
        (build_mnist_network, {}, 21_840),  # PyTorch's MNIST example, as in the course notes
        (build_lenet5, {}, 61_706),  # LeCun et al. with C3 connected in full
        (build_cifar_network, {}, 541_094),  # the course notes
        # torchvision, whose Inception v3 has a second head.
        (build_inception_v3, {"auxiliary": True}, 27_161_264),
        # Huang et al. print 0.8, 15.3 and 25.6 million; the first number is that of their reimplementations.
        (build_densenet, {"blocks": (16, 16, 16), "growth_rate": 12, **SMALL}, 769_162),
        (build_xception, IMAGENET, 22_855_952),
        (build_separable_classifier, {}, 38_949),  # the course notes
        # He et al. print 0.27 million, without the two projections.
        (build_residual_classifier, {"image_shape": (32, 32, 3), "num_classes": 10}, 269_722 + 576 + 2_176),
        # The course notes: embedding, convolutions, dense layer, heads of 1 + 10 + 1.
        (build_profile, {}, 12_800_000 + 163_968 + 164_096 + 3 * 327_936 + 32_896 + 129 * 12),
    ],
)
def test_as_published(builder, arguments, published):
    assert trainable(builder(**arguments)) == published


@pytest.mark.parametrize("arch", PUBLISHED)
def test_the_networks_of_the_course_notes_are_as_large_as_those_of_torchvision(arch):
    assert count_parameters(arch) == PUBLISHED[arch].parameters


def test_the_course_notes_have_21_networks():
    assert len(PUBLISHED) == 21


@pytest.mark.usefixtures("_no_values")
@pytest.mark.parametrize(
    ("layers", "growth_rate", "millions"), [(16, 12, 0.8), (41, 24, 15.3), (31, 40, 25.6)], ids=["100", "250", "190"]
)
def test_densenets_for_cifar_round_to_what_the_paper_prints(layers, growth_rate, millions):
    model = build_densenet(blocks=(layers,) * 3, growth_rate=growth_rate, **SMALL)
    assert round(trainable(model) / 1e6, 1) == millions


@pytest.mark.usefixtures("_no_values")
def test_alexnet_has_the_maps_of_torchvision():
    model = build_alexnet()
    maps = {"conv1": (55, 64), "pool1": (27, 64), "conv2": (27, 192), "pool2": (13, 192), "pool5": (6, 256)}
    for name, (side, filters) in maps.items():
        assert model.get_layer(name).output.shape == (None, side, side, filters)


@pytest.mark.usefixtures("_no_values")
@pytest.mark.parametrize("depth", [16, 19])
def test_vgg_has_the_layers_of_keras_applications(depth):
    def layers(model):
        return [(x.name, x.output.shape, [w.shape for w in x.weights]) for x in model.layers if "block" in x.name]

    theirs = {16: keras.applications.VGG16, 19: keras.applications.VGG19}[depth](weights=None)
    ours = build_vgg(depth=depth)
    assert layers(ours) == layers(theirs)
    for name in ("fc1", "fc2"):
        assert ours.get_layer(name).kernel.shape == theirs.get_layer(name).kernel.shape


@pytest.mark.usefixtures("_no_values")
@pytest.mark.parametrize(("depth", "total"), [(121, 8_062_504), (169, 14_307_880), (201, 20_242_984)])
def test_densenet_has_the_weights_of_keras_applications(depth, total):
    theirs = getattr(keras.applications, f"DenseNet{depth}")(weights=None)
    ours = build_densenet(blocks=DENSENET_BLOCKS[depth])
    assert ours.count_params() == total
    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in theirs.weights]


@pytest.mark.usefixtures("_no_values")
def test_xception_has_the_weights_of_keras_applications():
    theirs, ours = keras.applications.Xception(weights=None), build_xception(**IMAGENET)
    assert ours.count_params() == 22_910_480
    # Theirs has the projection around a block before it.
    shapes = [sorted(tuple(weight.shape) for weight in model.weights) for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("builder", "tap", "theirs"),
    [(build_vgg, "block5_pool", "VGG16"), (build_densenet, "final_relu", "DenseNet121")],
)
def test_the_weights_of_keras_applications_give_the_same_features(builder, tap, theirs):
    shape = (64, 48, 3)
    theirs = getattr(keras.applications, theirs)(weights=None, include_top=False, input_shape=shape)
    ours = builder(image_shape=shape, num_classes=2)
    ours = keras.Model(ours.input, ours.get_layer(tap).output)
    ours.set_weights(theirs.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(theirs(images / 127.5 - 1))
    np.testing.assert_allclose(ours({"image": images}), expected, atol=1e-5 * expected.max())
