"""The text classifiers: which data, how each is built and trained."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, Literal

import keras
import numpy as np
import scipy.sparse

from kerasapps.applications import attention_classifier, bag_of_ngrams, recurrent_classifier, text_cnn, wide_text_cnn
from kerasapps.data.splits import Split
from kerasapps.data.text_classes import TextClassCodec, TextSplits, load_texts
from kerasapps.data.vectors import Contexts
from kerasapps.data.words import GivenTokens, Keep
from kerasapps.errors import UserError
from kerasapps.optimizers import LazyAdam, one_cycle
from kerasapps.runs import Options, Run
from kerasapps.runtime import Workload
from kerasapps.search.loop import Space
from kerasapps.settings import Count, Positive, Text, from_settings, optional, or_none, ranged, settle

from ..shared import training
from ..shared.params import build
from ..shared.runs import SavedRun
from ..shared.training import Trained, tell
from .baseline import least_count, log_count_ratio
from .vectors import Beginning, load_beginning

CODEC = TextClassCodec
Arch = Literal["text_cnn", "wide_text_cnn", "lstm", "gru", "peephole_lstm", "attention", "hierarchical", "ngrams"]
BATCH_SIZE = 128


@dataclass(frozen=True)
class Source:
    """Which texts.

    Args:
        data: "snippets" (simulated), "mr", "subj", "trec", "imdb", a CSV, JSON or Parquet file, or a folder with one
            sub-folder of .txt files a class.
        text: Column of a file that holds the texts.
        label: Column of a file that holds the labels.
        fine: Keep the 50 fine labels of "trec" instead of its 6 coarse ones.
        keep_html: Keep HTML tags and entities.
        vocab_size: Token ids at most; the most frequent words of the training texts get one, and what they leave goes
            to further words that have vectors.
        length: Tokens of a text at most.
        keep: What stays of a longer text: its beginning ("head"), its end ("tail"), or half of "both".
        tokens: "words", "punctuation" (words, and punctuation marks as words), "cased" (as that, with case),
            "characters", "learned" (words of scripts without spaces), or "auto": words, learned ones where needed.
        sentence_length: Tokens of a sentence at most, for --arch hierarchical; a longer one goes on as the next.
        vectors: A file of word vectors in the format of word2vec, GloVe or fastText; "imdb": learned from the reviews;
            or a run folder of `pretrain`. Words that have none start at random, the unknown one at zeros.
        contexts: What vectors are learned from: words up to five words away, which tell what a text is about ("near"),
            the two words before and after, each in its place, which tell what can stand there ("places"), or "both".
        validation: Hold out a tenth of the texts for validation, which decides which epoch counts. Otherwise a network
            learns from all of them, and the epoch with the lowest training loss counts: for settings that were chosen
            before.
    """

    data: Text = "snippets"
    text: Text = "text"
    label: Text = "label"
    fine: bool = False
    keep_html: bool = False
    vocab_size: ranged(int, least=3) = 20_000
    length: Count = 400
    keep: Keep = "both"
    tokens: GivenTokens = "auto"
    sentence_length: Count = 40
    vectors: or_none(Text) = None
    contexts: Contexts = "near"
    validation: bool = True


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; by default as suits the architecture.

    Args:
        epochs: Epochs over the training set.
        batch_size: Texts in a step, over all devices.
        learning_rate: Peak learning rate of lazy Adam, reached after a tenth of the steps; then it falls to nearly 0.
    """

    epochs: Count = 6
    batch_size: Count = 50
    learning_rate: Positive = 1e-3


GivenRecipe = optional(Recipe)
RECIPES = {
    "text_cnn": Recipe(epochs=8, learning_rate=3e-3),
    "wide_text_cnn": Recipe(epochs=2, learning_rate=2e-3),
    "attention": Recipe(epochs=6, learning_rate=3e-3),
    "hierarchical": Recipe(epochs=6, learning_rate=3e-3),
    "ngrams": Recipe(epochs=8, learning_rate=1e-2),
}


@dataclass(frozen=True)
class Builder:
    """How a network is built, the module of its builder and search space, and what it mostly computes."""

    build: Callable[..., keras.Model]
    module: ModuleType
    workload: Workload


CNN = Builder(text_cnn.build_text_cnn, text_cnn, "convolution")
WIDE = Builder(wide_text_cnn.build_wide_text_cnn, wide_text_cnn, "convolution")
ATTENTION = Builder(attention_classifier.build_attention_classifier, attention_classifier, "matmul")
BAG = Builder(bag_of_ngrams.build_bag_of_ngrams, bag_of_ngrams, "matmul")
LSTM = Builder(recurrent_classifier.build_recurrent_classifier, recurrent_classifier, "lstm")
GRU = replace(LSTM, workload="recurrent")
BUILDERS: dict[Arch, Builder] = {
    "text_cnn": CNN,
    "wide_text_cnn": WIDE,
    "lstm": LSTM,
    "gru": GRU,
    "peephole_lstm": LSTM,
    "attention": ATTENTION,
    "hierarchical": ATTENTION,
    "ngrams": BAG,
}


def recipe_of(arch: Arch, given: GivenRecipe = GivenRecipe(), *, options: Options) -> Recipe:
    """Returns how to train an architecture, where the command line says nothing else."""
    return options.shrunk(settle(RECIPES.get(arch, Recipe()), given), epochs=2, batch_size=16)


def space_of(arch: Arch, *, vectors: bool = False) -> Space:
    """Returns the search space of an architecture; given vectors fix their length."""
    return partial(_space, arch=arch, without=("embedding_dim",) if vectors else ())


def _space(hp, *, arch: Arch, without: Sequence[str]) -> dict[str, Any]:
    """Returns arguments that a search proposes, without some of them."""
    proposed = BUILDERS[arch].module.search_space(hp)
    return {name: value for name, value in proposed.items() if name not in without}


