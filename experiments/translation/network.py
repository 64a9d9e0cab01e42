"""The translators: which data, how each is built, trained, and how it writes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, Literal

import keras
import numpy as np

from kerasapps.applications import seq2seq, transformer
from kerasapps.data.pairs import NAMED, Pair, read_pairs
from kerasapps.data.subwords import END, START, Pieces
from kerasapps.data.translation import TranslationCodec, TranslationSplits, left_out, load_pairs, share_of_padding
from kerasapps.decoding import GREEDY, Beam, Sampling, Writer, in_batches
from kerasapps.errors import DataError, UserError
from kerasapps.losses import TokenCrossentropy
from kerasapps.optimizers import Method, one_cycle, optimizer_of
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, Share, Text, optional, or_none, ranged, settle

from ..shared import training
from ..shared.params import build
from ..shared.scores import bleu
from ..shared.training import Trained, tell

CODEC = TranslationCodec
Arch = Literal["additive", "lectures", "dot", "none", "transformer"]
BATCH_SIZE = 64  # texts that are written at a time
VALIDATED = 500  # validation texts that are translated after each epoch
PAIR = "en-de"  # of a named data set, where nothing else is said


@dataclass(frozen=True)
class Source:
    """Which texts.

    Args:
        data: "market" (simulated), "multi30k", a file with a text and its translation a line, separated by a tab, or a
            file with a text a line.
        pair: Languages of a named data set, source first, such as "de-en"; by default "en-de".
        target: For a file with a text a line, the file with the translations.
        tokens: Pieces of words, learned from the training set, or whole words and punctuation marks.
        vocab_size: Token ids of each language at most; by default 5,000, and 600 for subwords of the market.
        joint: One vocabulary for both languages.
        max_length: Tokens of a text at most; longer pairs are left out.
    """

    data: Text = "market"
    pair: or_none(Text) = None
    target: or_none(Text) = None
    tokens: Pieces = "subwords"
    vocab_size: or_none(ranged(int, least=10)) = None
    joint: bool = False
    max_length: ranged(int, least=2) = 100


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; by default as suits the architecture and the data.

    Args:
        epochs: Epochs over the training set.
        batch_size: Tokens in a step, over all devices: those of the longer side, padding included; of at least 8 texts.
        optimizer: How steps follow from gradients: Muon, or Adam.
        learning_rate: Peak learning rate; it then falls to nearly 0.
        warmup: Share of the steps during which it rises.
        smoothing: Share of the target's probability that is spread over the vocabulary.
    """

    epochs: Count = 15
    batch_size: Count = 2048
    optimizer: Method = "adam"
    learning_rate: Positive = 2e-3
    warmup: Share = 0.1
    smoothing: Share = 0.1


GivenRecipe = optional(Recipe)
MARKET = Recipe(epochs=4, batch_size=1024, learning_rate=6e-3, smoothing=0.0)
TRANSFORMER = Recipe(epochs=14, optimizer="muon", learning_rate=2e-3, warmup=0.2)
# Builder arguments for the market, whose texts are simple; --params come before them.
SMALL = {
    seq2seq: {"embedding_dim": 64, "units": 128, "dropout": 0.1},
    transformer: {
        "units": 128,
        "heads": 4,
        "feedforward": 256,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "dropout": 0.1,
    },
}


def module_of(arch: Arch) -> ModuleType:
    """Returns the module with builder, graphs for writing and search space of an architecture."""
    return transformer if arch == "transformer" else seq2seq


def recipe_of(arch: Arch, data: str, given: GivenRecipe = GivenRecipe(), *, options: Options) -> Recipe:
    """Returns how to train an architecture, where the command line says nothing else."""
    default = MARKET if data == "market" else TRANSFORMER if arch == "transformer" else Recipe()
    return options.shrunk(settle(default, given), epochs=1, batch_size=512)


def load(source: Source, *, options: Options) -> TranslationSplits:
    """Loads the data as the options say."""
    size = source.vocab_size or (600 if source.data == "market" and source.tokens == "subwords" else 5_000)
    given = vars(source) | {"pair": source.pair or PAIR, "vocab_size": size}
    return load_pairs(**given, seed=options.seed, limit=options.rows)


def checked(source: Source) -> Source:
    """Returns what to load, with the languages that a named data set has where nothing else is said.

    Raises:
        DataError: If languages are named for an own file, or translations for a named data set.
    """
    named = source.data in NAMED
    if named and source.target is not None:
        raise DataError("--target holds the translations of a file that --data names: give both.")
    if not named and source.pair not in (None, PAIR):  # which runs of before have recorded, whatever their data
        raise DataError(f"--pair chooses among the languages of {' or '.join(NAMED)}, and the data are {source.data}.")
    return replace(source, pair=source.pair or PAIR) if named else source


def languages(source: Source) -> str | None:
    """Returns the languages of a named data set; those of own files are not known."""
    return source.pair or PAIR if source.data in NAMED else None


