"""The question-answering networks: which data, how each is built and trained."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, get_args

import keras

from kerasapps.applications import memory_network, question_answering
from kerasapps.data.question_answering import QUESTIONS_PER_KIND, Form, StoryCodec, StorySplits, load_stories
from kerasapps.data.words import GivenTokens
from kerasapps.errors import UserError
from kerasapps.optimizers import Adam
from kerasapps.runs import Options, Run
from kerasapps.search.loop import Space
from kerasapps.settings import Count, Positive, Text, nonempty, optional, ranged, settle

from ..shared import training
from ..shared.params import build
from ..shared.training import Trained, tell

CODEC = StoryCodec
Arch = Literal["memory", "lstm", "gru", "bilstm", "conv"]
Tasks = nonempty(tuple[ranged(int, least=1, most=20), ...])
ALL_TASKS = tuple(range(1, 21))
# Share of the steps in which the learning rate of the memory network rises.
WARMUP = 0.03


@dataclass(frozen=True)
class Source:
    """Which questions.

    Args:
        data: "stories" (simulated), "babi", "babi-10k", or a file or folder in the bAbI format.
        tasks: bAbI tasks, all for one network.
        tokens: Whether sentences are cut into words, words and punctuation (also with case), characters, or learned
            words of scripts without spaces; auto takes words or, from 100,000 letters of such scripts on, learned ones.
    """

    data: Text = "stories"
    tasks: Tasks = ALL_TASKS
    tokens: GivenTokens = "auto"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; by default as suits the architecture.

    Args:
        epochs: Epochs over the training set.
        batch_size: Questions in a step, over all devices.
        learning_rate: Peak learning rate of Adam; that of the memory network rises to it and then falls.
    """

    epochs: Count = 30
    batch_size: Count = 32
    learning_rate: Positive = 1e-3


GivenRecipe = optional(Recipe)
RECIPES = {"memory": Recipe(epochs=40, learning_rate=2e-3)}


def recipe_of(arch: Arch, given: GivenRecipe = GivenRecipe(), *, options: Options) -> Recipe:
    """Returns how to train an architecture, where the command line says nothing else."""
    return options.shrunk(settle(RECIPES.get(arch, Recipe()), given), epochs=2)


def chosen_of(arch: Arch, given: GivenRecipe, *, options: Options) -> GivenRecipe:
    """Returns what was chosen for all networks: --config gives everything, also what only suits this architecture."""
    if options.config is None:
        return given
    usual = recipe_of(arch, options=options)
    return GivenRecipe(**{name: value for name, value in vars(given).items() if value != getattr(usual, name)})


def form_of(arch: Arch) -> Form:
    """Returns what an architecture reads."""
    return "story" if arch == "memory" else "text"


def space_of(arch: Arch) -> Space:
    """Returns the search space of an architecture."""
    if arch == "memory":
        return memory_network.search_space
    return lambda hp: question_answering.search_space(hp) | {"encoder": arch}


def load(source: Source, arch: Arch, *, options: Options) -> StorySplits:
    """Loads the data as an architecture reads it."""
    questions = options.shrink(QUESTIONS_PER_KIND, 60)  # of which --smoke takes the first
    return load_stories(
        **asdict(source), form=form_of(arch), questions_per_kind=questions, seed=options.seed, limit=options.rows
    )


def train_one(
    run: Run, *, source: Source, arch: Arch, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network in a run folder."""
    splits = load(source, arch, options=run.options)
    tell(splits.notes)
    network = partial(make_model, arch=arch, sizes=splits.sizes, params=params)
    best = {"monitor": "val_accuracy", "maximize": True}
    return training.train(run, splits, network, recipe, patience=patience, **best)


def train_networks(
    run: Run,
    *,
    source: Source,
    arch: Arch,
    baseline: Arch | None,
    params: dict[str, Any],
    given: GivenRecipe,
    patience: int | None,
) -> dict[str, Trained]:
    """Trains the network in a run folder and the baseline, if there is to be one, in a run folder within it."""
    shared = {"source": source, "patience": patience}
    recipe = recipe_of(arch, given, options=run.options)
    print(f"Network: {arch}", flush=True)
    networks = {arch: train_one(run, arch=arch, params=params, recipe=recipe, **shared)}
    if baseline and not networks[arch].history.interrupted:
        recipe = recipe_of(baseline, chosen_of(arch, given, options=run.options), options=run.options)
        part = run.part("baseline", {"arch": baseline, "baseline": None, "params": None} | asdict(recipe))
        print(f"Baseline: {baseline}", flush=True)
        networks[f"{baseline}, baseline"] = train_one(part, arch=baseline, params={}, recipe=recipe, **shared)
    return networks


def make_model(
    *,
    arch: Arch,
    sizes: dict[str, int],
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    jit_compile: bool = False,
) -> keras.Model:
    """Builds and compiles.

    Args:
        arch: Which network.
        sizes: Arguments of its builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate of the memory network rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    what = f"--arch {arch}"
    if arch == "memory":
        model = build(memory_network.build_memory_network, params, what=what, given=sizes)
        warmup = max(1, int(WARMUP * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warmup, alpha=0.02, warmup_target=recipe.learning_rate, warmup_steps=warmup
        )
        # Keras' own Adam: on TensorFlow its second moment adds up the squares of a word's gradients, not the square of
        # their sum, so that words take larger steps. With ours the validation error on bAbI was 4.1 % instead of 3.5 %.
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    else:
        if params.get("encoder", arch) in [other for other in get_args(Arch) if other != arch]:
            raise UserError(f"--params are for --arch {params['encoder']}, not for {what}.")
        builder = question_answering.build_question_answering
        model = build(builder, params, what=what, given=sizes, usual={"encoder": arch})
        optimizer = Adam(recipe.learning_rate)
    model.compile(
        optimizer,
        {"answer": "sparse_categorical_crossentropy"},
        metrics={"answer": ["accuracy"]},
        jit_compile=jit_compile,
    )
    return model
