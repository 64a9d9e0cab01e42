"""Recurrent text classifiers: LSTM, GRU or peephole LSTM over the words, in one direction or both, in several layers.

References: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997; Gers and Schmidhuber,
"Recurrent Nets that Time and Count", IJCNN 2000 (peepholes); Cho et al., "Learning Phrase Representations using RNN
Encoder-Decoder for Statistical Machine Translation", EMNLP 2014 (GRU).
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.attention import Present
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.recurrent import LSTM, PeepholeLSTM
from kerasapps.blocks.text import MaskedAverage, MaskedMaximum, NotPadding

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Cell = Literal["lstm", "gru", "peephole_lstm"]
Pooling = Literal["last", "mean", "max", "mean_max"]
CELLS = {"lstm": LSTM, "gru": layers.GRU, "peephole_lstm": PeepholeLSTM}


@checked
def build_recurrent_classifier(
    *,
    vocab_size: int,
    num_classes: int,
    cell: Cell = "lstm",
    embedding_dim: int = 128,
    units: int = 128,
    depth: int = 1,
    bidirectional: bool = False,
    pooling: Pooling = "last",
    word_dropout: float = 0.0,
    dropout: float = 0.5,
    name: str = "recurrent_classifier",
) -> keras.Model:
    """Builds a text classifier that reads a text word by word.

    The course notes' network for sentiment has an embedding, LSTM layers and a sigmoid; with two classes the softmax
    here is that sigmoid. Padding does not change the outputs.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        num_classes: Number of classes, at least 2.
        cell: "lstm", "gru", or "peephole_lstm", whose gates also see the cell state.
        embedding_dim: Length of a word vector.
        units: Width of a layer in each direction.
        depth: Number of recurrent layers.
        bidirectional: Whether each layer also reads from the end.
        pooling: What of the last layer is used: its last state, the mean or the maximum of its states over the text, or
            mean and maximum side by side.
        word_dropout: Share of the word vectors' features dropped in training, in [0, 1).
        dropout: Share of the text's features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), padded at the end.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If `num_classes` or `vocab_size` is under 2, a size under 1, a share outside [0, 1), or `cell` or
            `pooling` unknown.

    Example:
        >>> model = build_recurrent_classifier(vocab_size=1000, num_classes=4, bidirectional=True, pooling="max")
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit(texts, labels, epochs=2)  # texts int32 (n, t), labels int32 (n,)
        >>> model.predict(texts)["label"].argmax(-1)
    """
    check_at_least(2, vocab_size=vocab_size, num_classes=num_classes)
    check_at_least(1, embedding_dim=embedding_dim, units=units, depth=depth)
    check_share(word_dropout=word_dropout, dropout=dropout)

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    present = Present(name="present")(text)  # (B, T)
    x = layers.Embedding(vocab_size, embedding_dim, name="words")(text)  # (B, T, D)
    x = Dropout(word_dropout, name="words_dropout")(x)
    for i in range(1, depth + 1):
        layer = CELLS[cell](units, return_sequences=i < depth or pooling != "last", name=f"{cell}{i}")
        layer = layers.Bidirectional(layer, name=f"both{i}") if bidirectional else layer
        x = layer(x, mask=present)  # (B, T, units), both directions side by side; the last state alone (B, units)
    x = pool_block(x, text, pooling=pooling, name="features")  # (B, F)
    x = Dropout(dropout, name="features_dropout")(x)

    # --- heads
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)
    return keras.Model([text], {"label": label}, name=name)


def pool_block(states, text, *, pooling: Pooling, name: str):
    """Reduces the states of a text to one vector: states (B, T, F), text (B, T) -> (B, F), "mean_max" (B, 2 F)."""
    if pooling == "last":
        return states
    mask = NotPadding(name=f"{name}_mask")(text)  # (B, T, 1)
    pooled = {
        "mean": lambda: MaskedAverage(name=f"{name}_mean")(layers.Multiply(name=f"{name}_words")([states, mask]), mask),
        "max": lambda: MaskedMaximum(name=f"{name}_max")(states, mask),
    }
    vectors = [pooled[kind]() for kind in pooling.split("_")]
    return layers.Concatenate(name=name)(vectors) if len(vectors) > 1 else vectors[0]


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_recurrent_classifier`, the cell given; each default equals the builder's."""
    return {
        "embedding_dim": hp.Int("embedding_dim", 32, 256, step=32, default=128),
        "units": hp.Int("units", 32, 256, step=32, default=128),
        "depth": hp.Int("depth", 1, 3, default=1),
        "bidirectional": hp.Boolean("bidirectional", default=False),
        "pooling": hp.Choice("pooling", ["last", "mean", "max", "mean_max"], default="last"),
        "word_dropout": hp.Float("word_dropout", 0.0, 0.5, step=0.1, default=0.0),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
    }
