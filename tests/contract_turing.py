"""Contract row of the neural Turing machine."""

import numpy as np

import kerasapps
from kerasapps.applications import neural_turing_machine as application
from tests.contract_row import Contract, dense

UNITS, SLOTS, WIDTH = 6, 5, 3

CONTRACTS = [
    Contract(
        builder=kerasapps.build_neural_turing_machine,
        arguments={
            "input_bits": 4,
            "output_bits": 2,
            "units": UNITS,
            "slots": SLOTS,
            "width": WIDTH,
            "dropout": 0.5,
        },
        inputs={"sequence": np.random.default_rng(0).integers(0, 2, (4, 7, 4)).astype(np.float32)},
        outputs={"bits": (7, 2)},
        # An LSTM that sees the input and what was read; two heads with key, strength, gate, three shifts and power,
        # erase and add; the output.
        parameters=4 * (4 + WIDTH + UNITS + 1) * UNITS
        + dense(UNITS, 2 * (WIDTH + 1 + 1 + 3 + 1) + 2 * WIDTH)
        + dense(UNITS + WIDTH, 2),
        refused=[
            ({"input_bits": 0}, "`input_bits` must be at least 1. Received: input_bits=0"),
            ({"units": 0}, "`units` must be at least 1. Received: units=0"),
            ({"slots": 2}, "`slots` must be at least 3. Received: slots=2"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
        ],
        search_space=application.search_space,
    ),
]
