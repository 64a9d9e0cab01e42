"""Translators write as they were trained: a step at a time gives what the whole target gives, on saved weights too."""

import keras
import numpy as np
import pytest

from kerasapps import TokenCrossentropy, load_model
from kerasapps.decoding import GREEDY, Beam, Writer
from tests.contract_row import first_state, unsettled
from tests.contract_translation import CONTRACTS

SOURCE = np.array([[3, 4, 5, 6, 0, 0], [7, 8, 9, 10, 11, 4], [5, 0, 0, 0, 0, 0]], np.int32)
TARGET = np.array([[2, 4, 5, 6], [2, 9, 9, 5], [2, 7, 6, 5]], np.int32)


@pytest.fixture(params=CONTRACTS, ids=str, scope="module")
def contract(request):
    return request.param


@pytest.fixture(scope="module")
def model(contract):
    return unsettled(contract)


def test_step_by_step_is_as_with_the_whole_target(contract, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    logits = model({"source": SOURCE, "target": TARGET})["next"]
    expected = keras.ops.log_softmax(logits)
    weights = contract.module.attention_of(model).predict({"source": SOURCE, "target": TARGET}, verbose=0)
    encoder, step = contract.module.encoder_of(loaded), contract.module.step_of(loaded)
    state = first_state(step, len(SOURCE), encoder(SOURCE))
    for t in range(TARGET.shape[1]):
        outputs = step({"token": keras.ops.convert_to_tensor(TARGET[:, t : t + 1]), **state})
        np.testing.assert_allclose(outputs["log_probs"], expected[:, t], atol=1e-5)
        np.testing.assert_allclose(outputs["attention"], weights["attention"][:, t], atol=1e-5)
        state |= {name: value for name, value in outputs.items() if name in state}


def test_what_is_written_depends_on_no_other_row_and_no_padding(contract, model):
    writer = Writer(contract.module.encoder_of(model), contract.module.step_of(model), start=2, end=3)
    for how in (GREEDY, Beam(3)):
        tokens, scores = writer({"source": SOURCE}, how, max_length=7)
        turned, turned_scores = writer({"source": np.pad(SOURCE[::-1], [(0, 0), (0, 2)])}, how, max_length=7)
        width = min(tokens.shape[-1], turned.shape[-1])
        np.testing.assert_array_equal(turned[::-1, 0, :width], tokens[:, 0, :width])
        np.testing.assert_allclose(turned_scores[::-1], scores, atol=1e-4)
        alone, _ = writer({"source": SOURCE[2:, :1]}, how, max_length=7)
        width = min(tokens.shape[-1], alone.shape[-1])
        np.testing.assert_array_equal(alone[0, 0, :width], tokens[2, 0, :width])
        assert not tokens[:, :, width:].size or tokens.shape[-1] <= 7


def test_a_text_of_300_words(contract, model):
    if contract.arguments.get("attention") == "lectures":
        pytest.skip("it has scores for 12 positions")
    writer = Writer(contract.module.encoder_of(model), contract.module.step_of(model), start=2, end=3)
    tokens, _ = writer({"source": np.full((1, 300), 5, np.int32)}, GREEDY, max_length=20)
    assert tokens.shape[-1] <= 20


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_by_hand_and_its_gradient(smoothing):
    import tensorflow as tf

    logits = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 5)), tf.float32)
    ids = np.array([[1, 4, 0], [2, 0, 0]], np.int32)
    log_probs = np.asarray(tf.nn.log_softmax(logits))
    target = np.eye(5)[ids] * (1 - smoothing) + smoothing / 5
    expected = -(target * log_probs).sum(-1)[ids != 0].mean()
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = TokenCrossentropy(smoothing)(ids, logits)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    wanted = (np.exp(log_probs) - target) * (ids != 0)[..., None] / 3
    np.testing.assert_allclose(tape.gradient(loss, logits), wanted, atol=1e-6)
