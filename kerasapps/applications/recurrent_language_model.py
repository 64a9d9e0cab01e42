"""The recurrent language model: a token in, the next one predicted, the state of the cells carried on.

References: Mikolov et al., "Recurrent Neural Network Based Language Model", Interspeech 2010; Graves, "Generating
Sequences With Recurrent Neural Networks", 2013 (characters); Press and Wolf, "Using the Output Embedding to Improve
Language Models", EACL 2017 (tied); the course notes' character model, which has one-hot characters.
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import check_at_least, check_share, checked, refusal
from kerasapps.blocks.gru import GRU
from kerasapps.blocks.noise import ByteDropout
from kerasapps.blocks.recurrent import LSTM
from kerasapps.blocks.reuse import Layers

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Cell = Literal["lstm", "gru"]
CELLS = {"lstm": LSTM, "gru": GRU}
# Names of a cell's states in the graph of a step, the output first.
STATES = {"lstm": ("hidden", "cell"), "gru": ("hidden",)}


@checked
def build_recurrent_language_model(
    *,
    vocab_size: int,
    cell: Cell = "lstm",
    embedding_dim: int = 64,
    units: int = 256,
    depth: int = 2,
    tied: bool = False,
    dropout: float = 0.2,
    name: str = "recurrent_language_model",
) -> keras.Model:
    """Builds a network that predicts each token of a text from those before it.

    This is the graph for training; it begins each row with states of zero. On the same weights `step_of` gives the
    graph that continues from any state, which writes; `kerasapps.generation` runs it.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        cell: Recurrent cell.
        embedding_dim: Length of a token's vector; 0 for one-hot vectors, which are not learned.
        units: Width of each layer's state.
        depth: Number of layers.
        tied: Whether the output multiplies by the tokens' vectors, instead of weights of its own.
        dropout: Share of each layer's outputs dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "text" int32 (B, T). Out, a dict: "next" float32 (B, T, vocab_size), logits of the token
        after each one; under a mixed policy in its format, which `TokenCrossentropy` reads.

    Train with: `kerasapps.losses.TokenCrossentropy` on the text one token later, and clipped gradients.

    Raises:
        ValueError: If a size is under 1, the vocabulary under 2, `embedding_dim` under 0, `dropout` outside [0, 1),
            `cell` unknown, or `tied` without vectors to tie.

    Example:
        >>> model = build_recurrent_language_model(vocab_size=1000, units=16, depth=1)
        >>> model.compile(Adam(2e-3, global_clipnorm=1.0), TokenCrossentropy())
        >>> model.fit(texts[:, :-1], texts[:, 1:], epochs=1)  # int32 (n, t)
    """
    check_at_least(2, vocab_size=vocab_size)
    check_at_least(1, units=units, depth=depth)
    check_at_least(0, embedding_dim=embedding_dim)
    check_share(dropout=dropout)
    if tied and not embedding_dim:
        raise refusal("be at least 1 where the output is tied to it", embedding_dim=embedding_dim)
    make = Layers()

    # --- inputs
    text = keras.Input((None,), dtype="int32", name="text")  # (B, T)

    # --- trunk
    tokens_block(vocab_size, embedding_dim, make=make)
    for i in range(1, depth + 1):
        make(CELLS[cell], units, return_sequences=True, return_state=True, name=f"{cell}{i}")
        make(ByteDropout, dropout, name=f"dropout{i}")

    # --- heads
    if tied:
        make(layers.Dense, embedding_dim, activation="tanh", name="readout")
    else:
        # Keras' reversible embedding would begin with the same numbers in both directions.
        make(layers.Dense, vocab_size, name="logits")
    logits, _ = language_block(text, cell=cell, depth=depth, make=make)  # (B, T, V)
    return keras.Model([text], {"next": layers.Identity(name="next")(logits)}, name=name)


def tokens_block(vocab_size: int, embedding_dim: int, *, make: Layers) -> layers.Layer:
    """Makes the layer from ids to vectors, learned or one-hot."""
    if not embedding_dim:
        return make(
            layers.Embedding, vocab_size, vocab_size, embeddings_initializer="identity", trainable=False, name="tokens"
        )
    initial = keras.initializers.RandomNormal(stddev=embedding_dim**-0.5)  # logits then begin of the size of 1
    return make(layers.ReversibleEmbedding, vocab_size, embedding_dim, embeddings_initializer=initial, name="tokens")


def language_block(text, states=None, *, cell: Cell, depth: int, make: Layers):
    """Predicts with the layers of a network.

    Args:
        text: Token ids, int32 (B, T).
        states: For each layer the states (B, U) that it continues from, zero by default.
        cell: Recurrent cell.
        depth: Number of layers.
        make: Has the layers by name.

    Returns:
        Logits (B, T, V), and for each layer its last states (B, U).
    """
    tokens = make.known["tokens"]
    x, last = tokens(text), []  # (B, T, D)
    for i, before in enumerate(states or [None] * depth, start=1):
        x, *after = make.known[f"{cell}{i}"](x, initial_state=before)  # (B, T, U)
        x = make.known[f"dropout{i}"](x)
        last.append(after)
    if "logits" in make:
        return make.known["logits"](x), last  # (B, T, V)
    return tokens(make.known["readout"](x), reverse=True), last


def step_of(model: keras.Model) -> keras.Model:
    """Returns the graph that continues from any state, on the weights of a network of `build_recurrent_language_model`.

    Returns:
        In: "token" int32 (B, T), the tokens that come next, such as a prompt or the last token, and for each layer
        "hidden1" and, of an LSTM, "cell1", and so on, its states (B, U), at first zero. Out: "log_probs" float32 (B, V)
        of the token after them, and the states after them.
    """
    make = Layers(model)
    cell = "lstm" if "lstm1" in make else "gru"
    depth = sum(f"{cell}{i}" in make for i in range(1, len(make.known) + 1))
    token = keras.Input((None,), dtype="int32", name="token")
    layer = make.known[f"{cell}1"]
    names = [[f"{name}{i}" for name in STATES[cell]] for i in range(1, depth + 1)]
    states = [
        [keras.Input((layer.units,), dtype=layer.compute_dtype, name=name) for name in of_layer] for of_layer in names
    ]
    logits, last = language_block(token, states, cell=cell, depth=depth, make=make)
    outputs = {"log_probs": ops.log_softmax(ops.cast(logits[:, -1], "float32"))}
    outputs |= dict(zip(keras.tree.flatten(names), keras.tree.flatten(last), strict=True))
    return keras.Model([token, *keras.tree.flatten(states)], outputs, name=f"{model.name}_step")


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_recurrent_language_model`, the cell given; each default equals the builder's."""
    return {
        "embedding_dim": hp.Choice("embedding_dim", [0, 16, 64, 128], default=64),
        "units": hp.Int("units", 128, 512, step=64, default=256),
        "depth": hp.Int("depth", 1, 3, default=2),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2),
    }
