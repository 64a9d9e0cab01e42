"""The fast LSTM and GRU give what Keras' give: outputs, states and every gradient."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.blocks.gru import GRU
from kerasapps.blocks.recurrent import LSTM, PeepholeLSTM

rng = np.random.default_rng(0)
B, D, U = 6, 5, 4
KERAS = {LSTM: keras.layers.LSTM, GRU: keras.layers.GRU}
layers = pytest.mark.parametrize("kind", KERAS)
# Masks are handled before a layer's own loop, which is the same for both.
masked = pytest.mark.parametrize(
    ("kind", "masked"),
    [*itertools.product([LSTM], ["none", "right", "left", "middle"]), (GRU, "none"), (GRU, "middle")],
)


def masks(length):
    middle = rng.random((B, length)) > 0.4
    middle[0] = False
    right = np.arange(length) < rng.integers(0, length + 1, size=(B, 1))
    return {"none": None, "right": right, "left": right[:, ::-1].copy(), "middle": middle}


def values_and_gradients(layer, x, mask, *, graph=False, state=()):
    """Everything that the layer returns, and the gradients of input, first states and weights."""
    weights = [w.value for w in layer.trainable_variables]

    def run(x, *state):
        with tf.GradientTape() as tape:
            tape.watch([x, *state])
            y = tf.nest.flatten(layer(x, mask=mask, training=True, initial_state=list(state) or None))
            loss = tf.add_n([tf.reduce_sum(tf.sin(3 * tf.cast(v, tf.float32) + i)) for i, v in enumerate(y)])
        return y + tape.gradient(loss, [x, *state, *weights])

    if graph:
        states = [tf.TensorSpec((None, U))] * len(state)
        steps = x.shape[1] if getattr(layer, "unroll", False) else None
        run = tf.function(run, input_signature=[tf.TensorSpec((None, steps, D)), *states])
    return run(tf.constant(x), *map(tf.constant, state))


def check(ours, keras_layer, x, mask, state=()):
    """Checks ours as a step of `fit` runs it, in a graph, and as a loop of one's own may, eagerly."""
    for layer in (ours, keras_layer):
        layer.build(x.shape)
    keras_layer.set_weights([rng.normal(size=w.shape) * 0.4 for w in keras_layer.weights])
    ours.set_weights(keras_layer.get_weights())
    expected = values_and_gradients(keras_layer, x, mask, state=state)
    for graph in (True, False):
        for a, b in zip(values_and_gradients(ours, x, mask, graph=graph, state=state), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)


@masked
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_equals_keras(kind, masked, sequences, backwards):
    x = rng.normal(size=(B, 13, D)).astype("float32")
    options = {"return_sequences": sequences, "go_backwards": backwards, "return_state": True}
    check(kind(U, **options), KERAS[kind](U, **options), x, masks(13)[masked])


@layers
@pytest.mark.parametrize("length", [3, 10, 23])
def test_unknown_length_in_a_graph(kind, length):
    x = rng.normal(size=(B, length, D)).astype("float32")
    check(kind(U, return_sequences=True), KERAS[kind](U, return_sequences=True), x, masks(length)["middle"])


@masked
@pytest.mark.parametrize("rows", [1, 5, B])
def test_from_given_states_and_with_uneven_halves(kind, masked, rows):
    states = 2 if kind is LSTM else 1
    x, *state = (rng.normal(size=shape).astype("float32") for shape in ((rows, 7, D), *[(rows, U)] * states))
    mask = masks(7)[masked]
    options = {"return_sequences": True, "return_state": True}
    check(kind(U, **options), KERAS[kind](U, **options), x, None if mask is None else mask[:rows], state)


@layers
def test_in_bfloat16_it_is_nearly_what_it_is_in_float32(kind):
    x, mask = rng.normal(size=(B, 40, D)).astype("float32"), masks(40)["right"]
    narrow, wide = (kind(U, return_sequences=True, dtype=dtype) for dtype in ("mixed_bfloat16", "float32"))
    for layer in (narrow, wide):
        layer.build(x.shape)
    narrow.set_weights(wide.get_weights())
    output, *gradients = values_and_gradients(narrow, x, mask, graph=True)
    assert output.dtype == tf.bfloat16
    expected = values_and_gradients(wide, x, mask, graph=True)
    for one, other in zip([output, *gradients], expected, strict=True):
        assert np.abs(tf.cast(one, tf.float32) - other).max() < 0.05 * np.abs(other).max()


@layers
def test_second_derivatives_are_refused(kind):
    layer = kind(U)

    @tf.function
    def penalty(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x, training=True) ** 2)
            slope = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(slope, x)

    with pytest.raises(Exception, match="has no second derivatives") as caught:  # of a class that autograph makes
        penalty(tf.ones((2, 3, D)))
    assert f"use keras.layers.{kind.__name__}" in str(caught.value)


