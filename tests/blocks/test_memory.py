"""Layers of the memory network against the same thing written out step by step."""

import keras
import numpy as np
import pytest

from kerasapps.blocks.memory import ArrivalReader, LogShares, PositionWeightedSum, QueryReduction, SharedWordWalk
from kerasapps.blocks.text import ZeroPadded

rng = np.random.default_rng(0)
# A walk along a single kind of relation has nothing to choose from.
pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1:UserWarning")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_words_are_weighted_by_position_and_padding_counts_for_nothing():
    layer = PositionWeightedSum()
    words = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]], np.float32)
    layer.build(words.shape, (1, 3))
    layer.set_weights([np.array([[1, 10], [2, 20], [3, 30]], np.float32)])
    np.testing.assert_allclose(layer(words, np.array([[7, 8, 0]])), [[1 * 1 + 3 * 2, 2 * 10 + 4 * 20]])


def test_padded_steps_are_zero():
    features = np.ones((1, 3, 2), np.float32)
    np.testing.assert_array_equal(ZeroPadded()(features, np.array([[4, 0, 5]])), [[[1, 1], [0, 0], [1, 1]]])


def reduce_step_by_step(layer, sentences, queries):
    """Runs h_t = z r c + (1 - z) h over the sentences, forwards and, unless it is the last reading, backwards."""
    update, reset, candidate = layer.update, layer.reset, layer.candidate
    both = np.concatenate([sentences * queries, sentences, queries], -1)
    z = sigmoid(both @ update.kernel.numpy() + update.bias.numpy())
    r = sigmoid(both @ reset.kernel.numpy() + reset.bias.numpy())
    c = np.tanh(np.concatenate([sentences, queries], -1) @ candidate.kernel.numpy() + candidate.bias.numpy())
    results = []
    for direction in range(z.shape[-1]):
        h, states = np.zeros_like(c[0]), {}
        order = range(len(c)) if direction == 0 else reversed(range(len(c)))
        for t in order:
            gate = z[t, direction]
            h = gate * r[t, direction] * c[t] + (1 - gate) * h
            states[t] = h
        results.append(np.stack([states[t] for t in range(len(c))]))
    return sum(results)


@pytest.mark.parametrize("last", [True, False])
def test_query_reduction_is_the_recurrence(last):
    sentences, queries = rng.normal(size=(2, 1, 5, 3)).astype(np.float32)
    story = np.ones((1, 5, 2), np.int32)
    layer = QueryReduction(last=last)
    layer.build(sentences.shape, queries.shape, story.shape)
    layer.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()])
    reduced, _ = layer(sentences, queries, story)
    expected = reduce_step_by_step(layer, sentences[0], queries[0])
    np.testing.assert_allclose(reduced[0], expected[-1] if last else expected, atol=1e-5)


def test_the_weights_are_those_of_the_candidates_in_the_last_state():
    sentences, query = rng.normal(size=(1, 4, 3)).astype(np.float32), rng.normal(size=(1, 3)).astype(np.float32)
    layer = QueryReduction(last=True)
    reduced, weights = layer(sentences, query, np.ones((1, 4, 2), np.int32))
    queries = np.repeat(query[:, None], 4, 1)
    candidates = layer.candidate(np.concatenate([sentences, queries], -1))
    np.testing.assert_allclose(reduced, keras.ops.einsum("bs,bsd->bd", weights, candidates), atol=1e-5)
    assert (np.array(weights) >= 0).all()
    assert np.array(weights).sum() <= 1


def make_walk(walkers=2, steps=3):
    """A walk with one role that every word has half, so that only shared words matter."""
    layer = SharedWordWalk(vocab_size=20, roles=1, walkers=walkers, steps=steps)
    layer.build((1, 3, 3), (1, 3))
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    return layer


# "Greg is swan", "Lily is swan", "Lily is gray", asked about Greg.
GREG, IS, SWAN, LILY, GREY = 1, 2, 3, 4, 5
STORY = np.array([[[GREG, IS, SWAN], [LILY, IS, SWAN], [LILY, IS, GREY]]], np.int32)
QUESTION = np.array([[GREG, 0, 0]], np.int32)


def test_a_walk_by_hand():
    shares = make_walk()(STORY, QUESTION).numpy()[0]  # (S, F): three steps of two walkers, then meetings
    # Step 1: the question shares a word with the first sentence alone.
    np.testing.assert_allclose(shares[:, 0], [1, 0, 0], atol=1e-4)
    # Step 2: from there, "Greg" leads back to the question (which is no sentence), "swan" to the second sentence, "is",
    # which stands in two other sentences, half as strongly to both others: 1 : 1 + 1/2 : 1/2.
    np.testing.assert_allclose(shares[:, 2], np.array([0, 1.5, 0.5]) / 3, atol=1e-4)
    # Step 3: 1/3 from the question, 1/2 from the second sentence, 1/6 from the third. The first is reached by Greg,
    # by swan and half an is, and by half an is; the second from the third by Lily and half an is.
    first = 1 / 3 * 1 + 1 / 2 * 1.5 + 1 / 6 * 0.5
    second, third = 1 / 6 * 1.5, 1 / 2 * 1.5
    np.testing.assert_allclose(shares[:, 4], np.array([first, second, third]) / (first + second + third), atol=1e-4)


def test_walkers_meet_on_the_path_between_two_words():
    shares = make_walk(walkers=2)(STORY, QUESTION).numpy()[0]
    one_and_two = shares[:, 6]  # the first walker after one step, the second after two
    np.testing.assert_allclose(one_and_two, [0, 0, 0], atol=1e-4)
    both_after_one = shares[:, 8]
    np.testing.assert_allclose(both_after_one, [1, 0, 0], atol=1e-3)


def test_nobody_arrives_where_no_word_is_shared():
    shares = make_walk()(STORY, np.array([[9, 0, 0]], np.int32)).numpy()
    np.testing.assert_array_equal(shares, np.zeros_like(shares))


def test_more_sentences_of_padding_change_nothing():
    layer = SharedWordWalk(vocab_size=20)
    shares = layer(STORY, QUESTION).numpy()
    longer = layer(np.pad(STORY, [(0, 0), (0, 2), (0, 0)]), QUESTION).numpy()
    np.testing.assert_allclose(longer[:, :3], shares, atol=1e-6)
    np.testing.assert_array_equal(longer[:, 3:], 0)


def test_what_is_read_is_a_weighted_sum():
    sentences, shares = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.random(size=(2, 3, 5)).astype(np.float32)
    layer = ArrivalReader(6)
    read = layer(sentences, shares)
    what = sentences @ layer.what.kernel.numpy() + layer.what.bias.numpy()
    np.testing.assert_allclose(read, (what * (shares @ layer.where.kernel.numpy())).sum(1), atol=1e-5)


def test_logarithms_of_shares_are_bounded():
    np.testing.assert_allclose(LogShares()(np.array([0.0, 1.0])), [0.5 * np.log(0.01) + 1, 0.5 * np.log(1.01) + 1])
