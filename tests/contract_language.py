"""Contract rows of the language models."""

import kerasapps
from kerasapps.applications import recurrent_language_model as recurrent
from kerasapps.applications import transformer_language_model as attentive
from tests.contract_row import Contract, dense, ids

VOCABULARY, TOKENS = 12, 7
REFUSED = [
    ({"vocab_size": 1}, "`vocab_size` must be at least 2. Received: vocab_size=1"),
    ({"units": 0}, "`units` must be at least 1. Received: units=0"),
    ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
]


def language_model(module, builder, variant: str, *, parameters: int, refused=(), **arguments) -> Contract:
    """A network that reads texts of 7 tokens."""
    return Contract(
        builder=builder,
        variant=variant,
        arguments={"vocab_size": VOCABULARY, "dropout": 0.5, **arguments},
        inputs={"text": ids(4, TOKENS)},
        outputs={"next": (TOKENS, VOCABULARY)},
        parameters=parameters,
        refused=[*REFUSED, *refused],
        search_space=module.search_space,
    )


def recurrent_model(variant: str, *, parameters: int, **arguments) -> Contract:
    """The recurrent network with states of 6."""
    refused = [
        ({"embedding_dim": -1}, "`embedding_dim` must be at least 0. Received: embedding_dim=-1"),
        ({"embedding_dim": 0, "tied": True}, "`embedding_dim` must be at least 1 where the output is tied to it"),
        ({"cell": "rnn"}, "`cell` must be one of lstm, gru. Received: cell='rnn'"),
    ]
    return language_model(
        recurrent,
        kerasapps.build_recurrent_language_model,
        variant,
        parameters=parameters,
        refused=refused,
        units=6,
        **arguments,
    )


def transformer(variant: str, *, extra: int = 0, **arguments) -> Contract:
    """The transformer of 8 units with two layers."""
    units, hidden = 8, 16
    attention = dense(units, units) + dense(units, 2 * units) + dense(units, units)
    return language_model(
        attentive,
        kerasapps.build_transformer_language_model,
        variant,
        parameters=VOCABULARY * units + 2 * (attention + dense(units, hidden, units) + 2 * 2 * units) + extra,
        refused=[
            ({"units": 6, "heads": 4}, "`units` must be an even multiple of `heads`. Received: units=6"),
            ({"context": 0}, "`context` must be at least 1. Received: context=0"),
            ({"norm": "none"}, "`norm` must be one of pre, post. Received: norm='none'"),
            ({"positions": "none"}, "`positions` must be one of sinusoids, learned. Received: positions='none'"),
        ],
        units=units,
        heads=2,
        feedforward=hidden,
        depth=2,
        **arguments,
    )


V, U, E = VOCABULARY, 6, 4  # vocabulary, state, vectors

CONTRACTS = [
    recurrent_model(
        "lstm",
        parameters=V * E + 4 * (E + U + 1) * U + 4 * (2 * U + 1) * U + dense(U, V),
        embedding_dim=E,
        depth=2,
    ),
    recurrent_model("lstm-onehot", parameters=V * V + 4 * (V + U + 1) * U + dense(U, V), embedding_dim=0, depth=1),
    recurrent_model(
        "gru-tied",
        parameters=V * E + 3 * (E + U + 2) * U + dense(U, E),
        cell="gru",
        embedding_dim=E,
        depth=1,
        tied=True,
    ),
    transformer("sinusoids", extra=2 * 8, context=4),  # which ends learned positions alone
    transformer("learned-post-untied", extra=9 * 8 + 8 * V, positions="learned", context=9, norm="post", tied=False),
]
