"""Transformer layers: attention from scaled dot products in several heads, position-wise feed-forward, sinusoids.

Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
"""

from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from kerasapps.blocks.attention import HIDDEN
from kerasapps.blocks.noise import ByteDropout
from kerasapps.blocks.plain import positions, reshape
from kerasapps.blocks.reuse import Layers

Norm = Literal["pre", "post"]


@dataclass(frozen=True)
class Sizes:
    """What the layers of a transformer have in common.

    Args:
        units: Width of the model, a multiple of `heads`.
        heads: Heads of each attention.
        feedforward: Width within the position-wise networks.
        dropout: Share of a sublayer's outputs dropped in training.
        norm: Where normalization is: before each sublayer ("pre"), or after its residual ("post", as in the paper).
    """

    units: int
    heads: int
    feedforward: int
    dropout: float
    norm: Norm


@keras.saving.register_keras_serializable(package="kerasapps")
class ScaledDotProduct(layers.Layer):
    """Attention in several heads: softmax(Q K^T / sqrt(d)) V for each slice of d features.

    It has no weights: queries, keys and values come projected, so that keys and values can be kept from step to step.

    Call with: queries (B, T, D), keys_values (B, S, 2 D), keys before values, and optionally `present` bool (B, S),
    False for padding.
    Returns: attended values (B, T, D) and the weights (B, heads, T, S).

    Args:
        heads: Number of heads, a divisor of D.
        causal: Whether a query sees no later key. The last query is the last key's, so that of one step sees all.
    """

    def __init__(self, *, heads: int, causal: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.causal = causal

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, queries, keys_values, present=None):
        width = queries.shape[-1] // self.heads
        queries = reshape(queries * width**-0.5, (-1, self.heads, width))  # (B, T, H, d)
        # Split, not indexed: the gradient of an index fills the rest with zeros, for a fifth of the time of a step.
        keys, values = (reshape(one, (-1, self.heads, width)) for one in ops.split(keys_values, 2, axis=-1))
        scores = ops.einsum("bthd,bshd->bhts", queries, keys)  # from (B, S, H, d)
        scores = ops.cast(scores, "float32")  # the softmax of long texts needs its digits
        if present is not None:
            scores = ops.where(ops.expand_dims(present, (1, 2)), scores, HIDDEN)
        if self.causal and queries.shape[1] != 1:  # one query sees all
            ahead = ops.expand_dims(_steps(keys), 0) - ops.expand_dims(
                _steps(queries), 1
            )  # (T, S), by how much a key is later
            later = ahead > ahead[-1:, -1:]
            scores = ops.where(ops.expand_dims(later, (0, 1)), HIDDEN, scores)
        weights = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)  # (B, H, T, S)
        attended = ops.einsum("bhts,bshd->bthd", weights, values)
        return reshape(attended, (-1, self.heads * width)), weights

    def compute_output_spec(self, queries, keys_values, present=None):
        rows, steps, width = queries.shape
        weights = (rows, self.heads, steps, keys_values.shape[1])
        return keras.KerasTensor((rows, steps, width), self.compute_dtype), keras.KerasTensor(
            weights, self.compute_dtype
        )

    def get_config(self):
        return super().get_config() | {"heads": self.heads, "causal": self.causal}


def _steps(x):
    """Numbers the steps of (B, T, ...): int32 (T,)."""
    return positions(x)[0]


