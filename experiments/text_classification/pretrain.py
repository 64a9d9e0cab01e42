"""`pretrain`: word vectors, and a network that reads in both directions, from texts without labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from kerasapps.data.encodings import read_text
from kerasapps.data.segments import Segmenter
from kerasapps.data.splits import Split
from kerasapps.data.text_sets import clean, read_imdb, read_snippets
from kerasapps.data.vectors import FEWEST, Contexts, learn_vectors
from kerasapps.data.words import PADDING, UNKNOWN, GivenTokens, Tokens, WordIds, settle_tokens
from kerasapps.errors import DataError, UserError
from kerasapps.files import regular_file, user_path
from kerasapps.optimizers import one_cycle
from kerasapps.pretraining import build_bidirectional_language_model, expectations, text_windows
from kerasapps.reports import Table
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, Positive, Text, ranged, settings_of

from ..shared import training
from ..shared.training import finish, tell
from .vectors import PRETRAINING

WINDOW = 64  # words that are read at a time
SCORED = 100  # windows of the validation set that are scored among all words
COMMON = 0.005  # share of the words, the most frequent ones, of which examples would tell little
SHOWN, AROUND, NEAREST = 12, 4, 5  # examples, words to each side, words that are alike
SEPARATOR = " \u00b7 "  # commas are words
Expected = Callable[[np.ndarray], dict[str, np.ndarray]]  # see `expectations`
CLIP = 1.0  # largest norm of the gradients of a step together


@dataclass(frozen=True)
class Recipe:
    """How the language model is trained.

    Args:
        epochs: Epochs over the texts.
        batch_size: Windows of 64 words in a step, over all devices.
        learning_rate: Peak learning rate of Adam, soon reached; then it falls to nearly 0.
    """

    epochs: Count = 1
    batch_size: Count = 64
    learning_rate: Positive = 3e-3


@dataclass(frozen=True)
class Corpus:
    """Which texts are learned from, and how they are cut.

    Args:
        texts: "imdb", the texts of the film reviews without their labels, "snippets", simulated ones, or a text file
            with a text a line.
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
    recipe: Recipe = Recipe(),
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
    recipe = options.shrunk(recipe, epochs=1, batch_size=16)
    run = start(PRETRAINING, settings_of(locals()), experiment="text_classification", workload="lstm")
    texts, tokens = read_corpus(corpus, limit=run.options.rows, seed=run.options.seed)
    found = learn_vectors(texts, (), further=corpus.vocab_size - UNKNOWN - 1, contexts=corpus.contexts, tokens=tokens)
    if not found:
        raise DataError(f"{corpus.texts}: no two words that are in the texts {FEWEST} times stand near each other.")
    words = WordIds(tuple(found), WINDOW, tokens)
    splits = text_windows(texts, words)
    vectors = np.concatenate([np.zeros((UNKNOWN + 1, len(found[words.words[0]])), np.float32), list(found.values())])
    tell([f"{len(texts):,} texts, {len(splits.train):,} windows of {WINDOW} words, {words.size:,} token ids."])
    network = partial(make_model, vectors=vectors, windows=splits.train, units=run.options.shrink(units, 8))
    trained = training.train(run, splits, network, recipe)
    # Some of all over the last hundredth.
    rows = np.linspace(0, len(splits.validation) - 1, min(SCORED, len(splits.validation))).astype(int)
    expected, held_out = expectations(trained.model), splits.validation.inputs["text"][rows]
    nats = held_out_nats(expected, held_out)
    metrics = {f"perplexity_{name}": float(np.exp(values.mean())) for name, values in nats.items()}
    rows = [[f"the {name} word", metrics[f"perplexity_{name}"]] for name in nats]
    # Not learned from by the networks: the vectors are of all texts.
    table = Table("Perplexity of the last hundredth of the texts", ["", f"among {words.size:,} words"], rows)
    finish(
        run,
        trained,
        metrics,
        [table, expected_table(expected, held_out, words, seed=run.options.seed), alike_table(vectors, words)],
        summary=f"{words.size - UNKNOWN - 1:,} word vectors, and recurrent networks that read forward and backward, "
        f"learned from {len(texts):,} texts of {corpus.texts}.",
        headline=("perplexity_next", "perplexity_previous", "seconds"),
        table=table,
        following={"Begin a text classifier with it": f"train --tokens {corpus.tokens} --vectors RUN"},
    )


