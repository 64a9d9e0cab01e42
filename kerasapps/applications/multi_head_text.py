"""Networks with one text and several heads: who wrote it, or what kind of text it is.

Reference: the three-headed network of Chollet, "Deep Learning with Python", Manning 2017, section 7.1.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_length, check_positive, check_share, checked
from kerasapps.blocks.distinct_words import DistinctWords, WordConv1D
from kerasapps.blocks.heads import with_heads
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.text import MaskedAverage, NotPadding, ZeroPadded
from kerasapps.heads import Head

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Pooling = Literal["max", "average"]
Build = TypeVar("Build", bound=Callable[..., keras.Model])


class Trunk(TypedDict, total=False):
    """What `build_profile` and `build_novel` hand on to `build_multi_head_text`, for editors and type checkers."""

    embedding_dim: int
    filters: Sequence[int]
    convolutions: Sequence[int]
    kernel_size: int
    pool_size: int
    padding: Literal["valid", "same"]
    pooling: Pooling
    layer_norm: bool
    dense_units: Sequence[int]
    dropout: float
    word_dropout: float


@checked
def build_multi_head_text(
    *,
    vocab_size: int,
    heads: Mapping[str, Head],
    embedding_dim: int = 256,
    filters: Sequence[int] = (128, 256, 256),
    convolutions: Sequence[int] = (1, 2, 2),
    kernel_size: int = 5,
    pool_size: int = 5,
    padding: Literal["valid", "same"] = "valid",
    pooling: Pooling = "max",
    layer_norm: bool = False,
    dense_units: Sequence[int] = (128,),
    dropout: float = 0.0,
    word_dropout: float = 0.0,
    name: str = "multi_head_text",
) -> keras.Model:
    """Builds a network that reads a text and predicts several things about it at once.

    The default trunk is that of the course notes: stages of convolutions over the words with max pools of five between
    them, then the maximum over the text. It takes texts of at least 269 tokens and treats padding as words. With
    `padding="same"`, or without convolutions, it takes texts of any length, and padding does not change its outputs.

    Args:
        vocab_size: Number of token ids, at least 2; 0 is padding. Ids in the input must be below it: TensorFlow refuses
            others on a CPU, and reads them as zeros on a GPU.
        heads: What to predict, by the name of the output, which no other layer of the network may have.
        embedding_dim: Length of a word vector.
        filters: Filters of each stage; without stages the word vectors are pooled directly.
        convolutions: Number of convolutions in each stage.
        kernel_size: Width of the convolutions in words.
        pool_size: Number of steps that each pool between two stages reduces to one.
        padding: "valid", or "same", which pads the ends of the text with zeros.
        pooling: How the steps are reduced to one vector: "max" or "average".
        layer_norm: Whether that vector is normalized, which helps with averages: over long texts they differ little.
        dense_units: Widths of the layers between the text and the heads.
        dropout: Share of the features dropped in training before each of these layers and before the heads, in [0, 1).
        word_dropout: Share of the words left out in training, in [0, 1), so that no single word decides.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), padded at the end.
        Out, a dict in the order of `heads`, float32: "regression" (B, 1), in its own unit; "binary" the probability of
        yes (B, 1); "classes" and "ordinal" probabilities (B, num_classes). Targets are a dict or a list in this order.

    Train with: `kerasapps.compile_heads`.

    Raises:
        ValueError: If `vocab_size` is under 2, there is no head or one has the name of another layer, a stage lacks
            `filters` or `convolutions`, a size is under 1, or `dropout` or `word_dropout` is outside [0, 1).

    Example:
        >>> heads = {"year": Head("regression", mean=1900, scale=50), "genre": Head("classes", num_classes=4)}
        >>> model = build_multi_head_text(vocab_size=1000, heads=heads, filters=(64,), convolutions=(1,))
        >>> model = compile_heads(model, Adam(1e-3), heads)
        >>> model.fit({"text": texts}, {"year": years, "genre": genres}, epochs=2)  # texts int32 (n, 300)
        >>> model.predict({"text": texts})["year"]
    """
    check_at_least(2, vocab_size=vocab_size)
    check_at_least(1, embedding_dim=embedding_dim, kernel_size=kernel_size, pool_size=pool_size)
    check_at_least(1, filters=filters, convolutions=convolutions, dense_units=dense_units)
    check_length(len(filters), convolutions=convolutions)
    check_share(dropout=dropout, word_dropout=word_dropout)

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    embedding = layers.Embedding(vocab_size, embedding_dim, name="word_vectors")
    mask = NotPadding(name="mask")(text) if padding == "same" or not filters else None  # (B, T, 1)
    # As long as equal words have equal vectors, the first convolution is computed once for each distinct word.
    once = bool(filters) and not word_dropout
    if once:
        words, places = DistinctWords(name="distinct_words")(text)  # (U,), (B, T)
        x = embedding(words)  # (U, D)
        x = x if mask is None else ZeroPadded(name="words")(x, words)
    else:
        x = masked(embedding(text), mask, name="words")  # (B, T, D)
    if pooling == "max" and not filters:
        x = layers.ReLU(name="words_relu")(x)
    if word_dropout:
        x = Dropout(word_dropout, noise_shape=(None, None, 1), name="word_dropout")(x)
    for stage, (width, count) in enumerate(zip(filters, convolutions, strict=True), start=1):
        if stage > 1:
            x = pooled_steps(x, pool_size, padding=padding, name=f"stage{stage}_pool")  # (B, T / pool_size, F)
            if mask is not None:
                mask = pooled_steps(mask, pool_size, padding=padding, name=f"stage{stage}_mask")
        for i in range(1, count + 1):
            settings = {"padding": padding, "activation": "relu", "name": f"stage{stage}_conv{i}"}
            if once and stage == i == 1:
                x = WordConv1D(width, kernel_size, **settings)(x, places)  # (B, T', F)
            else:
                x = layers.Conv1D(width, kernel_size, **settings)(x)
            x = masked(x, mask, name=f"stage{stage}_words{i}")
    features = pooled(x, mask, pooling=pooling, name="features")  # (B, F)
    if layer_norm:
        features = layers.LayerNormalization(name="features_ln")(features)
    for i, units in enumerate(dense_units, start=1):
        features = Dropout(dropout, name=f"dropout{i}")(features)
        features = layers.Dense(units, activation="relu", name=f"dense{i}")(features)  # (B, units)

    # --- heads
    features = Dropout(dropout, name="head_dropout")(features)
    return with_heads([text], features, heads, name=name)


def _with_trunk_arguments(build: Build) -> Build:
    """Shows what a builder hands on to `build_multi_head_text` in its signature, as if it were written out."""
    *own, name, _ = inspect.signature(build).parameters.values()
    shared = inspect.signature(build_multi_head_text).parameters
    trunk = [shared[argument] for argument in Trunk.__annotations__]
    build.__signature__ = inspect.Signature([*own, *trunk, name], return_annotation=keras.Model)  # type: ignore
    return build


def profile_heads(*, num_income_groups: int = 10, age_mean: float = 40.0, age_scale: float = 15.0) -> dict[str, Head]:
    """Returns the heads of `build_profile`; its arguments are explained there."""
    return {
        "age": Head("regression", mean=age_mean, scale=age_scale),
        "income": Head("classes", num_classes=num_income_groups),
        "gender": Head("binary"),
    }


@checked
@_with_trunk_arguments
def build_profile(
    *,
    vocab_size: int = 50_000,
    num_income_groups: int = 10,
    age_mean: float = 40.0,
    age_scale: float = 15.0,
    name: str = "profile",
    **trunk: Unpack[Trunk],
) -> keras.Model:
    """Builds the course notes' network, which estimates three properties of a person from what they wrote.

    Args:
        vocab_size: Number of token ids, at least 2; 0 is padding. Ids in the input must be below it: TensorFlow refuses
            others on a CPU, and reads them as zeros on a GPU.
        num_income_groups: Number of income groups, at least 2.
        age_mean: Mean age in years: the network learns the standardized age.
        age_scale: Standard deviation of the age in years, above 0.
        name: Name of the model.
        trunk: As for `build_multi_head_text`: `embedding_dim`, `filters`, `convolutions`, `kernel_size`, `pool_size`,
            `padding`, `pooling`, `layer_norm`, `dense_units`, `dropout`, `word_dropout`.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), padded at the end.
        Out, a dict of float32: "age" in years (B, 1), "income" probabilities (B, num_income_groups), "gender" the
        probability of the second of two (B, 1).

    Train with: `kerasapps.compile_heads`; the notes weigh age, income and gender by 0.25, 1 and 10.

    Raises:
        ValueError: As `build_multi_head_text` and `Head` do.

    Example:
        >>> model = build_profile(vocab_size=1000, num_income_groups=4, age_mean=40, age_scale=15)
        >>> losses = {"age": "mae", "income": "sparse_categorical_crossentropy", "gender": "binary_crossentropy"}
        >>> model.compile("adam", losses, loss_weights={"age": 0.25, "income": 1, "gender": 10})
        >>> targets = {"age": ages, "income": groups, "gender": genders}  # float32 (n, 1), int32 (n,), float32 (n, 1)
        >>> model.fit({"text": texts}, targets, epochs=2)  # texts int32 (n, 300)
        >>> model.predict({"text": texts})["age"]
    """
    check_at_least(2, num_income_groups=num_income_groups)
    check_positive(age_scale=age_scale)
    heads = profile_heads(num_income_groups=num_income_groups, age_mean=age_mean, age_scale=age_scale)
    return build_multi_head_text(vocab_size=vocab_size, heads=heads, name=name, **trunk)


def novel_heads(*, num_genres: int, year_mean: float = 1900.0, year_scale: float = 50.0) -> dict[str, Head]:
    """Returns the heads of `build_novel`; its arguments are explained there."""
    return {
        "genre": Head("classes", num_classes=num_genres),
        "year": Head("regression", mean=year_mean, scale=year_scale),
    }


@checked
@_with_trunk_arguments
def build_novel(
    *,
    vocab_size: int,
    num_genres: int,
    year_mean: float = 1900.0,
    year_scale: float = 50.0,
    name: str = "novel",
    **trunk: Unpack[Trunk],
) -> keras.Model:
    """Builds a network that predicts the genre and the year of publication of a novel from a passage.

    Args:
        vocab_size: Number of token ids, at least 2; 0 is padding. Ids in the input must be below it: TensorFlow refuses
            others on a CPU, and reads them as zeros on a GPU.
        num_genres: Number of genres, at least 2.
        year_mean: Mean year of publication: the network learns the standardized year.
        year_scale: Standard deviation of the year, above 0.
        name: Name of the model.
        trunk: As for `build_multi_head_text`: `embedding_dim`, `filters`, `convolutions`, `kernel_size`, `pool_size`,
            `padding`, `pooling`, `layer_norm`, `dense_units`, `dropout`, `word_dropout`.

    Returns:
        Uncompiled model. In: "text" int32 (B, T), padded at the end.
        Out, a dict of float32: "genre" probabilities (B, num_genres), "year" (B, 1).

    Train with: `kerasapps.compile_heads`.

    Raises:
        ValueError: As `build_multi_head_text` and `Head` do.

    Example:
        >>> model = build_novel(vocab_size=1000, num_genres=4, padding="same")
        >>> model = compile_heads(model, Adam(1e-3), novel_heads(num_genres=4))
        >>> model.fit({"text": texts}, {"genre": genres, "year": years}, epochs=2)  # texts int32 (n, t)
        >>> model.predict({"text": texts})["genre"].argmax(-1)
    """
    check_at_least(2, num_genres=num_genres)
    check_positive(year_scale=year_scale)
    heads = novel_heads(num_genres=num_genres, year_mean=year_mean, year_scale=year_scale)
    return build_multi_head_text(vocab_size=vocab_size, heads=heads, name=name, **trunk)


def pooled_steps(x, pool_size: int, *, padding: str, name: str):
    """Takes the maximum of each `pool_size` steps: (B, T, F) -> (B, T / pool_size, F), rounded up for "same"."""
    if padding == "same":
        # The windows of Keras' own "same" would start at a place that depends on how far the batch is padded.
        x = layers.ZeroPadding1D((0, pool_size - 1), name=f"{name}_end")(x)
    return layers.MaxPooling1D(pool_size, name=name)(x)


def masked(x, mask, *, name: str):
    """Sets padding to zero where there is a mask: (B, T, F), (B, T, 1) -> (B, T, F)."""
    return x if mask is None else layers.Multiply(name=name)([x, mask])


def pooled(x, mask, *, pooling: Pooling, name: str):
    """Reduces the steps to one vector: (B, T, F) -> (B, F)."""
    if pooling == "max":
        # Padding is zero, the minimum of a ReLU.
        return layers.GlobalMaxPooling1D(name=name)(x)
    return layers.GlobalAveragePooling1D(name=name)(x) if mask is None else MaskedAverage(name=name)(x, mask)


def shortest_text(model: keras.Model) -> int:
    """Returns the number of tokens that a network of this file needs at least, padding included."""
    tokens = 1
    for layer in reversed(model.layers):
        if isinstance(layer, layers.MaxPooling1D) and not layer.name.endswith("_mask"):
            tokens *= layer.pool_size[0]
        elif isinstance(layer, layers.ZeroPadding1D) and not layer.name.endswith("_mask_end"):
            tokens -= layer.padding[1]
        elif isinstance(layer, layers.Conv1D) and layer.padding == "valid":
            tokens += layer.kernel_size[0] - 1
        tokens = max(tokens, 1)
    return tokens


def search_space(hp: "HyperParameters", **start) -> dict[str, Any]:
    """Returns arguments for the builders of this file; each default equals the builders', or that in `start`."""
    start = {
        "embedding_dim": 256,
        "kernel_size": 5,
        "pooling": "max",
        "dropout": 0.0,
        "layer_norm": False,
        "word_dropout": 0.0,
    } | start
    return {
        "embedding_dim": hp.Int("embedding_dim", 32, 256, step=32, default=start["embedding_dim"]),
        "kernel_size": hp.Int("kernel_size", 3, 11, step=2, default=start["kernel_size"]),
        "pooling": hp.Choice("pooling", ["max", "average"], default=start["pooling"]),
        "layer_norm": hp.Boolean("layer_norm", default=start["layer_norm"]),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=start["dropout"]),
        "word_dropout": hp.Float("word_dropout", 0.0, 0.5, step=0.1, default=start["word_dropout"]),
    }
