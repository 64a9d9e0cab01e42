"""How a trained network learns other classes: its head on cached features, then, unfrozen, the network itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np

from kerasapps.applications.transfer_classifier import (
    base_layers,
    build_transfer_classifier,
    freeze_base,
    head_of,
    put_head,
)
from kerasapps.bases import Base, load_base
from kerasapps.data.images import ImageSplits
from kerasapps.data.splits import Splits
from kerasapps.errors import UserError
from kerasapps.optimizers import LayerwiseAdam, one_cycle
from kerasapps.runs import Run
from kerasapps.training import History

from ..shared import image_classifier, training
from ..shared.image_classifier import WARMUP, keep_codec
from ..shared.images import predict_probabilities
from ..shared.params import build
from ..shared.training import Trained
from .features import cached_features, standardize
from .transfer_options import Foundation, Source, TransferRecipe, load, parse_freeze

# What a search chooses beside arguments of the builder.
RATES = ("head_rate", "learning_rate")
ENOUGH = 100  # validation images; the best epoch on fewer is hardly more than chance, and the last one is kept


@dataclass(frozen=True)
class Stage:
    """What `training.train` needs to know of one stage."""

    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Transferred:
    """A network after its stages.

    Args:
        trained: The network, the history of its last stage, and its images.
        head: History of the first stage.
        frozen: Probabilities of the test images after the first stage, (n, classes).
        probabilities: Those in the end.
        before: Weights after the first stage.
    """

    trained: Trained
    head: History
    frozen: np.ndarray
    probabilities: np.ndarray
    before: list[np.ndarray]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended a stage."""
        return self.head.interrupted or self.trained.history.interrupted


def train_one(
    run: Run, *, source: Source, foundation: Foundation, params: dict[str, Any], recipe: TransferRecipe
) -> Trained:
    """Trains one network in a run folder, on the first draw; for a search."""
    base = load_base(foundation.base, weights=foundation.weights, size=recipe.size)
    shots = source.shots[-1] if source.shots else None
    splits = load(source, recipe, options=run.options, shots=shots, draw=0, channels=base.channels)
    keep_codec(run, splits)
    transferred = transfer(run, base, splits, foundation=foundation, params=params, recipe=recipe)
    run.save(transferred.trained.model)
    return transferred.trained


def transfer(
    run: Run,
    base: Base,
    splits: ImageSplits,
    *,
    foundation: Foundation,
    params: Mapping[str, Any],
    recipe: TransferRecipe,
) -> Transferred:
    """Trains the head on cached features, then the network, each in a run folder of its own inside this one."""
    recipe = replace(recipe, **{name: params[name] for name in RATES if name in params})
    freeze = parse_freeze(foundation.freeze)
    with run.strategy.scope():
        model = network(base, splits, foundation=foundation, params=params)
    check_freeze(model, freeze)
    features = cached_features(model, splits, versions=recipe.versions, seed=run.options.seed)
    standardize(model, features)
    head = training.train(
        run.part("head", {"epochs": recipe.head_epochs}),
        features,
        partial(compiled_head, model, rate=recipe.head_rate, given=recipe),
        Stage(recipe.head_epochs, recipe.batch_size),
        monitor=monitor_of(splits),
    )
    put_head(model, head.model)
    before = model.get_weights()
    frozen = predict_probabilities(model, splits.test)
    if not recipe.epochs or head.history.interrupted:
        return Transferred(Trained(model, head.history, splits), head.history, frozen, frozen, before)
    tuned = training.train(
        run.part("finetuned", {}),
        splits,
        partial(compiled, model, freeze=freeze, rate=recipe.learning_rate, given=recipe),
        Stage(recipe.epochs, recipe.batch_size),
        monitor=monitor_of(splits),
    )
    probabilities = predict_probabilities(model, splits.test)
    return Transferred(tuned, head.history, frozen, probabilities, before)


def from_scratch(
    run: Run,
    base: Base,
    splits: ImageSplits,
    *,
    foundation: Foundation,
    params: Mapping[str, Any],
    recipe: TransferRecipe,
) -> Trained:
    """Trains the same network with random weights on the same images."""
    with run.strategy.scope():
        fresh = replace(base, network=with_random_weights(base.network, seed=run.options.seed))
        model = network(fresh, splits, foundation=foundation, params=params)
    return training.train(
        run.part("scratch", {"epochs": recipe.baseline_epochs}),
        splits,
        partial(compiled, model, freeze=0, rate=recipe.baseline_rate, given=recipe, pretrained=False),
        Stage(recipe.baseline_epochs, recipe.batch_size),
        monitor=monitor_of(splits),
    )


