"""The decoder-only transformer: each token of a text is predicted by attention to those before it.

References: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; Radford et al., "Improving Language Understanding
by Generative Pre-Training", 2018 (the decoder alone); Press and Wolf, "Using the Output Embedding to Improve Language
Models", EACL 2017 (tied).
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import check_at_least, check_share, checked, refusal
from kerasapps.blocks.noise import ByteDropout
from kerasapps.blocks.reuse import Layers
from kerasapps.blocks.transformer import LearnedPositions, Norm, Sinusoids, Sizes, decoder_layer_block, normalized

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Positions = Literal["sinusoids", "learned"]


@checked
def build_transformer_language_model(
    *,
    vocab_size: int,
    context: int = 256,
    units: int = 192,
    heads: int = 6,
    feedforward: int = 768,
    depth: int = 6,
    positions: Positions = "sinusoids",
    norm: Norm = "pre",
    tied: bool = True,
    dropout: float = 0.2,
    name: str = "transformer_language_model",
) -> keras.Model:
    """Builds a network that predicts each token of a text from those before it.

    This is the graph for training. On the same weights `step_of` gives the graph that continues from the keys and
    values of what came before, which writes; `kerasapps.generation` runs it.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        context: Longest text, for learned positions alone: sinusoids have no end.
        units: Width of the model, an even multiple of `heads`.
        heads: Heads of each attention.
        feedforward: Width within the position-wise networks.
        depth: Number of layers.
        positions: How a token's place is marked: by sinusoids, or a vector that is learned for each position.
        norm: Where normalization is: before each sublayer ("pre"), or after its residual ("post").
        tied: Whether the output multiplies by the tokens' vectors, instead of weights of its own.
        dropout: Share dropped in training of positioned token vectors and of each sublayer's outputs, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T). Out, a dict: "next" float32 (B, T, vocab_size), logits of the token
        after each one; under a mixed policy in its format, which `TokenCrossentropy` reads.

    Train with: `kerasapps.losses.TokenCrossentropy` on the text one token later, and a learning rate that rises first.

    Raises:
        ValueError: If a size is under 1, the vocabulary under 2, `units` no even multiple of `heads`, `dropout` outside
            [0, 1), or `positions` or `norm` unknown; with learned positions also for a text longer than `context`.

    Example:
        >>> model = build_transformer_language_model(vocab_size=1000, units=16, heads=2, depth=1)
        >>> model.compile(Adam(1e-3, global_clipnorm=1.0), TokenCrossentropy())
        >>> model.fit(questions[:, :-1], questions[:, 1:], epochs=1)  # int32 (n, t)
    """
    check_at_least(2, vocab_size=vocab_size)
    check_at_least(1, context=context, units=units, heads=heads, feedforward=feedforward, depth=depth)
    check_share(dropout=dropout)
    if units % heads or units % 2:
        raise refusal("be an even multiple of `heads`", units=units)
    sizes = Sizes(units=units, heads=heads, feedforward=feedforward, dropout=dropout, norm=norm)
    make, initial = Layers(), keras.initializers.RandomNormal(stddev=units**-0.5)

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    make(layers.ReversibleEmbedding, vocab_size, units, embeddings_initializer=initial, name="tokens")
    if positions == "learned":
        make(LearnedPositions, context, name="positions")
    if not tied:
        # Keras' reversible embedding would begin with the same numbers in both directions.
        make(layers.Dense, vocab_size, use_bias=False, name="logits")

    # --- heads
    logits, _ = language_block(text, sizes=sizes, depth=depth, make=make)  # (B, T, V)
    return keras.Model([text], {"next": layers.Identity(name="next")(logits)}, name=name)


def language_block(text, caches=None, *, sizes: Sizes, depth: int, make: Layers):
    """Predicts with the layers of a network.

    Args:
        text: Token ids, int32 (B, T).
        caches: For each layer keys and values of the tokens before these, (B, T', 2 D).
        sizes: Sizes.
        depth: Number of layers.
        make: Makes layers or takes them by name; it has "tokens".

    Returns:
        Logits (B, T, V), and for each layer keys and values of all tokens (B, T' + T, 2 D).
    """
    tokens, caches, grown = make.known["tokens"], caches or [None] * depth, []
    x = make(Sinusoids, name="positions")(tokens(text), caches[0])  # (B, T, D)
    x = make(ByteDropout, sizes.dropout, name="tokens_dropout")(x)
    for i, cache in enumerate(caches, start=1):
        x, cache, _ = decoder_layer_block(x, sizes=sizes, make=make, name=f"layer{i}", cache=cache)
        grown.append(cache)
    if sizes.norm == "pre":
        x = normalized(x, make=make, name="norm")
    return make.known["logits"](x) if "logits" in make else tokens(x, reverse=True), grown  # (B, T, V)


def step_of(model: keras.Model) -> keras.Model:
    """Returns the graph that continues from a cache, on the weights of a network of `build_transformer_language_model`.

    Returns:
        In: "token" int32 (B, T), the tokens that come next, such as a prompt or the last token, and for each layer,
        "cache1" and so on, keys and values of the tokens before them (B, T', 2 D), at first with T' = 0. Out:
        "log_probs" float32 (B, V) of the token after them, and the caches with them, (B, T' + T, 2 D).
    """
    attention, depth = model.get_layer("layer1_self_attention"), _depth(model)
    units = model.get_layer("layer1_self_query").units
    make = Layers(model)
    sizes = Sizes(
        units=units, heads=attention.heads, feedforward=0, dropout=0.0, norm="pre" if "norm" in make else "post"
    )
    token = keras.Input((None,), dtype="int32", name="token")
    names = [f"cache{i}" for i in range(1, depth + 1)]
    caches = [keras.Input((None, 2 * units), dtype=attention.compute_dtype, name=name) for name in names]
    logits, grown = language_block(token, caches, sizes=sizes, depth=depth, make=make)
    outputs = {"log_probs": ops.log_softmax(ops.cast(logits[:, -1], "float32"))}
    return keras.Model([token, *caches], outputs | dict(zip(names, grown, strict=True)), name=f"{model.name}_step")


def attention_of(model: keras.Model) -> keras.Model:
    """Returns the graph of what a network of `build_transformer_language_model` attends to.

    Returns:
        In: as the model. Out: "attention" float32 (B, depth, heads, T, T), the weights of all tokens at each one.
    """
    weights = [model.get_layer(f"layer{i}_self_attention").output[1] for i in range(1, _depth(model) + 1)]
    return keras.Model(model.inputs, {"attention": ops.cast(ops.stack(weights, axis=1), "float32")}, name="attention")


def _depth(model: keras.Model) -> int:
    """Returns the number of layers."""
    names = {layer.name for layer in model.layers}
    return sum(f"layer{i}_self_attention" in names for i in range(1, len(names) + 1))


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_transformer_language_model`; each default equals the builder's."""
    return {
        "units": hp.Choice("units", [96, 192, 384], default=192),
        "heads": hp.Choice("heads", [2, 3, 6], default=6),
        "feedforward": hp.Int("feedforward", 256, 1536, step=256, default=768),
        "depth": hp.Int("depth", 2, 8, default=6),
        "positions": hp.Choice("positions", ["sinusoids", "learned"], default="sinusoids"),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2),
    }
