"""The networks of the autoencoder experiment: which builder, which images, how one is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from kerasapps.applications import autoencoder
from kerasapps.applications.autoencoder import RECONSTRUCTION
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.image_reading import files_in
from kerasapps.data.images import ImageSplits, load_images
from kerasapps.data.pictures import Range
from kerasapps.data.pixels import black_and_white
from kerasapps.data.splits import Split
from kerasapps.errors import UserError
from kerasapps.losses import PixelCrossentropy
from kerasapps.optimizers import Adam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.search.loop import Space
from kerasapps.settings import Count, Positive, Side, Text, Weight, from_settings, optional, or_none, settle

from ..shared import training
from ..shared.image_classifier import keep_codec
from ..shared.images import as_bytes, stored_images
from ..shared.params import build, read_params
from ..shared.runs import SavedRun
from ..shared.training import Trained, tell
from .likelihood import SampledValidation

Arch = Literal["linear", "dense", "convolutional", "vae", "convolutional_vae"]
LEAST = 4  # images to test on: precision of samples looks at a third neighbor
SETS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """Which images, and which of them are anomalies.

    Args:
        data: "digits" (1,797 handwritten digits, embedded), "mnist", "fashion_mnist", "cifar10", "cifar100", a folder
            of images, with one sub-folder per class or without classes, or an archive of one.
        size: Side of the images in pixels; by default the data set's own, but 16 for the digits.
        binary: Whether pixels are 0 or 1, with their gray as the probability of 1: drawn anew for each training batch,
            and once for validation and test.
        anomaly: Name of a class that a second network is trained without, and that has to stand out by its
            reconstruction error; 2 by default for the digits.
        anomalies: Folder of images that have to stand out from the test set instead.
    """

    data: Text = "digits"
    size: or_none(Side) = None
    binary: bool = False
    anomaly: or_none(Text) = None
    anomalies: Path | None = None


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Args:
        epochs: Epochs over the training set.
        batch_size: Images in a step, over all devices.
        learning_rate: Peak learning rate of Adam, reached after a tenth of the steps; then it falls to nearly 0.
        beta: Weight of the divergence in the loss of a variational autoencoder; 1 is the evidence lower bound.
    """

    epochs: Count = 40
    batch_size: Count = 64
    learning_rate: Positive = 2e-3
    beta: Weight = 1.0


GivenRecipe = optional(Recipe)


@dataclass(frozen=True)
class Architecture:
    """A builder, its search space where there is something to search, and arguments in place of its defaults."""

    build: Callable[..., keras.Model]
    space: Space | None
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def variational(self) -> bool:
        """Whether codes are drawn from distributions."""
        return self.build is autoencoder.build_vae


PLAIN, SPACE = autoencoder.build_autoencoder, autoencoder.search_space_autoencoder
VAE, VAE_SPACE = autoencoder.build_vae, autoencoder.search_space_vae
ARCHITECTURES = {
    "linear": Architecture(PLAIN, None, {"linear": True, "depth": 0}),
    "dense": Architecture(PLAIN, SPACE),
    "convolutional": Architecture(PLAIN, partial(SPACE, convolutional=True), {"convolutional": True}),
    "vae": Architecture(VAE, VAE_SPACE),
    "convolutional_vae": Architecture(VAE, partial(VAE_SPACE, convolutional=True), {"convolutional": True}),
}


