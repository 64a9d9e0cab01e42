"""A neural Turing machine: a recurrent layer that writes to a memory and reads from it by content and by location.

An LSTM, the controller, sees the input and what was read last. Its output sets the weights of two heads and what is
written. Everything is a weighted sum over all slots of the memory, so that gradients reach it.

Reference: Graves et al., "Neural Turing Machines", 2014.
"""

import keras
from keras import layers, ops

SMALL = 1e-6  # what each number of the memory begins with; keeps norms and powers of weights finite as well
SHIFTS = (-1, 0, 1)


@keras.saving.register_keras_serializable(package="kerasapps")
class TuringCell(layers.Layer):
    """A step of a neural Turing machine: the controller, then the write head, then the read head.

    States: the two of the controller, both (B, U); what was read (B, W); the weights of each head, (B, N) twice; and
    the memory (B, N, W). Returns controller output, what is read and the weights of the heads, (B, U + W + 2 N).

    Args:
        units: Width of the controller.
        slots: Number of slots of the memory.
        width: Numbers in a slot.
    """

    def __init__(self, units: int, *, slots: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.slots = slots
        self.width = width
        self.state_size = [units, units, width, slots, slots, (slots, width)]
        self.output_size = units + width + 2 * slots
        # Where to attend: key, its strength, gate, shift, power. What to write: erase, add.
        self.looking = width + 2 + len(SHIFTS) + 1
        self.controller = layers.LSTMCell(units, dtype=self.dtype_policy, name="controller")
        self.heads = layers.Dense(2 * self.looking + 2 * width, dtype=self.dtype_policy, name="heads")

    def build(self, input_shape):
        self.controller.build((input_shape[0], input_shape[-1] + self.width))
        self.heads.build((input_shape[0], self.units))

    def get_initial_state(self, batch_size=None):
        """Returns a memory of one small number and both heads at the first slot.

        The paper leaves both open. A constant memory is what Collier and Beel, "Implementing Neural Turing Machines",
        ICANN 2018, found to learn fastest.
        """
        zero, read = (ops.zeros((batch_size, size), self.compute_dtype) for size in (self.units, self.width))
        first = ops.concatenate([ops.ones_like(zero[:, :1]), ops.zeros((batch_size, self.slots - 1), zero.dtype)], 1)
        memory = ops.full((batch_size, self.slots, self.width), SMALL, self.compute_dtype)
        return [zero, zero, read, first, first, memory]

    def call(self, inputs, states):
        hidden, carry, read, at_write, at_read, memory = states
        hidden, (_, carry) = self.controller(ops.concatenate([inputs, read], -1), [hidden, carry])  # (B, U)
        bounds = [self.looking, 2 * self.looking, 2 * self.looking + self.width]
        to_write, to_read, erase, add = ops.split(self.heads(hidden), bounds, axis=-1)
        at_write = address(to_write, at_write, memory)  # (B, N)
        erased = ops.expand_dims(at_write, -1) * ops.expand_dims(ops.sigmoid(erase), 1)  # (B, N, W)
        added = ops.expand_dims(at_write, -1) * ops.expand_dims(ops.tanh(add), 1)
        memory = memory * (1 - erased) + added
        at_read = address(to_read, at_read, memory)
        read = ops.einsum("bn,bnw->bw", at_read, memory)
        return ops.concatenate([hidden, read, at_write, at_read], -1), [hidden, carry, read, at_write, at_read, memory]

    def get_config(self):
        return super().get_config() | {"units": self.units, "slots": self.slots, "width": self.width}


def address(looking, before, memory):
    """Returns the weights of a head: numbers of the controller (B, W + 6), weights before (B, N), memory -> (B, N)."""
    width = memory.shape[-1]
    key, strength, gate, shift, power = ops.split(looking, [width, width + 1, width + 2, width + 5], axis=-1)
    found = content_weights(memory, ops.tanh(key), ops.softplus(strength))
    gate = ops.sigmoid(gate)
    weights = gate * found + (1 - gate) * before
    return sharpened(shifted(weights, ops.softmax(shift)), 1 + ops.softplus(power))


def content_weights(memory, key, strength):
    """Weighs slots by the cosine of their angle to a key: (B, N, W), (B, W) and (B, 1) -> (B, N), which sum to 1."""
    products = ops.einsum("bnw,bw->bn", memory, key)
    lengths = ops.sqrt(ops.sum(memory * memory, -1) * ops.sum(key * key, -1, keepdims=True) + SMALL**2)  # (B, N)
    return ops.softmax(strength * products / lengths)


def shifted(weights, shift):
    """Convolves weights (B, N) with a distribution over steps of -1, 0 and 1 slots (B, 3); the last slot has the first
    as its neighbor."""
    return sum(shift[:, i : i + 1] * ops.roll(weights, step, axis=-1) for i, step in enumerate(SHIFTS))


def sharpened(weights, power):
    """Raises weights (B, N) to a power (B, 1) of at least 1, so that shifts do not blur them more and more."""
    # By logarithms: 32 equal weights, each to the power of 30, would all be 0 in float32.
    return ops.softmax(power * ops.log(weights + SMALL))


@keras.saving.register_keras_serializable(package="kerasapps")
class TuringMachine(layers.RNN):
    """A neural Turing machine over a sequence; see `TuringCell`.

    Call with: sequence float (B, T, D). Returns controller output and what was read, (B, T, U + W); and the
    weights of the write head and of the read head, both (B, T, N).

    Args:
        units: Width of the controller.
        slots: Number of slots of the memory.
        width: Numbers in a slot.
    """

    def __init__(self, units: int, *, slots: int, width: int, **kwargs):
        cell = TuringCell(units, slots=slots, width=width, dtype=kwargs.get("dtype"), name="cell")
        super().__init__(cell, return_sequences=True, **kwargs)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        steps = super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        split = self.cell.units + self.cell.width
        return tuple(ops.split(steps, [split, split + self.cell.slots], axis=-1))

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        sizes = (self.cell.units + self.cell.width, self.cell.slots, self.cell.slots)
        return tuple((*sequences_shape[:2], size) for size in sizes)

    def get_config(self):
        config = layers.Layer.get_config(self)
        return config | {"units": self.cell.units, "slots": self.cell.slots, "width": self.cell.width}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
