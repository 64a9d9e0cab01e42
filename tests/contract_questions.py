"""Contract rows of the networks that answer questions."""

import kerasapps
from kerasapps.applications import memory_network as memory
from kerasapps.applications import question_answering as answering
from tests.contract_row import Contract, ids


def question_answering(encoder: str, *, encoders: int, width: int) -> Contract:
    """The two-input network with one encoder: parameters of its encoders, and how many features they give."""
    sizes = {"text_embedding_dim": 3, "text_units": 4, "question_embedding_dim": 2, "question_units": 3}
    return Contract(
        builder=kerasapps.build_question_answering,
        variant=encoder,
        arguments={"vocab_size": 12, "num_answers": 5, "encoder": encoder, "dropout": 0.5, **sizes},
        inputs={"text": ids(4, 7), "question": ids(4, 5, seed=1)},
        outputs={"answer": (5,)},
        # Embeddings of 12 words, the encoders of text (3 -> 4) and question (2 -> 3), 5 answers.
        parameters=12 * 3 + 12 * 2 + encoders + (width + 1) * 5,
        refused=[
            ({"num_answers": 1}, "`num_answers` must be at least 2. Received: num_answers=1"),
            ({"vocab_size": 1}, "`vocab_size` must be at least 2. Received: vocab_size=1"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
            ({"encoder": "rnn"}, "`encoder` must be one of"),
        ],
        search_space=answering.search_space,
        padded=("text", "question"),
    )


def memory_network(*, hops: int, walkers: int) -> Contract:
    """The memory network with 4 units, 2 roles, 2 steps: parameters layer by layer."""
    units, words, roles, steps = 4, 6, 2, 2
    features = (steps * walkers + 3 * walkers // 2) * roles
    reduction = {last: d * 2 * (3 * units + 1) + (2 * units + 1) * units for last, d in ((False, 2), (True, 1))}
    walk = (
        (words + 12) * roles  # roles by position and word
        + 2 * steps * walkers * roles  # leave, enter
        + (units + 1) * units  # what is read
        + features * units  # where it is read
        + (units + 1) * units  # read into the query
        + (features + 1) * units  # arrivals into the sentences
        + units * 5  # read into the answer
    )
    return Contract(
        builder=kerasapps.build_memory_network,
        variant=f"{hops}hops-{walkers}walkers",
        arguments={
            "vocab_size": 12,
            "num_answers": 5,
            "sentence_length": words,
            "units": units,
            "hops": hops,
            "walkers": walkers,
            "walk_steps": steps,
            "roles": roles,
            "dropout": 0.5,
        },
        inputs={"story": ids(4, 3, words), "question": ids(4, words, seed=1)},
        outputs={"answer": (5,)},
        # Embedding, positions, two normalizations, reductions, answer, walk.
        parameters=12 * units
        + words * units
        + 2 * 2 * units
        + (hops - 1) * reduction[False]
        + reduction[True]
        + (units + 1) * 5
        + (walk if walkers else 0),
        refused=[
            ({"num_answers": 1}, "`num_answers` must be at least 2. Received: num_answers=1"),
            ({"hops": 0}, "`hops` must be at least 1. Received: hops=0"),
            ({"dropout": -0.1}, "`dropout` must be in [0, 1). Received: dropout=-0.1"),
            ({"walkers": 3}, "`walkers` must be even"),
            *([({"walk_steps": 1}, "`walk_steps` must be at least 2. Received: walk_steps=1")] if walkers else []),
        ],
        search_space=memory.search_space,
        padded=("story",),
    )


LSTMS = 4 * 4 * (3 + 4 + 1) + 4 * 3 * (2 + 3 + 1)

CONTRACTS = [
    question_answering("lstm", encoders=LSTMS, width=4 + 3),
    question_answering("bilstm", encoders=2 * LSTMS, width=2 * (4 + 3)),
    # Keras' GRU has two biases a gate.
    question_answering("gru", encoders=3 * 4 * (3 + 4 + 2) + 3 * 3 * (2 + 3 + 2), width=4 + 3),
    question_answering("conv", encoders=(3 * 3 + 1) * 4 + (3 * 2 + 1) * 3, width=4 + 3),
    memory_network(hops=2, walkers=2),
    memory_network(hops=1, walkers=0),
]
