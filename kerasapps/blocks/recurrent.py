"""LSTM layer that trains fast on a CPU: TensorFlow's fused LSTM kernel behind Keras' layer; and what a GRU shares.

Keras' own loop runs a dozen small operations a step, forwards and backwards, each of which costs more to schedule than
to compute. The fused kernel is one operation for all steps. It is faster only if small operations stay on one thread:
split among several it waits for them after every expression and is slower than Keras' loop, so run it under
`runtime.set_devices("recurrent")`. The gradient is a loop of our own, with what does not depend on later steps taken
out of it, and two halves of the batch run side by side.

Reference: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from kerasapps.blocks.backend import kernels_run
from kerasapps.blocks.plain import keras_layer

FORMATS = "float32", "bfloat16"  # in which recurrent layers have a loop of their own


class OwnLoop:
    """What recurrent layers with a loop of their own share: dropout, direction and mask around it.

    `run(sequences, *states)` takes (B, T, D) and (B, U) and returns for each state its values after all steps, float32
    (T, B, U), the output first.
    """

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Runs over sequences (B, T, D) from first states (B, U), as Keras' does where ours does not run."""
        if not (self.has_own_loop() and kernels_run(training=bool(training))):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        if keras.tree.is_nested(mask):
            mask = mask[0]
        if training and self.cell.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[:, 0])[:, None]
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        states = [ops.cast(one, "float32") for one in keras.tree.flatten(initial_state)]
        done = self._loop(ops.cast(sequences, "float32"), states, mask)
        return keras.tree.map_structure(lambda x: ops.cast(x, self.compute_dtype), done)

    def has_own_loop(self) -> bool:
        """Whether the loop supports the options of this layer."""

        def option(name, default):
            return getattr(self, name, default)

        return (
            self.compute_dtype in FORMATS
            and option("activation", keras.activations.tanh) is keras.activations.tanh
            and option("recurrent_activation", keras.activations.sigmoid) is keras.activations.sigmoid
            and option("reset_after", True)
            and not (option("recurrent_dropout", 0) or self.stateful or self.unroll)
            and option("use_cudnn", None) is not True
        )

    def _loop(self, sequences, states, mask):
        """Returns the last output, all outputs, and the last states."""
        if mask is None:
            done = self.run(sequences, *states)
            return done[0][-1], self._outputs(done[0]), [one[-1] for one in done]

        # A masked step changes nothing, so the steps that count may as well come first in each row.
        count = ops.cumsum(ops.cast(mask, "int32"), axis=1)  # (B, T), steps so far that count
        done = self.run(_counted_first(sequences, mask), *states)
        state = [_at(steps, count[:, -1], before=first) for steps, first in zip(done, states, strict=True)]
        # Before the first step that counts Keras outputs zero, whatever the state.
        hiddens, zero = done[0], ops.zeros_like(states[0])
        if self.zero_output_for_mask:
            count = count * ops.cast(mask, "int32")
        if not self.return_sequences:
            last = _at(hiddens, count[:, -1], before=zero)
            return last, last[:, None], state
        outputs = _at(hiddens, count, before=zero)  # (B, T, U)
        return outputs[:, -1], outputs, state

    def _outputs(self, hiddens):
        """Returns the outputs of all steps (B, T, U), or of the last (B, 1, U)."""
        return ops.transpose(hiddens, (1, 0, 2)) if self.return_sequences else hiddens[-1][:, None]


