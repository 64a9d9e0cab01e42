"""The sequence tagger: which data, how it is built and trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np

from kerasapps.applications.sequence_tagger import build_sequence_tagger
from kerasapps.data.columns import Columns
from kerasapps.data.splits import Split
from kerasapps.data.tagging import TagCodec, TagSplits, load_tagged
from kerasapps.losses import StepCrossentropy
from kerasapps.optimizers import Adam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, Text, from_settings, or_none, ranged

from ..shared import training
from ..shared.params import build
from ..shared.runs import SavedRun, outputs_of, traced
from ..shared.training import Trained, tell

CODEC = TagCodec
Column = ranged(int, least=-100, most=100)


@dataclass(frozen=True)
class Source:
    """Which sequences.

    Args:
        data: "dispatches" (simulated news), "context" (simulated outputs of an image classifier over time), or a file
            with a word and its tag a line, in columns, and blank lines between sentences, as those of CoNLL.
        validation: A file of the same form for validation; by default a tenth of the sentences.
        test: A file of the same form to test on; by default a tenth of the sentences too.
        word: Column of the words, from 0 on, or from the end with -1.
        tag: Column of the tags.
        numbers: Columns with numbers instead of words, such as the outputs of a classifier.
        vocab_size: Token ids at most; the most frequent words get one, those that are seen once none.
        longest: Steps of a sequence at most; longer ones are split.
    """

    data: Text = "dispatches"
    validation: or_none(Text) = None
    test: or_none(Text) = None
    word: Column = 0
    tag: Column = -1
    numbers: tuple[Column, ...] = ()
    vocab_size: ranged(int, least=3) = 20_000
    longest: Count = 200

    @property
    def columns(self) -> Columns:
        """What the columns of files hold."""
        return Columns(self.word, self.tag, self.numbers)


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Args:
        epochs: Epochs over the training set.
        batch_size: Sequences in a step, over all devices.
        learning_rate: Peak learning rate of Adam, reached after a tenth of the steps; then it falls to nearly 0.
    """

    epochs: Count = 8
    batch_size: Count = 32
    learning_rate: Positive = 5e-3


def load(source: Source, *, options: Options) -> TagSplits:
    """Loads the data as the options say."""
    return load_tagged(
        source.data,
        validation=source.validation,
        test=source.test,
        columns=source.columns,
        vocab_size=source.vocab_size,
        longest=source.longest,
        seed=options.seed,
        limit=options.rows,
    )


def train_one(
    run: Run, *, source: Source, params: dict[str, Any], recipe: Recipe, patience: int | None = None
) -> Trained:
    """Trains one network in a run folder."""
    splits = load(source, options=run.options)
    tell(splits.notes)
    network = partial(make_model, sizes=splits.sizes, params=params)
    return training.train(run, splits, network, recipe, patience=patience, monitor="val_accuracy", maximize=True)


def encoded_splits(saved: SavedRun) -> TagSplits:
    """Loads the sequences that a run was trained on, in its words and tags."""
    splits = load(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings))
    encoded = {name: saved.codec.split(sequences) for name, sequences in splits.sequences.items()}
    return replace(splits, **encoded, codec=saved.codec)


def make_model(
    *, sizes: dict[str, int], params: dict[str, Any], recipe: Recipe, steps: int, jit_compile: bool = False
) -> keras.Model:
    """Builds and compiles.

    Args:
        sizes: Arguments of the builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    other = {"vocab_size": None, "num_features": None}  # of the two the data fix one
    model = build(build_sequence_tagger, params, what="this network", given=other | sizes)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    model.compile(
        optimizer=Adam(rate, global_clipnorm=1.0),
        loss={"tags": StepCrossentropy()},
        weighted_metrics={"tags": ["accuracy"]},
        jit_compile=jit_compile,
    )
    return model


def predict_tags(model: keras.Model, split: Split, *, batch_size: int = 64) -> list[np.ndarray]:
    """Returns the probabilities of the tags of each step, float32 (T, tags), for each sequence without its padding."""
    run, found = traced(model), []
    for inputs, *_ in split.batches(batch_size):
        found += list(outputs_of(model, inputs, run)["tags"])
    return [row[:length] for row, length in zip(found, split.lengths["tags"], strict=True)]


def tags_of(probabilities: Sequence[np.ndarray], tag_names: Sequence[str]) -> list[list[str]]:
    """Returns the most probable tag of each step."""
    return [[tag_names[i] for i in row.argmax(-1)] for row in probabilities]
