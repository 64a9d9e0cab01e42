"""LSTM layer that trains fast on a CPU: TensorFlow's fused LSTM kernel behind Keras' layer.

Keras' own loop runs a dozen small operations a step, forwards and backwards, each of which costs more to schedule than
to compute. The fused kernel is one operation a step. It is faster only if small operations stay on one thread: split
among several it waits for them after every expression and is slower than Keras' loop, so run it under
`runtime.set_devices("recurrent")`.

Reference: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997.
"""

import keras
from keras import ops

from kerasapps.blocks.backend import kernels_run
from kerasapps.blocks.plain import keras_layer


class FusedLoop:
    """What LSTM layers share: the loop over the steps in TensorFlow's fused kernel."""

    def fused_loop(self, sequences, initial_state, mask, training):
        """Runs over sequences (B, T, D) from two states (B, U), as `inner_loop` does, whose results it returns."""
        if keras.tree.is_nested(mask):
            mask = mask[0]
        if training and self.cell.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[:, 0])[:, None]
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        hidden, cell = initial_state
        if mask is None:
            hiddens, cells = self._run(sequences, hidden, cell)
            return hiddens[-1], self._outputs(hiddens), [hiddens[-1], cells[-1]]

        # A masked step changes nothing, so the steps that count may as well come first in each row.
        count = ops.cumsum(ops.cast(mask, "int32"), axis=1)  # (B, T), steps so far that count
        hiddens, cells = self._run(_counted_first(sequences, mask), hidden, cell)
        done = count[:, -1]  # (B,)
        state = [
            _at(ops.concatenate([before[None], after]), done) for before, after in ((hidden, hiddens), (cell, cells))
        ]
        # Before the first step that counts Keras outputs zero, whatever the state.
        hiddens = ops.concatenate([ops.zeros_like(hiddens[:1]), hiddens])  # (T + 1, B, U)
        if self.zero_output_for_mask:
            count = count * ops.cast(mask, "int32")
        if not self.return_sequences:
            last = _at(hiddens, count[:, -1])
            return last, last[:, None], state
        outputs = _at(hiddens, count)  # (B, T, U)
        return outputs[:, -1], outputs, state

    def _run(self, sequences, hidden, cell):
        """Returns hidden and cell states after each step, both (T, B, U)."""
        import tensorflow as tf

        bias = self.cell.bias if self.cell.use_bias else tf.zeros(4 * self.cell.units)
        weights = ops.concatenate([self.cell.kernel, self.cell.recurrent_kernel, ops.expand_dims(bias, 0)])
        # Keras' order is input, forget, candidate, output; the kernel expects the candidate second. (Its second version
        # has Keras' order, but TensorFlow registers the gradient of the first for it.)
        i, f, g, o = ops.split(weights, 4, axis=1)
        weights = ops.concatenate([i, g, f, o], axis=1)  # (D + U + 1, 4U)
        peepholes = getattr(self.cell, "peepholes", None)  # input, forget and output gate
        has_peepholes = peepholes is not None
        into_input, into_forget, into_output = tf.unstack(
            peepholes if has_peepholes else tf.zeros((3, self.cell.units))
        )
        done = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(tf.shape(sequences)[1], tf.int64),
            x=tf.transpose(sequences, [1, 0, 2]),
            cs_prev=cell,
            h_prev=hidden,
            w=weights[:-1],
            wci=into_input,
            wcf=into_forget,
            wco=into_output,
            b=weights[-1],
            use_peephole=has_peepholes,
            forget_bias=0.0,
            cell_clip=-1.0,
        )
        return done.h, done.cs

    def _outputs(self, hiddens):
        """Returns the outputs of all steps (B, T, U), or of the last (B, 1, U)."""
        return ops.transpose(hiddens, (1, 0, 2)) if self.return_sequences else hiddens[-1][:, None]


@keras.saving.register_keras_serializable(package="kerasapps")
class LSTM(FusedLoop, keras.layers.LSTM):
    """Keras' LSTM with the same arguments, weights and results, faster on TensorFlow without a GPU.

    Falls back to Keras on other backends, on GPUs, under XLA, in exported files, in half precision and for options that
    the kernel does not have.
    """

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, keras.layers.LSTM)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if not (self._has_kernel() and kernels_run(training=bool(training))):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        return self.fused_loop(sequences, initial_state, mask, training)

    def _has_kernel(self) -> bool:
        """Whether the fused kernel supports the options of this layer."""
        return (
            self.compute_dtype == "float32"
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and not (self.recurrent_dropout or self.stateful or self.unroll or self.use_cudnn is True)
        )


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

    def inner_loop(self, sequences, initial_state, mask, training=False):
        half = self.compute_dtype != "float32"
        if half or self.stateful or self.unroll or not kernels_run(training=bool(training)):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        return self.fused_loop(sequences, initial_state, mask, training)

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        return config | {"units": self.cell.units, "dropout": self.cell.dropout}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


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


def _at(steps, index):
    """Picks a step for each row: steps (T, B, U), index (B,) or (B, T') -> (B, U) or (B, T', U)."""
    if len(index.shape) == 1:
        return _at(steps, index[:, None])[:, 0]
    return ops.take_along_axis(ops.transpose(steps, (1, 0, 2)), index[:, :, None], axis=1)
