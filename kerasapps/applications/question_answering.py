"""Question answering with two inputs: a text and a question are encoded separately and joined.

Reference: the two-input network of Chollet, "Deep Learning with Python", Manning 2017, section 7.1.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.text import Encoder, text_encoder_block

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_question_answering(
    *,
    vocab_size: int,
    num_answers: int,
    encoder: Encoder = "lstm",
    text_embedding_dim: int = 64,
    text_units: int = 32,
    question_embedding_dim: int = 32,
    question_units: int = 16,
    dropout: float = 0.0,
    name: str = "question_answering",
) -> keras.Model:
    """Builds a network that answers a question about a text with one of a fixed set of answers.

    Args:
        vocab_size: Number of token ids, shared by text and question; 0 is padding. Ids in the input must
            be below it: TensorFlow refuses others on a CPU, and reads them as zeros on a GPU.
        num_answers: Number of answers, at least 2.
        encoder: What turns the words into one vector: "lstm", "gru", "bilstm", which is twice as wide, or "conv".
        text_embedding_dim: Length of a word vector in the text.
        text_units: Width of the text's encoder.
        question_embedding_dim: Length of a word vector in the question.
        question_units: Width of the question's encoder.
        dropout: Share of the joined features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In, as a dict or as a list in this order: "text" int32 (B, T), "question" int32 (B, Q), padded
        at the end.
        Out, a dict: "answer" float32 probabilities (B, num_answers).

    Train with: sparse_categorical_crossentropy on answer ids; accuracy.

    Raises:
        ValueError: If `num_answers` is under 2, `vocab_size` under 2, `dropout` outside [0, 1), or `encoder` unknown.

    Example:
        >>> model = build_question_answering(vocab_size=1000, num_answers=10)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit([texts, questions], answers, epochs=2)  # int32 (n, t), (n, q) and (n,)
        >>> model.predict([texts, questions])["answer"].argmax(-1)
    """
    check_at_least(2, vocab_size=vocab_size, num_answers=num_answers)
    check_at_least(1, text_embedding_dim=text_embedding_dim, text_units=text_units)
    check_at_least(1, question_embedding_dim=question_embedding_dim, question_units=question_units)
    check_share(dropout=dropout)

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)
    question = keras.Input((None,), dtype="int32", name="question")  # (B, Q)

    # --- trunk
    # The course notes write Embedding(64, vocabulary); Keras takes the size of the vocabulary first.
    read = text_encoder_block(
        text,
        vocab_size=vocab_size,
        embedding_dim=text_embedding_dim,
        encoder=encoder,
        units=text_units,
        name="text",
    )  # (B, units)
    asked = text_encoder_block(
        question,
        vocab_size=vocab_size,
        embedding_dim=question_embedding_dim,
        encoder=encoder,
        units=question_units,
        name="question",
    )  # (B, units)
    features = layers.Concatenate(name="features")([read, asked])  # (B, F)
    features = Dropout(dropout, name="head_dropout")(features)

    # --- heads
    answer = layers.Dense(num_answers, activation="softmax", dtype="float32", name="answer")(features)  # (B, A)
    # Keras takes a list or, by name, a dict for inputs in a list; for inputs in a dict it takes nothing else.
    return keras.Model([text, question], {"answer": answer}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_question_answering`, the encoder given; each default equals the builder's."""
    return {
        "text_embedding_dim": hp.Int("text_embedding_dim", 32, 128, step=32, default=64),
        "text_units": hp.Int("text_units", 16, 96, step=16, default=32),
        "question_embedding_dim": hp.Int("question_embedding_dim", 16, 64, step=16, default=32),
        "question_units": hp.Int("question_units", 16, 64, step=16, default=16),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
