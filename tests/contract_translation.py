"""Contract rows of the networks that read a text and write another one."""

import kerasapps
from kerasapps.applications import seq2seq as recurrent
from kerasapps.applications import transformer as attentive
from tests.contract_row import Contract, dense, ids

SOURCE, TARGET, WORDS = 12, 13, 5  # vocabularies, and words of a target
READ = {"source_vocab_size": SOURCE, "target_vocab_size": TARGET}
REFUSED = [
    ({"source_vocab_size": 1}, "`source_vocab_size` must be at least 2. Received: source_vocab_size=1"),
    ({"target_vocab_size": 1}, "`target_vocab_size` must be at least 2. Received: target_vocab_size=1"),
    ({"units": 0}, "`units` must be at least 1. Received: units=0"),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
]


def translator(module, builder, variant: str, *, parameters: int, refused=(), **arguments) -> Contract:
    """A network from sources of 7 words to targets of 5."""
    return Contract(
        builder=builder,
        variant=variant,
        arguments={**READ, "dropout": 0.5, **arguments},
        inputs={"source": ids(4, 7, padding=2), "target": ids(4, WORDS, seed=1)},
        outputs={"next": (WORDS, TARGET)},
        parameters=parameters,
        refused=[*REFUSED, *refused],
        search_space=module.search_space,
        padded=("source",),
    )


def seq2seq(attention: str, *, decoder: int, lstm: bool = False, depth: int = 1) -> Contract:
    """The recurrent network with words of 4 features and states of 6; parameters of its attention."""
    words, units = 4, 6
    cell = 4 * (words + units + 1) * units if lstm else 3 * (words + units + 2) * units
    deeper = 4 * (3 * units + 1) * units if lstm else 3 * (3 * units + 2) * units
    return translator(
        recurrent,
        kerasapps.build_seq2seq,
        attention + "-lstm" * lstm,
        parameters=(SOURCE + TARGET) * words
        + 2 * cell
        + (depth - 1) * 2 * deeper
        + dense(2 * units, units)  # first state
        + decoder
        + 3 * units * (units + 2)  # of the state, and biases
        + dense(units + 2 * units + words, words),  # readout
        refused=[
            ({"attention": "soft"}, "`attention` must be one of additive, lectures, dot, none. Received: attention="),
            ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
        ],
        attention=attention,
        cell="lstm" if lstm else "gru",
        embedding_dim=words,
        units=units,
        max_length=12,
        depth=depth,
    )


def transformer(variant: str, *, extra: int = 0, **arguments) -> Contract:
    """The transformer of 8 units with one layer that reads and two that write."""
    units, hidden = 8, 16
    attention = dense(units, units) + dense(units, 2 * units) + dense(units, units)
    feedforward = dense(units, hidden, units)
    norm = 2 * units
    return translator(
        attentive,
        kerasapps.build_transformer,
        variant,
        parameters=(SOURCE + TARGET) * units
        + attention
        + feedforward
        + 2 * norm
        + 2 * (2 * attention + feedforward + 3 * norm)
        + extra,
        refused=[
            ({"units": 6, "heads": 4}, "`units` must be an even multiple of `heads`. Received: units=6"),
            ({"heads": 0}, "`heads` must be at least 1. Received: heads=0"),
            ({"norm": "none"}, "`norm` must be one of pre, post. Received: norm='none'"),
            ({"shared": True, "target_vocab_size": 14}, "must be equal where word vectors are shared"),
        ],
        units=units,
        heads=2,
        feedforward=hidden,
        encoder_layers=1,
        decoder_layers=2,
        **arguments,
    )


U, M, E = 6, 12, 4  # state, memory, words

CONTRACTS = [
    seq2seq("additive", decoder=(E + M) * 3 * U + M * U + U * U + U),
    seq2seq("lectures", decoder=U * 3 * U + (U + E + 1) * 12 + (M + E + 1) * U),
    seq2seq("dot", decoder=E * 3 * U + M * U, lstm=True, depth=2),
    seq2seq("none", decoder=(E + M) * 3 * U),
    transformer("pre-untied", extra=2 * 16 + 8 * TARGET, tied=False),
    transformer("post-shared", extra=-12 * 8, norm="post", shared=True, source_vocab_size=TARGET),
]
