"""Members of an ensemble: networks of this package, snapshots of their trainings, and estimators of scikit-learn."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kerasapps.applications import (
    classic,
    inception_classifier,
    quick_residual_classifier,
    residual_classifier,
    separable_classifier,
)
from kerasapps.blocks.perceptron import perceptron_block
from kerasapps.errors import UserError
from kerasapps.estimators import dense_block, estimator_block
from kerasapps.optimizers import Adam
from kerasapps.superlearner import base_rate

from ..shared.image_classifier import ADAM, SGD, Recipe, compiled, rate_of
from .network import Data

BASE = "base_rate"  # the member that predicts the same for all rows
ENTRY = re.compile(r"(\w+)(?:([:@])(\d{1,3}))?", re.ASCII)
GRID = 8  # sides of images as estimators see them, at most
LIBRARIES = {
    "images": "separable,residual,perceptron,logistic,boosting",
    "classes": "perceptron,logistic,forest,boosting,neighbors",
    "numbers": "perceptron,ridge,forest,boosting,neighbors",
}


@dataclass(frozen=True)
class Member:
    """One member, or the snapshots of one training.

    Args:
        name: Its name in the ensemble.
        kind: What it is, such as "residual".
        seed: Added to --seed.
        snapshots: How many networks a training gives, at the ends of as many cycles of the learning rate.
    """

    name: str
    kind: str
    seed: int = 0
    snapshots: int = 1

    @property
    def names(self) -> list[str]:
        """The names of what it gives."""
        count = self.snapshots
        return [self.name] if count == 1 else [f"{self.name}_cycle{i}" for i in range(1, count + 1)]


@dataclass(frozen=True)
class Network:
    """How a network of images is built and trained."""

    build: Callable[..., keras.Model]
    recipe: Recipe


# Smoothed labels keep a network from saying how sure it is, which is what members are weighed by.
SURE_SGD = replace(SGD, epochs=12, label_smoothing=0.0)
SURE_ADAM = replace(ADAM, epochs=12)
NETWORKS = {
    "separable": Network(
        partial(separable_classifier.build_separable_classifier, padding="same", batch_norm=True),
        replace(SURE_ADAM, batch_size=64, learning_rate=4e-3),
    ),
    "residual": Network(residual_classifier.build_residual_classifier, SURE_SGD),
    "quick_residual": Network(
        quick_residual_classifier.build_quick_residual_classifier, replace(SURE_SGD, learning_rate=0.3)
    ),
    "inception": Network(inception_classifier.build_inception_classifier, SURE_SGD),
    "perceptron": Network(partial(classic.build_perceptron, dropout=0.2), SURE_ADAM),
    "lenet5": Network(classic.build_lenet5, SURE_ADAM),
}
ROWS = Recipe(optimizer="adam", epochs=30, learning_rate=3e-3, weight_decay=0.0, label_smoothing=0.0)


def scaled(estimator: Callable[..., Any], **options: Any) -> Callable[[int], Any]:
    """Returns what makes an estimator of standardized features."""
    return lambda seed: make_pipeline(StandardScaler(), estimator(**options))


def seeded(estimator: Callable[..., Any], **options: Any) -> Callable[[int], Any]:
    """Returns what makes an estimator that draws, from its seed."""
    return lambda seed: estimator(**options, random_state=seed)


TREES = {"n_estimators": 200, "max_leaf_nodes": 1024}
BOOSTS = {"max_iter": 80, "max_leaf_nodes": 15, "early_stopping": False}
CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "logistic": scaled(LogisticRegression, max_iter=1000),
    "forest": seeded(RandomForestClassifier, **TREES),
    "extra_trees": seeded(ExtraTreesClassifier, **TREES),
    "boosting": seeded(HistGradientBoostingClassifier, **BOOSTS),
    "neighbors": scaled(KNeighborsClassifier, n_neighbors=10),
    "bayes": lambda seed: GaussianNB(var_smoothing=1e-3),
}
REGRESSORS: dict[str, Callable[[int], Any]] = {
    "ridge": scaled(Ridge),
    "forest": seeded(RandomForestRegressor, **TREES, min_samples_leaf=3, max_features=1 / 3),
    "extra_trees": seeded(ExtraTreesRegressor, **TREES, min_samples_leaf=3),
    "boosting": seeded(HistGradientBoostingRegressor, **BOOSTS),
    "neighbors": scaled(KNeighborsRegressor, n_neighbors=10),
}


def kinds_for(data: Data) -> list[str]:
    """Returns what a member may be for some data."""
    networks = [*NETWORKS] if data.input[0] == "image" else ["perceptron"]
    return [*networks, *(CLASSIFIERS if data.num_classes else REGRESSORS)]


def library_of(given: Sequence[str], data: Data) -> list[Member]:
    """Returns the members that a library names, such as separable,residual:3,quick_residual@4,boosting.

    Args:
        given: Members; "residual:3" is three of other seeds, "residual@4" the four snapshots of one training.
        data: What they are for.

    Raises:
        UserError: If one is none of those that there are, or named twice.
    """
    task = "images" if data.input[0] == "image" else "classes" if data.num_classes else "numbers"
    known, members = kinds_for(data), []
    for entry in map(str.strip, ",".join(given or [LIBRARIES[task]]).split(",")):
        kind, sign, count = ENTRY.fullmatch(entry).groups() if ENTRY.fullmatch(entry) else (entry, "", "")
        if kind not in known:
            raise UserError(f"--library {entry}: for these data a member is one of {', '.join(known)}.")
        number = int(count or 1)
        if number < 1 or (sign == "@" and kind not in NETWORKS):
            raise UserError(f"--library {entry}: at least one, and snapshots are of networks alone.")
        if sign == "@":
            members.append(Member(kind, kind, snapshots=number))
        elif sign == ":":
            members += [Member(f"{kind}_{seed}", kind, seed=seed) for seed in range(number)]
        else:
            members.append(Member(kind, kind))
    names = [name for member in members for name in member.names]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"--library names {sorted(twice)[0]} twice: {sorted(twice)[0]}:2 is two of other seeds.")
    trained = [(member.kind, member.seed) for member in members if member.snapshots == 1]
    twice = {kind for kind, seed in trained if trained.count((kind, seed)) > 1}
    if twice:
        kind = sorted(twice)[0]
        raise UserError(f"--library {kind} repeats the first of {kind}:N, which has the same seed: name one of them.")
    return members


# --- networks


def recipe_of(kind: str, data: Data, *, epochs: int | None, cycles: int = 1) -> Recipe:
    """Returns how a network is trained; with snapshots, epochs that all cycles have alike."""
    recipe = NETWORKS[kind].recipe if data.input[0] == "image" else ROWS
    count = epochs or recipe.epochs
    # Few rows must not be one batch an epoch; devices share multiples of 8.
    batch = min(recipe.batch_size, max(8, len(data.train) // 16 // 8 * 8))
    return replace(recipe, epochs=-(-count // cycles) * cycles, batch_size=batch)


def make_network(
    kind: str, data: Data, *, cycles: int = 1, recipe: Recipe, steps: int, jit_compile: bool
) -> keras.Model:
    """Builds and compiles a network; `steps` are those of the whole training."""
    shape = data.input[1]
    if data.input[0] == "image":
        build = partial(NETWORKS[kind].build, image_shape=shape, num_classes=data.num_classes)
    else:
        build = partial(row_network, data)
    if data.num_classes:
        return compiled(build, recipe=recipe, steps=steps, jit_compile=jit_compile, cycles=cycles)
    model = build()
    rate = rate_of(recipe, steps=steps, cycles=cycles)
    model.compile(Adam(rate), {"number": "mse"}, jit_compile=jit_compile)
    return model


def row_network(data: Data, units: Sequence[int] = (64, 32), dropout: float = 0.1) -> keras.Model:
    """Builds a perceptron on the features of rows; numbers are learned in units of their spread."""
    if data.num_classes:
        sizes = {"features": data.input[1][0], "num_classes": data.num_classes}
        return classic.build_perceptron(**sizes, dense_units=units, dropout=dropout)
    features = keras.Input(data.input[1], name="features")  # (B, F)
    x = perceptron_block(features, units=units, dropout=dropout, name="dense")
    target = data.train.targets["number"]
    score = layers.Dense(1, dtype="float32", name="score")(x)  # (B, 1)
    scale, offset = float(target.std()) or 1.0, float(target.mean())
    number = layers.Rescaling(scale, offset, dtype="float32", name="number")(score)
    return keras.Model([features], {"number": number}, name="perceptron")


# --- estimators


def features_block(inputs):
    """Returns what estimators see: rows as they are, images as at most 8 by 8 averages, (B, F)."""
    if len(inputs.shape) == 2:
        return inputs
    side = max(inputs.shape[1:3])
    x = layers.Rescaling(1 / 255, dtype="float32", name="unit")(inputs)  # (B, H, W, C)
    if side > GRID:
        x = layers.AveragePooling2D(-(-side // GRID), dtype="float32", name="grid")(x)  # (B, 8, 8, C)
    return layers.Flatten(dtype="float32", name="flat")(x)


def features_network(data: Data) -> keras.Model:
    """Builds the network from the inputs to what estimators see."""
    inputs = keras.Input(data.input[1], name=data.input[0])
    return keras.Model([inputs], features_block(inputs), name="features")


def estimator_of(kind: str, data: Data, *, seed: int) -> Any:
    """Returns an estimator of scikit-learn that has learned nothing yet."""
    return (CLASSIFIERS if data.num_classes else REGRESSORS)[kind](seed)


def fit_estimator(kind: str, data: Data, features: np.ndarray, truth: np.ndarray, *, seed: int) -> keras.Model:
    """Fits an estimator of scikit-learn, or the base rate, and returns it as a network.

    Args:
        kind: What it is.
        data: What it is for.
        features: What it sees of the rows, float32 (n, F).
        truth: Classes int (n,), or numbers.
        seed: Seed of what it draws.
    """
    inputs = keras.Input(data.input[1], name=data.input[0])
    x = features_block(inputs)
    if kind == BASE:
        rate = base_rate(truth, data.num_classes)
        bias = np.log(np.maximum(rate, 1e-30)) if data.num_classes else np.array([rate])
        kernel = np.zeros((features.shape[1], len(bias)))
        made = dense_block(x, kernel, bias, softmax=bool(data.num_classes), name=kind)
    else:
        estimator = estimator_of(kind, data, seed=seed).fit(features, truth)
        made = estimator_block(estimator, x, num_classes=data.num_classes, name=kind)
    return keras.Model([inputs], {data.output: made}, name=kind)
