"""Wide text CNN: the strongest matches of word windows, beside the weighted average of a text's n-grams.

Windows over word vectors generalize; rare n-grams, of which a wide table has a vector each, are remembered.

References: Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016; Kim, "Convolutional Neural Networks
for Sentence Classification", EMNLP 2014; Li et al., "Weighted Neural Bag-of-n-grams Model", COLING 2016.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.applications.bag_of_ngrams import ngrams_block
from kerasapps.applications.text_cnn import Vectors, bounded_label, check_windows, windows_block
from kerasapps.blocks.arguments import check_at_least, check_positive, check_share, checked
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

NGRAM_SCALE = 10.0  # an average over hundreds of vectors is small, and would learn more slowly than the windows


@checked
def build_wide_text_cnn(
    *,
    vocab_size: int,
    num_classes: int,
    embedding_dim: int = 300,
    filters: int = 100,
    widths: Sequence[int] = (3, 4, 5),
    vectors: Vectors = "random",
    ngram_dim: int = 50,
    buckets: int = 1 << 20,
    longest: int = 3,
    weighted: bool = True,
    dropout: float = 0.5,
    max_norm: float = 3.0,
    name: str = "wide_text_cnn",
) -> keras.Model:
    """Builds a text classifier that joins the windows of `build_text_cnn` and the average of `build_bag_of_ngrams`.

    Padding does not change its outputs, and a text may be shorter than the windows.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        num_classes: Number of classes, at least 2.
        embedding_dim: Length of the word vectors that the windows read.
        filters: Number of filters of each width.
        widths: Window widths in words, each once.
        vectors: What becomes of the windows' word vectors; as for `build_text_cnn`.
        ngram_dim: Length of the vector of an n-gram.
        buckets: Vectors that the n-grams of several words share: each has the vector of its hash; 0 leaves them out.
        longest: Words of the longest n-grams, 2 for pairs.
        weighted: Whether the average of the n-grams is weighted; the weights are set as for `build_bag_of_ngrams`.
        dropout: Share of the windows' features dropped in training, in [0, 1).
        max_norm: Largest length of the weight vector of a class, above 0.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), padded at the end.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy. `kerasapps.optimizers.LazyAdam` updates only the
    vectors in the batch.

    Raises:
        ValueError: If `num_classes` or `vocab_size` is under 2, a size under 1, `buckets` under 0, `widths` empty or
            with a width twice, `dropout` outside [0, 1), `max_norm` not above 0, or `vectors` unknown.

    Example:
        >>> model = build_wide_text_cnn(vocab_size=1000, num_classes=4, filters=20, buckets=5000)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit(texts, labels, epochs=2)  # texts int32 (n, t), labels int32 (n,)
        >>> model.predict(texts)["label"].argmax(-1)
    """
    check_at_least(2, vocab_size=vocab_size, num_classes=num_classes)
    check_at_least(1, embedding_dim=embedding_dim, filters=filters, widths=widths, ngram_dim=ngram_dim, longest=longest)
    check_at_least(0, buckets=buckets)
    check_windows(widths)
    check_share(dropout=dropout)
    check_positive(max_norm=max_norm)

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    deep = windows_block(
        text, vocab_size=vocab_size, embedding_dim=embedding_dim, filters=filters, widths=widths, vectors=vectors
    )  # (B, widths * F)
    deep = Dropout(dropout, name="features_dropout")(deep)
    wide = ngrams_block(
        text,
        vocab_size=vocab_size,
        embedding_dim=ngram_dim,
        buckets=buckets,
        longest=longest,
        weighted=weighted,
        name="ngram_",
    )  # (B, ngram_dim)
    wide = layers.Rescaling(NGRAM_SCALE, name="ngram_scale")(wide)
    x = layers.Concatenate(name="deep_and_wide")([deep, wide])

    # --- heads
    label = bounded_label(x, num_classes=num_classes, max_norm=max_norm)
    return keras.Model([text], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_wide_text_cnn`; each default equals the builder's."""
    return {
        "embedding_dim": hp.Int("embedding_dim", 50, 300, step=50, default=300),
        "filters": hp.Int("filters", 50, 300, step=50, default=100),
        "ngram_dim": hp.Int("ngram_dim", 10, 100, step=10, default=50),
        "longest": hp.Int("longest", 2, 4, default=3),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
    }
