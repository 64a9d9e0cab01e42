"""The loop of a GRU with additive attention on TensorFlow, with a gradient of its own; see `kerasapps.blocks.gru`.

Differentiated by itself, each step would multiply for the gradients of all weights and add up gradients as large as the
whole memory. Of these sums the loop holds that of the keys alone; the others are products over all steps at once.

Reference: Bahdanau et al., "Neural Machine Translation by Jointly Learning to Align and Translate", ICLR 2015.
"""

from typing import Any, NamedTuple

from kerasapps.blocks.gru import Gates, Slopes, gru_step, loop, once, product
from kerasapps.blocks.recurrent import shifted, summed_products


class AttentionWeights(NamedTuple):
    """Weights of the loop.

    Args:
        of_state: What multiplies the state, of the gates and of the query side by side: (U, 3 U + A).
        bias: Of the gates' recurrent product (3 U,).
        of_context: What multiplies the context, for the gates (M, 3 U).
        score: What turns a comparison into a score (A, 1).
    """

    of_state: Any
    bias: Any
    of_context: Any
    score: Any


def run_attention(x, state, memory, keys, hidden, weights: AttentionWeights, *, dtype: str):
    """Runs over all steps; see "additive" of `kerasapps.blocks.attention_decoder.AttentionDecoder`.

    Args:
        x: Each word, multiplied for the gates and with its bias, float32 (T, B, 3 U).
        state: First state, float32 (B, U).
        memory: What is attended to, in the format of the products (B, S, M).
        keys: By what it is found, float32 (B, S, A).
        hidden: What is added to its scores, float32 (B, S): nothing, or for padding what leaves it no weight.
        weights: The weights.
        dtype: Format of the products.

    Returns:
        States (T, B, U), contexts (T, B, M) and the weights of the memory (T, B, S), float32.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x, state, memory, keys, *given):
        w = AttentionWeights(*given)
        done = _forwards(x, state, memory, keys, hidden, w, dtype=dtype)

        def back(of_states, of_contexts, of_alphas):
            message = "AttentionDecoder has no second derivatives on a CPU."
            kept = tf.nest.map_structure(lambda one: once(one, message), done)
            return _backwards(Done(of_states, of_contexts, of_alphas), kept, state, memory, keys, w, dtype=dtype)

        return done[:3], back

    return run(x, state, memory, keys, *(tf.cast(tf.convert_to_tensor(one), "float32") for one in weights))


class Done(NamedTuple):
    """What the loop has computed for all steps (T, B, ...): results, queries and gates; or the results' gradients."""

    states: Any
    contexts: Any
    alphas: Any
    queries: Any = None
    gates: Any = None


def _forwards(x, state, memory, keys, hidden, w: AttentionWeights, *, dtype: str) -> Done:
    import tensorflow as tf

    units = state.shape[-1]
    of_state, of_context = tf.cast(w.of_state, dtype), tf.cast(w.of_context, dtype)

    def step(t, s):
        found = product(s, of_state, dtype=dtype)  # (B, 3 U + A)
        query = found[:, 3 * units :]
        seen = tf.tanh(keys + query[:, None])  # (B, S, A)
        alpha = tf.nn.softmax((seen @ w.score)[..., 0] + hidden)  # (B, S)
        context = tf.cast(tf.matmul(tf.cast(alpha, dtype)[:, None], memory)[:, 0], tf.float32)  # (B, M)
        s, gates = gru_step(s, x[t] + product(context, of_context, dtype=dtype), found[:, : 3 * units] + w.bias)
        return (s,), (s, context, alpha, query, *gates)

    widths = [units, memory.shape[-1], None, keys.shape[-1], 2 * units, units, units]
    _, (states, contexts, alphas, queries, *gates) = loop(step, (state,), count=tf.shape(x)[0], widths=widths)
    return Done(states, contexts, alphas, queries, Gates(*gates))


def _backwards(of: Done, done: Done, state, memory, keys, w: AttentionWeights, *, dtype: str):
    """Returns the gradients of x, state, memory, keys and the weights, given those of the results."""
    import tensorflow as tf

    units, width = state.shape[-1], keys.shape[-1]
    before = shifted(state, done.states)
    slopes = Slopes.of(before, done.gates)
    of_state, of_context = tf.transpose(tf.cast(w.of_state, dtype)), tf.transpose(tf.cast(w.of_context, dtype))
    score = w.score[:, 0]

    def step(t, s, of_keys, of_score):
        s += of.states[t]
        of_gates, of_x = slopes.of_sums(s, t)
        of_c = of.contexts[t] + product(of_x, of_context, dtype=dtype)
        of_alpha = of.alphas[t] + tf.cast(
            tf.matmul(memory, tf.cast(of_c, dtype)[..., None])[..., 0], tf.float32
        )  # (B, S)
        alpha = done.alphas[t]
        of_scores = alpha * (of_alpha - tf.reduce_sum(alpha * of_alpha, 1, keepdims=True))
        seen = tf.tanh(keys + done.queries[t][:, None])  # again: it would be the largest thing to keep
        of_seen = tf.raw_ops.TanhGrad(y=seen, dy=of_scores[..., None] * score)  # (B, S, A)
        of_query = tf.reduce_sum(of_seen, 1)
        flat = tf.reshape(of_scores, (1, -1))
        of_score += (flat @ tf.reshape(seen, (-1, width)))[0]
        on = product(tf.concat([of_gates, of_query], 1), of_state, dtype=dtype)
        return (s * slopes.kept[t] + on, of_keys + of_seen, of_score), (s, of_c, of_query)

    first = tf.zeros_like(state), tf.zeros_like(keys), tf.zeros_like(score)
    (of_first, of_keys, of_score), (totals, of_contexts, of_queries) = loop(
        step, first, count=tf.shape(of.states)[0], widths=[units, memory.shape[-1], width], backwards=True
    )
    of_gates, of_x = slopes.of_sums(totals)
    of_memory = tf.einsum("tbs,tbm->bsm", tf.cast(done.alphas, dtype), tf.cast(of_contexts, dtype))
    of_products = tf.cast(tf.concat([of_gates, of_queries], -1), dtype)
    return (
        of_x,
        of_first,
        tf.cast(of_memory, memory.dtype),
        of_keys,
        summed_products(before, of_products),
        tf.reduce_sum(of_gates, [0, 1]),
        summed_products(done.contexts, tf.cast(of_x, dtype)),
        of_score[:, None],
    )
