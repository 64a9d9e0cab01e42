"""The networks of the GAN experiment: which pair, how it plays, on which pictures, in which run folder."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from experiments.image_classification.network import DECIDED as DECIDED_BY_DATA
from experiments.image_classification.network import UPRIGHT
from experiments.shared.params import check_positive, fitting
from kerasapps.applications import dcgan, gan, resnet_gan
from kerasapps.data.augmentation import picture_augment
from kerasapps.data.images import ImageSplits, load_images
from kerasapps.data.splits import Split
from kerasapps.errors import UserError
from kerasapps.gan.losses import LossName, Rules
from kerasapps.gan.model import GAN
from kerasapps.optimizers import Adam
from kerasapps.runs import Options, Run
from kerasapps.training import History, fit

Arch = Literal["lectures", "dcgan", "resnet", "mixed"]
# What is not for --params: the data and the recipe decide, and a name is for code.
DECIDED = DECIDED_BY_DATA | {"classifies", "dimensions"}
# Pictures of an epoch at least: of a small set an epoch is several passes, or most of the time would go into scores.
EPOCH_ROWS = 6400
LEAST = 4  # pictures to validate and to test on: precision looks at a third neighbour


@dataclass(frozen=True)
class Recipe:
    """How a pair is trained; what is not given follows from the architecture. `kerasapps.gan.losses.Rules`
    says more.

    Args:
        size: Side of the pictures in pixels, a multiple of 4.
        epochs: Passes over the training part; of a part under 6,400 pictures each is several passes, up to that many.
        batch_size: Pictures in an update of the discriminator, over all devices.
        learning_rate: Of Adam, for both networks.
        conditional: Whether both networks are told the class, which makes better pictures of each.
        flip_pictures: Whether half of the training pictures are mirrored; digits never are.
        loss: Which game.
        discriminator_steps: Updates of the discriminator in a step.
        generator_steps: Updates of the generator in a step.
        real_labels: Range of the discriminator's targets for real pictures; the lectures have 0.7 1.2.
        fake_labels: Range of its targets for generated pictures; the lectures have 0 0.3.
        flip: Share of the targets that are exchanged.
        joint_batches: Whether the discriminator sees real and generated pictures in one batch, not apart; by default
            where it has no moving statistics.
        instance_noise: Standard deviation of noise added to all that the discriminator sees.
        instance_noise_steps: Steps over which it fades away; 0 for never.
        clip: Largest size of a weight of the discriminator; 0 for any.
        gradient_penalty: Weight of WGAN-GP's penalty.
        r1: Weight of the penalty on slopes at real pictures.
        entropy: With --labels, weight of the entropy of the classes of pictures without labels.
        average: How much of the averaged generator stays in a step.
    """

    size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    conditional: bool | None = None
    flip_pictures: bool | None = None
    loss: LossName | None = None
    discriminator_steps: int | None = None
    generator_steps: int | None = None
    real_labels: tuple[float, float] | None = None
    fake_labels: tuple[float, float] | None = None
    flip: float | None = None
    joint_batches: bool | None = None
    instance_noise: float | None = None
    instance_noise_steps: int | None = None
    clip: float | None = None
    gradient_penalty: float | None = None
    r1: float | None = None
    entropy: float | None = None
    average: float | None = None

    @property
    def rules(self) -> Rules:
        """How they play, once every value is settled."""
        values = {field.name: getattr(self, field.name) for field in fields(Rules)}
        return Rules(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


@dataclass(frozen=True)
class Pair:
    """One architecture: its builders, their search spaces, how it is trained, and arguments that replace defaults."""

    generator: Callable[..., keras.Model]
    discriminator: Callable[..., keras.Model]
    spaces: tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]] | None
    recipe: dict[str, Any]
    params: dict[str, dict[str, Any]] = field(default_factory=dict)


PLAIN = asdict(Rules()) | {
    "size": None,
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 2e-4,
    "conditional": False,
    "flip_pictures": True,
}
PAIRS = {
    "lectures": Pair(
        gan.build_generator,
        gan.build_discriminator,
        (gan.search_space_generator, gan.search_space_discriminator),
        PLAIN | {"real_labels": (0.7, 1.2), "fake_labels": (0.0, 0.3), "generator_steps": 2},
    ),
    "dcgan": Pair(
        dcgan.build_dcgan_generator,
        dcgan.build_dcgan_discriminator,
        (dcgan.search_space_dcgan_generator, dcgan.search_space_dcgan_discriminator),
        PLAIN | {"conditional": True},
    ),
    "resnet": Pair(
        resnet_gan.build_resnet_generator,
        resnet_gan.build_resnet_discriminator,
        (resnet_gan.search_space_resnet_generator, resnet_gan.search_space_resnet_discriminator),
        PLAIN | {"conditional": True, "loss": "hinge", "discriminator_steps": 2},
    ),
    # For few labels: a discriminator that is kept from learning its pictures by heart, and a generator that keeps up.
    "mixed": Pair(
        dcgan.build_dcgan_generator,
        gan.build_discriminator,
        None,
        PLAIN | {"epochs": 24, "batch_size": 50, "learning_rate": 1e-3, "entropy": 0.3},
        {"generator": {"filters": 32}, "discriminator": {"filters": 32, "units": 128, "noise": 0.3, "dropout": 0.4}},
    ),
}
# Without R1 the game of points circles around the modes and ends in one of them.
POINTS = PLAIN | {"r1": 0.5, "learning_rate": 2e-3, "batch_size": 256, "average": 0.99, "epochs": 50}
# Stored at 8 pixels, digits say no more at 28 than at 16, and take three times as long.
OF_DATA = {"digits": {"size": 16, "learning_rate": 5e-4}}


def recipe_of(arch: Arch | Literal["points"], data: str, given: Recipe, *, options: Options) -> Recipe:
    """Returns how to train an architecture on a data set, where the command line says nothing else."""
    values = POINTS if arch == "points" else PAIRS[arch].recipe | OF_DATA.get(data, {})
    values = values | {name: value for name, value in asdict(given).items() if value is not None}
    if data in UPRIGHT:
        values["flip_pictures"] = False
    values["epochs"] = options.shrink(values["epochs"], 2)
    check_positive(**{name: values[name] for name in ("epochs", "batch_size", "learning_rate")})
    if options.precision == "mixed_float16":
        raise UserError("--precision must be float32 or mixed_bfloat16 for a GAN. Received: mixed_float16")
    if values["size"] is not None and (values["size"] < 4 or values["size"] % 4):
        raise UserError(f"--size must be a multiple of 4. Received: {values['size']}")
    recipe = Recipe(**values)
    try:
        _ = recipe.rules
    except ValueError as error:
        raise UserError(str(error)) from None
    return recipe


def space_of(arch: Arch) -> Callable[..., dict[str, Any]]:
    """Returns the search space of a pair: arguments of both builders."""
    if PAIRS[arch].spaces is None:
        raise UserError(f"--arch {arch} is for `train --labels`, and has no space to search.")
    generator, discriminator = PAIRS[arch].spaces
    return lambda hp: {"generator": generator(hp), "discriminator": discriminator(hp)}


def load_pictures(data: str, recipe: Recipe, *, options: Options) -> ImageSplits:
    """Loads a data set for a GAN: pictures from -1 to 1."""
    augment = picture_augment(flip=recipe.flip_pictures)
    splits = load_images(data, size=recipe.size, seed=options.seed, limit=options.rows, augment=augment)
    height, width, _ = splits.sizes["image_shape"]
    if height % 4 or width % 4:
        raise UserError(f"{data} has pictures of {height} pixels, which is no multiple of 4: choose a --size that is.")
    fewest = min(len(splits.validation), len(splits.test))
    if fewest < LEAST:
        raise UserError(f"{data} leaves {fewest} pictures to validate or to test on, and scores need at least {LEAST}.")
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return replace(splits, **{name: scaled(part) for name, part in parts.items()})


def repeated(split: Split, *, options: Options) -> Split:
    """Returns the training part of an epoch, with every row as often as gives about `EPOCH_ROWS`; once with --smoke."""
    passes = 1 if options.smoke else max(1, round(EPOCH_ROWS / len(split)))
    return split.take(np.tile(np.arange(len(split)), passes)) if passes > 1 else split


def scaled(split: Split) -> Split:
    """Returns a split whose pictures are -1 to 1."""
    before = split.prepare

    def prepare(inputs: dict) -> dict:
        inputs = inputs if before is None else before(inputs)
        return inputs | {"image": tf.cast(inputs["image"], tf.float32) / 127.5 - 1}

    return replace(split, prepare=prepare)


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Returns pictures from -1 to 1 as uint8."""
    return np.clip(np.round((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def build_pair(
    arch: Arch, params: dict[str, Any], *, image_shape: Sequence[int], num_classes: int | None, classifies: bool = False
) -> tuple[keras.Model, keras.Model]:
    """Builds both networks of an architecture.

    Args:
        arch: Which pair.
        params: Arguments of the builders, those of "generator" and of "discriminator".
        image_shape: Height, width and channels of the pictures.
        num_classes: Number of classes, where the networks are to know of them.
        classifies: Whether the discriminator tells the class, of which the generator then knows nothing.
    """
    decided = {
        "generator": {"num_classes": None if classifies else num_classes},
        "discriminator": {"num_classes": num_classes} | ({"classifies": True} if classifies else {}),
    }
    decided = {part: values | {"image_shape": tuple(image_shape)} for part, values in decided.items()}
    pair = PAIRS[arch]
    builders = {part: getattr(pair, part) for part in decided}
    return build_networks(builders, params, decided, usual=pair.params, what=f"--arch {arch}")


def build_networks(
    builders: Mapping[str, Callable[..., keras.Model]],
    params: dict[str, Any],
    decided: Mapping[str, dict[str, Any]],
    *,
    usual: Mapping[str, dict[str, Any]],
    what: str,
) -> tuple[keras.Model, keras.Model]:
    """Builds a generator and a discriminator.

    Args:
        builders: Those of "generator" and of "discriminator".
        params: Their arguments as `--params` gives them.
        decided: Their arguments that are not for `--params`.
        usual: Their arguments where `params` say nothing, if not the builders' defaults.
        what: What the networks are, for people.

    Raises:
        UserError: If `params` hold something else, or what a builder refuses.
    """
    unknown = sorted(params.keys() - builders.keys())
    if unknown:
        raise UserError(f'--params must be {{"generator": {{...}}, "discriminator": {{...}}}}, not {unknown[0]}.')
    networks = []
    for part, build in builders.items():
        given = params.get(part, {})
        known = inspect.signature(build).parameters.keys() - DECIDED
        if not isinstance(given, dict) or given.keys() - known:
            strange = ", ".join(sorted(given.keys() - known)) if isinstance(given, dict) else str(given)
            raise UserError(f"These parameters are not for the {part} of {what}: {strange}.")
        with fitting(given, f"the {part} of {what}"):
            networks.append(build(**decided.get(part, {}), **usual.get(part, {}) | given))
    return tuple(networks)


def compile_gan(model: GAN, recipe: Recipe, *, jit_compile: bool) -> GAN:
    """Gives both networks their optimizers."""
    # As in the papers of these games: steps without momentum where the discriminator must stay smooth.
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
) -> GAN:
    """Builds and compiles: the one place that training, the strategy scope and the search share."""
    classes = num_classes if recipe.conditional else None
    if arch == "dcgan" and recipe.gradient_penalty:
        # The penalty is on the slope at each picture; normalised by the batch, every verdict hangs on all pictures
        # (Gulrajani et al., section 4).
        params = params | {"discriminator": {"normalization": "none"} | params.get("discriminator", {})}
    networks = build_pair(arch, params, image_shape=image_shape, num_classes=classes)
    return compile_gan(GAN(*networks, rules=recipe.rules, seed=seed), recipe, jit_compile=jit_compile)


def train_network(
    run: Run,
    splits: ImageSplits,
    *,
    arch: Arch,
    recipe: Recipe,
    params: dict[str, Any],
    patience: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[GAN, History]:
    """Trains one pair in a run folder, keeps its epoch of the lowest `val_fid`, and saves it."""
    seed = run.options.seed
    with run.strategy.scope():
        model = make_model(
            arch=arch, params=params, recipe=recipe, seed=seed, jit_compile=run.jit_compile, **splits.sizes
        )
    history = fit(
        model,
        replace(splits, train=repeated(splits.train, options=run.options)),
        run,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size * recipe.discriminator_steps,
        monitor="val_fid",
        patience=patience,
        callbacks=callbacks,
    )
    return model, history


def draw(model: GAN, count: int, *, seed: int, label: int | None = None, batch_size: int = 256) -> np.ndarray:
    """Draws pictures from the averaged generator, float32 (count, H, W, C) from -1 to 1.

    Args:
        model: The GAN.
        count: How many.
        seed: Decides which; the first ones are the same whatever `count` is.
        label: Their class, for networks with classes; by default all in turn.
        batch_size: How many at a time.
    """
    return generate(model, noise_of(model, count, seed), label=label, batch_size=batch_size)


def noise_of(model: GAN, count: int, seed: int) -> np.ndarray:
    """Draws noise, float32 (count, noise_dim)."""
    return np.random.default_rng(seed).standard_normal((count, model.noise_dim), dtype=np.float32)


def generate(model: GAN, noise: np.ndarray, *, label: int | None = None, batch_size: int = 256) -> np.ndarray:
    """Makes pictures of noise (n, noise_dim), as `draw` does."""
    inputs = {"noise": noise}
    if model.conditional:
        classes = model.averaged.get_layer("embedding").input_dim
        labels = np.arange(len(noise)) % classes if label is None else np.full(len(noise), label)
        inputs["label"] = labels.astype(np.int32)
    return model.averaged.predict(inputs, batch_size=batch_size, verbose=0)[model.sample_name]
