import keras
import numpy as np
import pytest

from kerasapps import distribution
from kerasapps.applications.multi_head_text import build_multi_head_text
from kerasapps.heads import Head, label_weights
from kerasapps.losses import (
    HeadLoss,
    PixelCrossentropy,
    SmoothedCrossentropy,
    StepCrossentropy,
    TokenCrossentropy,
    compile_heads,
)

AGE, INCOME, GENDER = Head("regression", mean=40.0, scale=10.0), Head("classes", num_classes=3), Head("binary")


@pytest.mark.parametrize(("deviation", "expected"), [("squared", (1.0 + 4.0) / 2), ("absolute", (1.0 + 2.0) / 2)])
def test_a_number_counts_in_units_of_its_scale(deviation, expected):
    loss = HeadLoss(AGE, deviation=deviation)
    assert float(loss(np.array([30.0, 60.0]), np.array([[40.0], [40.0]]))) == pytest.approx(expected)


def test_cross_entropies_by_hand():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    assert float(HeadLoss(INCOME)(np.array([0, 2]), probabilities)) == pytest.approx(-np.log([0.5, 0.8]).mean())
    yes = np.array([[0.9], [0.2]])
    assert float(HeadLoss(GENDER)(np.array([1.0, 0.0]), yes)) == pytest.approx(-np.log([0.9, 0.8]).mean(), rel=1e-5)


def test_pixels_count_in_nats_an_image():
    images = np.array([[1.0, 0.0], [0.5, 1.0]], np.float32).reshape(2, 1, 2, 1)
    probabilities = np.array([[0.5, 0.75], [0.5, 1.0]], np.float32).reshape(2, 1, 2, 1)
    expected = (-np.log(0.5) - np.log(0.25) - np.log(0.5)) / 2  # the mean of two images
    assert float(PixelCrossentropy()(images, probabilities)) == pytest.approx(expected, rel=1e-5)


def test_the_mean_is_over_the_labeled_rows_of_the_whole_set():
    model, known = network(), np.array([True] * 3 + [False] * 13)
    targets = TARGETS | {"age": np.where(known, 50.0, 1e6)}
    weights = {name: np.ones(16) for name in TARGETS} | {"age": label_weights(known)}
    # The second batch of eight has no label at all, the first has three.
    result = model.evaluate(TEXT, targets, sample_weight=weights, batch_size=8, verbose=0, return_dict=True)
    ages = model.predict(TEXT, verbose=0)["age"][:3, 0]
    assert result["age_loss"] == pytest.approx((((50.0 - ages) / 10) ** 2).mean(), rel=1e-4)
    assert float(HeadLoss(AGE)(np.array([0.0]), np.array([[40.0]]), sample_weight=np.array([0.0]))) == 0.0


def test_weights_are_one_on_average():
    np.testing.assert_allclose(label_weights(np.array([True, False, True, False])), [2, 0, 2, 0])
    np.testing.assert_array_equal(label_weights(np.array([False, False])), [0, 0])


