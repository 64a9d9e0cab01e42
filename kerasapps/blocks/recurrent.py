"""LSTM layer whose training is fast on a CPU: only what must wait for the step before it stays in the loop.

TensorFlow differentiates Keras' own loop op by op. Here both directions are written out. Input products and weight
gradients are taken over all steps at once; a step forward is one product and the gates, a step back one product and
two multiplications. Bias and mask are extra columns of the input: where a step is masked, a large weight shuts the
input and output gates and opens the forget gate, so the cell stays as it is without a `where`.
Gates lie before the batch, (4U, B), so that cutting them apart copies nothing.

Reference: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997;
Appleyard et al., "Optimizing Performance of Recurrent Neural Networks on GPUs", 2016.
"""

import keras
from keras import ops

STEPS = 10  # time steps written out in one turn of the loop


@keras.saving.register_keras_serializable(package="kerasapps")
class LSTM(keras.layers.LSTM):
    """Keras' LSTM: the same arguments, weights and results, faster on TensorFlow without a GPU.

    Falls back to Keras on other backends, on GPUs, in half precision and for options that `_is_plain` names.
    Values at masked steps must be finite.
    """

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Runs over the steps; Keras calls it with sequences (B, T, D) and mask (B, T)."""
        if not self._is_plain():
            return super().inner_loop(sequences, initial_state, mask, training=training)
        if keras.tree.is_nested(mask):
            mask = mask[0]
        if training and self.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[:, 0])[:, None]
        return self._run(sequences, initial_state, mask)

    def _is_plain(self) -> bool:
        if keras.backend.backend() != "tensorflow" or self.compute_dtype != "float32":
            return False
        import tensorflow as tf

        return (
            self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and not (self.recurrent_dropout or self.stateful or self.unroll or self.use_cudnn is True)
            and not tf.config.list_logical_devices("GPU")
        )

    def _run(self, x, initial_state, mask):
        """Returns last output (B, U), outputs (B, T, U) and states, as `keras.layers.RNN.inner_loop` does."""
        import tensorflow as tf

        kernel, recurrent = (ops.convert_to_tensor(w) for w in (self.cell.kernel, self.cell.recurrent_kernel))
        columns, rows = [tf.transpose(x, [1, 0, 2])], [kernel]  # (T, B, D), (D, 4U)
        if self.use_bias:
            columns.append(tf.ones_like(columns[0][:, :, :1]))
            rows.append(ops.convert_to_tensor(self.cell.bias)[None])
        if mask is not None:
            columns.append(1 - tf.cast(tf.transpose(mask), x.dtype)[:, :, None])  # 1 where the state is kept
            rows.append(tf.repeat(tf.constant([[-1e4, 1e4, 0, -1e4]], x.dtype), self.units, axis=1))
        x = tf.concat(columns, 2)  # (T, B, D + 1 or 2)
        if self.go_backwards:
            x = tf.reverse(x, [0])
        keep = None if mask is None else tf.transpose(x[:, :, -1:], [0, 2, 1])  # (T, 1, B)

        z = tf.matmul(_gates_last(tf.concat(rows, 0)), x, transpose_a=True, transpose_b=True)  # (T, 4U, B)
        h, c = (tf.transpose(s) for s in initial_state)  # (U, B)
        h, c = _recur(z, tf.transpose(_gates_last(recurrent)), h, c, keep)  # (T, U, B), (U, B)
        state = tf.transpose(h[-1])
        last = state
        if self.zero_output_for_mask and mask is not None:
            h *= 1 - keep
            last = tf.transpose(h[-1])
        outputs = tf.transpose(h, [2, 0, 1]) if self.return_sequences else last[:, None]
        return last, outputs, [state, tf.transpose(c)]


def _gates_last(w):
    """Reorders columns from Keras' input, forget, candidate, output to gates first, candidate last."""
    i, f, g, o = ops.split(w, 4, axis=1)
    return ops.concatenate([i, f, o, g], axis=1)


def _recur(z, u, h0, c0, keep):
    """Runs the recurrence on z (T, 4U, B) with u (4U, U); returns h (T, U, B) and the last c (U, B)."""
    import tensorflow as tf

    units = u.shape[1]

    @tf.custom_gradient
    def forward(z, u, h0, c0):
        def step(state, z, keep):
            h, c = state
            gates, g = tf.split(z + tf.matmul(u, h), [3 * units, units])
            i, f, o = tf.split(tf.sigmoid(gates), 3)
            g = tf.tanh(g)
            c = f * c + i * g
            squashed = tf.tanh(c)
            new = o * squashed if keep is None else o * squashed + keep * h
            return (new, c), (i, f, o, g, c, squashed, new)

        (_, last), (i, f, o, g, c, squashed, h) = _scan(step, (h0, c0), [z, keep], [c0.shape] * 7)

        def backward(dh_all, dc):
            c_before = tf.concat([c0[None], c[:-1]], 0)
            h_before = tf.concat([h0[None], h[:-1]], 0)
            slopes = [g * i * (1 - i), c_before * f * (1 - f), squashed * o * (1 - o), i * (1 - g * g)]
            slopes = tf.concat(slopes, 1)  # (T, 4U, B)
            through = o * (1 - squashed * squashed)  # from h to c
            ut = tf.transpose(u)

            def step(state, slopes, through, f, dh_out, keep):
                dh, dc = state
                dh += dh_out
                dc += dh * through
                dz = tf.concat([dc, dc, dh, dc], 0) * slopes
                before = tf.matmul(ut, dz) if keep is None else tf.matmul(ut, dz) + keep * dh
                return (before, dc * f), [dz]

            reads = [slopes, through, f, dh_all, keep]
            (dh, dc), (dz,) = _scan(step, (tf.zeros_like(h0), dc), reads, [z.shape[1:]], reverse=True)
            du = tf.reduce_sum(tf.matmul(dz, h_before, transpose_b=True), 0)
            return dz, du, dh, dc

        return (h, last), backward

    return forward(z, u, h0, c0)


def _scan(step, state, reads, shapes, reverse=False):
    """Folds `step` over time and stacks what it returns: `STEPS` steps a turn, then those left over one by one."""
    import tensorflow as tf

    length = reads[0].shape[0] or tf.shape(reads[0])[0]
    arrays = [tf.TensorArray(reads[0].dtype, length, element_shape=s) for s in shapes]

    def turn(size):
        def body(t, state, arrays):
            for i in range(size):
                at = length - 1 - t - i if reverse else t + i
                state, results = step(state, *(None if r is None else r[at] for r in reads))
                arrays = [a.write(at, r) for a, r in zip(arrays, results, strict=True)]
            return t + size, state, arrays

        return body

    loop = (tf.constant(0), state, arrays)
    whole = length // STEPS * STEPS
    loop = tf.while_loop(lambda t, *_: t < whole, turn(STEPS), loop, parallel_iterations=1)
    if not isinstance(length, int) or whole < length:
        loop = tf.while_loop(lambda t, *_: t < length, turn(1), loop, parallel_iterations=1)
    return loop[1], [a.stack() for a in loop[2]]
