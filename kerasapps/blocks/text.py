"""Text encoders: from token ids to one vector that does not depend on padding."""

from typing import Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import refusal
from kerasapps.blocks.recurrent import LSTM

Encoder = Literal["lstm", "gru", "bilstm", "conv"]

CONV_WIDTH = 3


def zero_padded(features, ids):
    """Sets the steps whose id is 0 to zero: features (..., D), ids (...) -> (..., D)."""
    return features * keras.ops.expand_dims(keras.ops.cast(ids != 0, features.dtype), -1)


@keras.saving.register_keras_serializable(package="kerasapps")
class ZeroPadded(layers.Layer):
    """`zero_padded` as a layer."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, features, ids):
        return zero_padded(features, ids)

    def compute_output_shape(self, features_shape, ids_shape):
        return features_shape


@keras.saving.register_keras_serializable(package="kerasapps")
class NotPadding(layers.Layer):
    """Marks words, as opposed to padding: ids (B, T) -> 1 for a word and 0 for padding (B, T, 1)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, ids):
        return keras.ops.expand_dims(keras.ops.cast(ids != 0, self.compute_dtype), -1)

    def compute_output_shape(self, ids_shape):
        return (*ids_shape, 1)


@keras.saving.register_keras_serializable(package="kerasapps")
class MaskedAverage(layers.Layer):
    """Averages over words: features (B, T, F), 0 in padding, and a mask (B, T, 1) -> (B, F)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, features, words):
        # `words`, not `mask`: Keras fills in an argument of that name. In float32 the sum over a long text stays exact.
        features, words = (keras.ops.cast(x, "float32") for x in (features, words))
        count = keras.ops.maximum(keras.ops.sum(words, 1), 1.0)  # (B, 1)
        return keras.ops.cast(keras.ops.sum(features, 1) / count, self.compute_dtype)

    def compute_output_shape(self, features_shape, words_shape):
        return (features_shape[0], features_shape[2])


@keras.saving.register_keras_serializable(package="kerasapps")
class MaskedMaximum(layers.Layer):
    """Takes the maximum over words: features (B, T, F) and a mask (B, T, 1) -> (B, F), 0 for a text without words."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # that of a recurrent layer, which says the same

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def compute_mask(self, features, mask=None):
        return None  # of one vector nothing is padding

    def call(self, features, words):
        lowest = keras.ops.cast(-3e4, features.dtype)  # half precision has nothing much below
        highest = keras.ops.max(keras.ops.where(words > 0, features, lowest), axis=1)
        return keras.ops.where(keras.ops.any(words > 0, axis=1), highest, keras.ops.zeros_like(highest))

    def compute_output_shape(self, features_shape, words_shape):
        return (features_shape[0], features_shape[2])


def text_encoder_block(ids, *, vocab_size: int, embedding_dim: int, encoder: Encoder, units: int, name: str):
    """Encodes padded text as one vector: ids (B, T) -> (B, units), or (B, 2 units) for "bilstm".

    Args:
        ids: Token ids, 0 for padding at the end.
        vocab_size: Number of token ids.
        embedding_dim: Length of a word vector.
        encoder: "lstm", "gru", "bilstm", or "conv": word windows of width 3 and their maximum over time.
        units: Width of the encoder.
        name: Prefix of the layers' names.

    Raises:
        ValueError: If `encoder` is none of these.
    """
    recurrent = encoder != "conv"
    embedding = layers.Embedding(vocab_size, embedding_dim, mask_zero=recurrent, name=f"{name}_embedding")
    words = embedding(ids)  # (B, T, D)
    if encoder == "lstm":
        return LSTM(units, name=f"{name}_lstm")(words)
    if encoder == "gru":
        return layers.GRU(units, name=f"{name}_gru")(words)
    if encoder == "bilstm":
        return layers.Bidirectional(LSTM(units, name=f"{name}_lstm"), name=f"{name}_bilstm")(words)
    if encoder == "conv":
        words = ZeroPadded(name=f"{name}_words")(words, ids)
        windows = layers.Conv1D(units, CONV_WIDTH, padding="same", activation="relu", name=f"{name}_conv")(words)
        # Zero is the minimum of a ReLU, so padding cannot be the maximum.
        windows = ZeroPadded(name=f"{name}_windows")(windows, ids)  # (B, T, units)
        return layers.GlobalMaxPooling1D(name=f"{name}_max")(windows)
    raise refusal("be one of lstm, gru, bilstm, conv", encoder=encoder)


@keras.saving.register_keras_serializable(package="kerasapps")
class Ngrams(layers.Layer):
    """Adds ids of word pairs, triples and so on to those of words: ids (B, T) -> (B, T + (T - 1) + ...), 0 for padding.

    Several words get the id that their hash gives them, from `vocab_size` on; others may share it.

    Args:
        vocab_size: Number of token ids.
        buckets: Number of ids of several words.
        longest: Words of the longest n-grams, at least 2.
    """

    def __init__(self, *, vocab_size: int, buckets: int, longest: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.buckets = buckets
        self.longest = longest

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, ids):
        ngrams, hashes = [ids], ids
        for n in range(2, self.longest + 1):
            last = ids[:, n - 1 :]  # (B, T - n + 1)
            # The product overflows, on every backend in the same way.
            hashes = hashes[:, :-1] * 1_000_003 + last
            # Twice: of a negative number ONNX files have the remainder, which may be negative too.
            buckets = keras.ops.mod(keras.ops.mod(hashes, self.buckets) + self.buckets, self.buckets)
            ngrams.append(keras.ops.where(last != 0, self.vocab_size + buckets, 0))
        return keras.ops.concatenate(ngrams, axis=1)

    def compute_output_spec(self, ids):
        length = ids.shape[1]
        if length is not None:
            length = sum(max(0, length - n) for n in range(self.longest))
        return keras.KerasTensor((ids.shape[0], length), ids.dtype)

    def get_config(self):
        settings = {"vocab_size": self.vocab_size, "buckets": self.buckets, "longest": self.longest}
        return super().get_config() | settings
