"""Attention from scaled dot products: its formula by hand, and that of Keras with the same weights."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasapps.blocks.reuse import Layers
from kerasapps.blocks.transformer import ScaledDotProduct, Sinusoids, Sizes, attention_block, decoder_layer_block

rng = np.random.default_rng(0)
SIZES = Sizes(units=6, heads=2, feedforward=5, dropout=0.0, norm="pre")
QUERIES = rng.normal(size=(2, 4, 6)).astype(np.float32)
MEMORY = rng.normal(size=(2, 3, 6)).astype(np.float32)
PRESENT = np.array([[True, True, False], [True, True, True]])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_one_head_by_hand():
    keys, values = rng.normal(size=(2, 2, 3, 6)).astype(np.float32)
    attended, weights = ScaledDotProduct(heads=1)(QUERIES, np.concatenate([keys, values], -1), PRESENT)
    scores = np.where(PRESENT[:, None], QUERIES @ keys.swapaxes(1, 2) / np.sqrt(6), -np.inf)
    np.testing.assert_allclose(weights[:, 0], softmax(scores), atol=1e-6)
    np.testing.assert_allclose(attended, softmax(scores) @ values, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_it_is_the_attention_of_keras(causal):
    x = keras.Input((None, 6))
    memory = keras.Input((None, 6))
    present = keras.Input((None,), dtype="bool")
    make = Layers()
    if causal:
        y, weights, _ = attention_block(x, sizes=SIZES, make=make, name="a", causal=True)
        model, given = keras.Model([x], [y, weights]), [QUERIES]
    else:
        keys_values = make(layers.Dense, 12, name="a_keys_values")(memory)
        y, weights, _ = attention_block(x, keys_values, present, sizes=SIZES, make=make, name="a")
        model, given = keras.Model([x, memory, present], [y, weights]), [QUERIES, MEMORY, PRESENT]
    theirs = layers.MultiHeadAttention(2, 3)
    theirs.build(QUERIES.shape, given[min(1, len(given) - 1)].shape)
    query, keys_values, output = (make.known[f"a_{name}"] for name in ("query", "keys_values", "output"))
    for layer in (query, keys_values, output):
        layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    kernel, bias = query.get_weights()
    both, both_bias = keys_values.get_weights()
    out, out_bias = output.get_weights()
    theirs.set_weights(
        [
            *(kernel.reshape(6, 2, 3), bias.reshape(2, 3)),
            *(both[:, :6].reshape(6, 2, 3), both_bias[:6].reshape(2, 3)),
            *(both[:, 6:].reshape(6, 2, 3), both_bias[6:].reshape(2, 3)),
            *(out.reshape(2, 3, 6), out_bias),
        ]
    )
    if causal:
        expected = theirs(QUERIES, QUERIES, use_causal_mask=True, return_attention_scores=True)
    else:
        expected = theirs(QUERIES, MEMORY, attention_mask=PRESENT[:, None], return_attention_scores=True)
    for ours, other in zip(model(given), expected, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5)


def test_nothing_of_later_words_is_seen():
    x = keras.Input((None, 6))
    y, _, _ = decoder_layer_block(x, sizes=SIZES, make=Layers(), name="layer")
    model = keras.Model(x, y)
    changed = QUERIES.copy()
    changed[:, 2:] += 1
    before, after = model(QUERIES), model(changed)
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert (np.abs(np.asarray(before)[:, 2:] - after[:, 2:]) > 0).any()


def test_sinusoids_by_hand():
    words = rng.normal(size=(1, 3, 4)).astype(np.float32)
    expected = words * 2
    for t in range(3):
        for i in range(2):
            expected[0, t, 2 * i] += np.sin(t / 10000 ** (2 * i / 4))
            expected[0, t, 2 * i + 1] += np.cos(t / 10000 ** (2 * i / 4))
    np.testing.assert_allclose(Sinusoids()(words), expected, atol=1e-6)
    later = Sinusoids()(words[:, 2:], np.zeros((1, 2, 7), np.float32))
    np.testing.assert_allclose(later, expected[:, 2:], atol=1e-6)
