"""The networks of the image-classification experiment: which builder, which recipe, and how one is trained."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import keras

from kerasapps.applications import (
    capsule_network,
    classic,
    densenet,
    inception_classifier,
    quick_residual_classifier,
    residual_classifier,
    separable_classifier,
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
    "lenet5",
    "alexnet",
    "vgg",
    "densenet",
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
    """A builder, its search space, how it is trained, and arguments that suit small images."""

    build: Callable[..., keras.Model]
    space: Space
    recipe: Recipe
    params: dict[str, Any] = field(default_factory=dict)


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
    "lenet5": Architecture(classic.build_lenet5, classic.search_space_lenet5, ADAM),
    "alexnet": Architecture(
        classic.build_alexnet, classic.search_space_alexnet, replace(ADAM, size=224, learning_rate=3e-4)
    ),
    "vgg": Architecture(vgg.build_vgg, vgg.search_space, replace(ADAM, learning_rate=3e-4)),
    "densenet": Architecture(densenet.build_densenet, densenet.search_space, SGD, {"small_images": True}),
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
        params = network.params | network.space(hp, **params_of(arch, data, None))
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
    return build(architecture.build, params, what=f"--arch {arch}", given=given, usual=architecture.params)


def make_model(
    *, arch: Arch, params: dict[str, Any], recipe: Recipe, steps: int, jit_compile: bool, **sizes: Any
) -> keras.Model:
    """Builds and compiles a network outside a run; `sizes` are those that the data give."""
    network = partial(build_network, arch, params, **sizes)
    return image_classifier.compiled(network, recipe=recipe, steps=steps, jit_compile=jit_compile)
