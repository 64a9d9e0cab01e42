"""The networks of the image-classification experiment: which builder, which recipe, and how one is trained."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import keras

from kerasapps.applications import (
    capsule_network,
    cifar_network,
    classic,
    densenet,
    inception_classifier,
    inception_v3,
    quick_residual_classifier,
    residual_classifier,
    resnet,
    separable_classifier,
    squeezenet,
    vgg,
    xception,
)
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.images import ImageSplits
from kerasapps.runs import Options, Run
from kerasapps.search.loop import Space
from kerasapps.settings import from_settings

from ..shared import image_classifier
from ..shared.image_classifier import ADAM, SGD, GivenRecipe, Recipe, settle_recipe
from ..shared.params import build, read_params
from ..shared.runs import SavedRun
from ..shared.training import Trained

CODEC = ImageCodec
Arch = Literal[
    "separable",
    "inception",
    "residual",
    "quick_residual",
    "xception",
    "perceptron",
    "mnist_network",
    "cifar_network",
    "lenet5",
    "alexnet",
    "vgg",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg11_bn",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19_bn",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "squeezenet1_0",
    "squeezenet1_1",
    "densenet",
    "densenet121",
    "densenet169",
    "densenet201",
    "densenet161",
    "inception_v3",
    "capsule",
]
DIGITS_EPOCHS = 30
# The embedded digits are 8 pixels wide: at the usual 64 they take four times as long to learn, and are learned worse.
DIGITS_SIZE = 32
CAPSULE = replace(ADAM, size=28, learning_rate=1e-3, loss="margin", shift=2 / 28)
CAPSULE_PARAMS = {"filters": 64, "primary_capsules": 16}  # the paper's width takes ten times as long
SUITED = {("separable", "digits"): {"padding": "same", "batch_norm": True}}


@dataclass(frozen=True)
class Architecture:
    """A builder, its search space, how it is trained, and builder arguments.

    Args:
        build: The builder.
        space: Its search space.
        recipe: How the network is trained.
        params: Arguments in place of the builder's defaults, which a search leaves alone.
        small: Arguments that suit small images.
    """

    build: Callable[..., keras.Model]
    space: Space
    recipe: Recipe
    params: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] = field(default_factory=dict)


SMALL = {"small_images": True}
# At 0.1 the wide stages of ResNet-18 diverge on the digits while the rate rises.
GENTLE_SGD = replace(SGD, learning_rate=0.02)
VGG = Architecture(vgg.build_vgg, vgg.search_space, replace(ADAM, learning_rate=3e-4))
RESNET = Architecture(resnet.build_resnet, resnet.search_space, GENTLE_SGD, small=SMALL)
SQUEEZENET = Architecture(
    squeezenet.build_squeezenet, squeezenet.search_space, replace(ADAM, learning_rate=1e-3), small=SMALL
)
DENSENET = Architecture(densenet.build_densenet, densenet.search_space, SGD, small=SMALL)
ARCHITECTURES = {
    "separable": Architecture(
        separable_classifier.build_separable_classifier,
        separable_classifier.search_space,
        replace(ADAM, size=64, batch_size=64),
    ),
    "inception": Architecture(inception_classifier.build_inception_classifier, inception_classifier.search_space, SGD),
    "residual": Architecture(residual_classifier.build_residual_classifier, residual_classifier.search_space, SGD),
    "quick_residual": Architecture(
        quick_residual_classifier.build_quick_residual_classifier,
        quick_residual_classifier.search_space,
        replace(SGD, epochs=18, learning_rate=0.3),
    ),
    "xception": Architecture(xception.build_xception, xception.search_space, replace(SGD, size=64)),
    "perceptron": Architecture(classic.build_perceptron, classic.search_space_perceptron, replace(ADAM, size=28)),
    "mnist_network": Architecture(
        classic.build_mnist_network, classic.search_space_mnist_network, replace(ADAM, size=28)
    ),
    "cifar_network": Architecture(cifar_network.build_cifar_network, cifar_network.search_space, ADAM),
    "lenet5": Architecture(classic.build_lenet5, classic.search_space_lenet5, ADAM),
    "alexnet": Architecture(
        classic.build_alexnet, classic.search_space_alexnet, replace(ADAM, size=224, learning_rate=3e-4)
    ),
    "vgg": VGG,
    **{f"vgg{depth}": replace(VGG, params={"depth": depth}) for depth in vgg.VGG_CONVOLUTIONS},
    **{f"vgg{depth}_bn": replace(VGG, params={"depth": depth, "batch_norm": True}) for depth in vgg.VGG_CONVOLUTIONS},
    **{f"resnet{depth}": replace(RESNET, params={"depth": depth}) for depth in resnet.RESNET_BLOCKS},
    "squeezenet1_0": replace(SQUEEZENET, params={"version": "1.0"}),
    "squeezenet1_1": replace(SQUEEZENET, params={"version": "1.1"}),
    "densenet": DENSENET,
    **{f"densenet{depth}": replace(DENSENET, params={"depth": depth}) for depth in (121, 169, 201)},
    "densenet161": replace(DENSENET, params={"depth": 161, "growth_rate": 48}),
    "inception_v3": Architecture(inception_v3.build_inception_v3, inception_v3.search_space, GENTLE_SGD, small=SMALL),
    "capsule": Architecture(
        capsule_network.build_capsule_network, capsule_network.search_space, CAPSULE, CAPSULE_PARAMS
    ),
}


def recipe_of(arch: Arch, data: str, given: GivenRecipe, *, options: Options) -> Recipe:
    """Returns how to train an architecture on a data set, where the command line says nothing else."""
    defaults = ARCHITECTURES[arch].recipe
    if data == "digits":
        defaults = replace(defaults, epochs=DIGITS_EPOCHS)
    if (arch, data) in SUITED:
        defaults = replace(defaults, size=DIGITS_SIZE)
    return settle_recipe(defaults, given, data=data, options=options)


def params_of(arch: Arch, data: str, params: str | None) -> dict[str, Any]:
    """Returns arguments of the builder: those that suit the data set, or those given in their place."""
    return SUITED.get((arch, data), {}) if params is None else read_params(params)


def space_of(arch: Arch, data: str, size: int) -> Space:
    """Returns the search space of a network, all of whose configurations fit images of `size` pixels."""
    network = ARCHITECTURES[arch]

    def space(hp) -> dict[str, Any]:
        for name, value in network.params.items():
            hp.Fixed(name, value)  # a search for a resnet18 looks at no other depth
        params = network.params | network.small | network.space(hp, **params_of(arch, data, None))
        # Deep stages of unpadded convolutions leave nothing of a small image.
        stages = len(separable_classifier.FILTERS)
        if arch == "separable" and size < separable_classifier.smallest_side(stages, params["depth"], "valid"):
            params["padding"] = "same"
        return params

    return space


def train_one(
    run: Run, *, data: str, arch: Arch, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network in a run folder."""
    splits = image_classifier.load(data, recipe, options=run.options)
    network = partial(build_network, arch, params, **splits.sizes)
    return image_classifier.train(run, splits, network, recipe, patience=patience)


def splits_of(saved: SavedRun) -> ImageSplits:
    """Loads the images that a run was trained on, for `load_splits`."""
    options = from_settings(Options, saved.settings)
    return image_classifier.load_as_trained(saved, saved.settings.of("data", str), options=options, same=True)


def build_network(
    arch: Arch, params: dict[str, Any], *, image_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    """Builds a network for images of a shape and a number of classes."""
    architecture = ARCHITECTURES[arch]
    given = {"image_shape": image_shape, "num_classes": num_classes}
    return build(
        architecture.build,
        params,
        what=f"--arch {arch}",
        given=given,
        usual=architecture.params | architecture.small,
        # A second head has no labels here; a perceptron is of images, with a probability for each class.
        decided=("auxiliary", "features", "output"),
    )


def make_model(
    *, arch: Arch, params: dict[str, Any], recipe: Recipe, steps: int, jit_compile: bool, **sizes: Any
) -> keras.Model:
    """Builds and compiles a network outside a run; `sizes` are those that the data give."""
    network = partial(build_network, arch, params, **sizes)
    return image_classifier.compiled(network, recipe=recipe, steps=steps, jit_compile=jit_compile)
