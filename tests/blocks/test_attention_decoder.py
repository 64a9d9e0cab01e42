"""The attending GRU: a step of each form by hand, in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kerasapps.blocks import attention_decoder
from kerasapps.blocks.attention_decoder import AttentionDecoder

B, T, S, E, M, U = 2, 3, 4, 3, 5, 4
rng = np.random.default_rng(0)
WORDS = rng.normal(size=(B, T, E)).astype(np.float32)
MEMORY = rng.normal(size=(B, S, M)).astype(np.float32)
KEYS = rng.normal(size=(B, S, U)).astype(np.float32)
PRESENT = np.array([[True, True, True, False], [True] * 4])
STATE = rng.normal(size=(B, U)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gru(layer, s, x):
    """Cho et al.'s unit with the reset gate after the product, as PyTorch and Keras have it."""
    x = x @ layer.kernel.numpy() + layer.bias.numpy()[0]
    h = s @ layer.recurrent.numpy() + layer.bias.numpy()[1]
    (xz, xr, xc), (hz, hr, hc) = np.split(x, 3, 1), np.split(h, 3, 1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z * s + (1 - z) * np.tanh(xc + r * hc)


def step(layer, s, y):
    """Returns s_t, c_t and alpha_t."""
    hidden = np.where(PRESENT, 0, -np.inf)
    if layer.attention == "dot":
        s = gru(layer, s, y)
        alpha = softmax(np.einsum("bu,bsu->bs", s, KEYS) + hidden)
        return s, np.einsum("bs,bsm->bm", alpha, MEMORY), alpha
    if layer.attention == "additive":
        seen = np.tanh((s @ layer.query.numpy())[:, None] + KEYS)
        alpha = softmax((seen @ layer.score.numpy())[..., 0] + hidden)
        c = np.einsum("bs,bsm->bm", alpha, MEMORY)
        return gru(layer, s, np.concatenate([y, c], 1)), c, alpha
    scores = s @ layer.query.numpy() + y @ layer.word_query.numpy() + layer.score_bias.numpy()
    alpha = softmax(scores[:, :S] + hidden)
    c = np.einsum("bs,bsm->bm", alpha, MEMORY)
    combined = np.concatenate([c, y], 1) @ layer.combine.numpy() + layer.combine_bias.numpy()
    return gru(layer, s, np.maximum(combined, 0)), c, alpha


@pytest.mark.parametrize("attention", ["additive", "lectures", "dot"])
def test_steps_by_hand(attention):
    layer = AttentionDecoder(U, attention=attention, max_length=6)
    layer(WORDS, MEMORY, KEYS, PRESENT, STATE)
    layer.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in layer.get_weights()])
    states, contexts, weights, last = layer(WORDS, MEMORY, KEYS, PRESENT, STATE)
    s = STATE
    for t in range(T):
        s, c, alpha = step(layer, s, WORDS[:, t])
        np.testing.assert_allclose(states[:, t], s, atol=1e-5)
        np.testing.assert_allclose(contexts[:, t], c, atol=1e-5)
        np.testing.assert_allclose(weights[:, t], alpha, atol=1e-5)
    np.testing.assert_allclose(last, s, atol=1e-5)
    assert not np.asarray(weights)[0, :, 3].any()


def test_without_attention_one_vector_is_read_at_every_step():
    layer = AttentionDecoder(U, attention="none")
    memory = MEMORY[:, :1]
    states, contexts, weights, _ = layer(WORDS, memory, memory, PRESENT, STATE)
    s = STATE
    for t in range(T):
        s = gru(layer, s, np.concatenate([WORDS[:, t], memory[:, 0]], 1))
        np.testing.assert_allclose(states[:, t], s, atol=1e-5)
    np.testing.assert_allclose(contexts, np.repeat(memory, T, 1))
    np.testing.assert_array_equal(weights, np.ones((B, T, 1)))


def test_a_source_longer_than_there_are_scores_for_is_refused():
    layer = AttentionDecoder(U, attention="lectures", max_length=3)
    with pytest.raises(ValueError, match="at most `max_length` = 3 steps"):
        layer(WORDS, MEMORY, KEYS, PRESENT, STATE)


def values_and_gradients(layer, inputs, *, graph: bool):
    """Everything that the layer returns in training, and the gradients of its inputs and weights."""
    weights = [weight.value for weight in layer.trainable_variables]

    def run(words, memory, keys, state):
        with tf.GradientTape() as tape:
            tape.watch([words, memory, keys, state])
            y = layer(words, memory, keys, PRESENT, state, training=True)
            loss = tf.add_n([tf.reduce_sum(tf.sin(3 * tf.cast(v, tf.float32) + i)) for i, v in enumerate(y)])
        watched = [words, memory, keys, state, *weights]
        return [*y, *tape.gradient(loss, watched, unconnected_gradients="zero")]

    return (tf.function(run) if graph else run)(*map(tf.constant, inputs))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("attention", ["additive", "dot", "none"])
def test_a_loop_with_its_own_gradient_gives_what_the_other_gives(attention, dtype, monkeypatch):
    layer = AttentionDecoder(U, attention=attention, dtype=dtype)
    memory = MEMORY[:, :1] if attention == "none" else MEMORY
    layer(WORDS, memory, KEYS, PRESENT, STATE)
    layer.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in layer.get_weights()])
    inputs = WORDS, memory, KEYS, STATE
    own = [values_and_gradients(layer, inputs, graph=graph) for graph in (True, False)]
    monkeypatch.setattr(attention_decoder, "kernels_run", lambda training: False)
    expected = values_and_gradients(layer, inputs, graph=True)
    for found in own:
        for a, b in zip(found, expected, strict=True):
            a, b = (np.asarray(tf.cast(one, tf.float32)) for one in (a, b))
            if dtype == "float32":
                np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)
            else:  # 8 bits of each product
                assert np.linalg.norm(a - b) < 0.03 * (0.1 + np.linalg.norm(b))


def test_its_gradient_has_none():
    layer = AttentionDecoder(U)

    @tf.function
    def penalty(words):
        with tf.GradientTape() as outer:
            outer.watch(words)
            with tf.GradientTape() as inner:
                inner.watch(words)
                y = tf.reduce_sum(layer(words, MEMORY, KEYS, PRESENT, STATE, training=True)[0] ** 2)
            slope = tf.reduce_sum(inner.gradient(y, words) ** 2)
        return outer.gradient(slope, words)

    with pytest.raises(Exception, match="has no second derivatives"):
        penalty(tf.constant(WORDS))
