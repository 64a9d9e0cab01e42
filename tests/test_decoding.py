"""Greedy decoding, sampling and beam search, on networks small enough to try every text."""

from itertools import pairwise, product

import numpy as np
import pytest
import tensorflow as tf

from kerasapps.decoding import GREEDY, Beam, Sampling, beam_search, in_batches, sample

START, END, VOCABULARY, LONGEST = 2, 3, 6, 4
ENDS = {"start": START, "end": END, "max_length": tf.constant(LONGEST)}


def written(function, *arguments):
    """Tokens and scores as arrays."""
    return [tensor.numpy() for tensor in function(*arguments, **ENDS)]


def toy(seed: int, *, rows: int = 8):
    """A random network whose next token depends on the row, the last token and how many there were."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(rows, LONGEST, VOCABULARY, VOCABULARY)).astype(np.float32) * 2
    table[..., :3] = -50  # neither padding, unknown nor start
    log_probs = tf.nn.log_softmax(table)
    state = {"row": tf.range(rows)[:, None], "count": tf.zeros((rows, 1), tf.int32)}

    def step(token, state):
        where = tf.stack([state["row"][:, 0], state["count"][:, 0], token], 1)
        return tf.gather_nd(log_probs, where), {"row": state["row"], "count": state["count"] + 1}

    return step, state, log_probs.numpy()


def score(log_probs, row, tokens) -> float:
    """Log-probability of a text, its end token included unless it is as long as may be."""
    tokens = [token for token in tokens if token]
    whole = [START, *tokens, *([END] if len(tokens) < LONGEST else [])]
    return sum(log_probs[row, i, a, b] for i, (a, b) in enumerate(pairwise(whole)))


@pytest.mark.parametrize(("function", "how"), [(sample, GREEDY), (beam_search, Beam(1)), (beam_search, Beam(3))])
def test_each_row_has_a_limit_of_its_own(function, how):
    step, state, _ = toy(0)
    limits = np.array([1, 2, 3, 4, 4, 3, 2, 1], np.int32)
    ends = {"start": START, "end": END}
    tokens, scores = (one.numpy() for one in function(step, state, how, **ends, max_length=tf.constant(limits)))
    for row, limit in enumerate(limits):
        alone, of_alone = (one.numpy()[row] for one in function(step, state, how, **ends, max_length=int(limit)))
        kept = tokens[row][..., : alone.shape[-1]]
        np.testing.assert_array_equal(kept, alone)
        assert not tokens[row][..., alone.shape[-1] :].any()
        np.testing.assert_allclose(scores[row], of_alone, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_1_is_greedy(seed):
    step, state, log_probs = toy(seed)
    greedy, greedy_score = written(sample, step, state, GREEDY)
    for penalty in (0.0, 1.0):
        tokens, scores = written(beam_search, step, state, Beam(1, penalty))
        width = min(tokens.shape[-1], greedy.shape[-1])
        np.testing.assert_array_equal(tokens[:, 0, :width], greedy[:, :width])
    scores = written(beam_search, step, state, Beam(1, 0.0))[1]
    np.testing.assert_allclose(scores[:, 0], greedy_score, rtol=1e-5)
    for row, tokens in enumerate(greedy):
        assert greedy_score[row] == pytest.approx(score(log_probs, row, tokens), rel=1e-4)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_no_wider_beam_ends_below_greedy(seed, size):
    step, state, log_probs = toy(seed)
    greedy_score = written(sample, step, state, GREEDY)[1]
    tokens, scores = written(beam_search, step, state, Beam(size, 0.0))
    assert (scores[:, 0] >= greedy_score - 1e-5).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    for row in range(len(tokens)):
        texts = {tuple(one) for one in tokens[row]}
        assert len(texts) == size  # no text twice
        for text, given in zip(tokens[row], scores[row], strict=True):
            assert given == pytest.approx(score(log_probs, row, text), rel=1e-4)


def test_a_wide_beam_finds_the_best_text_of_all():
    step, state, log_probs = toy(0)
    words = range(4, VOCABULARY)
    texts = [text for length in range(LONGEST + 1) for text in product(words, repeat=length)]
    for alpha in (0.0, 1.0):
        tokens, scores = written(beam_search, step, state, Beam(5, alpha))
        for row in range(len(tokens)):
            lengths = [min(len(text) + 1, LONGEST) for text in texts]
            every = [
                score(log_probs, row, text) / ((5 + length) / 6) ** alpha
                for text, length in zip(texts, lengths, strict=True)
            ]
            assert scores[row, 0] == pytest.approx(max(every), rel=1e-4)
            assert [token for token in tokens[row, 0] if token] == list(texts[int(np.argmax(every))])


def test_samples_follow_the_probabilities():
    step, state, log_probs = toy(1, rows=1)
    state = {name: tf.repeat(value, 4000, axis=0) for name, value in state.items()}
    first = written(sample, step, state, Sampling(seed=3))[0][:, 0]
    share = np.bincount(np.where(first == 0, END, first), minlength=VOCABULARY) / len(first)
    np.testing.assert_allclose(share, np.exp(log_probs[0, 0, START]), atol=0.03)
    again = written(sample, step, state, Sampling(seed=3))[0][:, 0]
    np.testing.assert_array_equal(again, first)
    order = np.argsort(-log_probs[0, 0, START])
    allowed = {int(token) if token != END else 0 for token in order[:2]}
    assert set(written(sample, step, state, Sampling(top_k=2))[0][:, 0]) == allowed
    highest = float(np.exp(log_probs[0, 0, START, order[0]]))
    assert set(written(sample, step, state, Sampling(top_p=highest + 1e-3))[0][:, 0]) == allowed
    assert len(set(written(sample, step, state, Sampling(top_p=highest - 1e-3))[0][:, 0])) == 1


def test_rows_come_back_in_their_order():
    calls = []

    def double(rows):
        calls.append(rows.tolist())
        return rows * 2

    assert in_batches(double, np.array([1, 5, 3]), batch_size=2) == [0, 2, 4]
    assert calls == [[1, 2], [0]]
