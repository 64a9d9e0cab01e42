"""`pretrain`: word vectors, and a network that reads in both directions, from texts without labels."""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from kerasapps.data.encodings import read_text
from kerasapps.data.splits import Split
from kerasapps.data.text_sets import clean, read_imdb
from kerasapps.data.vectors import FEWEST, Contexts, learn_vectors
from kerasapps.data.words import UNKNOWN, GivenTokens, Tokens, WordIds, settle_tokens
from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path
from kerasapps.optimizers import one_cycle
from kerasapps.pretraining import build_bidirectional_language_model, text_windows
from kerasapps.reports import Table
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, Text, ranged, settings_of, settle

from ..shared import training
from ..shared.training import finish, tell
from .network import GivenRecipe, Recipe
from .vectors import PRETRAINING

RECIPE = Recipe(epochs=1, batch_size=64, learning_rate=3e-3)
WINDOW = 64  # words that are read at a time
CLIP = 1.0  # largest norm of the gradients of a step together


@dataclass(frozen=True)
class Corpus:
    """Which texts are learned from, and how they are cut.

    Args:
        texts: "imdb", the texts of the film reviews without their labels, or a text file with a text a line.
        tokens: As for `train`, which takes the vectors of a run with the same tokens alone.
        vocab_size: Token ids at most; the most frequent words get one.
        contexts: What the vectors are learned from, see `train`.
    """

    texts: Text = "imdb"
    tokens: GivenTokens = "auto"
    vocab_size: ranged(int, least=10) = 40_000
    contexts: Contexts = "both"


def pretrain(
    *,
    corpus: Corpus = Corpus(),
    units: Count = 256,
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Learns from texts without labels what `train --vectors RUN` begins with.

    Word vectors are learned from the contexts of words; then a recurrent network learns to predict the next word, and
    one the word before. The text CNN has the states of both beside the vectors: what a word means where it stands.

    Args:
        corpus: Which texts.
        units: Width of the recurrent network in each direction.
        recipe: How it is trained.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(settle(RECIPE, recipe), epochs=1, batch_size=16)
    run = start(PRETRAINING, settings_of(locals()), experiment="text_classification", workload="lstm")
    texts, tokens = read_corpus(corpus, limit=run.options.rows)
    found = learn_vectors(texts, (), further=corpus.vocab_size - UNKNOWN - 1, contexts=corpus.contexts, tokens=tokens)
    if not found:
        raise DataError(f"{corpus.texts}: no two words are in the texts {FEWEST} times or more.")
    words = WordIds(tuple(found), WINDOW, tokens)
    splits = text_windows(texts, words)
    vectors = np.concatenate([np.zeros((UNKNOWN + 1, len(found[words.words[0]])), np.float32), list(found.values())])
    tell([f"{len(texts):,} texts, {len(splits.train):,} windows of {WINDOW} words, {words.size:,} token ids."])
    network = partial(make_model, vectors=vectors, windows=splits.train, units=run.options.shrink(units, 8))
    trained = training.train(run, splits, network, recipe)
    nats = trained.history.rows[trained.history.best_epoch - 1]
    metrics = {name: float(nats[f"val_{name}_loss"]) for name in ("next", "previous")}
    rows = [[f"the {name} word", value] for name, value in metrics.items()]
    table = Table("How unexpected a word is among 1,024 drawn ones, in nats", ["", "validation"], rows)
    finish(
        run,
        trained,
        metrics,
        [table],
        summary=f"{words.size - UNKNOWN - 1:,} word vectors, and recurrent networks that read forward and backward, "
        f"learned from {len(texts):,} texts of {corpus.texts}.",
        headline=("next", "previous", "seconds"),
        table=table,
        following={"Begin a text classifier with it": f"train --tokens {corpus.tokens} --vectors RUN"},
    )


def read_corpus(corpus: Corpus, *, limit: int | None) -> tuple[list[str], Tokens]:
    """Reads texts, and settles how they are cut.

    Raises:
        DataError: If they cannot be read.
    """
    if corpus.texts == "imdb":
        texts = read_imdb().texts
    else:
        text, notes = read_text(regular_file(user_path(corpus.texts)))
        texts = text.splitlines()
        tell(notes)
    texts = clean([one for one in texts if one.strip()][:limit])
    tokens, notes = settle_tokens(corpus.tokens, texts)
    tell(notes)
    return texts, tokens


def make_model(
    *, vectors: np.ndarray, windows: Split, units: int, recipe: Recipe, steps: int, jit_compile: bool = False
) -> keras.Model:
    """Builds and compiles.

    Args:
        vectors: Word vectors, float32 (V, D).
        windows: The training set, which tells how frequent each id is.
        units: Width of the recurrent network in each direction.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate rises and falls.
        jit_compile: Whether XLA compiles the step.
    """
    counts = np.bincount(windows.inputs["text"].ravel(), minlength=len(vectors))
    # Half a time for what only the validation set has.
    log_frequency = np.log(np.maximum(counts, 0.5) / counts.sum()).astype(np.float32)
    model = build_bidirectional_language_model(vectors=vectors, log_frequency=log_frequency, units=units)
    rate = one_cycle(recipe.learning_rate, steps=steps, warmup=0.03)
    model.compile(
        optimizer=keras.optimizers.Adam(rate, global_clipnorm=CLIP),
        loss={name: "mean_absolute_error" for name in model.output},
        jit_compile=jit_compile,
    )
    return model
