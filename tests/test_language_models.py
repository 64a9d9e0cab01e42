"""Language models: causal, and a step at a time gives what the whole text gives, on saved weights too."""

import keras
import numpy as np
import pytest

from kerasapps import load_model
from kerasapps.applications import transformer_language_model
from kerasapps.blocks.transformer import LearnedPositions
from tests.contract_language import CONTRACTS
from tests.contract_row import first_state, unsettled

TEXT = np.random.default_rng(0).integers(1, 12, (3, 9)).astype(np.int32)


def given(ids: np.ndarray):
    """Ids as a tensor, which a dict of inputs must have."""
    return keras.ops.convert_to_tensor(ids)


@pytest.fixture(params=CONTRACTS, ids=str, scope="module")
def contract(request):
    return request.param


@pytest.fixture(scope="module")
def model(contract):
    return unsettled(contract)


def test_no_output_depends_on_a_later_input(model):
    before = model([TEXT])["next"]
    for t in range(1, TEXT.shape[1]):
        changed = TEXT.copy()
        changed[:, t:] = changed[:, t:] % 11 + 1
        after = model([changed])["next"]
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert np.abs(after[:, t:] - before[:, t:]).max() > 1e-3


def test_step_by_step_is_as_with_the_whole_text(contract, model, tmp_path):
    model.save(tmp_path / "model.keras")
    step = contract.module.step_of(load_model(tmp_path / "model.keras"))
    expected = keras.ops.log_softmax(model([TEXT])["next"])
    state = first_state(step, len(TEXT))
    for t in range(TEXT.shape[1]):
        outputs = step({"token": given(TEXT[:, t : t + 1]), **state})
        np.testing.assert_allclose(outputs["log_probs"], expected[:, t], atol=1e-5)
        state = {name: outputs[name] for name in state}
    # A part at a time, as a prompt is read.
    part = step({"token": given(TEXT[:, :5]), **first_state(step, len(TEXT))})
    np.testing.assert_allclose(part["log_probs"], expected[:, 4], atol=1e-5)
    rest = step({"token": given(TEXT[:, 5:]), **{name: part[name] for name in state}})
    np.testing.assert_allclose(rest["log_probs"], expected[:, -1], atol=1e-5)
    for name in state:
        np.testing.assert_allclose(rest[name], state[name], atol=1e-5)


def test_a_step_can_be_saved_alone(contract, model, tmp_path):
    step = contract.module.step_of(model)
    step.save(tmp_path / "step.keras")
    first = {"token": given(TEXT[:, :4]), **first_state(step, len(TEXT))}
    again = load_model(tmp_path / "step.keras")(first)["log_probs"]
    np.testing.assert_allclose(again, step(first)["log_probs"], atol=1e-6)


def test_learned_positions_end():
    layer = LearnedPositions(4)
    words = np.zeros((1, 4, 2), np.float32)
    np.testing.assert_allclose(layer(words)[0], layer.table)
    np.testing.assert_allclose(layer(words[:, :1], np.zeros((1, 3, 8)))[0], layer.table[3:])
    with pytest.raises(ValueError, match=r"at most `context`=4 tokens\. Received: 5"):
        layer(np.zeros((1, 5, 2)))


def test_attention_looks_back_alone():
    contract = next(one for one in CONTRACTS if "sinusoids" in str(one))
    model = contract.builder(**contract.arguments)
    weights = transformer_language_model.attention_of(model).predict(TEXT, verbose=0)["attention"]
    assert weights.shape == (3, 2, 2, 9, 9)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert not np.triu(weights, 1).any()
