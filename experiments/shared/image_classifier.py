"""A classifier of images and its recipe, for all who train one: as an application, as a judge, for its features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import keras

from kerasapps.data.augmentation import picture_augment
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.images import CHANNELS, ImageSplits, colored_images, load_images
from kerasapps.data.pictures import Range
from kerasapps.errors import UserError
from kerasapps.losses import MarginLoss, SmoothedCrossentropy
from kerasapps.optimizers import Method, one_cycle, optimizer_of
from kerasapps.runs import Options, Run, write_atomically
from kerasapps.settings import Count, Positive, Share, Side, from_settings, optional, ranged, settle

from . import training
from .runs import SavedRun, codec_path, read_codec, write_codec
from .training import Trained, tell

# The learning rate rises for this share of the steps, and then falls to nearly 0.
WARMUP = 0.2
# Layers with a vector for each class, in all networks.
CLASSES = ("label", "scores", "conv10_conv")
# A mirrored digit is another sign or none.
UPRIGHT = {"digits", "mnist"}


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained, and on which images; by default as suits the architecture.

    Args:
        size: Side of the images in pixels.
        epochs: Epochs over the training set.
        batch_size: Images in a step, over all devices.
        optimizer: Muon, Adam, or SGD with Nesterov momentum of 0.9; another one than usual brings its own learning
            rate and weight decay.
        learning_rate: Peak learning rate, reached after a fifth of the steps; then it falls to nearly 0.
        weight_decay: Share of each kernel taken off in a step, times the learning rate.
        loss: Cross-entropy, or the margin loss of capsules, whose scores do not add up to 1.
        label_smoothing: Share of the target probability that is spread over all classes; under cross-entropy.
        shift: How far training images are shifted at most, as a share of their side.
        erase: Share of the area of training images that is grayed out, at most.
        flip: Whether half of the training images are mirrored; digits never are.
    """

    size: Side = 32
    epochs: Count = 20
    batch_size: Count = 128
    optimizer: Literal[Method, "sgd"] = "sgd"
    learning_rate: Positive = 0.1
    weight_decay: ranged(float, least=0, most=1) = 5e-3
    loss: Literal["cross_entropy", "margin"] = "cross_entropy"
    label_smoothing: Share = 0.1
    shift: Share = 0.125
    erase: Share = 0.0
    flip: bool = True


GivenRecipe = optional(Recipe)
# Normalized networks learn fast by SGD; the others need Adam's own steps for each weight.
SGD = Recipe()
ADAM = replace(SGD, optimizer="adam", learning_rate=2e-3, weight_decay=0.0, label_smoothing=0.0)
# What suits one optimizer is far from what suits another. Networks that learn by smaller steps than usual do so here.
STEPS = {
    "sgd": {"learning_rate": SGD.learning_rate, "weight_decay": SGD.weight_decay},
    "adam": {"learning_rate": ADAM.learning_rate, "weight_decay": ADAM.weight_decay},
    "muon": {"learning_rate": 2e-2, "weight_decay": 0.1},
}


def settle_recipe(defaults: Recipe, given: GivenRecipe, *, data: str, options: Options) -> Recipe:
    """Returns how to train on a data set: the defaults with what is given in their place."""
    if given.optimizer not in (None, defaults.optimizer):
        gentle = min(1, defaults.learning_rate / STEPS[defaults.optimizer]["learning_rate"])
        steps = STEPS[given.optimizer]
        defaults = replace(defaults, **steps | {"learning_rate": gentle * steps["learning_rate"]})
    recipe = settle(defaults, given, **{"flip": False} if data in UPRIGHT else {})
    return options.shrunk(recipe, epochs=2)


def load(
    data: str,
    recipe: Recipe,
    *,
    options: Options,
    channels: int = CHANNELS,
    values: Range | None = None,
    shots: int | None = None,
    colored: bool = False,
) -> ImageSplits:
    """Loads a data set with the recipe's augmentation and prints what a person should know about it.

    Args:
        data: Name of a data set, or a folder or archive.
        recipe: Side and augmentation of the images.
        options: Seed and number of rows.
        channels: Of the images of folders; named sets have theirs.
        values: Range of images of more than 8 bits; by default that of the data set.
        shots: Images of a class to train on; by default all.
        colored: Whether gray images get three channels.
    """
    augment = picture_augment(flip=recipe.flip, shift=recipe.shift, erase=recipe.erase)
    splits = load_images(
        data,
        size=recipe.size,
        seed=options.seed,
        limit=options.rows,
        augment=augment,
        channels=channels,
        values=values,
        shots=shots,
    )
    tell(splits.notes)
    return colored_images(splits) if colored else splits


