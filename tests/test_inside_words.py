"""The weights of words: exact where the network is linear, the attention where there is one, nothing in padding."""

from functools import partial

import keras
import numpy as np
import pytest

from kerasapps.applications.attention_classifier import attention_of, build_attention_classifier
from kerasapps.applications.bag_of_ngrams import build_bag_of_ngrams
from kerasapps.applications.recurrent_classifier import build_recurrent_classifier
from kerasapps.applications.text_cnn import build_text_cnn
from kerasapps.applications.wide_text_cnn import build_wide_text_cnn
from kerasapps.inside.words import word_drops, word_weights

IDS = np.array([[3, 4, 5, 4, 0, 0], [6, 3, 0, 0, 0, 0], [2, 2, 7, 8, 9, 3]], np.int32)
LABELS = np.array([0, 2, 1], np.int32)
SIZES = {"vocab_size": 10, "num_classes": 3, "embedding_dim": 6}


def score(model, ids, labels):
    head = model.get_layer("label")
    features = keras.Model(model.input, head.input).predict(ids, verbose=0)
    logits = features @ head.kernel.numpy() + head.bias.numpy()
    of_label = logits[np.arange(len(ids)), labels]
    return of_label - (logits.sum(1) - of_label) / (logits.shape[1] - 1)


@pytest.mark.parametrize(
    "settings", [{"buckets": 0}, {"buckets": 50}, {"buckets": 50, "longest": 4}, {"buckets": 50, "weighted": True}]
)
def test_of_a_linear_network_the_weights_add_up_to_the_score(settings):
    model = build_bag_of_ngrams(**SIZES, **settings)
    if "weighted" in settings:
        model.get_layer("weights").set_weights([np.linspace(0, 2, 60, dtype=np.float32)[:, None]])
    weights = word_weights(model, IDS, LABELS)
    np.testing.assert_allclose(weights.sum(1), score(model, IDS, LABELS), atol=1e-6)
    assert (weights[IDS == 0] == 0).all()
    assert (weights[IDS != 0] != 0).any()


@pytest.mark.parametrize("vectors", ["random", "static", "multichannel"])
@pytest.mark.parametrize("builder", [build_text_cnn, partial(build_wide_text_cnn, buckets=0, weighted=False)])
def test_convolutions_tell_what_the_score_loses_without_a_word(builder, vectors):
    model = builder(**SIZES, filters=4, widths=(2, 3), vectors=vectors)
    weights = word_weights(model, IDS, LABELS)
    # A ReLU and a maximum are linear near where they are: shorten the vector of word 5, which stands in text 0 alone.
    before, shrink = score(model, IDS, LABELS), 1e-3
    for layer in model.layers:
        if layer.name in ("words", "frozen_words", "vectors"):
            table = layer.get_weights()[0]
            table[5] *= 1 - shrink
            layer.set_weights([table])
    lost = (before - score(model, IDS, LABELS)) / shrink
    assert abs(lost[0]) > 1e-4
    np.testing.assert_allclose(weights[0, 2], lost[0], rtol=0.05, atol=2e-4)
    np.testing.assert_allclose(lost[1:], 0, atol=1e-3)


@pytest.mark.parametrize("cell", ["lstm", "gru", "peephole_lstm"])
def test_padding_has_no_weight_and_changes_none(cell):
    model = build_recurrent_classifier(**SIZES, units=5, cell=cell, bidirectional=True, pooling="mean_max")
    weights = word_weights(model, IDS, LABELS)
    assert (weights[IDS == 0] == 0).all()
    assert (weights[IDS != 0] != 0).all()
    longer = np.pad(IDS, ((0, 0), (0, 3)))
    np.testing.assert_allclose(word_weights(model, longer, LABELS)[:, :6], weights, atol=1e-6)


def test_a_sure_network_has_weights_too():
    model = build_bag_of_ngrams(**SIZES, buckets=0)
    model.get_layer("label").set_weights([1e4 * one for one in model.get_layer("label").get_weights()])
    assert np.abs(word_weights(model, IDS, LABELS)).max() > 1


def test_attention_is_what_it_is():
    model = build_attention_classifier(**SIZES)
    weights = word_weights(model, IDS, LABELS)
    expected = attention_of(model).predict(IDS, verbose=0)["word_weights"]
    np.testing.assert_allclose(weights, expected, atol=1e-7)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


def test_hierarchical_attention_is_that_of_word_and_sentence():
    model = build_attention_classifier(**SIZES, hierarchical=True)
    ids = np.array([[[3, 4, 0], [5, 0, 0]], [[6, 7, 8], [0, 0, 0]]], np.int32)
    weights = word_weights(model, ids, LABELS[:2])
    assert weights.shape == ids.shape
    assert (weights[ids == 0] == 0).all()
    np.testing.assert_allclose(weights.sum((1, 2)), 1, atol=1e-5)
    sentences = attention_of(model).predict(ids, verbose=0)["sentence_weights"]
    np.testing.assert_allclose(weights.sum(2), sentences, atol=1e-5)


def test_a_word_that_is_not_known_costs_its_share():
    model = build_text_cnn(vocab_size=12, num_classes=3, filters=4, embedding_dim=4)
    ids = np.array([[3, 5, 7, 9, 2, 4, 0, 0], [2, 2, 6, 8, 10, 11, 4, 3]], np.int32)
    drops = word_drops(model, ids, [0, 2])
    whole = model.predict({"text": ids}, verbose=0)["label"]
    for row, place, label in ((0, 2, 0), (1, 7, 2)):
        other = ids.copy()
        other[row, place] = 1
        expected = whole[row, label] - model.predict({"text": other}, verbose=0)["label"][row, label]
        assert abs(drops[row, place] - expected) < 1e-6
    assert not drops[ids == 0].any()
