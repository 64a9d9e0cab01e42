"""Sequence to sequence: a recurrent encoder, and a GRU that attends to it while it writes.

References: Sutskever et al., "Sequence to Sequence Learning with Neural Networks", NeurIPS 2014; Cho et al., "Learning
Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", EMNLP 2014 (without attention);
Bahdanau et al., "Neural Machine Translation by Jointly Learning to Align and Translate", ICLR 2015 (additive); Luong et
al., "Effective Approaches to Attention-based Neural Machine Translation", EMNLP 2015 (dot); Press and Wolf, "Using the
Output Embedding to Improve Language Models", EACL 2017 (tied); the course notes' two forms of attention.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.attention import Present, Unmasked
from kerasapps.blocks.attention_decoder import Attention, AttentionDecoder
from kerasapps.blocks.gru import GRU
from kerasapps.blocks.noise import ByteDropout
from kerasapps.blocks.recurrent import LSTM

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Cell = Literal["gru", "lstm"]
CELLS = {"gru": GRU, "lstm": LSTM}


@checked
def build_seq2seq(
    *,
    source_vocab_size: int,
    target_vocab_size: int,
    attention: Attention = "additive",
    cell: Cell = "gru",
    embedding_dim: int = 256,
    units: int = 512,
    depth: int = 1,
    max_length: int = 100,
    tied: bool = True,
    dropout: float = 0.3,
    name: str = "seq2seq",
) -> keras.Model:
    """Builds a network that reads a text and writes another one, word by word.

    This is the graph for training: it is given the target and predicts each of its words from those before it. On the
    same weights `encoder_of` and `step_of` give the two graphs that write; `kerasapps.decoding` runs them.

    Args:
        source_vocab_size: Number of token ids of what is read; 0 is padding. Ids in the input must be below it:
            TensorFlow refuses others on a CPU, and reads them as zeros on a GPU.
        target_vocab_size: The same of what is written.
        attention: How the decoder looks at the source: "additive" and "dot" compare its state with each word,
            "lectures" scores positions without seeing the words there, "none" keeps one vector for the whole source.
        cell: Recurrent cell of the encoder; the decoder's is a GRU.
        embedding_dim: Length of a word vector.
        units: Width of the decoder's state, and of the encoder in each direction.
        depth: Number of the encoder's layers, each of them in both directions.
        max_length: Longest source in words, for "lectures" alone.
        tied: Whether the output multiplies by the target's word vectors, instead of weights of its own.
        dropout: Share dropped in training of word vectors, the encoder's states and the features that predict, in
            [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "source" int32 (B, S) and "target" int32 (B, T), each row of which begins with a start
        token, both padded at the end. Out, a dict: "next" float32 (B, T, target_vocab_size), logits of the word after
        each word of the target; under a mixed policy in its format, which `TokenCrossentropy` reads.

    Train with: `kerasapps.losses.TokenCrossentropy` on the target without its first token.

    Raises:
        ValueError: If a size is under 1, a vocabulary under 2, `dropout` outside [0, 1), or `attention` or `cell`
            unknown; under "lectures" TensorFlow refuses a source longer than `max_length` when it is read.

    Example:
        >>> model = build_seq2seq(source_vocab_size=1000, target_vocab_size=1000, embedding_dim=16, units=32)
        >>> model.compile("adam", TokenCrossentropy())
        >>> model.fit({"source": stories[:, 0], "target": questions}, questions, epochs=1)  # int32 (n, s) and (n, t)
    """
    check_at_least(2, source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size)
    check_at_least(1, embedding_dim=embedding_dim, units=units, depth=depth, max_length=max_length)
    check_share(dropout=dropout)

    # --- inputs
    source = keras.Input((None,), dtype="int32", name="source")  # (B, S)
    target = keras.Input((None,), dtype="int32", name="target")  # (B, T)

    # --- trunk
    present = Present(name="present")(source)  # (B, S)
    x = layers.Embedding(source_vocab_size, embedding_dim, initial(embedding_dim), name="source_words")(source)
    x = ByteDropout(dropout, name="source_dropout")(x)  # (B, S, E)
    x, last = encoder_block(x, present, cell=cell, units=units, depth=depth, name="encoder")  # (B, S, 2 U), (B, 2 U)
    state = layers.Dense(units, activation="tanh", dtype="float32", name="first_state")(last)  # (B, U)
    if attention == "none":
        x = layers.Reshape((1, 2 * units), name="last_step")(last)
    keys = memory = ByteDropout(dropout, name="memory")(x)  # (B, S, 2 U), for "none" (B, 1, 2 U)
    if attention in ("additive", "dot"):
        keys = layers.Dense(units, use_bias=False, name="keys")(memory)  # (B, S, U), once for all steps

    # --- heads
    decoder = AttentionDecoder(units, attention=attention, max_length=max_length, name="decoder")
    inside = decoder_layers(decoder, target_vocab_size, embedding_dim=embedding_dim, tied=tied, dropout=dropout)
    logits, _, _ = decoder_block(target, memory, keys, present, state, layers=inside)
    return keras.Model([source, target], {"next": layers.Identity(name="next")(logits)}, name=name)


def encoder_block(x, present, *, cell: Cell, units: int, depth: int, name: str):
    """Reads a text in both directions: (B, S, E) -> states (B, S, 2 units) and the last of each direction (B, 2 units).

    Args:
        x: Word vectors.
        present: False for padding, bool (B, S).
        cell: Recurrent cell.
        units: Width in each direction.
        depth: Number of layers.
        name: Prefix of the layers' names.
    """
    for i in range(1, depth + 1):
        layer = CELLS[cell](units, return_sequences=True, return_state=True, name=f"{name}_{cell}{i}")
        x, *states = layers.Bidirectional(layer, name=f"{name}{i}")(x, mask=present)
    x = Unmasked(name=f"{name}_states")(x)
    return x, layers.Concatenate(name=f"{name}_last")([states[0], states[len(states) // 2]])


def initial(embedding_dim: int):
    """Returns how word vectors begin; the logits of a tied output then begin of the size of 1."""
    return keras.initializers.RandomNormal(stddev=embedding_dim**-0.5)


def decoder_layers(
    decoder: AttentionDecoder, vocab_size: int, *, embedding_dim: int, tied: bool, dropout: float
) -> dict[str, layers.Layer]:
    """Makes the layers of `decoder_block`, by name, around one that attends."""
    # Untied, Keras' reversible embedding would begin with the same numbers in both directions.
    output = () if tied else (layers.Dense(vocab_size, use_bias=False, name="logits"),)
    first = initial(embedding_dim)
    made = (
        layers.ReversibleEmbedding(vocab_size, embedding_dim, embeddings_initializer=first, name="target_words"),
        ByteDropout(dropout, name="target_dropout"),
        decoder,
        layers.Concatenate(name="features"),
        layers.Dense(embedding_dim, activation="tanh", name="readout"),
        ByteDropout(dropout, name="readout_dropout"),
        *output,
    )
    return {layer.name: layer for layer in made}


def decoder_block(target, memory, keys, present, state, *, layers: Mapping[str, keras.layers.Layer]):
    """Writes with the layers of a decoder, by name.

    Args:
        target: The words before those that are predicted, int32 (B, T).
        memory: What is attended to (B, S, M).
        keys: By what it is found (B, S, A).
        present: False for padding in it, bool (B, S).
        state: State before the first word (B, U), of an LSTM (B, 2 U).
        layers: Those of `decoder_layers`.

    Returns:
        Logits (B, T, V), weights of the memory (B, T, S), and the last state (B, U).
    """
    words = layers["target_words"](target)  # (B, T, E)
    words = layers["target_dropout"](words)
    states, contexts, weights, state = layers["decoder"](words, memory, keys, present, state)  # (B, T, U), (B, T, M)
    features = layers["features"]([states, contexts, words])
    features = layers["readout_dropout"](layers["readout"](features))  # (B, T, E)
    if "logits" in layers:
        return layers["logits"](features), weights, state  # (B, T, V)
    return layers["target_words"](features, reverse=True), weights, state


def encoder_of(model: keras.Model) -> keras.Model:
    """Returns the graph that reads, on the weights of a network of `build_seq2seq`.

    Returns:
        In: "source" int32 (B, S). Out: "memory" (B, S, M), "keys" (B, S, A), "present" bool (B, S), and "state", the
        decoder's first, (B, U).
    """
    outputs = dict(zip(("memory", "keys", "present", "state"), _read(model), strict=True))
    return keras.Model(model.inputs[:1], outputs, name=f"{model.name}_encoder")


def step_of(model: keras.Model) -> keras.Model:
    """Returns the graph of one step of writing, on the weights of a network of `build_seq2seq`.

    Returns:
        In: "token" int32 (B, 1), the word before, and what `encoder_of` gives. Out: "log_probs" float32 (B, V) of the
        next word, "state" float32 (B, U) after the step, and "attention" float32 (B, S), the weights of the source.
    """
    token = keras.Input((1,), dtype="int32", name="token")
    memory, keys, present, state = (
        keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in zip(("memory", "keys", "present", "state"), _read(model), strict=True)
    )
    by_name = {layer.name: layer for layer in model.layers}
    logits, weights, last = decoder_block(token, memory, keys, present, state, layers=by_name)
    outputs = {
        "log_probs": ops.log_softmax(ops.cast(logits[:, 0], "float32")),
        "state": last,
        "attention": weights[:, 0],
    }
    return keras.Model([token, memory, keys, present, state], outputs, name=f"{model.name}_step")


def attention_of(model: keras.Model) -> keras.Model:
    """Returns the graph that shows where a network of `build_seq2seq` looks.

    Returns:
        In: as the model. Out: "attention" float32 (B, T, S), the weights of the source at each word of the target.
    """
    return keras.Model(model.inputs, {"attention": model.get_layer("decoder").output[2]}, name="attention")


def _read(model: keras.Model) -> list:
    """Returns what a network has read: memory, keys, what of them is present, and the first state."""
    names = {layer.name for layer in model.layers}
    keys = "keys" if "keys" in names else "memory"
    return [model.get_layer(name).output for name in ("memory", keys, "present", "first_state")]


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_seq2seq`, the attention given; each default equals the builder's."""
    return {
        "cell": hp.Choice("cell", ["gru", "lstm"], default="gru"),
        "embedding_dim": hp.Int("embedding_dim", 64, 512, step=64, default=256),
        "units": hp.Int("units", 128, 768, step=128, default=512),
        "depth": hp.Int("depth", 1, 2, default=1),
        "tied": hp.Boolean("tied", default=True),
        "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1, default=0.3),
    }