def load_as_trained(saved: SavedRun, data: str, *, options: Options, same: bool) -> ImageSplits:
    """Loads images in the size and the colors that a run has.

    Args:
        saved: The run.
        data: Name of a data set, or a folder or archive.
        options: Seed and number of rows.
        same: Whether it was trained on these data, of which a fine-tuned network tests those that its shots leave.
    """
    height, _, channels = saved.codec.image_shape
    shots = saved.settings.get("shots") or ()
    return load(
        data,
        replace(from_settings(Recipe, saved.settings), size=height),
        options=options,
        channels=channels,
        values=saved.codec.values,
        shots=shots[-1] if shots and same else None,
        colored=channels == CHANNELS and "base" in saved.settings,
    )


def train(
    run: Run, splits: ImageSplits, build: Callable[[], keras.Model], recipe: Recipe, *, patience: int | None = None
) -> Trained:
    """Trains one classifier in a run folder.

    Args:
        run: The run folder.
        splits: The images.
        build: Returns the network, with the output "label".
        recipe: How it is trained.
        patience: Stop after so many epochs without a better one; never by default.
    """
    keep_codec(run, splits)
    # By validation loss, which is finer than accuracy: in that a small validation set sees no difference.
    return training.train(run, splits, partial(compiled, build), recipe, patience=patience)


def compiled(
    build: Callable[[], keras.Model], *, recipe: Recipe, steps: int, jit_compile: bool, cycles: int = 1
) -> keras.Model:
    """Builds and compiles; `steps` are those of the whole training, in which the learning rate falls `cycles` times."""
    model = build()
    rate = rate_of(recipe, steps=steps, cycles=cycles)
    decay = recipe.weight_decay or None
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    else:
        optimizer = optimizer_of(recipe.optimizer, rate, vectors=CLASSES, weight_decay=decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = MarginLoss() if recipe.loss == "margin" else loss_of(recipe.label_smoothing)
    model.compile(optimizer, {"label": loss}, metrics={"label": ["accuracy"]}, jit_compile=jit_compile)
    return model


def rate_of(recipe: Recipe, *, steps: int, cycles: int = 1) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate of a training: up and down once, or down from its peak in each of several cycles."""
    if cycles > 1:
        return keras.optimizers.schedules.CosineDecayRestarts(recipe.learning_rate, steps // cycles, t_mul=1.0)
    return one_cycle(recipe.learning_rate, steps=steps, warmup=WARMUP)


def loss_of(smoothing: float) -> str | SmoothedCrossentropy:
    """Returns the loss with so much label smoothing."""
    return SmoothedCrossentropy(smoothing) if smoothing else "sparse_categorical_crossentropy"


def keep_codec(run: Run, splits: ImageSplits) -> None:
    """Writes codec.json, and skipped.txt where files were damaged.

    Raises:
        UserError: If a run is resumed that was started on other images.
    """
    codec = splits.codec or ImageCodec.of(splits)
    if run.resumed and codec_path(run.folder).exists():
        before = read_codec(run.folder, type(codec))
        difference = other_classes(codec.class_names, before.class_names)
        if difference or codec.digest != before.digest:
            raise UserError(
                f"{run.config['settings']['data']} has changed since {run.folder} was started: "
                f"{difference or 'images were added or removed'}. Change it back, or choose another --out."
            )
    write_codec(run, codec)
    if splits.skipped:
        skipped = run.path("skipped.txt")
        write_atomically(skipped, "".join(f"{reason}\n" for reason in splits.skipped).encode())
        print(f"Skipped files are listed in {skipped}.")


def options_of(saved: SavedRun, limit: int | None) -> Options:
    """Returns the options by which a run loads the images that it was tested on, or with `limit` so many of them."""
    options = from_settings(Options, saved.settings)
    return replace(options, limit=limit or options.limit, smoke=options.smoke and not limit)


def warn_of_changes(saved: SavedRun, splits: ImageSplits) -> None:
    """Warns if the images of a run are no longer those that it was trained on."""
    if splits.digest != saved.codec.digest:
        print("The images have changed since training: some of these test images may have been trained on.")


def other_classes(now: Sequence[str], before: Sequence[str]) -> str:
    """Returns how two lists of classes differ, in words; an empty text where they do not."""
    for names, others, what in ((now, before, "new"), (before, now, "missing")):
        odd = sorted(set(names) - set(others))
        if odd:
            return f"{odd[0]} is {what}"
    return "" if list(now) == list(before) else "they are in another order"