class FusedLoop(OwnLoop):
    """What LSTM layers share: the loop over the steps in TensorFlow's fused kernel."""

    def run(self, sequences, hidden, cell):
        """Returns hidden and cell states after each step, both (T, B, U)."""
        import tensorflow as tf

        bias = self.cell.bias if self.cell.use_bias else tf.zeros(4 * self.cell.units)
        weights = ops.concatenate([self.cell.kernel, self.cell.recurrent_kernel, ops.expand_dims(bias, 0)])
        # Keras' order is input, forget, candidate, output; the kernel expects the candidate second. (Its second version
        # has Keras' order, but TensorFlow registers the gradient of the first for it.)
        i, f, g, o = ops.split(weights, 4, axis=1)
        weights = ops.cast(ops.concatenate([i, g, f, o], axis=1), "float32")  # (D + U + 1, 4U)
        peepholes = getattr(self.cell, "peepholes", None)  # input, forget and output gate
        weights = KernelWeights(
            weights[:-1], weights[-1], None if peepholes is None else ops.cast(peepholes, "float32")
        )
        sequences = tf.transpose(sequences, [1, 0, 2])
        if tf.executing_eagerly():  # where a loop of our own would be one of Python
            done = _kernel(sequences, hidden, cell, weights)
            return done.h, done.cs
        rows = tf.shape(hidden)[0]
        sizes = [rows // 2, rows - rows // 2]
        halves = zip(tf.split(sequences, sizes, axis=1), tf.split(hidden, sizes), tf.split(cell, sizes), strict=True)
        done = [_run_kernel(*half, weights, dtype=self.compute_dtype) for half in halves]
        hiddens, cells = zip(*done, strict=True)
        return tf.concat(hiddens, 1), tf.concat(cells, 1)


@keras.saving.register_keras_serializable(package="kerasapps")
class LSTM(FusedLoop, keras.layers.LSTM):
    """Keras' LSTM with the same arguments, weights and results, faster on TensorFlow without a GPU.

    States and gates are float32 under "mixed_bfloat16" as well. Falls back to Keras on other backends, on GPUs, under
    XLA, in exported files, in float16 and for options that the kernel does not have.
    """

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, keras.layers.LSTM)


