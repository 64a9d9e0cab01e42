"""The remedies: which network is in which trouble, and what about it each remedy changes."""

from dataclasses import dataclass, fields, replace
from typing import Literal

import keras

from kerasapps.applications.deep_perceptron import Activation, Initializer, build_deep_perceptron

Part = Literal["over-fitting", "under-fitting", "vanishing gradients"]


@dataclass(frozen=True)
class Setup:
    """A network and how it is trained. The first fields, up to `residual`, are arguments of `build_deep_perceptron`.

    Args:
        learning_rate: Learning rate of gradient descent.
        momentum: Share of the last step in the next.
        decay: Whether the learning rate falls to a hundredth of itself, along a cosine.
        clip: Norm of the longest gradient, of all weights together; a longer one is shortened to that.
        epochs: Epochs over the training set.
        patience: Stop after so many epochs without a lower validation loss, and keep the best; None for never.
        starts: Initial weights to train from, if several then fresh ones; of these networks the one with the lowest
            training loss is kept.
    """

    depth: int = 2
    units: int = 64
    activation: Activation = "relu"
    initializer: Initializer = "he_normal"
    dropout: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    batch_norm: bool = False
    residual: bool = False
    learning_rate: float = 0.05
    momentum: float = 0.9
    decay: bool = False
    clip: float | None = None
    epochs: int = 40
    patience: int | None = None
    starts: int = 1

    def network(self, *, features: int, num_classes: int) -> keras.Model:
        """Builds the network."""
        names = [field.name for field in fields(self)]
        arguments = {name: getattr(self, name) for name in names[: names.index("residual") + 1]}
        return build_deep_perceptron(features=features, num_classes=num_classes, **arguments)

    def optimizer(self, *, steps: int) -> keras.optimizers.Optimizer:
        """Returns gradient descent for a training of so many steps."""
        rate = self.learning_rate
        if self.decay:
            rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)
        return keras.optimizers.SGD(rate, momentum=self.momentum, global_clipnorm=self.clip)


@dataclass(frozen=True)
class Remedy:
    """What is changed, and what it is compared with.

    Args:
        part: Trouble that it is against.
        title: What it is called in the report.
        setup: The network with it.
        against: Titles in `TROUBLES` of the networks without it.
    """

    part: Part
    title: str
    setup: Setup
    against: tuple[str, ...]


LARGE = Setup(epochs=60)
SLOW = Setup(units=6, learning_rate=0.01, momentum=0.0)
FAST, HEAVY = replace(SLOW, learning_rate=0.4), replace(SLOW, momentum=0.9)
SIGMOID = Setup(depth=12, units=32, activation="sigmoid", initializer="glorot_uniform")
RELU = replace(SIGMOID, activation="relu")
SMALL = replace(RELU, initializer="random_normal")
# Each layer adds a signal as strong as its input, so that signals and gradients grow with the depth.
EXPLODING = replace(RELU, initializer="he_normal", residual=True)

# Networks in trouble, by title; one may be a remedy as well.
TROUBLES = {
    "no remedy": LARGE,
    "small steps": SLOW,
    "large steps": FAST,
    "momentum": HEAVY,  # with 6 units it still ends in one local minimum or another
    "sigmoid": SIGMOID,
    "ReLU, small weights": SMALL,
    "exploding": EXPLODING,
}
REMEDIES = {
    "early_stopping": Remedy("over-fitting", "early stopping", replace(LARGE, patience=10), ("no remedy",)),
    "l1": Remedy("over-fitting", "L1", replace(LARGE, l1=1e-3), ("no remedy",)),
    "l2": Remedy("over-fitting", "L2", replace(LARGE, l2=5e-3), ("no remedy",)),
    "dropout": Remedy("over-fitting", "dropout", replace(LARGE, dropout=0.5), ("no remedy",)),
    "momentum": Remedy("under-fitting", "momentum", HEAVY, ("small steps",)),
    "decay": Remedy("under-fitting", "steps that decay", replace(FAST, decay=True), ("small steps", "large steps")),
    "restart": Remedy("under-fitting", "best of 4 fresh starts", replace(HEAVY, starts=4), ("momentum",)),
    "wider": Remedy("under-fitting", "64 units, not 6", replace(SLOW, units=64), ("small steps",)),
    "tanh": Remedy("vanishing gradients", "tanh", replace(SIGMOID, activation="tanh"), ("sigmoid",)),
    "relu": Remedy("vanishing gradients", "ReLU", RELU, ("sigmoid",)),
    "batch_norm": Remedy("vanishing gradients", "batch normalization", replace(SIGMOID, batch_norm=True), ("sigmoid",)),
    "residual": Remedy("vanishing gradients", "residual", replace(SIGMOID, residual=True), ("sigmoid",)),
    "initialization": Remedy(
        "vanishing gradients", "ReLU, He's weights", replace(RELU, initializer="he_normal"), ("ReLU, small weights",)
    ),
    "clipping": Remedy("vanishing gradients", "exploding, clipped", replace(EXPLODING, clip=1.0), ("exploding",)),
}
Name = Literal[tuple(REMEDIES)]  # for --only
