"""GRU layer that trains fast on a CPU, and the loop inside it, which a decoder with attention needs too.

Keras' loop differentiates itself: each step multiplies for the gradients of all weights, adds them up and keeps every
intermediate value. Here the gradient is a loop of our own that holds only what depends on later steps; the rest follows
for all steps at once.

Reference: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
EMNLP 2014; the reset gate scales the candidate's recurrent product, as in cuDNN, PyTorch and Keras.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from kerasapps.blocks.plain import keras_layer
from kerasapps.blocks.recurrent import OwnLoop, of_sigmoid, of_tanh, shifted, summed_products


@keras.saving.register_keras_serializable(package="kerasapps")
class GRU(OwnLoop, keras.layers.GRU):
    """Keras' GRU with the same arguments, weights and results, faster on TensorFlow without a GPU.

    States and gates are float32 under "mixed_bfloat16" as well. Falls back to Keras on other backends, on GPUs, under
    XLA, in exported files, in float16 and for options that the loop does not have.
    """

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, keras.layers.GRU)

    def run(self, sequences, hidden):
        """Returns a tuple of the states after each step, (T, B, U)."""
        x = product(ops.transpose(sequences, (1, 0, 2)), self.cell.kernel, dtype=self.compute_dtype)
        bias = ops.zeros(3 * self.units)
        if self.use_bias:
            of_x, bias = ops.unstack(ops.cast(self.cell.bias, "float32"))
            x += of_x
        return (run_gru(x, hidden, self.cell.recurrent_kernel, bias, dtype=self.compute_dtype),)


class Gates(NamedTuple):
    """What a step computes on its way from one state to the next.

    Args:
        gates: Update and reset gate, (B, 2 U); kept of all steps (T, B, 2 U), as are the others.
        candidate: What the state moves to, (B, U).
        recurrent: The candidate's recurrent product, which the reset gate scales, (B, U).
    """

    gates: Any
    candidate: Any
    recurrent: Any


def gru_step(state, x, of_state) -> tuple[Any, Gates]:
    """Returns the next state, and what it was made of.

    Args:
        state: The state before (B, U).
        x: What the step reads, multiplied: of update gate, reset gate and candidate (B, 3 U).
        of_state: The state's product with the recurrent weights, with its bias, in the same order (B, 3 U).
    """
    units = state.shape[-1]
    gates = ops.sigmoid(x[:, : 2 * units] + of_state[:, : 2 * units])
    recurrent = of_state[:, 2 * units :]
    candidate = ops.tanh(x[:, 2 * units :] + gates[:, units:] * recurrent)
    return candidate + gates[:, :units] * (state - candidate), Gates(gates, candidate, recurrent)


class Slopes(NamedTuple):
    """How the sums in front of the gates move the next state, for all steps at once: factors of its gradient.

    Args:
        of_state: Of the recurrent product (T, B, 3 U).
        of_candidate: Of the sum in front of the candidate (T, B, U); the other two are those of the recurrent product.
        kept: Of the state before (T, B, U), without the way through the product.
    """

    of_state: Any
    of_candidate: Any
    kept: Any

    @classmethod
    def of(cls, before, done: Gates) -> "Slopes":
        """Returns them, given the states before the steps (T, B, U)."""
        update, reset = ops.split(done.gates, 2, axis=-1)
        candidate = of_tanh(done.candidate, 1 - update)
        parts = [
            of_sigmoid(update, before - done.candidate),
            of_sigmoid(reset, candidate * done.recurrent),
            candidate * reset,
        ]
        return cls(ops.concatenate(parts, -1), candidate, update)

    def of_sums(self, of_states, t=slice(None)):
        """Returns the gradients of the recurrent products and of what was read, both (..., 3 U), from the states'.

        Args:
            of_states: Gradients of the states (T, B, U), or of that of one step (B, U).
            t: Which step.
        """
        of_state = thrice(of_states) * self.of_state[t]
        units = of_states.shape[-1]
        return of_state, ops.concatenate([of_state[..., : 2 * units], of_states * self.of_candidate[t]], -1)


def run_gru(x, state, recurrent, bias, *, dtype: str):
    """Runs over all steps on TensorFlow, with a gradient of our own.

    Args:
        x: What each step reads, multiplied and with its bias, float32 (T, B, 3 U).
        state: First state, float32 (B, U).
        recurrent: Recurrent weights (U, 3 U).
        bias: Of the recurrent product (3 U,).
        dtype: Format of the products.

    Returns:
        The states after each step, float32 (T, B, U).
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x, state, recurrent, bias):
        narrow = tf.cast(recurrent, dtype)

        def step(t, s):
            s, done = gru_step(s, x[t], product(s, narrow, dtype=dtype) + bias)
            return (s,), (s, *done)

        units, count = state.shape[-1], tf.shape(x)[0]
        _, (states, *done) = loop(step, (state,), count=count, widths=[units, 2 * units, units, units])

        def back(of_states):
            message = "The fast GRU has no second derivatives: use keras.layers.GRU."
            kept = [once(one, message) for one in (states, *done)]
            before = shifted(state, kept[0])
            slopes = Slopes.of(before, Gates(*kept[1:]))
            turned = tf.transpose(narrow)

            def step(t, s):
                s += of_states[t]
                on = product(thrice(s) * slopes.of_state[t], turned, dtype=dtype)
                return (s * slopes.kept[t] + on,), (s,)

            (of_first,), (totals,) = loop(step, (tf.zeros_like(state),), count=count, widths=[units], backwards=True)
            of_state, of_x = slopes.of_sums(totals)
            of_recurrent = summed_products(before, tf.cast(of_state, dtype))
            return of_x, of_first, of_recurrent, tf.reduce_sum(of_state, [0, 1])

        return states, back

    # Read here: the function with the gradient takes no variables.
    return run(x, state, *(tf.cast(tf.convert_to_tensor(one), "float32") for one in (recurrent, bias)))


def loop(step, first, *, count, widths, backwards: bool = False):
    """Runs steps on TensorFlow, in a graph or eagerly.

    Args:
        step: (t, *carried) -> (carried, written), each float32 (B, ...).
        first: What the first step carries.
        count: Number of steps.
        widths: Length of the last axis of what is written, None if it is not known.
        backwards: Whether t falls.

    Returns:
        What the last step carries, and what all have written (count, B, ...), at t.
    """
    import tensorflow as tf

    rows = first[0].shape[0]  # LiteRT must know it
    arrays = [tf.TensorArray(tf.float32, count, element_shape=(rows, width)) for width in widths]

    def body(i, carried, arrays):
        t = count - 1 - i if backwards else i
        carried, written = step(t, *carried)
        return i + 1, carried, [array.write(t, one) for array, one in zip(arrays, written, strict=True)]

    start = tf.constant(0), first, arrays
    _, carried, arrays = tf.while_loop(lambda i, *_: i < count, body, start, parallel_iterations=1)
    return carried, [array.stack() for array in arrays]


def product(x, kernel, *, dtype: str):
    """Multiplies (..., D) by (D, E) in a format, and returns float32."""
    return ops.cast(ops.matmul(ops.cast(x, dtype), ops.cast(kernel, dtype)), "float32")


def thrice(x):
    """Repeats the last axis: (..., U) -> (..., 3 U)."""
    return ops.concatenate([x, x, x], -1)


def once(x, message: str):
    """Returns a value of a gradient that TensorFlow shall not differentiate again, as it would get that wrong."""
    import tensorflow as tf

    return tf.raw_ops.PreventGradient(input=x, message=message)
