"""Bag of n-grams: the average of the vectors of a text's words and n-grams, and one layer on top.

References: Joulin et al., "Bag of Tricks for Efficient Text Classification", EACL 2017 (fastText); Li et al., "Weighted
Neural Bag-of-n-grams Model", COLING 2016 (weights).
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.text import MaskedAverage, Ngrams, NotPadding, ZeroPadded

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_bag_of_ngrams(
    *,
    vocab_size: int,
    num_classes: int,
    embedding_dim: int = 50,
    buckets: int = 200_000,
    longest: int = 2,
    weighted: bool = False,
    dropout: float = 0.0,
    name: str = "bag_of_ngrams",
) -> keras.Model:
    """Builds a linear text classifier over averaged vectors of words and n-grams: quick, and hard to beat.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        num_classes: Number of classes, at least 2.
        embedding_dim: Length of a vector.
        buckets: Vectors that the n-grams of several words share: each has the vector of its hash; 0 leaves them out.
        longest: Words of the longest n-grams, 2 for pairs.
        weighted: Whether the average is weighted by numbers that are not trained. They are 1 until they are set with
            `model.get_layer("weights").set_weights([weights])`, float32 (vocab_size + buckets, 1), such as how much
            more frequent an n-gram is in one class. A text whose weights add up to less than 1 has a shorter average.
        dropout: Share of the averaged features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), padded at the end.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy. `kerasapps.optimizers.LazyAdam` updates only the
    vectors in the batch.

    Raises:
        ValueError: If `num_classes` or `vocab_size` is under 2, `embedding_dim` or `longest` under 1, `buckets` under
            0, or `dropout` outside [0, 1).

    Example:
        >>> model = build_bag_of_ngrams(vocab_size=1000, num_classes=4, buckets=5000)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit(texts, labels, epochs=2)  # texts int32 (n, t), labels int32 (n,)
        >>> model.predict(texts)["label"].argmax(-1)
    """
    check_at_least(2, vocab_size=vocab_size, num_classes=num_classes)
    check_at_least(1, embedding_dim=embedding_dim, longest=longest)
    check_at_least(0, buckets=buckets)
    check_share(dropout=dropout)

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    x = ngrams_block(
        text, vocab_size=vocab_size, embedding_dim=embedding_dim, buckets=buckets, longest=longest, weighted=weighted
    )  # (B, D)
    x = Dropout(dropout, name="features_dropout")(x)

    # --- heads
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)
    return keras.Model([text], {"label": label}, name=name)


def ngrams_block(
    text, *, vocab_size: int, embedding_dim: int, buckets: int, longest: int, weighted: bool, name: str = ""
):
    """Averages the vectors of words and n-grams.

    Args:
        text: Token ids, 0 for padding, (B, T).
        vocab_size: As for `build_bag_of_ngrams`, and so are the other arguments.
        name: Prefix of those layers' names that the block has in common with others; "vectors" and "weights" are found
            by theirs.

    Returns:
        Averages (B, embedding_dim).
    """
    ngrams = text
    if buckets and longest > 1:
        ngrams = Ngrams(vocab_size=vocab_size, buckets=buckets, longest=longest, name="ngrams")(text)  # (B, N)
    x = layers.Embedding(vocab_size + buckets, embedding_dim, name="vectors")(ngrams)
    x = ZeroPadded(name=f"{name}masked")(x, ngrams)  # (B, N, D)
    mask = NotPadding(name="mask")(ngrams)  # (B, N, 1)
    if weighted:
        weights = layers.Embedding(
            vocab_size + buckets, 1, embeddings_initializer="ones", trainable=False, name="weights"
        )(ngrams)
        mask = layers.Multiply(name="masked_weights")([weights, mask])
        x = layers.Multiply(name="weighted")([x, mask])
    return MaskedAverage(name=f"{name}features")(x, mask)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_bag_of_ngrams`; each default equals the builder's."""
    return {
        "embedding_dim": hp.Int("embedding_dim", 10, 100, step=10, default=50),
        "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1, default=0.0),
    }
