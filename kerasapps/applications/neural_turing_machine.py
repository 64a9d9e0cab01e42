"""Neural Turing machine: a recurrent network with a memory of its own, which learns simple algorithms such as copying.

Reference: Graves et al., "Neural Turing Machines", 2014.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.turing import TuringMachine

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_neural_turing_machine(
    *,
    input_bits: int,
    output_bits: int,
    units: int = 24,
    slots: int = 32,
    width: int = 16,
    dropout: float = 0.0,
    name: str = "neural_turing_machine",
) -> keras.Model:
    """Builds a network that reads a sequence of bits and, step by step, writes another.

    `addressing_of` gives the weights of its heads.

    Args:
        input_bits: Bits of the input in a step.
        output_bits: Bits of the output in a step.
        units: Width of the controller, an LSTM. A wide one remembers sequences itself and leaves the memory unused.
        slots: Number of slots of the memory; a copy needs one for each step, and one more.
        width: Numbers in a slot.
        dropout: Share of the features in front of the output dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "sequence" float32 (B, T, input_bits), each 0 or 1.
        Out, a dict: "bits" float32 probabilities (B, T, output_bits) that a bit is 1.

    Train with: binary_crossentropy on bits, with sample weights (B, T) for the steps that count; binary_accuracy. Clip
    the gradients: those of the heads are now and then very large.

    Raises:
        ValueError: If a size is under 1, `slots` under 3 or `dropout` outside [0, 1).

    Example:
        >>> model = build_neural_turing_machine(input_bits=4, output_bits=3)
        >>> model.compile(Adam(5e-3, global_clipnorm=10.0), "binary_crossentropy", metrics=["binary_accuracy"])
        >>> model.fit(sequences, copies, epochs=2)  # float32 (n, T, 4) and (n, T, 3)
        >>> model.predict(sequences)["bits"] > 0.5
    """
    check_at_least(1, input_bits=input_bits, output_bits=output_bits, units=units, width=width)
    check_at_least(3, slots=slots)  # a shift is to have two different neighbors
    check_share(dropout=dropout)

    # --- inputs
    sequence = keras.Input((None, input_bits), name="sequence")  # (B, T, D)

    # --- trunk
    # In float32 under any precision: the weights of the heads are raised to a power, step after step.
    machine = TuringMachine(units, slots=slots, width=width, dtype="float32", name="machine")
    features, _, _ = machine(sequence)  # (B, T, U + W)
    features = Dropout(dropout, name="head_dropout")(features)

    # --- heads
    bits = layers.Dense(output_bits, activation="sigmoid", dtype="float32", name="bits")(
        features
    )  # (B, T, output_bits)
    return keras.Model([sequence], {"bits": bits}, name=name)


def addressing_of(model: keras.Model) -> keras.Model:
    """Returns a model on the same tensors that gives the weights of the heads of a neural Turing machine.

    Returns:
        Model with the same input. Out: "write" and "read" float32 (B, T, N): the weight of each slot, which sum to 1.
    """
    _, write, read = model.get_layer("machine").output
    return keras.Model(model.input, {"write": write, "read": read}, name=f"{model.name}_addressing")


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_neural_turing_machine`; each default equals the builder's."""
    return {
        "units": hp.Int("units", 8, 64, step=8, default=24),
        "slots": hp.Choice("slots", [16, 32, 64, 128], default=32),
        "width": hp.Int("width", 8, 32, step=8, default=16),
        "dropout": hp.Float("dropout", 0.0, 0.3, step=0.1, default=0.0),
    }