def tested_pairs(codec: TranslationCodec, source: Source, *, options: Options) -> tuple[list[Pair], tuple[str, ...]]:
    """Returns the pairs of a test set that a network of this codec can translate, and notes on them."""
    found = read_pairs(source.data, pair=source.pair or PAIR, target=source.target, seed=options.seed)
    pairs = found.test[: options.rows]
    _, kept = codec.split(pairs)
    return [pairs[i] for i in kept], (*found.notes, *left_out(len(pairs), kept, "test", codec.max_length))


def train_one(
    run: Run,
    *,
    source: Source,
    arch: Arch,
    params: dict[str, Any],
    recipe: Recipe,
    patience: int | None = None,
) -> Trained:
    """Trains one network in a run folder; the epoch with the highest BLEU of greedy validation texts is kept."""
    splits = load(source, options=run.options)
    padding = share_of_padding(splits.train, recipe.batch_size)
    tell([*splits.notes, f"{len(splits.train):,} training pairs, {padding:.1%} of each batch is padding."])
    if params.get("shared") and not source.joint:
        raise UserError('--params {"shared": true} needs --joint, one vocabulary of both languages.')
    given = (SMALL[module_of(arch)] if source.data == "market" else {}) | params
    network = partial(make_model, arch=arch, sizes=splits.sizes, params=given, max_length=source.max_length)
    watch = ValidationBleu(arch, splits)
    return training.train(
        run, splits, network, recipe, patience=patience, monitor="val_bleu", maximize=True, callbacks=[watch]
    )


def make_model(
    *,
    arch: Arch,
    sizes: dict[str, int],
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    max_length: int = 100,
    jit_compile: bool = False,
) -> keras.Model:
    """Builds and compiles.

    Args:
        arch: Which network.
        sizes: Arguments of its builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        max_length: Tokens of a source at most.
        jit_compile: Whether XLA compiles the step.
    """
    given = dict(sizes)
    if arch == "transformer":
        model = build(transformer.build_transformer, params, what=f"--arch {arch}", given=given)
    else:
        given |= {"attention": arch, "max_length": max_length}
        model = build(seq2seq.build_seq2seq, params, what=f"--arch {arch}", given=given)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=recipe.warmup)
    model.compile(
        optimizer=optimizer_of(recipe.optimizer, rate, beta_2=0.98, vectors=["logits"]),
        loss={"next": TokenCrossentropy(recipe.smoothing)},
        # XLA does not compile a loop over texts of any length.
        jit_compile=jit_compile and arch == "transformer",
    )
    return model


def writer_of(model: keras.Model, arch: Arch) -> Writer:
    """Returns what writes with a trained network."""
    module = module_of(arch)
    return Writer(module.encoder_of(model), module.step_of(model), start=START, end=END)


def translate_texts(
    writer: Writer, codec: TranslationCodec, texts: Sequence[str], how: Beam | Sampling, *, first: int = 0
) -> list[list[tuple[str, float]]]:
    """Returns for each text its translations with their scores, the best first; an empty text stays empty.

    `first` is the number of the first text, where these follow others: what is drawn depends on it.
    """
    rows = [i for i, text in enumerate(texts) if text.strip()]
    ids = codec.encode([texts[i].strip() for i in rows])["source"]
    lengths = (ids != 0).sum(1)

    def write(chosen: np.ndarray) -> list[list[tuple[str, float]]]:
        longest = int(lengths[chosen].max())
        limits = np.minimum(codec.max_length, 2 * lengths[chosen] + 10)
        drawn = how
        if isinstance(how, Sampling):  # or the same noise would come again in each batch
            number = [how.seed, first + rows[chosen[0]]]
            drawn = replace(how, seed=int(np.random.SeedSequence(number).generate_state(1)[0] >> 1))
        tokens, scores = writer({"source": ids[chosen, :longest]}, drawn, max_length=limits)
        decoded = codec.decode(tokens.reshape(-1, tokens.shape[-1]))
        return [
            list(zip(decoded[i * len(row) : (i + 1) * len(row)], map(float, row), strict=True))
            for i, row in enumerate(scores)
        ]

    written = in_batches(write, lengths, batch_size=BATCH_SIZE)
    results = [[(text, 0.0)] for text in texts]
    for i, best in zip(rows, written, strict=True):
        results[i] = best
    return results


class ValidationBleu(keras.callbacks.Callback):
    """Adds to the metrics of an epoch the BLEU of greedy translations of validation texts, cased and detokenized."""

    def __init__(self, arch: Arch, splits: TranslationSplits):
        super().__init__()
        self.arch = arch
        self.splits = splits
        self.writer: Writer | None = None

    def on_epoch_end(self, epoch, logs=None):
        """Translates."""
        self.writer = self.writer or writer_of(self.model, self.arch)
        sources, references = zip(*self.splits.texts["validation"][:VALIDATED], strict=True)
        best = translate_texts(self.writer, self.splits.codec, sources, GREEDY)
        logs["val_bleu"] = bleu([one[0][0] for one in best], references)