@layers
@pytest.mark.parametrize(
    "options",
    [
        {"use_bias": False},
        {"zero_output_for_mask": True},
        {"activation": "relu"},
        {"unroll": True},
    ],
)
def test_options(kind, options):
    x = rng.normal(size=(B, 12, D)).astype("float32")
    options = {"return_sequences": True, **options}
    check(kind(U, **options), KERAS[kind](U, **options), x, masks(12)["middle"])


def test_options_of_one_of_them():
    x = rng.normal(size=(B, 12, D)).astype("float32")
    check(LSTM(U, unit_forget_bias=False), keras.layers.LSTM(U, unit_forget_bias=False), x, None)
    check(GRU(U, reset_after=False), keras.layers.GRU(U, reset_after=False), x, None)


@masked
@pytest.mark.parametrize("sequences", [False, True])
def test_bidirectional(kind, masked, sequences):
    x = rng.normal(size=(B, 12, D)).astype("float32")
    pair = [keras.layers.Bidirectional(c(U, return_sequences=sequences)) for c in (kind, KERAS[kind])]
    assert isinstance(pair[0].backward_layer, kind)
    check(*pair, x, masks(12)[masked])


def network(kind=LSTM):
    text = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(20, 6, mask_zero=True)(text)
    model = keras.Model(text, keras.layers.Dense(3, activation="softmax")(kind(4, dropout=0.1)(x)))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@layers
def test_batches_of_unknown_size(kind):
    x, y = rng.integers(0, 20, size=(30, 11)), rng.integers(0, 3, size=30)
    history = network(kind).fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(8), shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"][0])


@layers
def test_saves_and_learns(kind, tmp_path):
    x, y = rng.integers(0, 20, size=(32, 11)), rng.integers(0, 3, size=32)
    model = network(kind)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert isinstance(again.layers[-2], kind)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


@layers
@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.2}, {"dtype": "mixed_float16"}])
def test_falls_back(kind, options):
    layer = kind(U, **options)
    assert not layer.has_own_loop()
    assert layer(np.ones((2, 5, D), "float32"), training=True).shape == (2, U)


# --- peepholes


def peephole_steps(x, weights, peepholes):
    """The equations, a row and a step at a time: x (T, D) -> hidden states (T, U)."""
    kernel, recurrent, bias = weights
    hidden = cell = np.zeros(recurrent.shape[0])
    states = []
    for step in x:
        i, f, g, o = np.split(step @ kernel + hidden @ recurrent + bias, 4)
        before = cell
        cell = sigmoid(f + peepholes[1] * before) * before + sigmoid(i + peepholes[0] * before) * np.tanh(g)
        hidden = sigmoid(o + peepholes[2] * cell) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def peephole_layer(**options) -> PeepholeLSTM:
    layer = PeepholeLSTM(U, **options)
    layer.build((B, None, D))
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.weights])
    return layer


@pytest.mark.parametrize("backwards", [False, True])
def test_peepholes_follow_the_equations(backwards):
    layer = peephole_layer(return_sequences=True, go_backwards=backwards)
    x = rng.normal(size=(B, 7, D))
    *weights, peepholes = layer.get_weights()
    expected = [peephole_steps(row[::-1] if backwards else row, weights, peepholes) for row in x]
    np.testing.assert_allclose(layer(x.astype(np.float32)), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "right", "left", "middle"])
@pytest.mark.parametrize("sequences", [False, True])
def test_the_kernel_with_peepholes_equals_the_loop(kind, sequences):
    layer = peephole_layer(return_sequences=sequences, return_state=True)
    loop = keras.layers.RNN(layer.cell, return_sequences=sequences, return_state=True)
    x, mask = rng.normal(size=(B, 13, D)).astype(np.float32), masks(13)[kind]
    state = [rng.normal(size=(B, U)).astype(np.float32) for _ in range(2)]
    expected = values_and_gradients(loop, x, mask, state=state)
    for graph in (True, False):
        for a, b in zip(values_and_gradients(layer, x, mask, graph=graph, state=state), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)


def test_peepholes_of_zero_are_an_lstm():
    layer, lstm = PeepholeLSTM(U), keras.layers.LSTM(U)
    x = rng.normal(size=(B, 5, D)).astype(np.float32)
    lstm(x), layer(x)
    *_, peepholes = layer.get_weights()
    assert not peepholes.any()
    layer.set_weights([*lstm.get_weights(), peepholes])
    np.testing.assert_allclose(layer(x), lstm(x), atol=1e-6)


def test_a_peephole_layer_comes_back_from_its_config():
    layer = peephole_layer(return_sequences=True, dropout=0.2, go_backwards=True)
    again = PeepholeLSTM.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    both = keras.layers.Bidirectional(PeepholeLSTM(U))
    assert both(np.zeros((2, 3, D))).shape == (2, 2 * U)
