"""Text from a language model: greedy text is that of the whole network, caches are bounded, draws are as asked."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.decoding import GREEDY, Beam, Sampling, penalized, sample
from kerasapps.generation import Generator
from tests.contract_language import CONTRACTS

CONTEXT = 6  # shorter than what is written


def written(generator: Generator, *given, **options) -> np.ndarray:
    return np.concatenate(list(generator.stream(*given, **options)), 1)


def made(contract):
    """A network with random weights, and what writes with it."""
    keras.utils.set_random_seed(1)
    model = contract.builder(**contract.arguments)
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(size=weight.shape) * 0.5 for weight in model.get_weights()])
    context = CONTEXT if "transformer" in str(contract) else None
    return model, Generator(contract.module.step_of(model), context=context, banned=(0,))


@pytest.fixture(params=[CONTRACTS[0], CONTRACTS[4]], ids=str, scope="module")
def network(request):
    return made(request.param)


@pytest.fixture(scope="module")
def recurrent():
    return made(CONTRACTS[0])


def whole_text(model, prompt: list[int], length: int, context: int | None) -> list[int]:
    """Writes with the whole network, which reads all or, of a full window, the later half again for each token."""
    text, start = list(prompt), 0
    if context is not None and len(text) > context:
        start = len(text) - context // 2
    for _ in range(length):
        if context is not None and len(text) - start > context:
            start = len(text) - context // 2
        logits = np.array(model([np.array([text[start:]], np.int32)])["next"][0, -1])
        text.append(int(1 + logits[1:].argmax()))
    return text[len(prompt) :]


@pytest.mark.parametrize("prompt", [[3], [3, 4, 5, 6, 7, 8, 9, 10, 11]], ids=["short", "long"])
def test_greedy_text_is_the_argmax_of_the_whole_network(network, prompt):
    model, generator = network
    text = written(generator, prompt, GREEDY, rows=2, length=20)
    assert text[0].tolist() == text[1].tolist() == whole_text(model, prompt, 20, generator.context)


def test_draws_depend_on_the_seed_alone(network):
    _, generator = network
    one = written(generator, [3], Sampling(seed=1), rows=3, length=20)
    np.testing.assert_array_equal(written(generator, [3], Sampling(seed=1), rows=3, length=20), one)
    assert not np.array_equal(written(generator, [3], Sampling(seed=2), rows=3, length=20), one)
    assert not np.array_equal(one[0], one[1])
    # A longer text begins as the shorter one: the draws do not depend on how many come at once.
    np.testing.assert_array_equal(written(generator, [3], Sampling(seed=1), rows=3, length=7), one[:, :7])
    assert one.min() > 0  # which is banned


def test_what_is_drawn(recurrent):
    _, generator = recurrent
    greedy = written(generator, [3], GREEDY, rows=1, length=9)
    for how in (Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(min_p=1.0), Sampling(temperature=1e-4)):
        np.testing.assert_array_equal(written(generator, [3], how, rows=1, length=9), greedy)
    assert written(generator, [3], Sampling(top_k=500), rows=1, length=3).shape == (1, 3)


def test_a_beam_ends_at_least_as_well_as_greedy(network):
    model, generator = network
    tokens, scores = generator.search([3, 4], Beam(3, 0.0), length=4)
    greedy = written(generator, [3, 4], GREEDY, rows=1, length=4)[0]

    def score(text) -> float:
        logits = model([np.array([[3, 4, *text]], np.int32)])["next"][0, 1:-1]
        # Padding is never written, and nothing is renormalized for it.
        return float(np.take_along_axis(np.array(tf.nn.log_softmax(logits)), np.array(text)[:, None], 1).sum())

    np.testing.assert_allclose(scores, [score(text) for text in tokens], atol=1e-4)
    assert scores[0] >= score(greedy) - 1e-5
    if generator.context is not None:
        with pytest.raises(ValueError, match="at most 7 tokens together"):
            generator.search([3, 4], Beam(3), length=6)


def test_repetitions_are_penalized(recurrent):
    _, generator = recurrent
    plain = written(generator, [3], GREEDY, rows=1, length=30)[0]
    other = written(generator, [3], GREEDY, rows=1, length=30, penalty=50.0)[0]
    assert len(set(plain)) < len(set(other))


def test_the_penalty_by_hand():
    log_probs = tf.math.log([[0.5, 0.3, 0.2]])
    step = penalized(lambda token, state: (log_probs, state), 2.0)
    rated, state = step(tf.constant([0]), {"seen": tf.constant([[0.0, 0.0, 1.0]])})
    np.testing.assert_allclose(rated, np.log([[0.25, 0.3, 0.1]]), rtol=1e-5)
    assert state["seen"].numpy().tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(("how", "allowed"), [(Sampling(min_p=0.5), {0, 1}), (Sampling(min_p=0.7), {0})])
def test_min_p_by_hand(how, allowed):
    log_probs = tf.math.log([[0.5, 0.3, 0.2]] * 200)
    state = {"row": tf.zeros((200, 1))}
    tokens, _ = sample(lambda token, state: (log_probs, state), state, how, start=0, end=-1, max_length=1)
    assert set(tokens.numpy().ravel().tolist()) == allowed
