"""What every builder promises: one row a builder, checked by test_contract.py at toy size."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

import kerasapps
from kerasapps.applications import memory_network as memory
from kerasapps.applications import question_answering as answering
from tests.contract_gan import gan_contracts
from tests.contract_images import image_contracts
from tests.contract_texts import text_contracts


@dataclass(frozen=True)
class Contract:
    """One builder with toy arguments.

    Args:
        builder: The builder.
        arguments: Toy arguments for it.
        inputs: Name to an array of a few rows.
        outputs: Name to shape of a row.
        parameters: Number of parameters, as arithmetic.
        refused: Arguments that must raise, with what the message must say.
        search_space: The search space beside the builder; None for one that only joins networks.
        padded: Names of inputs that may be padded further along axis 1 without any change.
        frozen: Whether nothing of it trains, and it therefore answers alike in training.
    """

    builder: Callable[..., keras.Model]
    arguments: dict[str, Any]
    inputs: dict[str, np.ndarray]
    outputs: dict[str, tuple[int, ...]]
    parameters: int
    refused: list[tuple[dict[str, Any], str]]
    search_space: Callable | None = None
    padded: tuple[str, ...] = field(default=())
    frozen: bool = False

    def __str__(self) -> str:
        variant = "-".join(str(value) for value in self.arguments.values() if isinstance(value, str))
        return f"{self.builder.__name__}{'-' + variant if variant else ''}"


def ids(*shape: int, top: int = 12, seed: int = 0) -> np.ndarray:
    """Token ids with padding at the end of each row of axis 1."""
    array = np.random.default_rng(seed).integers(1, top, shape).astype(np.int32)
    array[0, -1:] = 0
    return array


TWO_INPUTS = {"text": ids(4, 7), "question": ids(4, 5, seed=1)}
# Embeddings of 12 words, then the encoders of text (3 -> 4) and question (2 -> 3), then 5 answers.
EMBEDDINGS = 12 * 3 + 12 * 2


def question_answering(encoder: str, encoders: int, width: int) -> Contract:
    """The two-input network with one encoder: parameters of its encoders, and how many features they give."""
    sizes = {"text_embedding_dim": 3, "text_units": 4, "question_embedding_dim": 2, "question_units": 3}
    return Contract(
        builder=kerasapps.build_question_answering,
        arguments={"vocab_size": 12, "num_answers": 5, "encoder": encoder, "dropout": 0.5, **sizes},
        inputs=TWO_INPUTS,
        outputs={"answer": (5,)},
        parameters=EMBEDDINGS + encoders + (width + 1) * 5,
        refused=[
            ({"num_answers": 1}, "`num_answers` must be at least 2. Received: num_answers=1"),
            ({"vocab_size": 1}, "`vocab_size`"),
            ({"dropout": 1.0}, "`dropout` must be in"),
            ({"encoder": "rnn"}, "`encoder` must be one of"),
        ],
        search_space=answering.search_space,
        padded=("text", "question"),
    )


LSTMS = 4 * 4 * (3 + 4 + 1) + 4 * 3 * (2 + 3 + 1)

CONTRACTS = [
    question_answering("lstm", LSTMS, 4 + 3),
    question_answering("bilstm", 2 * LSTMS, 2 * (4 + 3)),
    # Keras' GRU has two biases a gate.
    question_answering("gru", 3 * 4 * (3 + 4 + 2) + 3 * 3 * (2 + 3 + 2), 4 + 3),
    question_answering("conv", (3 * 3 + 1) * 4 + (3 * 2 + 1) * 3, 4 + 3),
]


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
        # Embedding, positions, two normalisations, reductions, answer, walk.
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
            ({"dropout": -0.1}, "`dropout` must be in"),
            ({"walkers": 3}, "`walkers` must be even"),
            *([({"walk_steps": 1}, "`steps` must be at least 2")] if walkers else []),
        ],
        search_space=memory.search_space,
        padded=("story",),
    )


CONTRACTS += [memory_network(hops=2, walkers=2), memory_network(hops=1, walkers=0)]

CONTRACTS += image_contracts(Contract)
CONTRACTS += text_contracts(Contract)
CONTRACTS += gan_contracts(Contract)
