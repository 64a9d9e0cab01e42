"""Adam in one pass gives what Keras' Adam gives on dense gradients, and Muon what Keras' Muon gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps import distribution
from kerasapps.blocks.recurrent import LSTM
from kerasapps.optimizers import Adam, LazyAdam, Muon, orthonormal

rng = np.random.default_rng(0)
x, y = rng.integers(0, 30, size=(160, 12)), rng.integers(0, 5, size=160)


class Dense(keras.optimizers.Adam):
    """Keras' Adam on dense gradients, as on its other backends.

    Given IndexedSlices with a row twice, Keras on TensorFlow adds up the squares instead of squaring the sum.
    """

    def _clip_gradients(self, grads):
        return super()._clip_gradients([tf.convert_to_tensor(gradient) for gradient in grads])

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(tf.convert_to_tensor(gradient), variable, learning_rate)


def model_for(optimizer, lstm=keras.layers.LSTM):
    keras.utils.set_random_seed(1)
    text = keras.Input((None,), dtype="int32")
    h = lstm(6)(keras.layers.Embedding(30, 8, mask_zero=True, name="words")(text))
    model = keras.Model(text, keras.layers.Dense(5, activation="softmax", dtype="float32", name="classes")(h))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def fit(model):
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)  # 20 steps
    return model.fit(data, shuffle=False, verbose=0)


def same_weights(a, b, atol=1e-6):
    for p, q in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), atol=atol)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clipnorm": 0.1},
        {"weight_decay": 0.01},
        {"amsgrad": True},
        {"epsilon": 1e-3, "beta_1": 0.8},
        {"use_ema": True},
        {"gradient_accumulation_steps": 2},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(1e-2, 5, 0.5)},
    ],
)
def test_equals_keras(options):
    options = {"learning_rate": 1e-3, **options}
    ours, theirs = model_for(Adam(**options)), model_for(Dense(**options, name="adam"))
    fit(ours), fit(theirs)
    same_weights(ours, theirs)
    for p, q in zip(ours.optimizer.variables, theirs.optimizer.variables, strict=True):
        assert p.shape == q.shape
        np.testing.assert_allclose(p.numpy(), q.numpy(), atol=1e-6)


def test_repeated_rows():
    start, values, rows = np.ones((4, 2), "float32"), np.array([[1, 2], [3, 4], [5, 6]], "float32"), [1, 1, 3]
    dense = np.zeros_like(start)
    np.add.at(dense, rows, values)
    results = {}
    for optimizer, sparse in [(Adam(0.01), 1), (keras.optimizers.Adam(0.01), 0), (keras.optimizers.Adam(0.01), 1)]:
        w = keras.Variable(start)
        for scale in (1.0, -0.3, 0.5):
            g = tf.IndexedSlices(values * scale, tf.constant(rows), (4, 2)) if sparse else tf.constant(dense * scale)
            optimizer.apply([g], [w])
        results[type(optimizer), sparse] = w.numpy()
    np.testing.assert_allclose(results[Adam, 1], results[keras.optimizers.Adam, 0], atol=1e-6)
    assert np.abs(results[keras.optimizers.Adam, 1] - results[keras.optimizers.Adam, 0]).max() > 1e-5  # theirs


def test_saves(tmp_path):
    model = model_for(Adam())
    fit(model)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert isinstance(again.optimizer, Adam)
    fit(model), fit(again)
    same_weights(model, again)


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert np.isfinite(fit(model_for(Adam())).history["loss"][0])


def test_two_replicas_equal_one():
    with distribution.make_strategy("mirrored").scope():
        two = model_for(Adam(), LSTM)
    one = model_for(Dense())
    fit(two), fit(one)
    same_weights(two, one, atol=1e-5)


def test_two_replicas_clip_the_gradients_of_both_together():
    clipped = {"global_clipnorm": 0.05}
    with distribution.make_strategy("mirrored").scope():
        two = model_for(Adam(**clipped))
    one, free = model_for(Adam(**clipped)), model_for(Adam())
    fit(two), fit(one), fit(free)
    same_weights(two, one, atol=1e-5)
    with pytest.raises(AssertionError):
        same_weights(one, free, atol=1e-5)


def lookup(optimizer, ids):
    """Trains an embedding of 6 rows for some steps, each of which looks up some rows, one of them twice."""
    keras.utils.set_random_seed(3)
    embedding = keras.layers.Embedding(6, 4)
    model = keras.Sequential([keras.Input((None,), dtype="int32"), embedding, keras.layers.Flatten()])
    model.compile(optimizer, "mse")
    start = embedding.embeddings.numpy()
    for step in ids:
        model.train_on_batch(np.array([step]), np.ones((1, 4 * len(step))))
    return start, embedding.embeddings.numpy()


def test_lazy_where_every_row_is_looked_up_is_adam():
    ids = [[0, 1, 2, 3, 4, 5, 5]] * 5
    np.testing.assert_allclose(lookup(LazyAdam(0.01), ids)[1], lookup(Adam(0.01), ids)[1], atol=1e-6)


def test_lazy_leaves_rows_alone_that_were_not_looked_up():
    ids = [[0, 1, 1], [2, 3, 3], [2, 3, 3]]
    start, lazy = lookup(LazyAdam(0.01), ids)
    _, dense = lookup(Adam(0.01), ids)
    np.testing.assert_array_equal(lazy[4:], start[4:])
    one_step = lookup(LazyAdam(0.01), ids[:1])[1]
    np.testing.assert_array_equal(lazy[:2], one_step[:2])  # waits since the first step
    assert np.abs(dense[:2] - one_step[:2]).min() > 1e-3  # where Adam goes on by its momentum


def test_lazy_repeats_adam_on_the_rows_by_hand():
    start, lazy = lookup(LazyAdam(0.01), [[0, 1, 1]])
    # In the first step the two moments cancel: every weight moves by the learning rate, towards the target.
    np.testing.assert_allclose(lazy[:2] - start[:2], np.full((2, 4), 0.01), rtol=1e-3)


class DenseMuon(keras.optimizers.Muon):
    """Keras' Muon on dense gradients."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(tf.convert_to_tensor(gradient), variable, learning_rate)


