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


@keras.saving.register_keras_serializable(package="kerasapps")
class LSTM(keras.layers.LSTM):
    """Keras' LSTM with the same arguments, weights and results, faster on TensorFlow without a GPU.

    Falls back to Keras on other backends, on GPUs, under XLA, in exported files, in half precision and for options that
    the kernel does not have.
    """

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, keras.layers.LSTM)

    def inner_loop(self, sequences, initial_state, mask, training=False):  # (B, T, D), two of (B, U), (B, T)
        if not (self._has_kernel() and kernels_run(training=bool(training))):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        if keras.tree.is_nested(mask):
            mask = mask[0]
        if training and self.dropout:
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

    def _has_kernel(self) -> bool:
        """Whether the fused kernel supports the options of this layer."""
        return (
            self.compute_dtype == "float32"
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and not (self.recurrent_dropout or self.stateful or self.unroll or self.use_cudnn is True)
        )

    def _run(self, sequences, hidden, cell):
        """Returns hidden and cell states after each step, both (T, B, U)."""
        import tensorflow as tf

        bias = self.cell.bias if self.use_bias else tf.zeros(4 * self.units)
        weights = ops.concatenate([self.cell.kernel, self.cell.recurrent_kernel, ops.expand_dims(bias, 0)])
        # Keras' order is input, forget, candidate, output; the kernel expects the candidate second. (Its second version
        # has Keras' order, but TensorFlow registers the gradient of the first for it.)
        i, f, g, o = ops.split(weights, 4, axis=1)
        weights = ops.concatenate([i, g, f, o], axis=1)  # (D + U + 1, 4U)
        no_peephole = tf.zeros(self.units)
        done = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(tf.shape(sequences)[1], tf.int64),
            x=tf.transpose(sequences, [1, 0, 2]),
            cs_prev=cell,
            h_prev=hidden,
            w=weights[:-1],
            wci=no_peephole,
            wcf=no_peephole,
            wco=no_peephole,
            b=weights[-1],
            forget_bias=0.0,
            cell_clip=-1.0,
        )
        return done.h, done.cs

    def _outputs(self, hiddens):
        """Returns the outputs of all steps (B, T, U), or of the last (B, 1, U)."""
        return ops.transpose(hiddens, (1, 0, 2)) if self.return_sequences else hiddens[-1][:, None]


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
