"""Learning to read from texts without labels."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from kerasapps.applications.text_cnn import build_text_cnn
from kerasapps.blocks.neighbors import DrawnWords, Surprise
from kerasapps.data.words import WordIds
from kerasapps.errors import DataError
from kerasapps.pretraining import build_bidirectional_language_model, expectations, reader_weights, text_windows
from kerasapps.saving import load_model


def drawn_words(probabilities, count: int) -> DrawnWords:
    layer = DrawnWords(len(probabilities), count)
    layer.build((None, None))
    layer.set_weights([np.log(probabilities)])
    return layer


def language_model(size: int = 12, units: int = 8) -> keras.Model:
    keras.utils.set_random_seed(0)
    vectors = np.random.default_rng(0).normal(size=(size, 6)).astype(np.float32)
    return build_bidirectional_language_model(
        vectors=vectors, log_frequency=np.full(size, -np.log(size), np.float32), units=units
    )


def test_words_are_drawn_evenly_over_their_frequencies_to_the_power_of_three_quarters():
    probabilities = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])
    layer = drawn_words(probabilities, 1000)
    texts = np.array([[3, 0]], np.int32)
    drawn, gains, own = map(keras.ops.convert_to_numpy, layer(texts))
    wanted = probabilities**0.75 / (probabilities**0.75).sum()
    assert np.abs(np.bincount(drawn, minlength=5) - 1000 * wanted).max() <= 1
    np.testing.assert_allclose(gains, np.log(probabilities[drawn] ** 0.25), rtol=1e-5)
    np.testing.assert_allclose(own, np.log(probabilities[texts] ** 0.25), rtol=1e-5)
    np.testing.assert_array_equal(layer(texts)[0], drawn)


def test_words_are_drawn_anew_in_training():
    keras.utils.set_random_seed(0)
    layer = drawn_words(np.full(50, 1 / 50), 7)
    rows = [tuple(np.asarray(layer(np.zeros((1, 1), np.int32), training=True)[0])) for _ in range(60)]
    assert len(set(rows)) > 5
    assert {0, 49} <= {i for row in rows for i in row} <= set(range(50))


def test_a_surprise_is_minus_the_log_probability_among_the_drawn_words():
    rng = np.random.default_rng(0)
    predicted, right = rng.normal(size=(2, 2, 3, 5)).astype(np.float32)
    drawn, drawn_ids = rng.normal(size=(4, 5)).astype(np.float32), np.array([7, 3, 9, 7])
    ids = np.array([[1, 7, 2], [9, 4, 4]])
    gains, drawn_gains = rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    found = np.asarray(Surprise()(predicted, right, ids, gains, drawn, drawn_ids, drawn_gains))
    for i in np.ndindex(2, 3):
        kept = drawn_ids != ids[i]
        scores = [predicted[i] @ right[i] + gains[i], *(drawn @ predicted[i] + drawn_gains)[kept]]
        np.testing.assert_allclose(found[i], -log_softmax(scores)[0], rtol=1e-4, atol=1e-5)


def test_each_direction_reads_its_side_alone():
    model, texts = language_model(), np.random.default_rng(1).integers(0, 12, (3, 9)).astype(np.int32)
    before = model.predict(texts, verbose=0)
    changed = texts.copy()
    changed[:, 4] = (changed[:, 4] + 1) % 12
    behind = model.predict(changed, verbose=0)
    same = {name: np.isclose(before[name], behind[name], atol=1e-6).all(0).tolist() for name in before}
    # Of 8 neighbors: the next ones of words 0 to 7, the previous ones of words 1 to 8.
    assert same["next"] == [True] * 3 + [False] * 5
    assert same["previous"] == [False] * 5 + [True] * 3


def test_it_learns_what_follows_and_what_comes_before():
    model = language_model(units=16)
    texts = (np.arange(10) + np.random.default_rng(0).integers(0, 12, (256, 1))).astype(np.int32) % 12
    zeros = np.zeros((256, 1))
    model.compile(keras.optimizers.Adam(0.01), {"next": "mae", "previous": "mae"})
    model.fit(texts, {"next": zeros, "previous": zeros}, batch_size=32, epochs=8, verbose=0)
    found = model.predict(texts, verbose=0)
    assert found["next"].shape == found["previous"].shape == (256, 9)
    # By guessing 6.8: each other word is drawn 85 times.
    assert max(found["next"].mean(), found["previous"].mean()) < 2
    expected = expectations(model)(texts[:20])
    assert expected["next"].shape == (20, 9, 12)
    np.testing.assert_allclose(np.exp(expected["next"]).sum(-1), 1, rtol=1e-5)
    # The first of a text has nothing before it to be told from, and the last nothing behind it.
    assert (expected["next"].argmax(-1) == texts[:20, 1:]).mean() > 0.8
    assert (expected["previous"].argmax(-1) == texts[:20, :-1]).mean() > 0.8


def test_a_text_cnn_reads_as_the_language_model_does():
    model = language_model()
    cnn = build_text_cnn(vocab_size=12, num_classes=2, embedding_dim=4, filters=3, reader_units=8)
    table, *weights = reader_weights(model)
    cnn.get_layer("reader_words").set_weights([table])
    cnn.get_layer("reader").set_weights(weights)
    texts = np.random.default_rng(0).integers(1, 12, (2, 5)).astype(np.int32)
    states = [keras.Model(one.inputs, one.get_layer("reader").output) for one in (model, cnn)]
    np.testing.assert_allclose(states[0]({"text": texts}), states[1]({"text": texts}), atol=1e-6)


def test_a_reader_is_not_trained_and_saved_as_such(tmp_path):
    cnn = build_text_cnn(vocab_size=12, num_classes=2, embedding_dim=4, filters=3, reader_units=8)
    before = [cnn.get_layer(name).get_weights() for name in ("reader_words", "reader", "context")]
    cnn.compile("adam", "sparse_categorical_crossentropy")
    texts = np.random.default_rng(0).integers(1, 12, (20, 5)).astype(np.int32)
    cnn.fit(texts, np.arange(20) % 2, verbose=0)
    cnn.save(tmp_path / "cnn.keras")
    again = load_model(tmp_path / "cnn.keras")
    for name, weights in zip(("reader_words", "reader"), before, strict=False):
        assert not again.get_layer(name).trainable_weights
        for one, other in zip(again.get_layer(name).get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(cnn.get_layer("context").get_weights()[0], before[2][0])


def test_windows_hold_every_text_in_turn_with_a_gap_between():
    splits = text_windows(["a b c", "c a", "b"], WordIds(("a", "b", "c"), 2))
    rows = [*splits.train.inputs["text"].tolist(), *splits.validation.inputs["text"].tolist()]
    assert rows == [[2, 3], [4, 0], [4, 2], [0, 3]]
    assert len(splits.validation) == 1
    assert splits.train.targets["next"].shape == (3, 1)
    with pytest.raises(DataError, match="The texts have 2 words, too few for two windows of 4"):
        text_windows(["a b"], WordIds(("a", "b", "c"), 4))
