"""The networks of the image-classification experiment: which builder, how it is trained, in which run folder."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import keras

from experiments.shared.params import fitting, read_params
from kerasapps import distribution
from kerasapps.applications import (
    classic,
    densenet,
    inception_classifier,
    quick_residual_classifier,
    residual_classifier,
    separable_classifier,
    vgg,
    xception,
)
from kerasapps.data.augmentation import picture_augment
from kerasapps.data.images import CHANNELS, ImageSplits, load_images
from kerasapps.errors import UserError
from kerasapps.losses import SmoothedCrossentropy
from kerasapps.optimizers import Adam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.search.loop import Space
from kerasapps.training import History, fit

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
]
# The learning rate rises for this share of the steps, and then falls to nearly nothing.
WARMUP = 0.2
# A mirrored digit is another sign or none.
UPRIGHT = {"digits", "mnist"}
DIGITS_EPOCHS = 30
# The embedded digits are 8 pixels wide: enlarged to the lectures' 64 they take four times as long to learn, and worse.
DIGITS_SIZE = 32
SUITED = {("separable", "digits"): {"padding": "same", "batch_norm": True}}
# What is not for --params: the data decide, and a name is for code.
DECIDED = {"image_shape", "num_classes", "name"}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, and on which pictures; what is not given follows from the architecture.

    Args:
        size: Side of the pictures in pixels.
        epochs: Passes over the training part.
        batch_size: Pictures in a step, over all devices.
        optimizer: Adam, or SGD with Nesterov's momentum of 0.9.
        learning_rate: At its highest, after a fifth of the steps; then it falls to nearly nothing.
        weight_decay: Share of each kernel taken off in a step, times the learning rate.
        label_smoothing: Share of the probability that the target spreads over all classes.
        shift: How far training pictures move at most, as a share of their side.
        erase: Share of the area of training pictures that is greyed out, at most.
        flip: Whether half of the training pictures are mirrored; digits never are.
    """

    size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: Literal["adam", "sgd"] | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    label_smoothing: float | None = None
    shift: float | None = None
    erase: float | None = None
    flip: bool | None = None


@dataclass(frozen=True)
class Network:
    """One architecture: its builder, its search space, how it is trained, and arguments that suit small pictures."""

    build: Callable[..., keras.Model]
    space: Space
    recipe: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)


# What is normalised learns fast by SGD; the others need Adam's steps of their own for each weight.
SGD = {
    "size": 32,
    "epochs": 20,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 5e-3,
    "label_smoothing": 0.1,
    "shift": 0.125,
    "erase": 0.0,
    "flip": True,
}
ADAM = SGD | {"optimizer": "adam", "learning_rate": 2e-3, "weight_decay": 0.0, "label_smoothing": 0.0}
NETWORKS = {
    "separable": Network(
        separable_classifier.build_separable_classifier,
        separable_classifier.search_space,
        ADAM | {"size": 64, "batch_size": 64},
    ),
    "inception": Network(inception_classifier.build_inception_classifier, inception_classifier.search_space, SGD),
    "residual": Network(residual_classifier.build_residual_classifier, residual_classifier.search_space, SGD),
    "quick_residual": Network(
        quick_residual_classifier.build_quick_residual_classifier,
        quick_residual_classifier.search_space,
        SGD | {"epochs": 18, "learning_rate": 0.3},
    ),
    "xception": Network(xception.build_xception, xception.search_space, SGD | {"size": 64}),
    "perceptron": Network(classic.build_perceptron, classic.search_space_perceptron, ADAM | {"size": 28}),
    "mnist_network": Network(classic.build_mnist_network, classic.search_space_mnist_network, ADAM | {"size": 28}),
    "lenet5": Network(classic.build_lenet5, classic.search_space_lenet5, ADAM),
    "alexnet": Network(
        classic.build_alexnet, classic.search_space_alexnet, ADAM | {"size": 224, "learning_rate": 3e-4}
    ),
    "vgg": Network(vgg.build_vgg, vgg.search_space, ADAM | {"learning_rate": 3e-4}),
    "densenet": Network(densenet.build_densenet, densenet.search_space, SGD, {"small_images": True}),
}