@keras.saving.register_keras_serializable(package="kerasapps")
class Sinusoids(layers.Layer):
    """Adds to word vectors where they stand: sin(t / 10000^(2i/D)) to feature 2i, and the cosine to feature 2i + 1.

    Words are multiplied by sqrt(D) first, as in the paper. There is no longest text.

    Call with: words (B, T, D), and optionally what came before them (B, T', ...), from whose length counting goes on.
    """

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, words, before=None):
        width = words.shape[-1]
        t = _places(words, before)  # (1, T)
        feature = np.arange(width)
        rates = 10000.0 ** (-2.0 * (feature // 2) / width)
        # The cosine is the sine a quarter of a turn later.
        turns = ops.expand_dims(ops.cast(t, "float32"), -1) * rates.astype(np.float32) + np.float32(np.pi / 2) * (
            feature % 2
        )
        return words * width**0.5 + ops.cast(ops.sin(turns), words.dtype)

    def compute_output_spec(self, words, before=None):
        return keras.KerasTensor(words.shape, self.compute_dtype)


@keras.saving.register_keras_serializable(package="kerasapps")
class LearnedPositions(layers.Layer):
    """Adds to token vectors, multiplied by sqrt(D), a learned vector for where they stand.

    Call with: as for `Sinusoids`.

    Args:
        longest: Number of positions; a longer text is refused.
    """

    def __init__(self, longest: int, **kwargs):
        super().__init__(**kwargs)
        self.longest = longest

    def plain(self):
        """Returns a function of Keras' layers: the number of the position, one-hot, times the vectors."""
        table = layers.Embedding(self.longest, self.table.shape[-1], dtype=self.dtype_policy, name=f"{self.name}_table")
        table.build((None, None))
        table.set_weights([ops.convert_to_numpy(self.table)])
        return lambda words, before=None: words * words.shape[-1] ** 0.5 + table(_places(words, before))

    def build(self, words_shape, before_shape=None):
        self.table = self.add_weight(shape=(self.longest, words_shape[-1]), initializer="random_normal", name="table")

    def call(self, words, before=None):
        for steps in (words.shape[1], None if before is None else before.shape[1]):
            if steps is not None and steps > self.longest:
                raise ValueError(f"`text` must have at most `context`={self.longest} tokens. Received: {steps}")
        places = _places(words, before)  # (1, T)
        return words * words.shape[-1] ** 0.5 + ops.cast(ops.take(self.table, places, axis=0), words.dtype)

    def compute_output_spec(self, words, before=None):
        return keras.KerasTensor(words.shape, self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"longest": self.longest}


def _places(words, before):
    """Numbers the steps of words (B, T, ...) after those of what came before: int32 (1, T)."""
    places = positions(words)
    return places if before is None else places + ops.sum(ops.ones_like(positions(before)), axis=1, keepdims=True)


def attention_block(
    x, keys_values=None, present=None, *, sizes: Sizes, make: Layers, name: str, causal: bool = False, cache=None
):
    """Attends to oneself, or to given keys and values.

    Args:
        x: Queries' features (B, T, D).
        keys_values: Keys and values (B, S, 2 D) as `keys_values_block` gives them; by default those of `x`.
        present: False for padding among the keys, bool (B, S).
        sizes: Sizes.
        make: Makes layers or takes them by name.
        name: Prefix of the layers' names.
        causal: Whether a query sees no later key.
        cache: Keys and values of earlier steps (B, T', 2 D), to which those of `x` are added.

    Returns:
        Features (B, T, D), weights (B, heads, T, S), and keys and values (B, S, 2 D).
    """
    queries = make(layers.Dense, sizes.units, name=f"{name}_query")(x)  # (B, T, D)
    if keys_values is None:
        keys_values = keys_values_block(x, sizes=sizes, make=make, name=name)
        if cache is not None:
            # In the format of the network, whatever the policy is by now.
            joined = make(layers.Concatenate, axis=1, dtype=keys_values.dtype, name=f"{name}_cache")
            keys_values = joined([cache, keys_values])
    attention = make(ScaledDotProduct, heads=sizes.heads, causal=causal, name=f"{name}_attention")
    attended, weights = attention(queries, keys_values, present)  # (B, T, D)
    return make(layers.Dense, sizes.units, name=f"{name}_output")(attended), weights, keys_values


def keys_values_block(memory, *, sizes: Sizes, make: Layers, name: str):
    """Projects what is attended to, once for all steps: (B, S, D) -> (B, S, 2 D)."""
    return make(layers.Dense, 2 * sizes.units, name=f"{name}_keys_values")(memory)


def feedforward_block(x, *, sizes: Sizes, make: Layers, name: str):
    """Applies the same two layers at every position: (B, T, D) -> (B, T, D)."""
    x = make(layers.Dense, sizes.feedforward, activation="relu", name=f"{name}_hidden")(x)
    return make(layers.Dense, sizes.units, name=f"{name}_output")(x)


def before_block(x, *, sizes: Sizes, make: Layers, name: str):
    """Prepares the input of a sublayer: normalized under "pre"."""
    return normalized(x, make=make, name=f"{name}_norm") if sizes.norm == "pre" else x


def after_block(x, made, *, sizes: Sizes, make: Layers, name: str):
    """Adds the output of a sublayer to its input; normalized under "post"."""
    made = make(ByteDropout, sizes.dropout, name=f"{name}_dropout")(made)
    x = make(layers.Add, name=f"{name}_residual")([x, made])
    return normalized(x, make=make, name=f"{name}_norm") if sizes.norm == "post" else x


def normalized(x, *, make: Layers, name: str):
    """Normalizes the features of each step."""
    return make(layers.LayerNormalization, epsilon=1e-5, name=name)(x)


def encoder_layer_block(x, present=None, *, sizes: Sizes, make: Layers, name: str):
    """Attends to the whole text, then computes at every position: (B, S, D) -> (B, S, D)."""
    given = {"sizes": sizes, "make": make}
    y = before_block(x, name=f"{name}_self", **given)
    y, _, _ = attention_block(y, present=present, name=f"{name}_self", **given)
    x = after_block(x, y, name=f"{name}_self", **given)
    y = before_block(x, name=f"{name}_feedforward", **given)
    y = feedforward_block(y, name=f"{name}_feedforward", **given)
    return after_block(x, y, name=f"{name}_feedforward", **given)


def decoder_layer_block(x, memory=None, present=None, *, sizes: Sizes, make: Layers, name: str, cache=None):
    """Attends to what was written so far, then to a memory if there is one, then computes at every position.

    Args:
        x: Features of the steps (B, T, D).
        memory: Keys and values of what is read (B, S, 2 D); None for a language model.
        present: False for padding in it, bool (B, S).
        sizes: Sizes.
        make: Makes layers or takes them by name.
        name: Prefix of the layers' names.
        cache: Keys and values of earlier steps (B, T', 2 D), where `x` continues them.

    Returns:
        Features (B, T, D), keys and values of all steps (B, T' + T, 2 D), and the weights of what is read
        (B, heads, T, S), None without a memory.
    """
    given, weights = {"sizes": sizes, "make": make}, None
    y = before_block(x, name=f"{name}_self", **given)
    y, _, cache = attention_block(y, causal=True, cache=cache, name=f"{name}_self", **given)
    x = after_block(x, y, name=f"{name}_self", **given)
    if memory is not None:
        y = before_block(x, name=f"{name}_cross", **given)
        y, weights, _ = attention_block(y, memory, present, name=f"{name}_cross", **given)
        x = after_block(x, y, name=f"{name}_cross", **given)
    y = before_block(x, name=f"{name}_feedforward", **given)
    y = feedforward_block(y, name=f"{name}_feedforward", **given)
    return after_block(x, y, name=f"{name}_feedforward", **given), cache, weights
