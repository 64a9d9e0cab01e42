"""The language models: which text, how each is built, trained, and how it writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, Literal

import keras
import numpy as np

from kerasapps.applications import recurrent_language_model, transformer_language_model
from kerasapps.data.language import LanguageCodec, LanguageSplits, load_language
from kerasapps.data.vocabularies import UNKNOWN, TokenKind
from kerasapps.decoding import NEVER, Beam, Sampling
from kerasapps.generation import Generator
from kerasapps.losses import TokenCrossentropy
from kerasapps.optimizers import Method, one_cycle, optimizer_of
from kerasapps.runs import Options, Run
from kerasapps.runtime import Workload
from kerasapps.settings import Count, Positive, Share, Text, Weight, optional, or_none, ranged, settle

from ..shared import training
from ..shared.params import build
from ..shared.training import Trained, tell

CODEC = LanguageCodec
Arch = Literal["lstm", "gru", "transformer"]
WORKLOADS: dict[Arch, Workload] = {"lstm": "lstm", "gru": "matmul", "transformer": "matmul"}


@dataclass(frozen=True)
class Source:
    """Which text.

    Args:
        data: "grammar" (simulated, its entropy is known), "shakespeare", a text file, or a folder of .txt files.
        tokens: What a token is; by default a character, and a byte of a file that is too large to be read at once.
        vocab_size: Token ids at most, of words and subwords.
        context: Tokens of a window in training; a transformer sees no further back.
    """

    data: Text = "grammar"
    tokens: or_none(TokenKind) = None
    vocab_size: ranged(int, least=10, most=1_000_000) = 2_000
    context: ranged(int, least=2) = 128


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; by default as suits the architecture and the data.

    Args:
        epochs: Epochs over the training text.
        batch_size: Windows in a step, over all devices.
        optimizer: How steps follow from gradients: Muon, the default of transformers on a text, or Adam.
        learning_rate: Peak learning rate; it then falls to nearly 0.
        warmup: Share of the steps during which it rises.
        clip: Largest norm of the gradients of a step together; 0 for no limit.
    """

    epochs: Count = 20
    batch_size: Count = 64
    optimizer: Method = "adam"
    learning_rate: Positive = 4e-3
    warmup: Share = 0.05
    clip: Weight = 1.0


@dataclass(frozen=True)
class Writing:
    """How text is written.

    Args:
        temperature: The higher, the wilder; 0 always takes the likeliest token.
        top_k: Draw among so many likeliest tokens; 0 for all.
        top_p: Draw among the fewest tokens that together have this probability.
        min_p: Draw among tokens with at least this share of the likeliest one's probability.
        repetition_penalty: By what the probability of tokens that the text has already is divided; 1 for none.
        seed: Seed of what is drawn.
    """

    temperature: ranged(float, least=0, most=1_000) = 0.8
    top_k: ranged(int, least=0) = 0
    top_p: ranged(float, above=0, most=1) = 1.0
    min_p: ranged(float, least=0, most=1) = 0.0
    repetition_penalty: ranged(float, least=1, most=1e6) = 1.0
    seed: ranged(int, least=0, most=2**31 - 1) = 0

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.seed, self.min_p)


GivenRecipe = optional(Recipe)
GRAMMAR = Recipe(epochs=2, batch_size=16, learning_rate=1e-2)
TRANSFORMER = Recipe(epochs=12, batch_size=16, optimizer="muon", learning_rate=2e-3, warmup=0.1)
# Builder arguments for the grammar, whose text is simple, and for a first look at another text; --params come before.
SMALL = {
    recurrent_language_model: {"embedding_dim": 32, "units": 128, "depth": 1, "dropout": 0.0},
    transformer_language_model: {"units": 64, "heads": 4, "feedforward": 256, "depth": 2, "dropout": 0.0},
}
QUICK = {
    recurrent_language_model: {},
    transformer_language_model: {"units": 128, "heads": 4, "feedforward": 512, "depth": 4, "dropout": 0.0},
}


def module_of(arch: Arch) -> ModuleType:
    """Returns the module with builder, graph of steps and search space of an architecture."""
    return transformer_language_model if arch == "transformer" else recurrent_language_model


def recipe_of(arch: Arch, data: str, given: GivenRecipe = GivenRecipe(), *, options: Options) -> Recipe:
    """Returns how to train an architecture, where the command line says nothing else."""
    default = TRANSFORMER if arch == "transformer" else Recipe()
    if data == "grammar":
        default = replace(GRAMMAR, learning_rate=3e-3) if arch == "transformer" else GRAMMAR
    return options.shrunk(settle(default, given), epochs=1)


def load(source: Source, *, options: Options) -> LanguageSplits:
    """Loads the text as the options say."""
    return load_language(**vars(source), seed=options.seed, limit=options.rows)


def train_one(
    run: Run,
    *,
    source: Source,
    arch: Arch,
    params: dict[str, Any],
    recipe: Recipe,
    patience: int | None = None,
) -> Trained:
    """Trains one network in a run folder; the epoch of the lowest validation loss is kept."""
    splits = load(source, options=run.options)
    tell(splits.notes)
    usual = (SMALL if source.data == "grammar" else QUICK)[module_of(arch)]
    network = partial(make_model, arch=arch, sizes=splits.sizes, context=source.context, params=usual | params)
    return training.train(run, splits, network, recipe, patience=patience, callbacks=[Samples(run, arch, splits.codec)])


