"""The networks of the PixelCNN experiment: on which images, how they are built and trained, and what they expect."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from kerasapps.applications.pixelcnn import build_pixelcnn
from kerasapps.data.images import ImageSplits
from kerasapps.data.pictures import Range
from kerasapps.data.pixels import PixelCodec, load_pixels
from kerasapps.losses import token_losses
from kerasapps.optimizers import Adam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, Side, Text, from_settings, optional, or_none, ranged, settle

from ..shared import training
from ..shared.image_classifier import keep_codec, options_of, warn_of_changes
from ..shared.params import build
from ..shared.runs import SavedRun, traced
from ..shared.training import Trained, tell

CODEC = PixelCodec
Arch = Literal["gated", "plain"]


@dataclass(frozen=True)
class Source:
    """Which images.

    Args:
        data: "digits" (1,797 handwritten digits, embedded), "mnist", "fashion_mnist", or a folder or archive of images,
            which become gray.
        size: Side of the images in pixels; by default the data set's own, and 32 for folders.
        levels: Values of a pixel; by default 17 for the digits, 2 for MNIST and Fashion-MNIST, 8 for others. For 2, a
            pixel is drawn once, white with its gray value as the probability.
    """

    data: Text = "digits"
    size: or_none(Side) = None
    levels: or_none(ranged(int, least=2, most=256)) = None


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; by default as suits the data.

    Args:
        epochs: Epochs over the training set.
        batch_size: Images in a step, over all devices.
        learning_rate: Peak learning rate of Adam, reached after a tenth of the steps; then it falls to nearly 0.
        clip: Largest norm of the gradients of a step together.
    """

    epochs: Count = 20
    batch_size: Count = 32
    learning_rate: Positive = 2e-3
    clip: Positive = 1.0


GivenRecipe = optional(Recipe)
DIGITS = replace(Recipe(), epochs=60)
# The digits are few and small.
SMALL = {"depth": 4, "window": 5, "dropout": 0.3}


def recipe_of(data: str, given: GivenRecipe = GivenRecipe(), *, options: Options) -> Recipe:
    """Returns how to train on a data set, where the command line says nothing else."""
    return options.shrunk(settle(DIGITS if data == "digits" else Recipe(), given), epochs=1)


def load(source: Source, *, options: Options, values: Range | None = None) -> ImageSplits:
    """Loads the images as the options say, and prints what a person should know about them."""
    splits = load_pixels(**vars(source), seed=options.seed, limit=options.rows, values=values)
    tell(splits.notes)
    return splits


def saved_splits(saved: SavedRun, limit: int | None = None) -> ImageSplits:
    """Loads the images that a run was trained on, or with `limit` so many of them."""
    source = from_settings(Source, saved.settings)
    splits = load(source, options=options_of(saved, limit), values=saved.codec.values)
    warn_of_changes(saved, splits)
    return splits


def train_one(
    run: Run, *, source: Source, arch: Arch, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network in a run folder; the epoch of the lowest validation loss is kept."""
    splits = load(source, options=run.options)
    return train_on(run, splits, arch=arch, params=usual_params(source.data) | params, recipe=recipe, patience=patience)


def train_on(
    run: Run, splits: ImageSplits, *, arch: Arch, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network on images that are loaded; `params` are all builder arguments besides those of the data."""
    keep_codec(run, splits)
    network = partial(make_model, arch=arch, sizes=splits.sizes, params=params)
    return training.train(run, splits, network, recipe, patience=patience)


def usual_params(data: str) -> dict[str, Any]:
    """Returns builder arguments in place of its defaults, which --params come before."""
    return SMALL if data == "digits" else {}


def make_model(
    *,
    arch: Arch,
    sizes: dict[str, Any],
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    jit_compile: bool = False,
) -> keras.Model:
    """Builds and compiles.

    Args:
        arch: Which network.
        sizes: Arguments of the builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    model = build(build_pixelcnn, params, what="this network", given=sizes | {"gated": arch == "gated"})
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(Adam(rate, global_clipnorm=recipe.clip), {"level": loss}, jit_compile=jit_compile)
    return model


def surprise(model: keras.Model, images: np.ndarray, *, batch_size: int = 128) -> np.ndarray:
    """Returns the negative log-probability of each pixel given those before it, in nats.

    Args:
        model: The network.
        images: Levels, uint8 (n, H, W, C).
        batch_size: Images at a time.

    Returns:
        float32 (n, H, W, C); what an image has in all is its exact negative log-likelihood.
    """
    step, found = traced(model), []
    for start in range(0, len(images), batch_size):
        batch = keras.ops.convert_to_tensor(images[start : start + batch_size])
        logits = step({"image": batch})["level"]  # (n, H, W, C, levels)
        found.append(keras.ops.convert_to_numpy(token_losses(keras.ops.cast(batch, "int32"), logits)))
    return np.concatenate(found)
