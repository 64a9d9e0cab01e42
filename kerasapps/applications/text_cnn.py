"""Text CNN: convolutions over word windows of several widths, each reduced to its maximum over time.

References: Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014; Peters et al., "Deep
Contextualized Word Representations", NAACL 2018 (a reader's states beside the words).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_positive, check_share, checked, refusal
from kerasapps.blocks.attention import Present
from kerasapps.blocks.distinct_words import DistinctWords, EveryWord, StrongestWindow, WordRows
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.recurrent import LSTM
from kerasapps.blocks.text import ZeroPadded

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Vectors = Literal["random", "static", "non_static", "multichannel"]
TRAINED, FROZEN = "words", "frozen_words"  # embedding layers
READER_WORDS, READER = "reader_words", "reader"  # layers
STATES_DROPPED, CONTEXT_DIM = 0.3, 100


@checked
def build_text_cnn(
    *,
    vocab_size: int,
    num_classes: int,
    embedding_dim: int = 300,
    filters: int = 100,
    widths: Sequence[int] = (3, 4, 5),
    dropout: float = 0.5,
    max_norm: float = 3.0,
    vectors: Vectors = "random",
    reader_units: int = 0,
    name: str = "text_cnn",
) -> keras.Model:
    """Builds a text classifier that looks for telling word windows.

    Padding does not change its outputs, and a text may be shorter than the windows.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        num_classes: Number of classes, at least 2.
        embedding_dim: Length of a word vector.
        filters: Number of filters of each width.
        widths: Window widths in words, each once.
        dropout: Share of the features dropped in training, in [0, 1).
        max_norm: Largest length of the weight vector of a class, above 0.
        vectors: What becomes of word vectors: "random", trained from a random start; "non_static", trained from given
            ones; "static", given and not trained; "multichannel", both. Given ones are set with
            `model.get_layer("words").set_weights([vectors])`, those that are not trained in "frozen_words".
        reader_units: Width, in each direction, of a recurrent network that has learned to read before, whose states
            each word has beside its vector: what it means where it stands. 0 for none. Its weights,
            `kerasapps.pretraining.reader_weights`, are not trained; they are set in "reader_words" and "reader".
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), padded at the end.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy. The paper uses Adadelta.

    Raises:
        ValueError: If `num_classes` or `vocab_size` is under 2, a size under 1, `reader_units` under 0, `widths` empty
            or with a width twice, `dropout` outside [0, 1), `max_norm` not above 0, or `vectors` unknown.

    Example:
        >>> model = build_text_cnn(vocab_size=1000, num_classes=4)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit(texts, labels, epochs=2)  # texts int32 (n, t), labels int32 (n,)
        >>> model.predict(texts)["label"].argmax(-1)
    """
    check_at_least(2, vocab_size=vocab_size, num_classes=num_classes)
    check_at_least(1, embedding_dim=embedding_dim, filters=filters, widths=widths)
    check_at_least(0, reader_units=reader_units)
    check_windows(widths)
    check_share(dropout=dropout)
    check_positive(max_norm=max_norm)

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    context = context_block(text, vocab_size=vocab_size, units=reader_units) if reader_units else None  # (B, T, C)
    x = windows_block(
        text,
        context,
        vocab_size=vocab_size,
        embedding_dim=embedding_dim,
        filters=filters,
        widths=widths,
        vectors=vectors,
    )  # (B, widths * F)
    x = Dropout(dropout, name="features_dropout")(x)

    # --- heads
    label = bounded_label(x, num_classes=num_classes, max_norm=max_norm)
    return keras.Model([text], {"label": label}, name=name)


def check_windows(widths: Sequence[int]) -> None:
    """Raises ValueError for widths of windows that are none or not different."""
    if not widths or len(set(widths)) != len(widths):
        raise refusal("hold at least one width, none twice", widths=widths)


def bounded_label(x, *, num_classes: int, max_norm: float):
    """Returns probabilities (B, num_classes) from features (B, F); a class's weights are no longer than `max_norm`."""
    constraint = keras.constraints.MaxNorm(max_norm, axis=0)
    label = layers.Dense(num_classes, activation="softmax", kernel_constraint=constraint, dtype="float32", name="label")
    return label(x)


def context_block(text, *, vocab_size: int, units: int):
    """Reads a text in both directions, as was learned before: text (B, T) -> of each word (B, T, 100)."""
    x = layers.Embedding(vocab_size, units, trainable=False, name=READER_WORDS)(text)  # (B, T, U)
    reader = layers.Bidirectional(LSTM(units, return_sequences=True, name="reader_lstm"), name=READER)
    reader.trainable = False
    x = reader(x, mask=Present(name="present")(text))  # (B, T, 2 U)
    x = Dropout(STATES_DROPPED, name="states_dropout")(x)
    # Fewer numbers than the reader has, or the windows would have more weights for the context than for words.
    return layers.Dense(CONTEXT_DIM, activation="tanh", name="context")(x)


def windows_block(
    text, context=None, *, vocab_size: int, embedding_dim: int, filters: int, widths: Sequence[int], vectors: Vectors
):
    """Finds the strongest matches of filters of several widths.

    Args:
        text: Token ids, 0 for padding, (B, T).
        context: What each word has beside its vector, (B, T, C).
        vocab_size: As for `build_text_cnn`, and so are the other arguments.

    Returns:
        Matches (B, widths * filters).
    """
    # Each window of a filter is a sum of products with its words, computed once for each distinct word of the batch;
    # with a context no two words are the same.
    listed = DistinctWords if context is None else EveryWord
    distinct, places = listed(name="distinct_words")(text)  # (U,), (B, T)
    channels = {TRAINED: vectors != "static", FROZEN: vectors in ("static", "multichannel")}
    words = [
        layers.Embedding(vocab_size, embedding_dim, trainable=channel == TRAINED, name=channel)(distinct)
        for channel, used in channels.items()
        if used
    ]
    # The paper applies each filter to both channels and adds what they give: the filter of the sum of the channels.
    x = layers.Add(name="channels")(words) if len(words) > 1 else words[0]  # (U, D)
    if context is not None:
        x = layers.Concatenate(name="words_and_context")([x, WordRows(name="contexts")(context)])  # (U, D + C)
    x = ZeroPadded(name="masked")(x, distinct)
    features = [window_block(x, places, text, filters=filters, width=width, name=f"width{width}") for width in widths]
    return layers.Concatenate(name="features")(features) if len(features) > 1 else features[0]


def window_block(words, places, text, *, filters: int, width: int, name: str):
    """Finds the strongest match of each filter anywhere in a text.

    Args:
        words: Vectors of the distinct words (U, D), 0 for padding.
        places: Which of them stands where, (B, T).
        text: Token ids, 0 for padding, (B, T).
        filters: Number of filters.
        width: Words in a window; windows extend past the ends of the text.
        name: Prefix of the layers' names.

    Returns:
        Matches (B, filters).
    """
    # Deviation: a window lies around each word; in the paper's code windows also begin up to four words before a text.
    return StrongestWindow(filters, width, name=f"{name}_conv")(words, places, text)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_text_cnn`; each default equals the builder's."""
    return {
        "embedding_dim": hp.Int("embedding_dim", 50, 300, step=50, default=300),
        "filters": hp.Int("filters", 50, 300, step=50, default=100),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
        "max_norm": hp.Float("max_norm", 1.0, 9.0, step=2.0, default=3.0),
    }
