"""Text classifiers with attention to a context vector: a topic is read off the words that matter for it.

References: Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016; the topic classifier
of Christophe Cerisara's deep-learning course (2018/2019).
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.attention import ContextAttention, FoldSentences, Present, UnfoldSentences
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.recurrent import LSTM

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Reader = Literal["words", "bilstm"]


@checked
def build_attention_classifier(
    *,
    vocab_size: int,
    num_classes: int,
    reader: Reader = "words",
    hierarchical: bool = False,
    embedding_dim: int = 100,
    units: int = 50,
    project: bool = False,
    dropout: float = 0.3,
    name: str = "attention_classifier",
) -> keras.Model:
    """Builds a text classifier that weighs the words of a text by their importance.

    The weight of word t is the softmax of w_t . c over the text, where c, the context vector, is learned. Padding has
    no weight. `attention_of` gives the weights.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        num_classes: Number of classes, at least 2.
        reader: What is weighed: word vectors ("words"), or the states of a bidirectional LSTM ("bilstm").
        hierarchical: Whether a text is a sequence of sentences: words are weighed within each sentence, sentences
            within the text.
        embedding_dim: Length of a word vector.
        units: Width of the LSTM in each direction.
        project: Whether importance is tanh(W w_t + b) . c, as in Yang et al., instead of w_t . c.
        dropout: Share of the word vectors' and of the text's features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), or hierarchical (B, S, T), padded at the end.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If `num_classes` or `vocab_size` is under 2, a size under 1, `dropout` outside [0, 1), or `reader`
            unknown.

    Example:
        >>> model = build_attention_classifier(vocab_size=1000, num_classes=4)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit(texts, labels, epochs=2)  # texts int32 (n, t), labels int32 (n,)
        >>> model.predict(texts)["label"].argmax(-1)
        >>> attention_of(model).predict(texts)["word_weights"]  # (n, t), each row adds up to 1
    """
    check_at_least(2, vocab_size=vocab_size, num_classes=num_classes)
    check_at_least(1, embedding_dim=embedding_dim, units=units)
    check_share(dropout=dropout)

    # --- inputs
    text = keras.Input((None, None) if hierarchical else (None,), dtype="int32", name="text")  # (B, T) or (B, S, T)

    # --- trunk
    ids = FoldSentences(name="sentences")(text) if hierarchical else text  # (B S, T), or (B, T)
    x = layers.Embedding(vocab_size, embedding_dim, name="words")(ids)  # (B, T, D)
    x = Dropout(dropout, name="words_dropout")(x)
    settings = {"reader": reader, "units": units, "project": project}
    x, _ = attend_block(x, Present(name="word_present")(ids), name="word", **settings)  # (B, F)
    if hierarchical:
        x = UnfoldSentences(name="sentence_vectors")(x, text)  # (B, S, F)
        present = Present(sentences=True, name="sentence_present")(text)
        x, _ = attend_block(x, present, name="sentence", **settings)  # (B, F)
    x = Dropout(dropout, name="features_dropout")(x)

    # --- heads
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)
    return keras.Model([text], {"label": label}, name=name)


def attend_block(x, present, *, reader: Reader, units: int, project: bool, name: str):
    """Reads a sequence and averages over it by importance.

    Args:
        x: Sequence (B, T, D).
        present: False for padding, bool (B, T).
        reader: "words": the sequence itself; "bilstm": the states of a bidirectional LSTM over it.
        units: Width of the LSTM in each direction.
        project: As for `build_attention_classifier`.
        name: Prefix of the layers' names.

    Returns:
        Average (B, F), F = D or 2 units, and weights float32 (B, T).
    """
    if reader == "bilstm":
        lstm = LSTM(units, return_sequences=True, name=f"{name}_lstm")
        x = layers.Bidirectional(lstm, name=f"{name}_states")(x, mask=present)  # (B, T, 2 units)
    return ContextAttention(project=project, name=f"{name}_attention")(x, present)


def attention_of(model: keras.Model) -> keras.Model:
    """Returns a model on the same layers that gives the weights of words, and of sentences where there are any.

    Returns:
        In: as the model. Out, float32: "word_weights" (B, T), or hierarchical (B, S, T), which add up to 1 in each text
        or sentence; hierarchical also "sentence_weights" (B, S).
    """
    (text,) = model.inputs
    weights = {"word_weights": model.get_layer("word_attention").output[1]}
    if len(text.shape) == 3:
        weights["word_weights"] = UnfoldSentences(name="word_weights")(weights["word_weights"], text)
        weights["sentence_weights"] = model.get_layer("sentence_attention").output[1]
    return keras.Model([text], weights, name=f"{model.name}_attention")


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_attention_classifier`; each default equals the builder's."""
    return {
        "embedding_dim": hp.Int("embedding_dim", 50, 300, step=50, default=100),
        "units": hp.Int("units", 25, 150, step=25, default=50),
        "project": hp.Boolean("project", default=False),
        "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1, default=0.3),
    }
