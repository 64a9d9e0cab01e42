"""The transformer: a text is read and another one written by attention alone.

Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; Xiong et al., "On Layer Normalization in the
Transformer Architecture", ICML 2020 (normalization before each sublayer).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import check_at_least, check_share, checked, refusal
from kerasapps.blocks.attention import Present
from kerasapps.blocks.noise import ByteDropout
from kerasapps.blocks.reuse import Layers
from kerasapps.blocks.transformer import (
    Norm,
    Sinusoids,
    Sizes,
    decoder_layer_block,
    encoder_layer_block,
    keys_values_block,
    normalized,
)

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_transformer(
    *,
    source_vocab_size: int,
    target_vocab_size: int,
    units: int = 256,
    heads: int = 8,
    feedforward: int = 512,
    encoder_layers: int = 3,
    decoder_layers: int = 3,
    norm: Norm = "pre",
    tied: bool = True,
    shared: bool = False,
    dropout: float = 0.3,
    name: str = "transformer",
) -> keras.Model:
    """Builds a transformer that reads a text and writes another one.

    This is the graph for training: it is given the target and predicts each of its words from those before it. On the
    same weights `encoder_of` and `step_of` give the two graphs that write; `kerasapps.decoding` runs them.

    Args:
        source_vocab_size: Number of token ids of what is read; 0 is padding. Ids in the input must be below it:
            TensorFlow refuses others on a CPU, and reads them as zeros on a GPU.
        target_vocab_size: The same of what is written.
        units: Width of the model, an even multiple of `heads`.
        heads: Heads of each attention.
        feedforward: Width within the position-wise networks.
        encoder_layers: Number of layers that read.
        decoder_layers: Number of layers that write.
        norm: Where normalization is: before each sublayer ("pre"), or after its residual ("post", as in the paper).
        tied: Whether the output multiplies by the target's word vectors, instead of weights of its own.
        shared: Whether source and target have the same word vectors; their vocabularies must then be one.
        dropout: Share dropped in training of positioned word vectors and of each sublayer's outputs, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "source" int32 (B, S) and "target" int32 (B, T), each row of which begins with a start
        token, both padded at the end. Out, a dict: "next" float32 (B, T, target_vocab_size), logits of the word after
        each word of the target; under a mixed policy in its format, which `TokenCrossentropy` reads.

    Train with: `kerasapps.losses.TokenCrossentropy` on the target without its first token, and a learning rate that
        rises first.

    Raises:
        ValueError: If a size is under 1, a vocabulary under 2, `units` no even multiple of `heads`, `dropout` outside
            [0, 1), `norm` unknown, or `shared` with vocabularies of different sizes.

    Example:
        >>> model = build_transformer(source_vocab_size=1000, target_vocab_size=1000, units=16, heads=2)
        >>> model.compile("adam", TokenCrossentropy(smoothing=0.1))
        >>> model.fit({"source": stories[:, 0], "target": questions}, questions, epochs=1)  # int32 (n, s) and (n, t)
    """
    check_at_least(2, source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size)
    check_at_least(1, units=units, heads=heads, feedforward=feedforward)
    check_at_least(1, encoder_layers=encoder_layers, decoder_layers=decoder_layers)
    check_share(dropout=dropout)
    if units % heads or units % 2:
        raise refusal("be an even multiple of `heads`", units=units)
    if shared and source_vocab_size != target_vocab_size:
        sizes = {"source_vocab_size": source_vocab_size, "target_vocab_size": target_vocab_size}
        raise refusal("be equal where word vectors are shared", **sizes)
    sizes = Sizes(units=units, heads=heads, feedforward=feedforward, dropout=dropout, norm=norm)
    make = Layers()

    # --- inputs
    source = keras.Input((None,), dtype="int32", name="source")  # (B, S)
    target = keras.Input((None,), dtype="int32", name="target")  # (B, T)

    # --- trunk
    present = Present(name="present")(source)  # (B, S)
    words = make_words(target_vocab_size, units=units, tied=tied, make=make)
    if shared:
        make.known["source_words"] = words
    first = initial(units)
    x = make(layers.Embedding, source_vocab_size, units, embeddings_initializer=first, name="source_words")(source)
    x = ByteDropout(dropout, name="source_dropout")(Sinusoids(name="source_positions")(x))  # (B, S, D)
    for i in range(1, encoder_layers + 1):
        x = encoder_layer_block(x, present, sizes=sizes, make=make, name=f"encoder{i}")
    if norm == "pre":
        x = normalized(x, make=make, name="encoder_norm")
    memories = [  # (B, S, 2 D) each, once for all steps
        keys_values_block(x, sizes=sizes, make=make, name=f"decoder{i}_cross") for i in range(1, decoder_layers + 1)
    ]

    # --- heads
    logits, _, _ = decoder_block(target, memories, present, sizes=sizes, make=make)  # (B, T, V)
    return keras.Model([source, target], {"next": layers.Identity(name="next")(logits)}, name=name)


def initial(units: int):
    """Returns how word vectors begin."""
    return keras.initializers.RandomNormal(stddev=units**-0.5)


def make_words(vocab_size: int, *, units: int, tied: bool, make: Layers) -> layers.Layer:
    """Makes the layers of `decoder_block` that know the vocabulary, and returns that of the word vectors."""
    first = initial(units)
    words = make(layers.ReversibleEmbedding, vocab_size, units, embeddings_initializer=first, name="target_words")
    if not tied:
        # Keras' reversible embedding would begin with the same numbers in both directions.
        make(layers.Dense, vocab_size, use_bias=False, name="logits")
    return words


def decoder_block(target, memories, present, *, sizes: Sizes, make: Layers, caches=None):
    """Writes with the layers of a decoder.

    Args:
        target: The words before those that are predicted, int32 (B, T).
        memories: Keys and values of what is read for each layer, (B, S, 2 D).
        present: False for padding in it, bool (B, S).
        sizes: Sizes.
        make: Makes layers or takes them by name; it has those of `make_words`.
        caches: For each layer keys and values of the words before these, (B, T', 2 D).

    Returns:
        Logits (B, T, V), for each layer keys and values of all words (B, T' + T, 2 D), and for each layer the weights
        of what is read (B, heads, T, S).
    """
    words = make.known["target_words"]
    caches = caches or [None] * len(memories)
    x = make(Sinusoids, name="target_positions")(words(target), caches[0])
    x = make(ByteDropout, sizes.dropout, name="target_dropout")(x)  # (B, T, D)
    grown, weights = [], []
    for i, (memory, cache) in enumerate(zip(memories, caches, strict=True), start=1):
        x, *made = decoder_layer_block(x, memory, present, sizes=sizes, make=make, name=f"decoder{i}", cache=cache)
        grown.append(made[0])
        weights.append(made[1])
    if sizes.norm == "pre":
        x = normalized(x, make=make, name="decoder_norm")
    logits = make.known["logits"](x) if "logits" in make else words(x, reverse=True)  # (B, T, V)
    return logits, grown, weights


def encoder_of(model: keras.Model) -> keras.Model:
    """Returns the graph that reads, on the weights of a network of `build_transformer`.

    Returns:
        In: "source" int32 (B, S). Out: "present" bool (B, S), and for each layer of the decoder, "memory1" and so on,
        keys and values (B, S, 2 D).
    """
    outputs = {"present": model.get_layer("present").output}
    outputs |= {f"memory{i}": model.get_layer(f"decoder{i}_cross_keys_values").output for i in _numbers(model)}
    return keras.Model(model.inputs[:1], outputs, name=f"{model.name}_encoder")


def step_of(model: keras.Model) -> keras.Model:
    """Returns the graph of one step of writing, on the weights of a network of `build_transformer`.

    Returns:
        In: "token" int32 (B, 1), the word before, what `encoder_of` gives, and for each layer, "cache1" and so on, keys
        and values of the words before that one (B, T, 2 D), at first with T = 0. Out: "log_probs" float32 (B, V) of the
        next word, the caches with this word, (B, T + 1, 2 D), and "attention" float32 (B, S), the weights of the
        source, averaged over heads and layers.
    """
    attention = model.get_layer("decoder1_self_attention")
    units = model.get_layer("decoder1_self_query").units
    norm = "pre" if "decoder_norm" in {layer.name for layer in model.layers} else "post"
    sizes = Sizes(units=units, heads=attention.heads, feedforward=0, dropout=0.0, norm=norm)
    token = keras.Input((1,), dtype="int32", name="token")
    present = keras.Input((None,), dtype="bool", name="present")
    kept = {"dtype": attention.compute_dtype}
    memories, caches = (
        [keras.Input((None, 2 * units), name=f"{name}{i}", **kept) for i in _numbers(model)]
        for name in ("memory", "cache")
    )
    logits, grown, weights = decoder_block(token, memories, present, sizes=sizes, make=Layers(model), caches=caches)
    outputs = {
        "log_probs": ops.log_softmax(ops.cast(logits[:, 0], "float32")),
        "attention": mean_weights(weights)[:, 0],
    }
    outputs |= {f"cache{i}": cache for i, cache in zip(_numbers(model), grown, strict=True)}
    return keras.Model([token, present, *memories, *caches], outputs, name=f"{model.name}_step")


def attention_of(model: keras.Model) -> keras.Model:
    """Returns the graph that shows where a network of `build_transformer` looks.

    Returns:
        In: as the model. Out: "attention" float32 (B, T, S), the weights of the source at each word of the target,
        averaged over heads and layers.
    """
    weights = [model.get_layer(f"decoder{i}_cross_attention").output[1] for i in _numbers(model)]
    return keras.Model(model.inputs, {"attention": mean_weights(weights)}, name="attention")


def mean_weights(weights: Sequence):
    """Averages the weights of what is read over layers and heads: each (B, heads, T, S) -> float32 (B, T, S)."""
    return ops.mean(ops.cast(ops.stack(list(weights)), "float32"), axis=(0, 2))


def _numbers(model: keras.Model) -> range:
    """Returns the numbers of the decoder's layers."""
    names = {layer.name for layer in model.layers}
    count = 0
    while f"decoder{count + 1}_cross_keys_values" in names:
        count += 1
    return range(1, count + 1)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_transformer`; each default equals the builder's."""
    return {
        "units": hp.Choice("units", [128, 256, 512], default=256),
        "heads": hp.Choice("heads", [4, 8], default=8),
        "feedforward": hp.Int("feedforward", 256, 2048, step=256, default=512),
        "encoder_layers": hp.Int("encoder_layers", 1, 6, default=3),
        "decoder_layers": hp.Int("decoder_layers", 1, 6, default=3),
        "norm": hp.Choice("norm", ["pre", "post"], default="pre"),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.3),
    }