def check_vectors(source: Source, archs: Sequence[Arch]) -> None:
    """Refuses word vectors that a network does not take, or contexts of those that are not learned.

    Raises:
        UserError: With what to do instead.
    """
    if source.contexts != "near" and source.vectors != "imdb":
        advice = "give --vectors imdb as well" if source.vectors is None else f"leave it out with {source.vectors}"
        raise UserError(f"--contexts is about vectors that are learned: {advice}.")
    if source.vectors is not None and "ngrams" in archs:
        raise UserError("--vectors are vectors of words, and the network ngrams has one for pairs of words as well.")


def load(source: Source, arch: Arch, *, options: Options, **fold: int) -> TextSplits:
    """Loads the data for a network as the options say; `fold` and `folds` as `load_texts` takes them."""
    settings = asdict(source) | ({} if arch == "hierarchical" else {"sentence_length": 0})
    del settings["vectors"], settings["contexts"]
    return load_texts(**settings, **fold, seed=options.seed, limit=options.rows)


def train_one(
    run: Run,
    *,
    source: Source,
    arch: Arch,
    params: dict[str, Any],
    recipe: Recipe,
    fold: int | None = None,
    folds: int = 10,
    patience: int | None = None,
) -> Trained:
    """Trains one network in a run folder, on a fold of the data or as they are split."""
    splits = load(source, arch, options=run.options, fold=fold, folds=folds)
    tell(splits.notes)
    beginning = None
    if source.vectors is not None:
        # A smoke test has few words, and takes no further ones.
        size = run.options.shrink(source.vocab_size, splits.codec.words.size)
        words, beginning, note = load_beginning(
            source.vectors, splits.codec.words, size=size, seed=run.options.seed, contexts=source.contexts
        )
        splits = splits.encoded(replace(splits.codec, words=words))
        tell([note])
    network = partial(make_model, arch=arch, sizes=splits.sizes, params=params, beginning=beginning, train=splits.train)
    decided = {"monitor": "val_accuracy", "maximize": True} if source.validation else {"monitor": "loss"}
    return training.train(run, splits, network, recipe, patience=patience, **decided)


def splits_of(saved: SavedRun) -> TextSplits:
    """Loads the texts that a run was trained on, in its words and classes, for `load_splits`."""
    source, options = from_settings(Source, saved.settings), from_settings(Options, saved.settings)
    # A network of a cross-validation has another test set than the data by themselves.
    fold = {"fold": saved.settings.get("fold"), "folds": saved.settings.get("folds", 10)}
    splits = load(source, saved.settings.of("arch", Arch), options=options, **fold)
    return splits.encoded(saved.codec)


def make_model(
    *,
    arch: Arch,
    sizes: dict[str, int],
    params: dict[str, Any],
    recipe: Recipe,
    steps: int,
    beginning: Beginning | None = None,
    train: Split | None = None,
    jit_compile: bool = False,
) -> keras.Model:
    """Builds and compiles.

    Args:
        arch: Which network.
        sizes: Arguments of its builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        beginning: Weights to start from.
        train: The training set, which gives the weights of n-grams where the network has them.
        jit_compile: Whether XLA compiles the step.
    """
    given = dict(sizes)
    if BUILDERS[arch].module is recurrent_classifier:
        given["cell"] = arch
    if BUILDERS[arch].module is attention_classifier:
        given["hierarchical"] = arch == "hierarchical"
    if beginning is not None:
        given["embedding_dim"] = beginning.vectors.shape[1]
    if BUILDERS[arch].module is text_cnn:
        # A reader that has learned nothing would not help.
        given["reader_units"] = 0 if beginning is None else beginning.reader_units
    model = build(BUILDERS[arch].build, params, what=f"--arch {arch}", given=given)
    if beginning is not None:
        beginning.set(model)
    if train is not None and "weights" in {layer.name for layer in model.layers}:
        model.get_layer("weights").set_weights([ngram_weights(model, train)])
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.1)
    model.compile(
        optimizer=LazyAdam(rate),  # most of a vocabulary is not in a batch
        loss={"label": "sparse_categorical_crossentropy"},
        metrics={"label": ["accuracy"]},
        jit_compile=jit_compile,
    )
    return model


def ngram_weights(model: keras.Model, train: Split) -> np.ndarray:
    """Returns a weight for every id of a bag of n-grams, float32 (ids, 1): what naive Bayes makes of it.

    That is the largest absolute log-count ratio of a class against the others; 0 for what the training set does not
    hold, and in large sets for what it holds once.
    """
    layer = {layer.name: layer for layer in model.layers}.get("ngrams", lambda ids: ids)
    size = model.get_layer("weights").input_dim
    labels, rows = train.targets["label"], []
    for start in range(0, len(train), BATCH_SIZE):
        ids = np.asarray(layer(train.inputs["text"][start : start + BATCH_SIZE]))
        rows += [np.unique(row[row != 0]) for row in ids]
    ends = np.cumsum([0, *map(len, rows)])
    counts = scipy.sparse.csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(rows), ends), (len(rows), size))
    often = np.flatnonzero(np.asarray(counts.sum(0)).ravel() >= least_count(len(rows)))
    counts = counts.tocsc()[:, often].tocsr()
    weights = np.zeros((size, 1), np.float32)
    weights[often, 0] = np.max([np.abs(log_count_ratio(counts, labels == one)) for one in np.unique(labels)], 0)
    return weights


def predict_labels(model: keras.Model, split) -> np.ndarray:
    """Returns the probabilities of each class, float32 (n, classes)."""
    return model.predict(split.batches(BATCH_SIZE), verbose=0)["label"]