def read_corpus(corpus: Corpus, *, limit: int | None, seed: int) -> tuple[list[str], Tokens]:
    """Reads texts, and settles how they are cut.

    Raises:
        DataError: If they cannot be read.
        UserError: If their words would have to be learned, which `train` would do in another way.
    """
    if corpus.texts in ("imdb", "snippets"):
        texts = (read_imdb() if corpus.texts == "imdb" else read_snippets(seed=seed)).texts
    else:
        text, notes = read_text(regular_file(user_path(corpus.texts)))
        texts = text.splitlines()
        tell(notes)
    texts = clean([one for one in texts if one.strip()][:limit])
    tokens, notes = settle_tokens(corpus.tokens, texts)
    if isinstance(tokens, Segmenter):
        raise UserError(f"{corpus.texts} has no spaces between words: give --tokens characters, here and to train.")
    tell(notes)
    return texts, tokens


def held_out_nats(expected: Expected, windows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns how unexpected the neighbors of words are among all words, in nats, float32 (n,)."""
    right, found = {"next": windows[:, 1:], "previous": windows[:, :-1]}, {"next": [], "previous": []}
    for row in range(len(windows)):  # one after the other: a window has a million numbers
        scores = expected(windows[row : row + 1])
        for name, ids in right.items():
            words = ids[row] != PADDING
            found[name].append(-scores[name][0][words, ids[row][words]])
    return {name: np.concatenate(rows) for name, rows in found.items()}


def expected_table(expected: Expected, windows: np.ndarray, words: WordIds, *, seed: int) -> Table | None:
    """Returns some words with what stands around them and what was expected in their stead; None without any."""
    rng, rows = np.random.default_rng(seed), []
    for window in windows:
        places = np.flatnonzero(window[AROUND:-AROUND] > UNKNOWN + COMMON * words.size) + AROUND
        if len(rows) == SHOWN:
            break
        if not len(places):
            continue
        place = rng.choice(places)
        scores = expected(window[None])
        before, after = window[place - AROUND : place], window[place + 1 : place + 1 + AROUND]
        likely = [np.argsort(-one)[:3] for one in (scores["next"][0, place - 1], scores["previous"][0, place])]
        rows.append([_text(part, words) for part in (before, [window[place]], after)])
        rows[-1] += [SEPARATOR.join(_text([i], words) for i in ids) for ids in likely]
    columns = ["before", "word", "after", "expected from before", "expected from after"]
    return Table("What the networks expect in the place of a word", columns, rows) if rows else None


def alike_table(vectors: np.ndarray, words: WordIds) -> Table:
    """Returns some words, from frequent to rare, with those whose vectors are most alike."""
    rows = []
    for i in np.unique(np.geomspace(UNKNOWN + 1 + COMMON * words.size, words.size - 1, SHOWN).astype(int)):
        alike = np.argsort(-(vectors[UNKNOWN + 1 :] @ vectors[i])) + UNKNOWN + 1  # nearly all are equally long
        nearest = [_text([j], words) for j in alike[: NEAREST + 1] if j != i]
        rows.append([_text([i], words), SEPARATOR.join(nearest[:NEAREST])])
    return Table("Words with the most similar vectors", ["word", "most alike"], rows)


def _text(ids: Sequence[int], words: WordIds) -> str:
    """Returns tokens as a text; between two texts is a line, and an ellipsis is a word that has no id."""
    return " ".join({PADDING: "|", UNKNOWN: "…"}.get(i) or words.words[i - UNKNOWN - 1] for i in map(int, ids))


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