def test_replicas_with_and_without_labels_learn_what_one_device_learns():
    known = np.arange(16) < 8  # on two replicas one has them all
    weights = {name: np.ones(16) for name in TARGETS} | {"age": label_weights(known)}
    results = []
    for strategy in map(distribution.make_strategy, ("none", "mirrored")):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = network()
        model.fit(TEXT, TARGETS, sample_weight=weights, batch_size=16, epochs=2, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_replicas_with_more_and_fewer_tokens_learn_what_one_device_learns():
    words = np.tile(np.arange(1, 6, dtype=np.int32), (4, 1))
    words[1:2, 1:] = 0  # of two replicas one has six tokens, the other ten
    results, losses = [], []
    for strategy in map(distribution.make_strategy, ("none", "mirrored")):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            text = keras.Input((None,), dtype="int32", name="text")
            model = keras.Model(text, keras.layers.Embedding(6, 6, name="logits")(text))
            model.compile(keras.optimizers.SGD(1.0), TokenCrossentropy(), jit_compile=False)
        history = model.fit(words, words, batch_size=4, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
        results.append(model.get_weights()[0])
    np.testing.assert_allclose(*results, atol=1e-6)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert losses[0][0] == pytest.approx(np.log(6), rel=0.02)  # nats a token


def test_replicas_with_more_and_fewer_steps_learn_what_one_device_learns():
    words = np.tile(np.arange(1, 6, dtype=np.int32), (4, 1))
    weights = np.ones((4, 5), np.float32)
    weights[1:2, 1:] = 0  # of two replicas one has six steps, the other ten
    results, losses = [], []
    for strategy in map(distribution.make_strategy, ("none", "mirrored")):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            text = keras.Input((None,), dtype="int32", name="text")
            scores = keras.layers.Embedding(6, 6, name="scores")(text)
            model = keras.Model(text, keras.layers.Softmax(name="tags")(scores))
            model.compile(keras.optimizers.SGD(1.0), StepCrossentropy(), jit_compile=False)
        done = model.fit(words, words, sample_weight=weights, batch_size=4, epochs=2, shuffle=False, verbose=0)
        losses.append(done.history["loss"])
        results.append(model.get_weights()[0])
    np.testing.assert_allclose(*results, atol=1e-6)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert losses[0][0] == pytest.approx(np.log(6), rel=0.02)  # nats a step that counts


def test_uncertainty_by_hand():
    s = keras.Variable(0.5)
    probabilities, one = np.array([[0.5, 0.25, 0.25]]), np.array([0])
    learned = HeadLoss(INCOME, uncertainty=s)(one, probabilities)
    assert float(learned) == pytest.approx(np.exp(-0.5) * np.log(2) + 0.25)  # the paper's equation 10
    squared = HeadLoss(AGE, uncertainty=s)(np.array([30.0]), np.array([[50.0]]))
    assert float(squared) == pytest.approx(0.5 * (np.exp(-0.5) * 4 + 0.5))
    absolute = HeadLoss(AGE, deviation="absolute", uncertainty=s)(np.array([30.0]), np.array([[50.0]]))
    assert float(absolute) == pytest.approx(np.exp(-0.5) * 2 + 0.5)


def network(**arguments):
    heads = {"age": AGE, "income": INCOME, "gender": GENDER}
    model = build_multi_head_text(vocab_size=9, heads=heads, filters=(), convolutions=(), embedding_dim=4)
    return compile_heads(model, keras.optimizers.SGD(0.05), heads, **arguments)


TEXT = {"text": np.random.default_rng(0).integers(1, 9, (16, 5)).astype(np.int32)}
TARGETS = {"age": np.full(16, 50.0), "income": np.arange(16) % 3, "gender": np.arange(16) % 2.0}


def test_a_row_without_a_label_trains_the_other_heads_alone():
    weights = {"age": np.zeros(16), "income": np.ones(16), "gender": np.ones(16)}
    model = network()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    model.fit(TEXT, TARGETS, sample_weight=weights, epochs=1, verbose=0)
    for layer, moves in (("age_standardised", False), ("income", True), ("gender", True), ("word_vectors", True)):
        same = all(
            np.array_equal(a, b) for a, b in zip(before[layer], model.get_layer(layer).get_weights(), strict=True)
        )
        assert same != moves, layer


def test_metrics_count_what_is_known():
    model = network()
    weights = {name: np.ones(16) for name in TARGETS} | {"age": np.array([1.0] + [0.0] * 15)}
    targets = TARGETS | {"age": np.array([50.0] + [1e6] * 15)}
    result = model.evaluate(TEXT, targets, sample_weight=weights, verbose=0, return_dict=True)
    first = float(model.predict(TEXT, verbose=0)["age"][0, 0])
    assert result["age_mae"] == pytest.approx(abs(50 - first), rel=1e-4)
    assert 0 <= result["income_accuracy"] <= 1
    assert np.isfinite(result["loss"])


def test_fixed_weights_scale_the_total():
    model = network(loss_weights={"age": 0.25, "gender": 10.0})
    result = model.evaluate(TEXT, TARGETS, verbose=0, return_dict=True)
    total = 0.25 * result["age_loss"] + result["income_loss"] + 10 * result["gender_loss"]
    assert result["loss"] == pytest.approx(total, rel=1e-4)
    with pytest.raises(ValueError, match="must name heads: age, income, gender"):
        network(loss_weights={"hight": 1.0})


def test_names_that_are_wrong():
    with pytest.raises(ValueError, match="must be numbers by head"):
        network(loss_weights="learned")
    model = build_multi_head_text(vocab_size=9, heads={"age": AGE}, filters=(), convolutions=(), embedding_dim=4)
    with pytest.raises(ValueError, match="must name the outputs: age"):
        compile_heads(model, "sgd", {"hight": AGE})


def test_learned_weights_move_and_are_saved(tmp_path):
    model = network(loss_weights="learnt")
    expected = model.predict(TEXT, verbose=0)
    model.fit(TEXT, TARGETS, epochs=5, verbose=0)
    learned = model.get_layer("uncertainty").get_weights()
    assert len(learned) == 3
    assert all(abs(float(value)) > 1e-3 for value in learned)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    for name, value in model.predict(TEXT, verbose=0).items():
        np.testing.assert_allclose(again.predict(TEXT, verbose=0)[name], value, atol=1e-6)
        assert value.shape == expected[name].shape


def test_a_saved_model_loads_compiled(tmp_path):
    model = network()
    model.fit(TEXT, TARGETS, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.evaluate(TEXT, TARGETS, verbose=0, return_dict=True)
    assert again.evaluate(TEXT, TARGETS, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-4)


# --- a smoothed target

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_smoothing_by_hand(shape):
    labels = np.array([0, 2]).reshape(shape)
    targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])  # 0.3 of it spread over three classes
    expected = -(targets * np.log(PROBABILITIES)).sum(-1).mean()
    assert float(SmoothedCrossentropy(0.3)(labels, PROBABILITIES)) == pytest.approx(expected, rel=1e-5)


def test_without_smoothing_it_is_the_cross_entropy_also_of_many_classes_in_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    labels = np.array([511, 299])  # bfloat16 would round these
    probabilities = keras.ops.softmax(np.random.default_rng(0).normal(size=(2, 512)).astype(np.float32))
    plain = keras.losses.SparseCategoricalCrossentropy()(labels, probabilities)
    assert float(SmoothedCrossentropy(0.0)(labels, probabilities)) == pytest.approx(float(plain), rel=1e-5)


def test_it_comes_back_from_its_config():
    loss = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(SmoothedCrossentropy(0.3)))
    assert loss.smoothing == 0.3
