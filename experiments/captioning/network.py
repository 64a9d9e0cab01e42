"""The captioners: which images, how each network is built and trained, and how it writes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras

from kerasapps.applications.captioner import build_captioner, put_decoder
from kerasapps.bases import SIZES, Base, load_base
from kerasapps.data.captions import CaptionCodec, CaptionSplits, load_captions
from kerasapps.data.splits import Splits
from kerasapps.data.subwords import Pieces
from kerasapps.errors import UserError
from kerasapps.losses import CoverageLoss, TokenCrossentropy
from kerasapps.optimizers import Method, one_cycle, optimizer_of
from kerasapps.runs import Options, Run
from kerasapps.settings import (
    Count,
    Positive,
    Share,
    Side,
    Text,
    Weight,
    from_settings,
    optional,
    or_none,
    ranged,
    settle,
)

from ..shared import training
from ..shared.params import build
from ..shared.runs import SavedRun, write_codec
from ..shared.training import Trained, tell
from .features import cached_grids

CODEC = CaptionCodec
Arch = Literal["gru", "lstm", "transformer"]


@dataclass(frozen=True)
class Source:
    """The images and their captions.

    Args:
        data: "scenes" (simulated), or a folder of images with captions, also by its name in $KERASAPPS_DATA: a token
            file of Flickr8k or Flickr30k, Kaggle's captions.txt, COCO's captions JSON or Karpathy's dataset JSON.
        captions: The file with the captions, where its name does not show it.
        size: Side of the images in pixels; by default 48 for scenes, what the base is used to, or 64.
        tokens: Whole words, or pieces of words, learned from the training set.
        vocab_size: Token ids at most.
        max_length: Tokens of a caption at most, its end among them; longer ones are cut.
    """

    data: Text = "scenes"
    captions: or_none(Path) = None
    size: or_none(Side) = None
    tokens: Pieces = "words"
    vocab_size: ranged(int, least=10) = 10_000
    max_length: ranged(int, least=2) = 30


@dataclass(frozen=True)
class Encoder:
    """Which network encodes the images.

    Args:
        base: A trained network: "compact", "mobilenet", one of `keras.applications`, a run folder or a .keras file. By
            default a small network that learns together with the decoder.
        weights: File with the weights of a network of `keras.applications`.
        layer: Layer of the base to attend to, several joined by a plus; by default as suits the base.
        frozen: Whether the base keeps its weights; its features are then computed once and kept on disk.
    """

    base: or_none(Text) = None
    weights: or_none(Path) = None
    layer: or_none(Text) = None
    frozen: bool = True


@dataclass(frozen=True)
class Recipe:
    """Training; defaults depend on the images.

    Args:
        epochs: Epochs over the training set.
        batch_size: Images in a step, each with all its captions, over all devices.
        optimizer: How steps follow from gradients: Muon, or Adam.
        learning_rate: Peak learning rate; it then falls to nearly 0.
        warmup: Share of the steps during which it rises.
        smoothing: Share of the target's probability that is spread over the vocabulary.
        coverage: Weight of the loss that asks the network to attend to every place about once (doubly stochastic
            attention); Xu et al. have 1.
    """

    epochs: Count = 20
    batch_size: Count = 64
    optimizer: Method = "muon"
    learning_rate: Positive = 2e-3
    warmup: Share = 0.15
    smoothing: Share = 0.1
    coverage: Weight = 0.0


GivenRecipe = optional(Recipe)
SCENES = Recipe(epochs=3, batch_size=32, warmup=0.1, smoothing=0.0)
# Builder arguments for scenes, whose language is small; --params come before them. How many there are of a kind a place
# learns from convolutions that reach across the image, and what is left of what from all other places.
SMALL = {"filters": (24, 48, 96), "around": 4, "context": 1}
SMALL |= {"embedding_dim": 64, "units": 128, "attention_units": 32, "depth": 1, "dropout": 0.0}
LOOKING = {"filters", "around"}  # arguments of the network that --base replaces


def recipe_of(data: str, given: GivenRecipe = GivenRecipe(), *, options: Options) -> Recipe:
    """Returns how to train, where the command line says nothing else."""
    recipe = settle(SCENES if data == "scenes" else Recipe(), given)
    return options.shrunk(recipe, epochs=1, batch_size=16)


def load(source: Source, *, options: Options, size: int | None = None) -> CaptionSplits:
    """Loads the data as the options say; `size` is what they have where the options leave it open."""
    given = vars(source) | {"captions": None if source.captions is None else str(source.captions)}
    given |= {"size": source.size or (None if source.data == "scenes" else size)}
    return load_captions(**given, seed=options.seed, limit=options.rows)


def train_one(
    run: Run,
    *,
    source: Source,
    arch: Arch,
    encoder: Encoder,
    params: dict[str, Any],
    recipe: Recipe,
    patience: int | None = None,
) -> Trained:
    """Trains one network in a run folder; the epoch with the lowest loss of the validation set is kept."""
    check_encoder(encoder)
    splits = load(source, options=run.options, size=size_of(encoder))
    tell([*splits.notes, f"{len(splits.train):,} training images, {splits.sizes['vocab_size']:,} token ids."])
    side = splits.sizes["image_shape"][0]
    base = None if encoder.base is None else load_base(encoder.base, weights=encoder.weights, size=side)
    shared = {"arch": arch, "encoder": encoder, "params": params, "usual": SMALL if source.data == "scenes" else None}
    network = partial(make_network, base=base, sizes=splits.sizes, **shared)
    if base is None or not encoder.frozen:
        make = partial(make_model, network)
        return training.train(run, splits, make, recipe, patience=patience, **with_attention(recipe))
    with run.strategy.scope():
        model = network()
    grids = cached_grids(model, splits)
    sizes = splits.sizes | {"image_shape": grids.train.inputs["grid"].shape[1:], "precomputed": True}
    decoder = partial(make_network, base=None, sizes=sizes, **shared)
    part, make = run.part("decoder", {"epochs": recipe.epochs}), partial(make_model, decoder)
    trained = training.train(part, grids, make, recipe, patience=patience, **with_attention(recipe))
    put_decoder(model, trained.model)
    write_codec(run, splits.codec)
    run.save(model)
    return Trained(model, trained.history, splits)


def check_encoder(encoder: Encoder) -> None:
    """Refuses options of a base where there is none.

    Raises:
        UserError: If there are some.
    """
    given = {
        "--layer": encoder.layer is not None,
        "--weights": encoder.weights is not None,
        "--no-frozen": not encoder.frozen,
    }
    if encoder.base is None and any(given.values()):
        option = next(name for name, is_given in given.items() if is_given)
        raise UserError(f"{option} is about a trained network, and needs --base.")


def size_of(encoder: Encoder) -> int | None:
    """Returns the side of the images that a base is used to."""
    return SIZES.get(encoder.base)


def make_network(
    *,
    arch: Arch,
    encoder: Encoder,
    base: Base | None,
    sizes: dict[str, Any],
    params: dict[str, Any],
    usual: dict[str, Any] | None = None,
) -> keras.Model:
    """Builds a network.

    Args:
        arch: What writes.
        encoder: Which network encodes the images.
        base: The trained network of that name.
        sizes: Arguments of the builder that the data give.
        params: Further arguments of the builder.
        usual: Arguments in place of the builder's defaults.
    """
    given: dict[str, Any] = {**sizes, "decoder": arch}
    if base is not None:
        layer = encoder.layer or base.layer
        given |= {"base": base.network, "layer": layer, "pixels": base.pixels, "frozen": encoder.frozen}
    # Those of --base and its options, and where there is one, of the network that is not needed.
    decided = {"base", "layer", "pixels", "frozen", "precomputed", *(LOOKING if encoder.base else ())}
    if encoder.base and usual:  # places of a base learn of each other by self-attention
        usual = {name: value for name, value in usual.items() if name not in {*LOOKING, "context"}}
    try:
        return build(build_captioner, params, what=f"--arch {arch}", given=given, usual=usual, decided=decided)
    except ValueError as error:
        raise UserError(f"--base {encoder.base}: {error}") from None


def make_model(
    network: Callable[[], keras.Model], *, recipe: Recipe, steps: int, jit_compile: bool = False
) -> keras.Model:
    """Builds and compiles.

    Args:
        network: Builds the network.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    model = network()
    losses: dict[str, keras.losses.Loss] = {"next": TokenCrossentropy(recipe.smoothing)}
    weights = None
    if recipe.coverage:
        if "attention" not in model.output:
            raise UserError('--coverage is about attention, and --params have {"attention": false}.')
        losses["attention"], weights = CoverageLoss(), {"next": 1.0, "attention": recipe.coverage}
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=recipe.warmup)
    is_recurrent = "decoder" in {layer.name for layer in model.layers}
    model.compile(
        optimizer=optimizer_of(recipe.optimizer, rate, beta_2=0.98, vectors=["logits"]),
        loss=losses,
        loss_weights=weights,
        # XLA does not compile a loop over texts of any length.
        jit_compile=jit_compile and not is_recurrent,
    )
    return model


