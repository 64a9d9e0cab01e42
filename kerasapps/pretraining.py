"""Learning from texts without labels: a language model that reads in both directions, and its reader.

Reference: Peters et al., "Deep Contextualized Word Representations", NAACL 2018 (ELMo).
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers, ops

from kerasapps.blocks.neighbors import DrawnWords, Surprise
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.recurrent import LSTM
from kerasapps.data.splits import Split, Splits
from kerasapps.data.words import PADDING, WordIds
from kerasapps.errors import DataError

DRAWN = 1_024  # words that a neighbor is told apart from
DROPOUT = 0.1
HELD_OUT = 0.01  # share of the windows that are not learned from
WORDS, INPUT, READER, DRAW = "words", "reader_input", "reader", "drawn"  # layers


def build_bidirectional_language_model(*, vectors: np.ndarray, log_frequency: np.ndarray, units: int) -> keras.Model:
    """Builds a network that predicts the next word from those before it, and the previous word from those after it.

    Words have given vectors, which are not trained, and a word is predicted as a vector: the more alike it is to that
    of a word, the likelier the word.

    Args:
        vectors: Word vectors, float32 (V, D).
        log_frequency: Logarithm of the frequency of each id, float32 (V,).
        units: Width of each direction.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), at least 2 tokens; 0 is a token like others.
        Out, a dict: "next" and "previous" float32 (B, T - 1), how unexpected each neighbor is among drawn words, in
        nats.

    Train with: the mean of the outputs as the loss, as `mean_absolute_error` with targets of zero, (B, 1).

    Raises:
        ValueError: If there are not as many frequencies as vectors.

    Example:
        >>> model = build_bidirectional_language_model(vectors=vectors, log_frequency=log_frequency, units=256)
        >>> model.compile("adam", {"next": "mae", "previous": "mae"})
        >>> zeros = np.zeros((len(windows), 1))  # windows int32 (n, t)
        >>> model.fit(windows, {"next": zeros, "previous": zeros})
    """
    size, width = vectors.shape
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    table = layers.Embedding(size, width, trainable=False, name=WORDS)
    words = table(text)  # (B, T, D)
    x = layers.Dense(units, activation="tanh", name=INPUT)(words)  # (B, T, U)
    x = Dropout(DROPOUT, name="input_dropout")(x)
    x = layers.Bidirectional(LSTM(units, return_sequences=True, name="reader_lstm"), name=READER)(x)  # (B, T, 2 U)
    x = Dropout(DROPOUT, name="states_dropout")(x)

    # --- heads
    draw = DrawnWords(size, DRAWN, dtype="float32", name=DRAW)
    drawn, drawn_gains, gains = draw(text)  # (K,), (K,), (B, T)
    drawn_words = table(drawn)  # (K, D)

    def neighbor(name: str, states, seen: slice, wanted: slice):
        predicted = layers.Dense(width, dtype="float32", name=f"{name}_vector")(states[:, seen])  # (B, T - 1, D)
        right = words[:, wanted], text[:, wanted], gains[:, wanted]
        return Surprise(dtype="float32", name=name)(predicted, *right, drawn_words, drawn, drawn_gains)

    before, after = slice(None, -1), slice(1, None)
    outputs = {
        "next": neighbor("next", x[..., :units], before, after),
        "previous": neighbor("previous", x[..., units:], after, before),
    }
    model = keras.Model([text], outputs, name="bidirectional_language_model")
    table.set_weights([vectors])
    draw.set_weights([log_frequency])
    return model


def reader_weights(model: keras.Model) -> list[np.ndarray]:
    """Returns what a network needs to read as a trained language model does.

    Args:
        model: One of `build_bidirectional_language_model`.

    Returns:
        The input of each id to the recurrent layers, float32 (V, U), and the weights of these: kernel, recurrent kernel
        and bias of each direction.
    """
    (vectors,), (kernel, bias) = (model.get_layer(name).get_weights() for name in (WORDS, INPUT))
    return [np.tanh(vectors @ kernel + bias), *model.get_layer(READER).get_weights()]


def expectations(model: keras.Model) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Returns a function that says what a trained language model expects, among all words and not only drawn ones.

    Args:
        model: One of `build_bidirectional_language_model`.

    Returns:
        From token ids int32 (B, T) to log-probabilities of the neighbors of each, "next" and "previous", float32 (B, T
        - 1, V). That is many numbers: give it few texts at a time.
    """
    (vectors,), (log_frequency,) = (model.get_layer(name).get_weights()[:1] for name in (WORDS, DRAW))
    inner = keras.Model(model.inputs, {name: model.get_layer(f"{name}_vector").output for name in model.output})

    def expected(texts: np.ndarray) -> dict[str, np.ndarray]:
        found = inner({"text": texts})
        return {
            name: ops.convert_to_numpy(ops.log_softmax(ops.add(ops.matmul(one, vectors.T), log_frequency)))
            for name, one in found.items()
        }

    return expected


def text_windows(texts: Sequence[str], words: WordIds) -> Splits:
    """Returns texts as windows of as many tokens as `words` takes, one after the other.

    Between two texts is padding. The last hundredth of the windows is the validation set.

    Raises:
        DataError: If the texts do not fill two windows.
    """
    gap = np.full(1, PADDING, np.int32)
    whole = WordIds(words.words, 2**31 - 1, words.tokens)  # no text is cut
    stream = np.concatenate([part for text in texts for part in (whole.encode([text])[0][0], gap)] or [gap])
    count = len(stream) // words.length
    if count < 2:
        raise DataError(
            f"The texts have {(stream != PADDING).sum():,} words, too few for two windows of {words.length}."
        )
    windows = stream[: count * words.length].reshape(count, words.length)
    zeros = np.zeros((count, 1), np.float32)
    everything = Split({"text": windows}, {"next": zeros, "previous": zeros})
    held_out = max(1, round(HELD_OUT * count))
    train, validation = (everything.take(part) for part in np.split(np.arange(count), [count - held_out]))
    return Splits(train, validation, codec=words)