@keras.saving.register_keras_serializable(package="kerasapps")
class PeepholeLSTMCell(keras.layers.LSTMCell):
    """An LSTM cell whose gates also see the cell state: input and forget gate the old one, the output gate the new one.

    With W, U, b as in an LSTM and a weight vector p for each gate:

    i = sigmoid(W_i x + U_i h + p_i * c + b_i)
    f = sigmoid(W_f x + U_f h + p_f * c + b_f)
    c' = f * c + i * tanh(W_c x + U_c h + b_c)
    o = sigmoid(W_o x + U_o h + p_o * c' + b_o)
    h' = o * tanh(c')

    Reference: Gers and Schmidhuber, "Recurrent Nets that Time and Count", IJCNN 2000.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.peepholes = self.add_weight(name="peepholes", shape=(3, self.units), initializer="zeros")

    def call(self, inputs, states, training=False):
        hidden, cell = states
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)
        z = ops.matmul(inputs, self.kernel) + ops.matmul(hidden, self.recurrent_kernel)  # (B, 4 U)
        if self.use_bias:
            z = z + self.bias
        of_input, of_forget, of_candidate, of_output = ops.split(z, 4, axis=1)
        p_input, p_forget, p_output = ops.unstack(ops.cast(self.peepholes, z.dtype))
        kept = ops.sigmoid(of_forget + p_forget * cell) * cell
        cell = kept + ops.sigmoid(of_input + p_input * cell) * ops.tanh(of_candidate)
        hidden = ops.sigmoid(of_output + p_output * cell) * ops.tanh(cell)
        return hidden, [hidden, cell]


@keras.saving.register_keras_serializable(package="kerasapps")
class PeepholeLSTM(FusedLoop, keras.layers.RNN):
    """An LSTM layer with peepholes; see `PeepholeLSTMCell`. As fast as `LSTM` where that has its kernel.

    Args:
        units: Width of the states.
        dropout: Share of the inputs' features dropped in training, the same at every step.
        kwargs: Those of `keras.layers.RNN`, such as `return_sequences`.
    """

    def __init__(self, units: int, *, dropout: float = 0.0, **kwargs):
        super().__init__(PeepholeLSTMCell(units, dropout=dropout, dtype=kwargs.get("dtype"), name="cell"), **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        return config | {"units": self.cell.units, "dropout": self.cell.dropout}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class KernelWeights(NamedTuple):
    """Weights in the kernel's order of gates: input, candidate, forget, output.

    Args:
        kernel: Of input and hidden state, (D + U, 4 U).
        bias: (4 U,).
        peepholes: Of input, forget and output gate, (3, U), or None.
    """

    kernel: Any
    bias: Any
    peepholes: Any = None


def _kernel(x, hidden, cell, weights: KernelWeights):
    """Runs the fused kernel over x (T, B, D) from states (B, U): gates, cells and hidden states, all (T, B, U)."""
    import tensorflow as tf

    peepholes = tf.zeros((3, hidden.shape[-1])) if weights.peepholes is None else weights.peepholes
    into_input, into_forget, into_output = tf.unstack(peepholes)
    return tf.raw_ops.BlockLSTM(
        seq_len_max=tf.shape(x, tf.int64)[0],
        x=x,
        cs_prev=cell,
        h_prev=hidden,
        w=weights.kernel,
        wci=into_input,
        wcf=into_forget,
        wco=into_output,
        b=weights.bias,
        use_peephole=weights.peepholes is not None,
        forget_bias=0.0,
        cell_clip=-1.0,
    )


def _run_kernel(x, hidden, cell, weights: KernelWeights, *, dtype: str):
    """Runs the fused kernel, with a gradient of our own: x (T, B, D), states (B, U) -> two times states (T, B, U).

    The kernel's gradient multiplies by all weights in each step. Here a step multiplies by the recurrent ones alone,
    and the other products follow for all steps at once. All are in the format `dtype`.
    """
    import tensorflow as tf

    has_peepholes = weights.peepholes is not None

    @tf.custom_gradient
    def run(x, hidden, cell, *given):
        given = KernelWeights(*given)
        done = _kernel(x, hidden, cell, given)

        def back(of_hiddens, of_cells):
            # The gradient of this gradient would be that of the kernel, which TensorFlow knows in part alone.
            message = "The fused LSTM has no second derivatives: use keras.layers.LSTM."
            kept = type(done)(*(tf.raw_ops.PreventGradient(input=one, message=message) for one in done))
            sums, of_hidden, of_cell = _back_through_time(of_hiddens, of_cells, kept, cell, given, dtype=dtype)
            narrow = tf.cast(sums, dtype)
            of_weights = _of_weights(narrow, x, hidden, kept)
            if has_peepholes:
                of_weights += (_of_peepholes(sums, cell, kept),)
            return _of_x(narrow, x, given), of_hidden, of_cell, *of_weights

        return (done.h, done.cs), back

    return run(x, hidden, cell, *weights[: 3 if has_peepholes else 2])


def _back_through_time(of_hiddens, of_cells, done, cell, weights: KernelWeights, *, dtype: str):
    """Returns the gradients of the sums in front of the gates (T, B, 4 U), and of the first states, both (B, U)."""
    import tensorflow as tf

    units = cell.shape[-1]
    i, g, f, o, squashed = done.i, done.ci, done.f, done.o, done.co  # gates, and tanh of the cells
    before = shifted(cell, done.cs)
    # How the cell moves with the first three sums, and the hidden state with the last.
    slopes = [of_sigmoid(i, g), of_tanh(g, i), of_sigmoid(f, before), of_sigmoid(o, squashed)]
    out, on = of_tanh(squashed, o), f  # how the hidden state and the next cell move with the cell
    if weights.peepholes is not None:
        into_input, into_forget, into_output = tf.unstack(weights.peepholes)
        out += slopes[3] * into_output
        on += slopes[0] * into_input + slopes[2] * into_forget
    slopes = tf.concat(slopes, 2)  # (T, B, 4 U)
    recurrent = tf.cast(tf.transpose(weights.kernel[-units:]), dtype)  # (4 U, U)

    def step(t, of_hidden, of_cell, sums):
        of_hidden += of_hiddens[t]
        of_cell += of_cells[t] + of_hidden * out[t]
        of_sums = tf.concat([of_cell, of_cell, of_cell, of_hidden], 1) * slopes[t]  # (B, 4 U)
        on_hidden = tf.cast(tf.cast(of_sums, dtype) @ recurrent, tf.float32)
        return t - 1, on_hidden, of_cell * on[t], sums.write(t, of_sums)

    steps = tf.shape(slopes)[0]
    sums = tf.TensorArray(slopes.dtype, steps, element_shape=(None, 4 * units))
    start = steps - 1, tf.zeros_like(cell), tf.zeros_like(cell), sums
    _, of_hidden, of_cell, sums = tf.while_loop(lambda t, *_: t >= 0, step, start, parallel_iterations=1)
    return sums.stack(), of_hidden, of_cell


def of_sigmoid(y, gradient):
    """Returns y (1 - y) times a gradient in one pass: that of the sum which the sigmoid took to y."""
    import tensorflow as tf

    return tf.raw_ops.SigmoidGrad(y=y, dy=gradient)


def of_tanh(y, gradient):
    """Returns (1 - y^2) times a gradient in one pass: that of the sum which tanh took to y."""
    import tensorflow as tf

    return tf.raw_ops.TanhGrad(y=y, dy=gradient)


def _of_x(sums, x, weights: KernelWeights):
    """Returns the gradient of the sequences (T, B, D)."""
    import tensorflow as tf

    kernel = tf.cast(weights.kernel[: x.shape[-1]], sums.dtype)
    return tf.cast(tf.reshape(tf.matmul(_rows(sums), kernel, transpose_b=True), tf.shape(x)), x.dtype)


def _of_weights(sums, x, hidden, done):
    """Returns the gradients of kernel and bias."""
    import tensorflow as tf

    of_recurrent = summed_products(done.h[:-1], sums[1:]) + summed_products(hidden, sums[0])
    of_bias = summed_products(tf.ones_like(sums[:, :, :1]), sums)[0]  # a sum in a third of the time
    return tf.concat([summed_products(x, sums), of_recurrent], 0), of_bias


def _of_peepholes(sums, cell, done):
    """Returns the gradient of the peepholes (3, U)."""
    import tensorflow as tf

    of_input, _, of_forget, of_output = tf.split(sums, 4, axis=2)
    before = shifted(cell, done.cs)
    seen = of_input * before, of_forget * before, of_output * done.cs
    return tf.stack([tf.reduce_sum(one, [0, 1]) for one in seen])


def shifted(first, steps):
    """Returns what is there before each step: (B, U) and (T, B, U) -> (T, B, U)."""
    return ops.concatenate([first[None], steps[:-1]])


def _rows(x):
    """Joins all axes but the last: (..., D) -> (N, D)."""
    return ops.reshape(x, (-1, x.shape[-1]))


def summed_products(x, y):
    """Sums the outer products of rows, in the format of y: (..., D) and (..., E) -> float32 (D, E)."""
    import tensorflow as tf

    return tf.cast(tf.matmul(tf.cast(_rows(x), y.dtype), _rows(y), transpose_a=True), tf.float32)


def _counted_first(sequences, mask):
    """Moves the steps that count to the front of each row, in their order: (B, T, D) -> (B, T, D)."""
    import tensorflow as tf

    @tf.custom_gradient
    def move(x):
        order = tf.argsort(tf.cast(mask, tf.int8), axis=1, direction="DESCENDING", stable=True)

        def back(gradient):
            return tf.gather(gradient, tf.argsort(order, axis=1), batch_dims=1)

        return tf.gather(x, order, batch_dims=1), back

    # With padding at the end, as in all our data, they are there already.
    ordered = tf.reduce_all(mask[:, :-1] | ~mask[:, 1:])
    return tf.cond(ordered, lambda: tf.identity(sequences), lambda: move(sequences))


def _at(steps, count, *, before):
    """Returns the states of each row after so many of its steps.

    Args:
        steps: States after each step, (T, B, U).
        count: Number of steps, int32 (B,) or (B, T').
        before: States before the first step, (B, U).

    Returns:
        (B, U) or (B, T', U).
    """
    import tensorflow as tf

    rows = tf.range(tf.shape(count)[0])
    if len(count.shape) == 2:
        rows, before = tf.broadcast_to(rows[:, None], tf.shape(count)), before[:, None]
    picked = tf.gather_nd(steps, tf.stack([tf.maximum(count - 1, 0), rows], -1))
    return tf.where(count[..., None] > 0, picked, before)
