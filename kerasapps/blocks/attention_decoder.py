"""A GRU that reads what it attends to: additive attention, the course notes' second attention, or dot products.

References: Bahdanau et al., "Neural Machine Translation by Jointly Learning to Align and Translate", ICLR 2015
(additive); Luong et al., "Effective Approaches to Attention-based Neural Machine Translation", EMNLP 2015 (dot); the
course notes' "attention II" (lectures).
"""

import functools
from typing import Literal

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import refusal
from kerasapps.blocks.attention import HIDDEN
from kerasapps.blocks.attention_loop import AttentionWeights, run_attention
from kerasapps.blocks.backend import kernels_run
from kerasapps.blocks.gru import gru_step, loop, product, run_gru
from kerasapps.blocks.recurrent import FORMATS

Attention = Literal["additive", "lectures", "dot", "none"]
Cell = Literal["gru", "lstm"]
GATES = {"gru": 3, "lstm": 4}  # the candidate among them


@keras.saving.register_keras_serializable(package="kerasapps")
class AttentionDecoder(layers.Layer):
    """A GRU over words that looks at a memory at every step; one step is a call with a single word.

    With y the word before, s the state, h_j the memory, and alpha_t the softmax of e_t over j, padding left out:

    - "additive": e_tj = v . tanh(W s_{t-1} + k_j), c_t = sum_j alpha_tj h_j, s_t = GRU(s_{t-1}, [y_{t-1}; c_t]), where
      k_j = U h_j is given.
    - "lectures": e_tj = v_j . [s_{t-1}; y_{t-1}] + b_j, so that a score knows the position j and not what stands there;
      c_t as before, s_t = GRU(s_{t-1}, relu(W [c_t; y_{t-1}] + b)).
    - "dot": s_t = GRU(s_{t-1}, y_{t-1}), e_tj = s_t . k_j, c_t as before.
    - "none": c is the memory, which has a single step: s_t = GRU(s_{t-1}, [y_{t-1}; c]).

    An LSTM in place of the GRU keeps [s; m], its output and its memory cell, as the state.

    Call with: words (B, T, E), memory (B, S, M), keys (B, S, A), present bool (B, S) and state (B, U), the state
    before, of an LSTM (B, 2 U). The keys are read by "additive" and "dot", whose A is U, alone.
    Returns: states (B, T, U), contexts (B, T, M), weights (B, T, S) and the last state as it was given; weights and
    last state are float32. The state is float32 throughout, whatever the precision of the products.

    Args:
        units: Width U of the state.
        attention: One of these.
        max_length: For "lectures", the number of positions j that there are scores for.
        cell: What the recurrent layer is.
    """

    def __init__(
        self,
        units: int,
        *,
        attention: Attention = "additive",
        max_length: int = 100,
        cell: Cell = "gru",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # or Keras would round the state on its way in
        self.units = units
        self.attention = attention
        self.max_length = max_length
        self.cell = cell

    def build(self, words_shape, memory_shape, keys_shape, present_shape, state_shape):
        words, memory, keys, units = words_shape[-1], memory_shape[-1], keys_shape[-1], self.units
        gates = GATES[self.cell] * units
        if self.attention == "dot" and keys != units:
            raise refusal(f"be as wide as the state, {units}", keys=keys)
        # In float32, of which the products make what they need: whether Keras rounds depends on what calls the layer.
        add = functools.partial(self.add_weight, autocast=False)
        # What is read at a step: the word, and with it what is attended to.
        read = {"dot": words, "lectures": units}.get(self.attention, words + memory)
        self.kernel = add(name="kernel", shape=(read, gates))
        self.recurrent = add(name="recurrent", shape=(units, gates), initializer="orthogonal")
        # As cuDNN, PyTorch and Keras have it, a GRU's recurrent product has biases, of which its reset gate scales one.
        self.bias = add(name="bias", shape=(1 + (self.cell == "gru"), gates), initializer="zeros")
        if self.attention == "additive":
            self.query = add(name="query", shape=(units, keys))
            self.score = add(name="score", shape=(keys, 1))
        if self.attention == "lectures":
            self.query = add(name="query", shape=(units, self.max_length))
            self.word_query = add(name="word_query", shape=(words, self.max_length))
            self.score_bias = add(name="score_bias", shape=(self.max_length,), initializer="zeros")
            self.combine = add(name="combine", shape=(memory + words, units))
            self.combine_bias = add(name="combine_bias", shape=(units,), initializer="zeros")

    def call(self, words, memory, keys, present, state, training=False):
        # Whether the loops run whose gradients are our own, with the same results.
        own = self.cell == "gru" and self.compute_dtype in FORMATS and kernels_run(training=bool(training))
        state = ops.cast(state, "float32")
        if self.attention == "lectures":
            if (memory.shape[1] or 0) > self.max_length:  # in a graph for texts of any length it is not known
                raise refusal(f"have at most `max_length` = {self.max_length} steps", memory=memory.shape)
            given = self._of_words(words, memory)
        else:
            given = (self._product(words, self.kernel[: words.shape[-1]]) + self._float(self.bias[0]),)
        if self.attention in ("dot", "none"):
            if self.attention == "none":
                of_memory = self._product(memory, self.kernel[words.shape[-1] :])  # (B, 1, gates)
                given = (given[0] + of_memory,)
            states, last = self._run(given[0], state, own=own)
            contexts, weights = self._afterwards(states, memory, keys, present)
        elif self.attention == "additive" and own:
            states, contexts, weights, last = self._attend(given[0], state, memory, keys, present)
        else:
            step = self._additive_step if self.attention == "additive" else self._lectures_step
            first = state, ops.zeros_like(memory[:, 0]), ops.zeros_like(memory[:, :, 0], dtype="float32")
            done = self._scan(step(memory, keys, present), given, first)
            (states, last), (contexts, _), (weights, _) = done
            states = states[..., : self.units]
        return ops.cast(states, self.compute_dtype), contexts, weights, last

    def _run(self, given, state, *, own: bool):
        """Runs over the products of the words (B, T, gates): the states (B, T, U) and the last."""
        if not own:
            states, last = self._scan(lambda s, x: (self._next(s, x),), (given,), (state,))[0]
            return states[..., : self.units], last
        given = ops.swapaxes(given, 0, 1)
        states = run_gru(given, state, self.recurrent, self.bias[1], dtype=self.compute_dtype)
        return ops.swapaxes(states, 0, 1), states[-1]

    def _attend(self, given, state, memory, keys, present):
        """Runs "additive" over the products of the words: states, contexts, weights and the last state."""
        weights = ops.concatenate([self.recurrent, self.query], axis=1)
        done = run_attention(
            ops.swapaxes(given, 0, 1),
            state,
            ops.cast(memory, self.compute_dtype),
            self._float(keys),
            _penalty(present),
            AttentionWeights(weights, self.bias[1], self.kernel[-memory.shape[-1] :], self.score),
            dtype=self.compute_dtype,
        )
        states, contexts, alphas = (ops.swapaxes(one, 0, 1) for one in done)
        return states, ops.cast(contexts, memory.dtype), alphas, done[0][-1]

    def _scan(self, step, given, first):
        """Runs a step over the words: of each part of the carry all values (B, T, ...) and the last."""
        by_time = tuple(ops.swapaxes(one, 0, 1) for one in given)
        if by_time[0].shape[0] == 1:  # one word: no loop
            last = step(first[0], *(one[0] for one in by_time))
            return [(ops.expand_dims(one, 1), one) for one in last]
        if keras.backend.backend() == "tensorflow":  # of Keras' loop, ONNX has no types and LiteRT no shapes
            dtypes = [one.dtype for one in first]

            def write(t, *carry):
                carry = step(carry[0], *(one[t] for one in by_time))
                return carry, [self._float(one) for one in carry]

            widths = [one.shape[-1] for one in first]
            last, values = loop(write, first, count=ops.shape(by_time[0])[0], widths=widths)
            values = [ops.cast(one, dtype) for one, dtype in zip(values, dtypes, strict=True)]
        else:

            def both(carry, x):
                carry = step(carry[0], *x)
                return carry, carry

            last, values = ops.scan(both, first, by_time)
        return [(ops.swapaxes(one, 0, 1), end) for one, end in zip(values, last, strict=True)]

    def _additive_step(self, memory, keys, present):
        """Returns the step (s, products of the word) -> (s, c, alpha)."""
        weights = ops.concatenate([self.recurrent, self.query], axis=1)  # one product of the state a step
        of_context = self.kernel[-memory.shape[-1] :]
        keys, hidden = self._float(keys), _penalty(present)
        gates = GATES[self.cell] * self.units

        def step(s, x):
            of_state = self._product(s[:, : self.units], weights)  # (B, gates + A)
            seen = ops.tanh(keys + ops.expand_dims(of_state[:, gates:], 1))  # (B, S, A)
            scores = ops.matmul(seen, self._float(self.score))[..., 0] + hidden  # (B, S)
            alpha = ops.softmax(scores, axis=-1)
            c = self._average(ops.expand_dims(alpha, 1), memory)[:, 0]  # (B, M)
            return self._next(s, x + self._product(c, of_context), of_state[:, :gates]), c, alpha

        return step

    def _lectures_step(self, memory, keys, present):
        """Returns the step (s, the word's part of the scores, of what is combined) -> (s, c, alpha)."""
        steps = ops.shape(memory)[1]
        # Deviations: the notes' code scores all `max_length` positions, those beyond the source too, takes the softmax
        # over whichever axis PyTorch picks, and passes a word through the same GRU `n_layers` times.
        weights = ops.concatenate([self.recurrent, self.query[:, :steps]], axis=1)
        of_context, hidden = self.combine[: memory.shape[-1]], _penalty(present)
        gates = GATES[self.cell] * self.units

        def step(s, of_scores, of_combined):
            of_state = self._product(s[:, : self.units], weights)  # (B, gates + S)
            alpha = ops.softmax(of_scores + of_state[:, gates:] + hidden, axis=-1)
            c = self._average(ops.expand_dims(alpha, 1), memory)[:, 0]  # (B, M)
            combined = ops.relu(of_combined + self._product(c, of_context))  # (B, U)
            x = self._product(combined, self.kernel) + self._float(self.bias[0])
            return self._next(s, x, of_state[:, :gates]), c, alpha

        return step

    def _of_words(self, words, memory):
        """Returns what "lectures" knows of all words at once: their part of the scores and of what is combined."""
        steps = ops.shape(memory)[1]
        scores = self._product(words, self.word_query[:, :steps]) + self._float(self.score_bias[:steps])
        combined = self._product(words, self.combine[memory.shape[-1] :]) + self._float(self.combine_bias)
        return scores, combined

    def _afterwards(self, states, memory, keys, present):
        """Attends after all steps, where no step depends on it: contexts (B, T, M) and weights (B, T, S)."""
        if self.attention == "none":
            weights = ops.ones_like(states[:, :, :1])
            return ops.cast(weights, memory.dtype) * memory, weights
        scores = ops.matmul(ops.cast(states, keys.dtype), ops.swapaxes(keys, 1, 2))  # (B, T, S)
        weights = ops.softmax(self._float(scores) + ops.expand_dims(_penalty(present), 1), axis=-1)
        return self._average(weights, memory), weights

    def _next(self, s, x, of_state=None):
        """Returns the next state: s (B, U or 2 U), the input's product x (B, gates), the state's if it is known."""
        of_state = self._product(s[:, : self.units], self.recurrent) if of_state is None else of_state
        if self.cell == "lstm":
            return lstm_step(s, x + of_state)
        return gru_step(s, x, of_state + self._float(self.bias[1]))[0]

    def _product(self, x, kernel):
        """Multiplies in the precision of the policy: float32."""
        return product(x, kernel, dtype=self.compute_dtype)

    def _average(self, weights, memory):
        """Weighs the memory: (B, T, S) and (B, S, M) -> (B, T, M)."""
        return ops.matmul(ops.cast(weights, memory.dtype), memory)

    def _float(self, x):
        return ops.cast(x, "float32")

    def compute_output_spec(self, words, memory, keys, present, state, training=False):
        rows, steps, _ = words.shape
        return (
            keras.KerasTensor((rows, steps, self.units), self.compute_dtype),
            keras.KerasTensor((rows, steps, memory.shape[-1]), self.compute_dtype),
            keras.KerasTensor((rows, steps, memory.shape[1]), "float32"),
            keras.KerasTensor((rows, state.shape[-1]), "float32"),
        )

    def get_config(self):
        settings = {"units": self.units, "attention": self.attention, "max_length": self.max_length, "cell": self.cell}
        return super().get_config() | settings


def lstm_step(s, x):
    """Returns the next state of an LSTM: [output; memory cell] (B, 2 U) and all products (B, 4 U) -> (B, 2 U).

    Gates in the order input, forget, candidate, output. The forget gate begins open (Jozefowicz et al., ICML 2015).
    """
    units = s.shape[-1] // 2
    given, forget, candidate, output = (x[:, i * units : (i + 1) * units] for i in range(4))
    cell = ops.sigmoid(forget + 1.0) * s[:, units:] + ops.sigmoid(given) * ops.tanh(candidate)
    return ops.concatenate([ops.sigmoid(output) * ops.tanh(cell), cell], axis=-1)


def _penalty(present):
    """Returns what is added to scores: 0, or for padding a number that leaves it no weight; float32 (B, S)."""
    return ops.where(present, 0.0, HIDDEN)
