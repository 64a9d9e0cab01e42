"""Attention to a context vector: worked by hand, and nothing of padding."""

import keras
import numpy as np
import pytest

from kerasapps.applications.attention_classifier import attention_of, build_attention_classifier
from kerasapps.blocks.attention import ContextAttention, Present


def test_weights_by_hand():
    layer = ContextAttention()
    states = np.array([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]], np.float32)
    layer.build(states.shape, (1, 3))
    layer.context.assign([np.log(2.0), np.log(2.0)])
    average, weights = layer(states, np.array([[True, True, False]]))
    # Scores log 2 and 2 log 2: one third and two thirds.
    np.testing.assert_allclose(weights, [[1 / 3, 2 / 3, 0]], atol=1e-6)
    np.testing.assert_allclose(average, [[1 / 3, 4 / 3]], atol=1e-6)


def test_projected_weights_by_hand():
    layer = ContextAttention(project=True)
    states = np.array([[[1.0], [-2.0]]], np.float32)
    layer.build(states.shape, (1, 2))
    layer.set_weights([np.array([[0.5]]), np.array([0.1]), np.array([3.0])])
    _, weights = layer(states, np.ones((1, 2), bool))
    scores = np.exp(3 * np.tanh([0.6, -0.9]))
    np.testing.assert_allclose(weights[0], scores / scores.sum(), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_text_without_words_gives_zeros(dtype):
    layer = ContextAttention(project=True, dtype=dtype)
    average, weights = layer(np.ones((2, 3, 4), np.float32), np.array([[False] * 3, [True] * 3]))
    assert not np.any(average[0])
    assert not np.any(weights[0])
    np.testing.assert_allclose(np.sum(weights[1]), 1, atol=1e-6)


def test_present_words_and_sentences():
    texts = np.array([[[3, 0], [0, 0]], [[1, 2], [1, 0]]], np.int32)
    np.testing.assert_array_equal(Present()(texts), texts != 0)
    np.testing.assert_array_equal(Present(sentences=True)(texts), [[True, False], [True, True]])


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_second_model_gives_the_weights(hierarchical, tmp_path):
    model = build_attention_classifier(vocab_size=9, num_classes=2, hierarchical=hierarchical, embedding_dim=3, units=2)
    model.save(tmp_path / "model.keras")
    texts = np.random.default_rng(0).integers(1, 9, (2, 3, 4) if hierarchical else (2, 4)).astype(np.int32)
    texts[0, -1] = 0
    given = attention_of(keras.saving.load_model(tmp_path / "model.keras")).predict(texts, verbose=0)
    assert given.keys() == ({"word_weights", "sentence_weights"} if hierarchical else {"word_weights"})
    assert given["word_weights"].shape == texts.shape
    for name, weights in given.items():
        present = texts if name == "word_weights" else texts.any(-1)
        assert not weights[present == 0].any()
        np.testing.assert_allclose(weights.sum(-1), present.any(-1), atol=1e-6)