@dataclass(frozen=True)
class ReconstructionCodec(ImageCodec):
    """Turns image files into inputs from 0 to 1, and reconstructions into images."""

    def encode(self, files) -> dict[str, np.ndarray]:
        """Returns the input "image" float32 (n, H, W, C), values 0 to 1, of image files."""
        return {name: (images / 255).astype(np.float32) for name, images in super().encode(files).items()}

    def decode(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the reconstructed images, uint8 (n, H, W, C)."""
        return as_bytes(255 * outputs[RECONSTRUCTION])

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of each output."""
        return {RECONSTRUCTION: self.image_shape[-1], "divergence": 1}


CODEC = ReconstructionCodec


@dataclass(frozen=True, kw_only=True)
class PixelSplits(ImageSplits):
    """Images from 0 to 1 that are inputs and targets alike.

    Args:
        grays: The images of each set as they are, uint8 (n, H, W, C).
        labels: Their classes, int32 (n,).
        example: A test image in the size that files are read in, uint8 (H, W, C).
    """

    grays: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    example: np.ndarray

    def without(self, label: int) -> "PixelSplits":
        """Returns the same without a class in the training and the validation set."""
        kept = {name: np.flatnonzero(self.labels[name] != label) for name in ("train", "validation")}
        return replace(self, **{name: getattr(self, name).take(rows) for name, rows in kept.items()})


def settled(source: Source) -> Source:
    """Returns which images, with what suits the digits where the command line says nothing else.

    Raises:
        UserError: If anomalies are given twice, or are no folder.
    """
    if source.anomaly and source.anomalies:
        raise UserError("Give --anomaly or --anomalies, not both.")
    if source.anomalies and not source.anomalies.is_dir():
        raise UserError(f"--anomalies {source.anomalies} is not a folder.")
    if source.data != "digits":
        return source
    anomaly = source.anomaly if source.anomalies else source.anomaly or "2"
    return replace(source, size=source.size or 16, anomaly=anomaly)


def recipe_of(arch: Arch, data: str, given: GivenRecipe, *, options: Options) -> Recipe:
    """Returns how to train on a data set, where the command line says nothing else.

    Raises:
        UserError: If an option has no effect.
    """
    if given.beta not in (None, Recipe.beta) and not ARCHITECTURES[arch].variational:
        raise UserError(f"--beta has no effect with --arch {arch}.")
    defaults = Recipe(epochs=120) if data == "digits" else Recipe()
    if arch == "linear":  # without activations large steps do no harm, and small ones take long to the optimum
        defaults = replace(defaults, learning_rate=0.02)
    return options.shrunk(settle(defaults, given), epochs=2)


def params_of(arch: Arch, data: str, params: str | None) -> dict[str, Any]:
    """Returns arguments of the builder: those that suit the digits, or those given in their place."""
    if params is None and data == "digits" and ARCHITECTURES[arch].variational:
        return {"latent_dim": 2}  # a plane, all of which can be shown
    return read_params(params)


def load(source: Source, arch: Arch, *, options: Options, values: Range | None = None) -> PixelSplits:
    """Loads images as inputs and targets, and prints what a person should know about them.

    Raises:
        UserError: If they are too few, do not fit the network, or have no class of that name.
    """
    if source.anomalies:
        files_in([source.anomalies])  # refuses a folder without images before anything is trained
    images = load_images(
        source.data, size=source.size, seed=options.seed, limit=options.rows, classes=False, values=values
    )
    tell(images.notes)
    if len(images.test) < LEAST:
        raise UserError(f"{source.data} leaves {len(images.test)} images to test on, which must be {LEAST} or more.")
    height, width, _ = images.sizes["image_shape"]
    if ARCHITECTURES[arch].params.get("convolutional") and (height % 4 or width % 4):
        raise UserError(f"{source.data} has images of {width} x {height} pixels: --size must be a multiple of 4.")
    if source.anomaly is not None and source.anomaly not in images.class_names:
        names = ", ".join(images.class_names[:20]) or "none: the images have no classes"
        raise UserError(f"--anomaly must be a class of {source.data}, {names}. Received: {source.anomaly}")
    grays, labels, parts = {}, {}, {}
    for i, name in enumerate(SETS):
        split = getattr(images, name)
        grays[name] = as_bytes(np.concatenate([inputs["image"].numpy() for inputs, _ in split.batches(256)]))
        labels[name] = np.asarray(split.targets["label"])
        drawn = source.binary and name != "train"
        # Drawn as `load_pixels` draws them, so that PixelCNN is tested on the same images.
        pixels = pixels_of(grays[name], binary=drawn, seed=(options.seed, i))
        parts[name] = pixel_split(pixels, variational=ARCHITECTURES[arch].variational)
    if source.binary:
        parts["train"] = replace(parts["train"], augment=binarized)
    stored = {name: value for name, value in vars(images).items() if name not in SETS}
    example = stored_images(images.test, np.arange(1))[0]
    return PixelSplits(**parts, **stored, grays=grays, labels=labels, example=example)


def pixels_of(grays: np.ndarray, *, binary: bool, seed: int | Sequence[int]) -> np.ndarray:
    """Returns values from 0 to 1, float32, of images uint8 (n, H, W, C); with `binary` 0 or 1, drawn."""
    return (black_and_white(grays, seed=seed) if binary else grays / 255).astype(np.float32)


def pixel_split(pixels: np.ndarray, *, variational: bool) -> Split:
    """Returns images as rows whose targets are the images, and divergences of 0."""
    zeros = {"divergence": np.zeros((len(pixels), 1), np.float32)} if variational else {}
    return Split({"image": pixels}, {RECONSTRUCTION: pixels} | zeros)


def binarized(inputs: dict, targets: dict, seed: tf.Tensor) -> tuple[dict, dict]:
    """Draws each pixel of a training batch, 1 with its gray as the probability."""
    drawn = tf.random.stateless_uniform(tf.shape(inputs["image"]), seed) < inputs["image"]
    image = tf.cast(drawn, tf.float32)
    return {"image": image}, targets | {RECONSTRUCTION: image}


def encoded_splits(saved: SavedRun) -> PixelSplits:
    """Loads the images that a run was trained on."""
    source, options = from_settings(Source, saved.settings), from_settings(Options, saved.settings)
    return load(source, saved.settings.of("arch", Arch), options=options, values=saved.codec.values)


def train_one(
    run: Run, *, source: Source, arch: Arch, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network in a run folder."""
    splits = load(source, arch, options=run.options)
    return train_on(run, splits, arch=arch, params=params, recipe=recipe, patience=patience)


def train_on(
    run: Run, splits: PixelSplits, *, arch: Arch, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network on images that are loaded; the rest is as for `train_one`."""
    keep_codec(run, splits)
    network = partial(make_model, arch=arch, params=params, image_shape=splits.sizes["image_shape"])
    sampled = SampledValidation(splits.validation, seed=run.options.seed, beta=recipe.beta)
    watchers = [sampled] if ARCHITECTURES[arch].variational else []
    return training.train(run, splits, network, recipe, patience=patience, callbacks=watchers)


def build_network(arch: Arch, params: dict[str, Any], *, image_shape: tuple[int, int, int]) -> keras.Model:
    """Builds a network for images of a shape."""
    architecture = ARCHITECTURES[arch]
    given = {"image_shape": image_shape} | architecture.params
    return build(architecture.build, params, what=f"--arch {arch}", given=given, decided=("convolutional", "linear"))


def make_model(
    *,
    arch: Arch,
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    jit_compile: bool,
    image_shape: tuple[int, int, int],
) -> keras.Model:
    """Builds and compiles; the learning rate rises and falls over so many steps."""
    model = build_network(arch, params, image_shape=image_shape)
    variational = ARCHITECTURES[arch].variational
    # A divergence is never negative, so that its mean absolute error from 0 is its mean.
    loss = {RECONSTRUCTION: PixelCrossentropy(), "divergence": "mae"} if variational else {RECONSTRUCTION: "mse"}
    weights = {RECONSTRUCTION: 1.0, "divergence": recipe.beta} if variational else None
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    model.compile(Adam(rate), loss, loss_weights=weights, jit_compile=jit_compile)
    return model