def make_model(
    *,
    arch: Arch,
    sizes: dict[str, int],
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    context: int = 128,
    jit_compile: bool = False,
) -> keras.Model:
    """Builds and compiles.

    Args:
        arch: Which network.
        sizes: Arguments of its builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        context: Tokens of a window.
        jit_compile: Whether XLA compiles the step.
    """
    if arch == "transformer":
        builder, given = transformer_language_model.build_transformer_language_model, {"context": context}
    else:
        builder, given = recurrent_language_model.build_recurrent_language_model, {"cell": arch}
    model = build(builder, params, what=f"--arch {arch}", given=sizes | given)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=recipe.warmup)
    options = {"beta_2": 0.99, "global_clipnorm": recipe.clip or None}
    model.compile(
        optimizer=optimizer_of(recipe.optimizer, rate, vectors=["logits", "positions"], **options),
        loss={"next": TokenCrossentropy()},
        jit_compile=jit_compile and arch == "transformer",
    )
    return model


def generator_of(model: keras.Model, arch: Arch, codec: LanguageCodec) -> Generator:
    """Returns what writes with a trained network."""
    context = codec.context if arch == "transformer" else None
    return Generator(module_of(arch).step_of(model), context=context, banned=codec.vocabulary.banned)


def known_ids(codec: LanguageCodec, prompt: str) -> np.ndarray:
    """Returns the ids of a prompt without what the network does not know, int32 (T,)."""
    ids = codec.vocabulary.encode(prompt)
    return ids[ids != UNKNOWN]


def first_ids(codec: LanguageCodec) -> np.ndarray:
    """Returns the id of what stands before a text: the end of a line, or the most frequent token."""
    ids = codec.vocabulary.encode("\n")
    return ids if UNKNOWN not in ids else np.array([UNKNOWN + 1], np.int32)


def stream_text(
    generator: Generator,
    codec: LanguageCodec,
    ids: np.ndarray,
    writing: Writing,
    *,
    length: int,
    stop: Sequence[str] = (),
) -> Iterator[str]:
    """Yields what follows a prompt, piece by piece, up to a stop string."""
    before, made, shown = len(codec.decode(ids)), list(ids), 0
    held = max([len(one) - 1 for one in stop], default=0)  # what may yet become a stop string
    penalty = writing.repetition_penalty
    for tokens in generator.stream(ids, writing.sampling, rows=1, length=length, penalty=penalty):
        made += tokens[0].tolist()
        text = codec.decode(made)[before:]
        whole = stopped(text, stop)
        if len(whole) < len(text):
            yield whole[shown:]
            return
        # At the end may be bytes of a character whose others are to come.
        safe = max(shown, min(len(text) - held, len(text.rstrip("\ufffd"))))
        yield text[shown:safe]
        shown = safe
    yield text[shown:]


def write_texts(
    generator: Generator,
    codec: LanguageCodec,
    ids: np.ndarray,
    writing: Writing,
    *,
    length: int,
    n: int = 1,
    beam: int = 1,
    stop: Sequence[str] = (),
) -> list[str]:
    """Returns several texts that follow a prompt; with a beam the likeliest ones."""
    penalty = writing.repetition_penalty
    if beam > 1:
        rows, scores = generator.search(ids, Beam(beam, 0.0), length=length, penalty=penalty)
        rows = rows[scores > NEVER / 2][:n]  # where there are few tokens there are few texts
    else:
        parts = generator.stream(ids, writing.sampling, rows=n, length=length, penalty=penalty)
        rows = np.concatenate(list(parts), 1)
    before = len(codec.decode(ids))
    return [stopped(codec.decode([*ids, *row])[before:], stop) for row in rows]


def stopped(text: str, stop: Sequence[str]) -> str:
    """Returns a text up to the first of the strings that stop it."""
    found = [text.find(one) for one in stop if one in text]
    return text[: min(found)] if found else text


class Samples(keras.callbacks.Callback):
    """Appends to samples.txt in the run folder what the network writes after each epoch."""

    def __init__(self, run: Run, arch: Arch, codec: LanguageCodec):
        super().__init__()
        self.run, self.arch, self.codec = run, arch, codec
        self.generator: Generator | None = None

    def on_epoch_end(self, epoch, logs=None):
        """Writes."""
        if not self.run.is_chief:
            return
        self.generator = self.generator or generator_of(self.model, self.arch, self.codec)
        text = write_texts(self.generator, self.codec, first_ids(self.codec), Writing(), length=SAMPLE)[0]
        path = self.run.path(SAMPLES)
        # A run that was killed and is resumed repeats an epoch.
        before = path.read_text("utf-8").split(NEXT)[:epoch] if path.exists() else []
        path.write_text(NEXT.join([*before, text]), "utf-8")


SAMPLES, SAMPLE, NEXT = "samples.txt", 120, "\n\x1e\n"
