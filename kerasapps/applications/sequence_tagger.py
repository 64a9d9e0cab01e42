"""Sequence tagger: one label for each step, from what comes before it and what comes after.

References: Graves and Schmidhuber, "Framewise Phoneme Classification with Bidirectional LSTM and Other Neural Network
Architectures", Neural Networks 2005; Huang, Xu and Yu, "Bidirectional LSTM-CRF Models for Sequence Tagging", 2015 (its
network without the CRF).
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked, refusal
from kerasapps.blocks.attention import Present, Unmasked
from kerasapps.blocks.gru import GRU
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.recurrent import LSTM

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Cell = Literal["lstm", "gru"]
CELLS = {"lstm": LSTM, "gru": GRU}


@checked
def build_sequence_tagger(
    *,
    num_tags: int,
    vocab_size: int | None = None,
    num_features: int | None = None,
    cell: Cell = "lstm",
    embedding_dim: int = 64,
    units: int = 64,
    depth: int = 1,
    bidirectional: bool = True,
    step_dropout: float = 0.0,
    dropout: float = 0.3,
    name: str = "sequence_tagger",
) -> keras.Model:
    """Builds a network that labels each step of a sequence: of words, or of anything that is described by numbers.

    Read in both directions, a step is labeled with all that stands before and behind it. In one direction it is labeled
    as soon as it arrives. Padding does not change the outputs of the other steps.

    Args:
        num_tags: Number of tags, at least 2.
        vocab_size: Number of token ids, for a sequence of words; 0 is padding. Ids in the input must be below it:
            TensorFlow refuses others on a CPU, and reads them as zeros on a GPU.
        num_features: Numbers a step, for a sequence of vectors such as a classifier's outputs over time; a step whose
            numbers are all 0 is padding. Either this or `vocab_size`.
        cell: "lstm" or "gru".
        embedding_dim: Length of a word vector; vectors are read as they are.
        units: Width of a layer in each direction.
        depth: Number of recurrent layers.
        bidirectional: Whether each layer also reads from the end.
        step_dropout: Share of a step's features dropped in training, in [0, 1).
        dropout: Share of each layer's outputs dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), or "features" float32 (B, T, num_features), padded at the end.
        Out, a dict: "tags" float32 probabilities (B, T, num_tags).

    Train with: sparse_categorical_crossentropy on tag ids (B, T), with sample weights (B, T) that are 0 in padding;
        accuracy as a weighted metric.

    Raises:
        ValueError: If neither or both of `vocab_size` and `num_features` are given, `num_tags` or `vocab_size` is under
            2, another size under 1, a share outside [0, 1), or `cell` unknown.

    Example:
        >>> model = build_sequence_tagger(vocab_size=1000, num_tags=5)
        >>> model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        >>> model.fit(texts, tags, sample_weight=texts != 0, epochs=2)  # texts and tags int32 (n, t)
        >>> model.predict(texts)["tags"].argmax(-1)  # (n, t)
    """
    if (vocab_size is None) == (num_features is None):
        raise refusal("be given, one of them", vocab_size=vocab_size, num_features=num_features)
    check_at_least(2, num_tags=num_tags, **({} if vocab_size is None else {"vocab_size": vocab_size}))
    check_at_least(1, embedding_dim=embedding_dim, units=units, depth=depth)
    check_share(step_dropout=step_dropout, dropout=dropout)

    # --- inputs
    if num_features is None:
        steps = keras.Input((None,), dtype="int32", name="text")  # (B, T)
        present = Present(name="present")(steps)  # (B, T)
        x = layers.Embedding(vocab_size, embedding_dim, name="words")(steps)  # (B, T, D)
    else:
        check_at_least(1, num_features=num_features)
        x = steps = keras.Input((None, num_features), name="features")  # (B, T, D)
        present = Present(sentences=True, name="present")(steps)  # (B, T)

    # --- trunk
    x = Dropout(step_dropout, name="step_dropout")(x)
    for i in range(1, depth + 1):
        layer = CELLS[cell](units, return_sequences=True, name=f"{cell}{i}")
        layer = layers.Bidirectional(layer, name=f"both{i}") if bidirectional else layer
        x = layer(x, mask=present)  # (B, T, units), both directions side by side
        x = Dropout(dropout, name=f"dropout{i}")(x)

    # --- heads
    x = Unmasked(name="states")(x)  # sample weights say which steps count
    tags = layers.Dense(num_tags, activation="softmax", dtype="float32", name="tags")(x)  # (B, T, num_tags)
    return keras.Model([steps], {"tags": tags}, name=name)


def search_space(hp: "HyperParameters", *, words: bool = True) -> dict[str, Any]:
    """Returns arguments for `build_sequence_tagger`, of words or of numbers; each default equals the builder's."""
    own = {"embedding_dim": hp.Int("embedding_dim", 32, 256, step=32, default=64)} if words else {}
    return own | {
        "cell": hp.Choice("cell", ["lstm", "gru"], default="lstm"),
        "units": hp.Int("units", 32, 256, step=32, default=64),
        "depth": hp.Int("depth", 1, 3, default=1),
        "bidirectional": hp.Boolean("bidirectional", default=True),
        "step_dropout": hp.Float("step_dropout", 0.0, 0.5, step=0.1, default=0.0),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.3),
    }