def monitor_of(splits: Splits) -> str:
    """Returns the metric that decides which epoch is kept."""
    return "val_loss" if len(splits.validation) >= ENOUGH else "loss"


# --- the network


def network(base: Base, splits: ImageSplits, *, foundation: Foundation, params: Mapping[str, Any]) -> keras.Model:
    """Builds the classifier on a base, all of which is frozen.

    Raises:
        UserError: If the layer, the size of the images or --params do not fit it.
    """
    layer = params.get("layer", foundation.layer) or base.layer
    given = {
        "base": base.network,
        "layer": layer,
        "num_classes": splits.sizes["num_classes"],
        "image_shape": splits.sizes["image_shape"],
        "pixels": foundation.pixels or base.pixels,
        "freeze": None,
    }
    chosen = {name: value for name, value in params.items() if name not in (*RATES, "layer")}
    try:
        return build(build_transfer_classifier, chosen, what="finetune", given=given, usual={"pooling": base.pooling})
    except ValueError as error:
        # The builder's own names of what a person typed.
        typed = {"`image_shape`": "--size", "`layer`": "--layer", "`base`": "--base", "`num_classes`": "--data"}
        raise UserError(re.sub("|".join(typed), lambda found: typed[found[0]], str(error))) from None


def check_freeze(model: keras.Model, freeze: int | None) -> None:
    """Refuses to freeze more layers than there are."""
    count = len(base_layers(model))
    if freeze is not None and freeze > count:
        raise UserError(f"--freeze must be at most {count}, the layers of the base up to --layer, or all: {freeze}.")


def with_random_weights(network: keras.Model, *, seed: int) -> keras.Model:
    """Returns a network of the same layers with new weights, as for layers with ReLU (He et al. 2015)."""
    made = keras.models.clone_model(network)
    for i, weight in enumerate(made.weights):
        if len(weight.shape) > 1:
            weight.assign(keras.initializers.HeNormal(seed + i)(weight.shape, weight.dtype))
    return made


# --- the two stages


def compiled_head(model: keras.Model, *, rate: float, given: TransferRecipe, steps: int, jit_compile: bool, **_):
    """Returns the head by itself, compiled.

    It begins at zero: of random weights the part would stay that no training image speaks to, which for a few hundred
    images and more features than that is most of them (4 points of accuracy with MobileNet, 150 flowers).
    """
    head = head_of(model)
    label = head.get_layer("label")
    label.set_weights([np.zeros(weight.shape, np.float32) for weight in label.weights])
    return _compiled(head, {}, rate=rate, given=given, steps=steps, jit_compile=jit_compile)


def compiled(
    model: keras.Model,
    *,
    freeze: int | None,
    rate: float,
    given: TransferRecipe,
    steps: int,
    jit_compile: bool,
    pretrained: bool = True,
    **_,
) -> keras.Model:
    """Unfreezes a network, but for its first layers, and compiles it."""
    freeze_base(model, freeze)
    if not pretrained:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable, layer.momentum = True, 0.9  # few steps, in which statistics must follow
    factors = falling_rates(model, given.falling) if pretrained else {}
    return _compiled(model, factors, rate=rate, given=given, steps=steps, jit_compile=jit_compile)


def falling_rates(model: keras.Model, falling: float) -> dict[str, float]:
    """Returns by the path of each weight of the base what its learning rate is multiplied by."""
    inside = base_layers(model)
    exponents = np.linspace(1, 0, len(inside)) if len(inside) > 1 else [0]
    return {
        weight.path: float(falling**exponent)
        for layer, exponent in zip(inside, exponents, strict=True)
        for weight in layer.trainable_weights
    }


def _compiled(
    model: keras.Model,
    factors: Mapping[str, float],
    *,
    rate: float,
    given: TransferRecipe,
    steps: int,
    jit_compile: bool,
) -> keras.Model:
    schedule = one_cycle(rate, steps=steps, warmup=WARMUP)
    optimizer = LayerwiseAdam(schedule, factors=factors, weight_decay=given.weight_decay or None)
    if given.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = image_classifier.loss_of(given.label_smoothing)
    model.compile(optimizer, {"label": loss}, metrics={"label": ["accuracy"]}, jit_compile=jit_compile)
    return model
