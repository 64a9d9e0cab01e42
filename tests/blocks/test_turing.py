"""The neural Turing machine: its addressing against numbers worked out by hand, and a step written out in NumPy."""

import keras
import numpy as np
import pytest

from kerasapps.applications.neural_turing_machine import addressing_of, build_neural_turing_machine
from kerasapps.blocks.turing import SMALL, TuringCell, content_weights, sharpened, shifted

rng = np.random.default_rng(0)
B, N, W, U, D = 3, 5, 4, 6, 2


def softmax(x):
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def softplus(x):
    return np.log1p(np.exp(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def drawn(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def cosines(memory, key):
    lengths = np.linalg.norm(memory, axis=-1) * np.linalg.norm(key, axis=-1, keepdims=True)
    return (memory * key[:, None]).sum(-1) / lengths


def convolved(weights, shift):
    """The circular convolution of the paper: the sum over j of w(j) s(i - j), with s at -1, 0 and 1."""
    result = np.zeros_like(weights)
    for i in range(N):
        for j in range(N):
            for s in (-1, 0, 1):
                if (i - j - s) % N == 0:
                    result[:, i] += weights[:, j] * shift[:, s + 1]
    return result


def test_a_key_finds_the_slots_that_point_its_way():
    memory, key, strength = drawn(B, N, W), drawn(B, W), np.array([[0.5], [1.0], [20.0]], np.float32)
    found = np.array(content_weights(memory, key, strength))
    np.testing.assert_allclose(found, softmax(strength * cosines(memory, key)), rtol=1e-4)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)


def test_a_memory_that_holds_nothing_yet_is_found_everywhere_alike():
    found = content_weights(np.full((1, N, W), SMALL, np.float32), drawn(1, W), np.ones((1, 1), np.float32))
    np.testing.assert_allclose(found, np.full((1, N), 1 / N), rtol=1e-5)


def test_a_shift_is_a_circular_convolution():
    weights, shift = softmax(drawn(B, N)), softmax(drawn(B, 3))
    np.testing.assert_allclose(shifted(weights, shift), convolved(weights, shift), rtol=1e-5)
    one = np.eye(N, dtype=np.float32)
    ahead = np.tile([[0, 0, 1]], (N, 1)).astype(np.float32)
    np.testing.assert_array_equal(shifted(one, ahead), np.roll(one, 1, axis=1))  # the last slot to the first


def test_sharpening_by_hand():
    weights = np.array([[0.5, 0.25, 0.25]], np.float32)
    np.testing.assert_allclose(sharpened(weights, np.array([[1.0]])), weights, atol=1e-5)
    np.testing.assert_allclose(sharpened(weights, np.array([[2.0]])), [[4 / 6, 1 / 6, 1 / 6]], atol=1e-5)
    alike = np.full((1, 128), 1 / 128, np.float32)
    np.testing.assert_allclose(sharpened(alike, np.array([[60.0]])), alike, rtol=1e-4)  # 1 / 128 ** 60 is 0


def test_a_step_is_that_of_the_paper():
    cell = TuringCell(U, slots=N, width=W)
    cell.build((B, D))
    cell.set_weights([0.5 * drawn(*weight.shape) for weight in cell.get_weights()])
    x, memory = drawn(B, D), drawn(B, N, W)
    states = [drawn(B, U), drawn(B, U), drawn(B, W), softmax(drawn(B, N)), softmax(drawn(B, N)), memory]
    outputs, after = cell(x, states)

    hidden = np.array(after[0])  # by Keras' LSTM cell
    np.testing.assert_allclose(hidden, cell.controller(np.concatenate([x, states[2]], 1), states[:2])[0], rtol=1e-5)
    kernel, bias = cell.heads.get_weights()
    to_write, to_read, erase, add = np.split(hidden @ kernel + bias, [W + 6, 2 * (W + 6), 3 * W + 12], axis=1)

    def looked(numbers, before, memory):
        key, strength, gate, shift, power = np.split(numbers, [W, W + 1, W + 2, W + 5], axis=1)
        gate = sigmoid(gate)
        by_content = softmax(softplus(strength) * cosines(memory, np.tanh(key)))
        raised = convolved(gate * by_content + (1 - gate) * before, softmax(shift)) ** (1 + softplus(power))
        return raised / raised.sum(-1, keepdims=True)

    write = looked(to_write, states[3], memory)
    memory = memory * (1 - write[..., None] * sigmoid(erase)[:, None]) + write[..., None] * np.tanh(add)[:, None]
    read = looked(to_read, states[4], memory)
    content = (read[..., None] * memory).sum(1)
    for value, expected in zip(after[2:], (content, write, read, memory), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(outputs, np.concatenate([hidden, content, write, read], 1), rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_neural_turing_machine(input_bits=D, output_bits=1, units=U, slots=N, width=W)


def test_where_the_heads_look_sums_to_one_at_every_step(model):
    looks = addressing_of(model)({"sequence": drawn(B, 9, D)})
    assert {name: tuple(value.shape) for name, value in looks.items()} == {"write": (B, 9, N), "read": (B, 9, N)}
    for value in looks.values():
        assert np.min(value) > 0
        np.testing.assert_allclose(np.sum(value, -1), 1, rtol=1e-5)


def test_the_future_does_not_count(model):
    x = drawn(B, 9, D)
    other = x.copy()
    other[:, 5:] += 1
    before, after = (model({"sequence": one})["bits"][:, :5] for one in (x, other))
    np.testing.assert_allclose(before, after, rtol=1e-5)