def monitor_of(recipe: Recipe) -> str:
    """Returns the name of the loss of the words, by which networks are compared, without that of the attention."""
    return "next_loss" if recipe.coverage else "loss"


def with_attention(recipe: Recipe) -> dict[str, Any]:
    """Returns how `training.train` treats a loss of the attention: its target is the words, and it decides nothing."""
    if not recipe.coverage:
        return {}

    def prepare(splits: Splits, model: keras.Model) -> Splits:
        parts = {
            name: replace(split, targets={**split.targets, "attention": split.targets["next"]})
            for name in ("train", "validation")
            if (split := getattr(splits, name)) is not None
        }
        return replace(splits, **parts)

    return {"prepare": prepare, "monitor": f"val_{monitor_of(recipe)}"}


def load_as_trained(saved: SavedRun, source: Source | None = None, *, limit: int | None = None) -> CaptionSplits:
    """Loads the data of a run, or of another source, with images as its network takes them."""
    options = from_settings(Options, saved.settings)
    source = source or from_settings(Source, saved.settings)
    return load(source, options=replace(options, limit=limit or options.limit), size=saved.codec.image_shape[0])


def looking_part(saved: SavedRun) -> keras.Model:
    """Returns the graph from an image to the grid that is attended to, for `inspect`."""
    return keras.Model(saved.model.inputs[0], saved.model.get_layer("grid").output)