def test_muon_equals_keras():
    decay = {"weight_decay": None, "adam_weight_decay": None}
    ours = model_for(Muon(1e-3, vectors=["classes"], dtype="float32"))
    theirs = model_for(DenseMuon(1e-3, exclude_layers=["classes"], **decay))
    adam = model_for(Adam(1e-3))
    for model in (ours, theirs, adam):
        fit(model)
    same_weights(ours, theirs, atol=1e-5)
    with pytest.raises(AssertionError):
        same_weights(ours, adam, atol=1e-4)


def test_muon_takes_a_kernel_as_the_matrix_that_multiplies_windows():
    first = rng.normal(size=(3, 3, 5, 4)).astype("float32")
    gradient = rng.normal(size=first.shape).astype("float32")
    moved = {}
    for shape in (first.shape, (45, 4)):
        w = keras.Variable(first.reshape(shape))
        Muon(0.1, dtype="float32").apply([tf.constant(gradient.reshape(shape))], [w])
        moved[shape] = w.numpy().reshape(45, 4) - first.reshape(45, 4)
    np.testing.assert_allclose(*moved.values(), atol=1e-6)
    # Against the gradient, with all singular values about 0.1 * 0.2 * sqrt(45).
    assert (moved[45, 4] * gradient.reshape(45, 4)).sum() < 0
    values = np.linalg.svd(moved[45, 4], compute_uv=False) / (0.02 * 45**0.5)
    assert 0.6 < values.min() <= values.max() < 1.25


@pytest.mark.parametrize("shape", [(10, 40), (40, 10), (16, 16)])
def test_orthonormal_keeps_directions(shape):
    x = rng.normal(size=shape).astype("float32")
    u, _, v = np.linalg.svd(x, full_matrices=False)
    found = np.diag(u.T @ np.asarray(orthonormal(x)) @ v.T)
    assert 0.5 < found.min() <= found.max() < 1.25
    assert np.abs(np.asarray(orthonormal(x)) - u @ np.diag(found) @ v).max() < 1e-3
    assert np.isfinite(np.asarray(orthonormal(0 * x))).all()


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_muon_moves_weights_of_other_formats(dtype):
    w = keras.Variable(rng.normal(size=(4, 6)), dtype=dtype)
    before = w.numpy().astype("float32")
    Muon(0.1).apply([tf.ones((4, 6), dtype)], [w])
    assert 0 < np.abs(w.numpy().astype("float32") - before).max() < 0.2


def test_muon_in_half_precision_takes_gradients_of_any_size():
    gradient = rng.normal(size=(8, 8)).astype("float32")
    found = [np.asarray(orthonormal(gradient * scale, dtype="float16"), "float32") for scale in (1, 1e-5, 1e6)]
    np.testing.assert_allclose(found[1:], [found[0]] * 2, atol=0.02)


@pytest.mark.parametrize(
    ("layer", "shape", "matrices"),
    [
        (keras.layers.Dense(4), (3,), {"kernel"}),
        (keras.layers.Dense(1), (3,), set()),
        (keras.layers.GRU(4), (5, 3), {"kernel", "recurrent_kernel"}),
        (LSTM(4), (5, 3), {"kernel", "recurrent_kernel"}),
        (keras.layers.Conv2D(4, 3), (8, 8, 3), {"kernel"}),
        (keras.layers.DepthwiseConv2D(3), (8, 8, 3), set()),
        (keras.layers.BatchNormalization(), (8, 8, 3), set()),
        (keras.layers.ReversibleEmbedding(7, 4, tie_weights=False), (), set()),
    ],
)
def test_what_muon_takes_for_a_matrix(layer, shape, matrices):
    layer.build((None, *shape))
    muon = Muon()
    assert {one.path.split("/")[-1] for one in layer.trainable_weights if muon._is_matrix(one)} == matrices


def test_muon_saves(tmp_path):
    model = model_for(Muon(vectors=["classes"], momentum=0.9))
    fit(model)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert (again.optimizer.vectors, again.optimizer.momentum) == (["classes"], 0.9)
    fit(model), fit(again)
    same_weights(model, again)


def test_two_replicas_of_muon_equal_one():
    options = {"global_clipnorm": 0.05, "dtype": "float32"}
    with distribution.make_strategy("mirrored").scope():
        two = model_for(Muon(**options), LSTM)
    one = model_for(Muon(**options))
    fit(two), fit(one)
    same_weights(two, one, atol=1e-4)


def test_muon_accumulates_gradients_and_averages_weights():
    model = model_for(Muon(gradient_accumulation_steps=2, use_ema=True))
    assert np.isfinite(fit(model).history["loss"][0])


def test_muon_computes_as_the_layers_do():
    assert Muon().dtype == "float32"
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert Muon().dtype == "bfloat16"
    assert np.isfinite(fit(model_for(Muon())).history["loss"][0])
