"""Captioners write as they were trained: a step at a time gives what whole captions give, on saved weights too."""

import keras
import numpy as np
import pytest

from kerasapps import TokenCrossentropy, load_model
from kerasapps.applications.captioner import build_captioner, encoder_of, step_of
from kerasapps.blocks.attention_decoder import lstm_step
from kerasapps.blocks.grid import Coordinates, ForEach
from kerasapps.decoding import GREEDY, Beam, Writer
from kerasapps.losses import CoverageLoss
from tests.contract_captioning import CONTRACTS
from tests.contract_row import first_state, images, unsettled

TARGET = np.array([[[2, 4, 5, 6], [2, 9, 9, 5]], [[2, 7, 6, 5], [2, 4, 0, 0]], [[2, 3, 0, 0], [0, 0, 0, 0]]], np.int32)


@pytest.fixture(params=CONTRACTS, ids=str, scope="module")
def contract(request):
    return request.param


@pytest.fixture(scope="module")
def model(contract):
    return unsettled(contract)


def looked_at(contract):
    side = contract.arguments["image_shape"][0]
    return images(side, side, 3)[:3]


def test_step_by_step_is_as_with_the_whole_caption(contract, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded, image = load_model(tmp_path / "model.keras"), looked_at(contract)
    outputs = model({"image": image, "target": TARGET})
    expected = keras.ops.log_softmax(outputs["next"])
    encoder, step = encoder_of(loaded), step_of(loaded)
    for caption in range(TARGET.shape[1]):
        state = first_state(step, len(image), encoder({"image": image}))
        for t in range(TARGET.shape[2]):
            made = step({"token": keras.ops.convert_to_tensor(TARGET[:, caption, t : t + 1]), **state})
            np.testing.assert_allclose(made["log_probs"], expected[:, caption, t], atol=1e-4)
            if "attention" in outputs:
                np.testing.assert_allclose(made["attention"], outputs["attention"][:, caption, t], atol=1e-5)
            state |= {name: value for name, value in made.items() if name in state}


def test_what_is_written_depends_on_no_other_image_and_on_its_own(contract, model):
    writer, image = Writer(encoder_of(model), step_of(model), start=2, end=3), looked_at(contract)
    for how in (GREEDY, Beam(3)):
        tokens, scores = writer({"image": image}, how, max_length=6)
        turned, turned_scores = writer({"image": image[::-1].copy()}, how, max_length=6)
        np.testing.assert_array_equal(turned[::-1], tokens)
        np.testing.assert_allclose(turned_scores[::-1], scores, atol=1e-4)
    assert np.ptp(scores[:, 0]) > 1e-6


def test_captions_do_not_know_of_each_other_and_padding_counts_nothing(contract, model):
    image = looked_at(contract)
    both = model({"image": image, "target": TARGET})["next"]
    alone = model({"image": image, "target": TARGET[:, 1:]})["next"]
    np.testing.assert_allclose(both[:, 1:], alone, atol=1e-5)
    loss = TokenCrossentropy()
    wider = np.pad(TARGET, [(0, 0), (0, 1), (0, 0)])  # a caption of padding alone
    np.testing.assert_allclose(
        loss(wider, model({"image": image, "target": wider})["next"]), loss(TARGET, both), rtol=1e-5
    )


def test_coverage_by_hand():
    weights = np.zeros((1, 2, 3, 2), np.float32)
    weights[0, 0] = [[1, 0], [0.5, 0.5], [0, 1]]  # the third step is padding: 1.5 and 0.5
    ids = np.array([[[4, 3, 0], [0, 0, 0]]], np.int32)
    assert float(CoverageLoss()(ids, weights)) == pytest.approx(0.25 + 0.25)


def test_coordinates_by_hand():
    found = np.asarray(Coordinates()(np.zeros((1, 2, 4, 1), np.float32)))[0]
    np.testing.assert_allclose(found[:, 0, 1], [-0.5, 0.5])
    np.testing.assert_allclose(found[0, :, 2], [-0.75, -0.25, 0.25, 0.75])


def test_each_image_is_repeated_for_its_own_captions():
    made = ForEach()(np.array([[1.0], [2.0]], np.float32), np.zeros((2, 3, 5), np.int32))
    np.testing.assert_array_equal(np.asarray(made)[:, 0], [1, 1, 1, 2, 2, 2])


def test_an_lstm_step_by_hand():
    state, x = np.array([[0.5, 2.0]]), np.array([[0.0, -1.0, 1.0, 0.0]])  # forgets half, adds half of tanh(1)
    cell = 0.5 * 2 + 0.5 * np.tanh(1.0)
    np.testing.assert_allclose(np.asarray(lstm_step(state, x)), [[0.5 * np.tanh(cell), cell]], rtol=1e-6)


@pytest.mark.slow  # 15 s; what a tiny run of the experiment learns is tested there
def test_it_learns_to_name_what_it_sees():
    """Two colors on the left or the right, and captions that say which: blind, the loss stays at log 4 a caption."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (256, 2))
    image = np.full((256, 8, 8, 3), 120, np.float32)
    for i, (color, place) in enumerate(rows):
        image[i, 2:6, 4 * place : 4 * place + 4, 2 * color] = 255
    start, end = np.full((256, 1), 2), np.full((256, 1), 3)
    ids = np.concatenate([start, 4 + rows[:, :1], 6 + rows[:, 1:], end], 1).astype(np.int32)[:, None]
    model = build_captioner(
        vocab_size=8, image_shape=(8, 8, 3), filters=(8,), units=16, heads=2, embedding_dim=8, context=0, dropout=0.0
    )
    model.compile(keras.optimizers.Adam(0.01), {"next": TokenCrossentropy()})
    inputs = {"image": image, "target": ids[..., :-1]}
    model.fit(inputs, {"next": ids[..., 1:]}, epochs=8, batch_size=32, verbose=0)
    writer = Writer(encoder_of(model), step_of(model), start=2, end=3)
    tokens, _ = writer({"image": image[:64]}, Beam(2), max_length=4)
    assert (tokens[:, 0, :2] == ids[:64, 0, 1:3]).mean() > 0.95