def recipe_of(arch: Arch, data: str, given: Recipe, *, options: Options) -> Recipe:
    """Returns how to train an architecture on a data set, where the command line says nothing else."""
    values = NETWORKS[arch].recipe | {name: value for name, value in asdict(given).items() if value is not None}
    if data in UPRIGHT:
        values["flip"] = False
    if data == "digits" and given.epochs is None:
        values["epochs"] = DIGITS_EPOCHS
    if (arch, data) in SUITED and given.size is None:
        values["size"] = DIGITS_SIZE
    values["epochs"] = options.shrink(values["epochs"], 2)
    check_recipe(values)
    return Recipe(**values)


def params_of(arch: Arch, data: str, params: str | None) -> dict[str, Any]:
    """Returns arguments of the builder: those that suit the data set, or those given in their place."""
    return SUITED.get((arch, data), {}) if params is None else read_params(params)


def space_of(arch: Arch, data: str, size: int) -> Space:
    """Returns the search space of a network, all of whose configurations fit pictures of `size` pixels."""
    network = NETWORKS[arch]

    def space(hp) -> dict[str, Any]:
        params = network.params | network.space(hp, **params_of(arch, data, None))
        # Of a small picture, deep stages of convolutions that are not padded leave nothing.
        stages = len(separable_classifier.FILTERS)
        if arch == "separable" and size < separable_classifier.smallest_side(stages, params["depth"], "valid"):
            params["padding"] = "same"
        return params

    return space


def check_recipe(values: dict[str, Any]) -> None:
    """Refuses numbers that make no sense; shift and erase are the augmentation's to check."""
    rules = {
        **dict.fromkeys(("size", "epochs", "batch_size"), ("at least 1", lambda value: value >= 1)),
        "learning_rate": ("above 0", lambda value: value > 0),
        "weight_decay": ("at least 0", lambda value: value >= 0),
        "label_smoothing": ("in [0, 1)", lambda value: 0 <= value < 1),
    }
    for name, (rule, holds) in rules.items():
        if not holds(values[name]):
            raise UserError(f"--{name.replace('_', '-')} must be {rule}. Received: {values[name]}")


def make_model(
    *,
    arch: Arch,
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    jit_compile: bool,
    image_shape: tuple[int, int, int],
    num_classes: int,
) -> keras.Model:
    """Builds and compiles: the one place that training, the strategy scope and the search share.

    Args:
        arch: Which network.
        params: Arguments of its builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
        image_shape: Height, width and channels of the pictures.
        num_classes: Number of classes.
    """
    build = NETWORKS[arch].build
    unknown = sorted(params.keys() - (inspect.signature(build).parameters.keys() - DECIDED))
    if unknown:
        raise UserError(f"These parameters are not for --arch {arch}: {', '.join(unknown)}.")
    with fitting(params, f"--arch {arch}"):
        model = build(image_shape=image_shape, num_classes=num_classes, **(NETWORKS[arch].params | params))
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=WARMUP)
    decay = recipe.weight_decay or None
    if recipe.optimizer == "adam":
        optimizer = Adam(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    smoothing = recipe.label_smoothing
    loss = SmoothedCrossentropy(smoothing) if smoothing else "sparse_categorical_crossentropy"
    model.compile(optimizer, {"label": loss}, metrics={"label": ["accuracy"]}, jit_compile=jit_compile)
    return model


def load_pictures(data: str, recipe: Recipe, *, options: Options, channels: int = CHANNELS) -> ImageSplits:
    """Loads a data set with the recipe's augmentation; `channels` are those of folders, named sets have theirs."""
    augment = picture_augment(flip=recipe.flip, shift=recipe.shift, erase=recipe.erase)
    rows, seed = options.rows, options.seed
    return load_images(data, size=recipe.size, seed=seed, limit=rows, augment=augment, channels=channels)


def train_network(
    run: Run,
    splits: ImageSplits,
    *,
    arch: Arch,
    recipe: Recipe,
    params: dict[str, Any],
    patience: int | None = None,
) -> tuple[keras.Model, History]:
    """Trains one network in a run folder and saves it."""
    distributed = distribution.is_distributed(run.strategy)
    steps = recipe.epochs * splits.train.steps(recipe.batch_size, drop_remainder=distributed)
    with run.strategy.scope():
        model = make_model(
            arch=arch, params=params, recipe=recipe, steps=steps, jit_compile=run.jit_compile, **splits.sizes
        )
    history = fit(
        model,
        splits,
        run,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        monitor="val_loss",  # finer than accuracy, in which a small validation part sees no difference
        patience=patience,
    )
    return model, history
