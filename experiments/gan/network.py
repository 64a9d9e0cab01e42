"""The networks of the GAN experiment: which pair, how it is trained, on which images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

import keras
import numpy as np
import tensorflow as tf
import tyro

from kerasapps.applications import dcgan, gan, resnet_gan
from kerasapps.data.augmentation import picture_augment
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.images import ImageSplits, load_images
from kerasapps.data.pictures import Range
from kerasapps.data.splits import Split
from kerasapps.errors import UserError
from kerasapps.gan.losses import LossName, Rules
from kerasapps.gan.model import GAN
from kerasapps.optimizers import Adam
from kerasapps.runs import Options
from kerasapps.settings import Count, Positive, Share, Side, Weight, optional, or_none, ranged, settle

from ..shared.image_classifier import UPRIGHT
from ..shared.params import build
from ..shared.training import tell

CODEC = ImageCodec
Arch = Literal["lectures", "dcgan", "resnet", "mixed"]
# Images of an epoch at least: a small set is repeated, or most of the time would go into scores.
EPOCH_ROWS = 6400
# What the data and the task decide, whichever the pair.
DECIDED = ("classifies", "dimensions")
LEAST = 4  # images to validate and to test on: precision looks at a third neighbor
Updates = ranged(int, least=1, most=100)  # a step is one graph, which grows with them
Target = ranged(float, least=-10, most=10)
Targets = Annotated[tuple[Target, Target], tyro.conf.arg(metavar="LOW HIGH")]


@dataclass(frozen=True)
class Recipe:
    """How a pair is trained, by default as suits the architecture; from `loss` on the fields are those of `Rules`.

    Args:
        size: Side of the images in pixels, a multiple of 4; by default the data set's own.
        epochs: Epochs over the training set; one under 6,400 images is repeated within an epoch, up to that many.
        batch_size: Images in an update of the discriminator, over all devices.
        learning_rate: Learning rate of Adam, for both networks.
        conditional: Whether both networks get the class as an input, where there are classes, which makes better images
            of each.
        flip_pictures: Whether half of the training images are mirrored; digits never are.
        loss: Objective of both networks.
        discriminator_steps: Updates of the discriminator in a step.
        generator_steps: Updates of the generator in a step.
        real_labels: Range of the discriminator's targets for real images; the course notes have 0.7 1.2.
        fake_labels: Range of its targets for generated images; the course notes have 0 0.3.
        flip: Share of the images that get a target of the other kind.
        joint_batches: Whether the discriminator reads real and generated images in one batch; by default if it has no
            moving statistics.
        instance_noise: Standard deviation of noise added to all inputs of the discriminator.
        instance_noise_steps: Number of steps over which that noise fades out; 0 for never.
        clip: Largest absolute weight of the discriminator; 0 for no limit.
        gradient_penalty: Weight of WGAN-GP's penalty.
        r1: Weight of the R1 penalty, on the gradient at real images.
        entropy: With --labels, weight of the entropy of the predicted classes of unlabeled images.
        average: Share of the averaged generator that a step keeps.

    Raises:
        ValueError: If values do not go together; see `Rules`.
    """

    size: or_none(Side) = None
    epochs: Count = 20
    batch_size: Count = 64
    learning_rate: Positive = 2e-4
    conditional: bool = True
    flip_pictures: bool = True
    loss: LossName = "non_saturating"
    discriminator_steps: Updates = 1
    generator_steps: Updates = 1
    real_labels: Targets = (1.0, 1.0)
    fake_labels: Targets = (0.0, 0.0)
    flip: Share = 0.0
    joint_batches: bool | None = None
    instance_noise: Weight = 0.0
    instance_noise_steps: ranged(int, least=0, most=10**9) = 0
    clip: Weight = 0.0
    gradient_penalty: Weight = 0.0
    r1: Weight = 0.0
    entropy: Weight = 0.0
    average: Share = 0.999

    def __post_init__(self):
        _ = self.rules  # refuses what does not go together

    @property
    def rules(self) -> Rules:
        """The objective alone."""
        return Rules(**{field.name: getattr(self, field.name) for field in fields(Rules)})


GivenRecipe = optional(Recipe)


@dataclass(frozen=True)
class Pair:
    """One architecture: its builders, their search spaces, how it is trained, and arguments that replace defaults."""

    generator: Callable[..., keras.Model]
    discriminator: Callable[..., keras.Model]
    spaces: tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]] | None
    recipe: Recipe
    params: dict[str, dict[str, Any]] = field(default_factory=dict)


PLAIN = Recipe(conditional=False)
PAIRS = {
    "lectures": Pair(
        gan.build_generator,
        gan.build_discriminator,
        (gan.search_space_generator, gan.search_space_discriminator),
        replace(PLAIN, real_labels=(0.7, 1.2), fake_labels=(0.0, 0.3), generator_steps=2),
    ),
    "dcgan": Pair(
        dcgan.build_dcgan_generator,
        dcgan.build_dcgan_discriminator,
        (dcgan.search_space_dcgan_generator, dcgan.search_space_dcgan_discriminator),
        Recipe(),
    ),
    "resnet": Pair(
        resnet_gan.build_resnet_generator,
        resnet_gan.build_resnet_discriminator,
        (resnet_gan.search_space_resnet_generator, resnet_gan.search_space_resnet_discriminator),
        Recipe(loss="hinge", discriminator_steps=2),
    ),
    # For few labels: a discriminator that is kept from memorizing its images, and a generator that keeps up.
    "mixed": Pair(
        dcgan.build_dcgan_generator,
        gan.build_discriminator,
        None,
        replace(PLAIN, epochs=24, batch_size=50, learning_rate=1e-3, entropy=0.3),
        {"generator": {"filters": 32}, "discriminator": {"filters": 32, "units": 128, "noise": 0.3, "dropout": 0.4}},
    ),
}
# Without R1 the pair circles around the modes of the points and ends in one of them.
POINTS = replace(PLAIN, r1=0.5, learning_rate=2e-3, batch_size=256, average=0.99, epochs=50)


def recipe_of(arch: Arch | Literal["points"], data: str, given: GivenRecipe, *, options: Options) -> Recipe:
    """Returns how to train an architecture on a data set, where the command line says nothing else.

    Raises:
        UserError: If values do not go together.
    """
    defaults = POINTS if arch == "points" else PAIRS[arch].recipe
    if data == "digits" and arch != "points":
        # Stored at 8 pixels, digits show no more at 28 than at 16, and take three times as long.
        defaults = replace(defaults, size=16, learning_rate=5e-4)
    recipe = settle(defaults, given, **{"flip_pictures": False} if data in UPRIGHT else {})
    if options.precision == "mixed_float16":
        raise UserError("--precision must be float32 or mixed_bfloat16 for a GAN. Received: mixed_float16")
    if recipe.size is not None and recipe.size % 4:
        raise UserError(f"--size must be a multiple of 4. Received: {recipe.size}")
    return options.shrunk(recipe, epochs=2)


def space_of(arch: Arch) -> Callable[..., dict[str, Any]]:
    """Returns the search space of a pair: arguments of both builders."""
    if PAIRS[arch].spaces is None:
        raise UserError(f"--arch {arch} is for `train --labels`, and has no space to search.")
    generator, discriminator = PAIRS[arch].spaces
    return lambda hp: {"generator": generator(hp), "discriminator": discriminator(hp)}


def load(data: str, recipe: Recipe, *, options: Options, values: Range | None = None) -> ImageSplits:
    """Loads a data set for a GAN, images from -1 to 1, and prints what a person should know about it.

    Args:
        data: As for `train`; a folder need not have classes.
        recipe: How a pair is trained.
        options: Seed and number of rows.
        values: Range of images of more than 8 bits; by default that of the data set.
    """
    splits = load_images(
        data,
        size=recipe.size,
        seed=options.seed,
        limit=options.rows,
        augment=picture_augment(flip=recipe.flip_pictures),
        classes=False,
        values=values,
    )
    height, width, _ = splits.sizes["image_shape"]
    if height % 4 or width % 4:
        raise UserError(f"{data} has images of {width} x {height} pixels: choose a --size that is a multiple of 4.")
    fewest = min(len(splits.validation), len(splits.test))
    if fewest < LEAST:
        raise UserError(f"{data} leaves {fewest} images to validate or to test on, and scores need at least {LEAST}.")
    tell(splits.notes)
    sets = {name: scaled(getattr(splits, name)) for name in ("train", "validation", "test")}
    return replace(splits, **sets)


def repeated(split: Split, *, options: Options) -> Split:
    """Returns the training set of an epoch, its rows repeated to about `EPOCH_ROWS`; once with --smoke."""
    passes = 1 if options.smoke else max(1, round(EPOCH_ROWS / len(split)))
    return split.take(np.tile(np.arange(len(split)), passes)) if passes > 1 else split


def scaled(split: Split) -> Split:
    """Returns a split whose images are scaled to -1 to 1."""
    before = split.prepare

    def prepare(inputs: dict) -> dict:
        inputs = inputs if before is None else before(inputs)
        return inputs | {"image": tf.cast(inputs["image"], tf.float32) / 127.5 - 1}

    return replace(split, prepare=prepare)


def build_pair(
    arch: Arch, params: dict[str, Any], *, image_shape: Sequence[int], num_classes: int | None, classifies: bool = False
) -> tuple[keras.Model, keras.Model]:
    """Builds both networks of an architecture.

    Args:
        arch: Which pair.
        params: Arguments of the builders, those of "generator" and of "discriminator".
        image_shape: Height, width and channels of the images.
        num_classes: Number of classes, where the networks get them.
        classifies: Whether the discriminator predicts the class, which the generator then does not get.
    """
    pair, shape = PAIRS[arch], tuple(image_shape)
    num_classes = num_classes or None  # images without classes have none
    generator = {"image_shape": shape, "num_classes": None if classifies else num_classes}
    discriminator = {"image_shape": shape, "num_classes": num_classes} | ({"classifies": True} if classifies else {})
    builders = {"generator": (pair.generator, generator), "discriminator": (pair.discriminator, discriminator)}
    return build_networks(builders, params, usual=pair.params, what=f"--arch {arch}")


def build_networks(
    builders: Mapping[str, tuple[Callable[..., keras.Model], dict[str, Any]]],
    params: dict[str, Any],
    *,
    usual: Mapping[str, dict[str, Any]],
    what: str,
) -> tuple[keras.Model, keras.Model]:
    """Builds a generator and a discriminator.

    Args:
        builders: Builder of "generator" and of "discriminator", each with the arguments that are not for `--params`.
        params: Their arguments as `--params` gives them.
        usual: Their arguments where `params` have none, if not the builders' defaults.
        what: What the networks are, for people.

    Raises:
        UserError: If `params` hold something else, or what a builder refuses.
    """
    if params.keys() - builders.keys() or not all(isinstance(given, dict) for given in params.values()):
        raise UserError(
            f'--params must be {{"generator": {{...}}, "discriminator": {{...}}}}. Received: {", ".join(params)[:200]}'
        )
    networks = []
    for name, (builder, given) in builders.items():
        label, chosen, defaults = f"the {name} of {what}", params.get(name, {}), usual.get(name, {})
        networks.append(build(builder, chosen, what=label, given=given, usual=defaults, decided=DECIDED))
    return tuple(networks)


def compile_gan(model: GAN, recipe: Recipe, *, jit_compile: bool) -> GAN:
    """Gives both networks their optimizers."""
    # As in the papers of these objectives: steps without momentum where the discriminator must stay smooth.
    betas = (0.0, 0.9) if recipe.loss in ("hinge", "wasserstein") else (0.5, 0.999)
    optimizers = [Adam(recipe.learning_rate, beta_1=betas[0], beta_2=betas[1]) for _ in range(2)]
    model.compile(*optimizers, jit_compile=jit_compile)
    return model


def make_model(
    *,
    arch: Arch,
    params: dict[str, Any],
    recipe: Recipe,
    seed: int,
    jit_compile: bool,
    image_shape: tuple[int, int, int],
    num_classes: int,
    steps: int | None = None,
) -> GAN:
    """Builds and compiles; the learning rate does not depend on the number of `steps`."""
    classes = num_classes if recipe.conditional else None
    if arch == "dcgan" and recipe.gradient_penalty:
        # The penalty is on the slope at each image; normalized by the batch, every logit depends on all images
        # (Gulrajani et al., section 4).
        params = params | {"discriminator": {"normalization": "none"} | params.get("discriminator", {})}
    networks = build_pair(arch, params, image_shape=image_shape, num_classes=classes)
    return compile_gan(GAN(*networks, rules=recipe.rules, seed=seed), recipe, jit_compile=jit_compile)
