"""A running text as windows for a language model, drawn anew in every epoch, and its codec."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasapps.data.running_text import Content, RunningText, read_running_text
from kerasapps.data.splits import Split, Splits
from kerasapps.data.vocabularies import FIRST, Lines, TokenKind, Vocabulary, fit_vocabulary, vocabulary_from_json
from kerasapps.errors import DataError

MOST_WINDOWS = 4_000  # of a validation text, evenly spaced
MOST_TESTED = 1_000_000  # tokens of a test text


@dataclass(frozen=True)
class LanguageCodec:
    """Turns text into ids and ids into text; fitted to a training text.

    Args:
        vocabulary: Tokens and their ids.
        context: Tokens of a window in training.
    """

    vocabulary: Vocabulary
    context: int

    def encode(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the input "text", int32 (n, T), padded at the end."""
        rows = [self.vocabulary.encode(text) for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows), default=1)), np.int32)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        return {"text": ids}

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids (T,)."""
        return self.vocabulary.decode(ids)

    def outputs(self) -> dict[str, int]:
        """Returns the width of each output."""
        return {"next": self.vocabulary.size}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return {"vocabulary": self.vocabulary.to_json(), "context": self.context}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LanguageCodec":
        """Returns the codec that `to_json` described."""
        context = int(content["context"])
        if context < 2:
            raise ValueError(f"`context` must be at least 2. Received: context={context}")
        return cls(vocabulary_from_json(content["vocabulary"]), context)


@dataclass(frozen=True, kw_only=True)
class LanguageSplits(Splits):
    """Windows of a text, and what they are of.

    Args:
        tested: Token ids of the test text, int32 (n,).
        characters: How many characters it has.
        text: The text that was read.
    """

    tested: np.ndarray
    characters: int
    text: RunningText


def load_language(
    data: str = "grammar",
    *,
    tokens: TokenKind | None = None,
    vocab_size: int = 2_000,
    context: int = 128,
    seed: int = 0,
    limit: int | None = None,
) -> LanguageSplits:
    """Loads a running text.

    Args:
        data: "grammar", "shakespeare", a text file, or a folder of .txt files.
        tokens: What a token is; by default a character, and of a large file a byte.
        vocab_size: Ids at most, of words and pieces of words.
        context: Tokens of a window.
        seed: Seed of what is simulated.
        limit: Windows of each set at most.

    Returns:
        Splits with the input "text" int32 (n, context), and the target "next" int32 (n, context), one token later.

    Raises:
        DataError: If the text cannot be read, or is shorter than a window.
    """
    text = read_running_text(data, as_bytes=None if tokens is None else tokens == "bytes", seed=seed)
    if isinstance(text.train, np.ndarray):
        tokens = "bytes"
    vocabulary = fit_vocabulary(text.train, tokens=tokens or "characters", size=vocab_size)
    codec = LanguageCodec(vocabulary, context)
    train, validation = _ids(vocabulary, text.train), _ids(vocabulary, text.validation)
    tested, characters = encode_content(codec, text.test, limit=limit)
    for name, ids in (("training", train), ("validation", validation), ("test", tested)):
        if len(ids) <= context:
            raise DataError(f"The {name} text has {len(ids):,} tokens, too few for --context {context}.")
    unknown = int(np.count_nonzero(tested == FIRST - 1))
    notes = [*text.notes, f"{len(train):,} tokens to train on, {vocabulary.size:,} token ids."]
    if unknown:
        notes.append(f"{unknown:,} of {len(tested):,} tokens of the test text have no token id.")
    return LanguageSplits(
        train=random_windows(train, context=context, limit=limit),
        validation=windows(validation, context=context, limit=limit),
        test=windows(tested, context=context, limit=limit),
        sizes={"vocab_size": vocabulary.size},
        codec=codec,
        notes=tuple(notes),
        tested=tested,
        characters=characters,
        text=text,
    )


def encode_content(codec: LanguageCodec, content: Content, *, limit: int | None = None) -> tuple[np.ndarray, int]:
    """Returns the token ids of a test text, int32 (n,), of a long one those of its beginning, and how many characters.

    A byte that continues a character of UTF-8 is none of its own.

    Args:
        codec: The codec.
        content: The text.
        limit: Windows at most.
    """
    if limit is not None:
        # A word or a piece of one has a few characters.
        content = content[: 1 + limit * codec.context * (10 if isinstance(codec.vocabulary, Lines) else 1)]
    content = content[:MOST_TESTED]
    ids = codec.vocabulary.encode(content)
    if isinstance(content, str):
        return ids, len(content)
    return ids, int(np.count_nonzero((np.asarray(content) & 0xC0) != 0x80))


def _ids(vocabulary: Vocabulary, content: Content) -> np.ndarray:
    """Returns token ids (n,); those of a mapped file are its bytes, which `_windows` turns into ids."""
    return content if isinstance(content, np.ndarray) else vocabulary.encode(content)


def random_windows(ids: np.ndarray, *, context: int, limit: int | None = None) -> Split:
    """Returns windows for training, in each epoch others: as many as follow one another in a text, each begins within
    one window's length from where it would.

    Args:
        ids: Token ids int32 (n,), or the bytes of a file (n,), which stay where they are.
        context: Tokens of a window.
        limit: Windows at most.
    """
    starts = np.arange(0, len(ids) - context, context, dtype=np.int64)[:limit]
    last = len(ids) - context - 1

    def draw(inputs, targets, seed):
        offsets = tf.random.stateless_uniform(tf.shape(inputs["text"]), seed, maxval=context, dtype=tf.int64)
        begins = tf.minimum(inputs["text"] + offsets, last)
        whole = tf.numpy_function(lambda begin: _windows(ids, begin, context), [begins], tf.int32, stateful=False)
        whole.set_shape((None, context + 1))
        return {"text": whole[:, :-1]}, {"next": whole[:, 1:]}

    # By some of the first tokens workers notice that they have different texts; all would read a mapped file whole.
    first, some = np.zeros((len(starts), 1), np.int32), _spread(len(starts), MOST_WINDOWS)
    first[some] = _windows(ids, starts[some], 0)
    return Split({"text": starts}, {"next": first}, augment=draw)


def windows(ids: np.ndarray, *, context: int, limit: int | None = None) -> Split:
    """Returns windows that follow one another, of a long text some of them; what is left at its end is not read."""
    starts = np.arange(0, len(ids) - context, context)
    whole = _windows(ids, starts[_spread(len(starts), min(limit or MOST_WINDOWS, MOST_WINDOWS))], context)
    return Split({"text": whole[:, :-1]}, {"next": whole[:, 1:]})


def _spread(count: int, most: int) -> np.ndarray:
    """Returns numbers below a count, evenly spaced, at most so many."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def _windows(ids: np.ndarray, starts: np.ndarray, context: int) -> np.ndarray:
    """Returns windows of context + 1 tokens: int32 (n, context + 1)."""
    found = ids[np.asarray(starts)[:, None] + np.arange(context + 1)]
    return found.astype(np.int32) + FIRST if found.dtype == np.uint8 else found
