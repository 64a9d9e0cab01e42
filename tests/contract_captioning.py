"""Contract rows of the networks that describe images."""

import functools

import kerasapps
from kerasapps.applications import captioner, vgg
from tests.contract_row import Contract, conv, dense, ids, images, normalized

WORDS, CAPTIONS, LENGTH = 13, 2, 5  # vocabulary, captions of an image, and words of each
U, E, A, F = 6, 4, 3, 5  # width of the decoder, of words, of the attention, and features of a place
BASE = {"image_shape": (32, 32, 3), "num_classes": 3, "depth": 11, "filters": (2, 3, 4, 4, 4), "dense_units": (2,)}
LOOK = normalized(3, 3, 4) + normalized(3, 4, F) + normalized(3, F, F)
REFUSED = [
    ({"vocab_size": 1}, "`vocab_size` must be at least 2. Received: vocab_size=1"),
    ({"units": 0}, "`units` must be at least 1. Received: units=0"),
    ({"decoder": "rnn"}, "`decoder` must be one of gru, lstm, transformer. Received: decoder='rnn'"),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
    ({"decoder": "transformer", "units": 7}, "`units` must be an even multiple of `heads`. Received: units=7"),
]


def attention(units: int) -> int:
    """Parameters of an attention in several heads."""
    return dense(units, units) + dense(units, 2 * units) + dense(units, units)


def places(features: int, units: int = U, *, context: int = 1) -> int:
    """Parameters between the grid and what is attended to."""
    layer = attention(units) + dense(units, 2 * units, units) + 2 * 2 * units
    return 2 * features + dense(features + 2, units) + context * layer + (2 * units if context else 0)


def recurrent(gates: int, biases: int, *, states: int, attends: bool = True) -> int:
    """Parameters of a recurrent decoder."""
    cell = (E + U + U + biases) * gates * U
    compared = U * A + (U + 1) * A if attends else 0
    return WORDS * E + dense(U, states * U) + cell + compared + dense(U + U + E, E)


def transformer(units: int, depth: int) -> int:
    """Parameters of a transformer that is not tied."""
    layer = 2 * attention(units) + dense(units, 2 * units, units) + 3 * 2 * units
    return 2 * WORDS * units + depth * layer + 2 * units


def row(variant: str, *, parameters: int, attends: bool = True, builder=kerasapps.build_captioner, **arguments):
    """A network that describes images of 16 pixels, with a base of 32, two captions for each."""
    side = 32 if "base" in arguments else 16
    shown = {"attention": (CAPTIONS, LENGTH, (side // 4) ** 2)} if attends else {}
    given = {"vocab_size": WORDS, "image_shape": (side, side, 3), "embedding_dim": E, "units": U, "attention_units": A}
    look = {} if "base" in arguments else {"filters": (4, F)}
    return Contract(
        builder=builder,
        variant=variant,
        arguments={**given, **look, "heads": 2, "dropout": 0.5, **arguments},
        inputs={"image": images(side, side, 3), "target": ids(4, CAPTIONS, LENGTH, seed=1)},
        outputs={"next": (CAPTIONS, LENGTH, WORDS), **shown},
        parameters=parameters,
        refused=REFUSED,
        search_space=captioner.search_space,
    )


@functools.wraps(captioner.build_captioner)
def build_captioner(*, base, **arguments):
    """Builds one on a small VGG, which is described by its arguments so that two builds have equal weights."""
    return captioner.build_captioner(base=vgg.build_vgg(**base), **arguments)


SEEN = conv(3, 3, 2) + conv(3, 2, 3) + conv(3, 3, 4) + conv(3, 4, 4)

CONTRACTS = [
    row("gru", parameters=LOOK + places(F) + recurrent(3, 2, states=1)),
    row("lstm", decoder="lstm", context=0, parameters=LOOK + places(F, context=0) + recurrent(4, 1, states=2)),
    row(
        "mean",
        attention=False,
        attends=False,
        parameters=LOOK + places(F) + recurrent(3, 2, states=1, attends=False),
    ),
    row(
        "transformer",
        decoder="transformer",
        units=8,
        tied=False,
        parameters=LOOK + places(F, 8) + transformer(8, 2),
    ),
    row(
        "base",
        builder=build_captioner,
        base=BASE,
        layer="block2_conv1+block3_conv2",
        frozen=False,
        parameters=SEEN + places(7) + recurrent(3, 2, states=1),
    ),
]
