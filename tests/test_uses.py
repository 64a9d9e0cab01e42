"""All builders as people use them: data in every form, and networks that become part of others; nothing warns."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerasapps import Head, build_multi_head_text, feature_taps, load_model, search_spaces
from tests.contract import CONTRACTS, sampled
from tests.contract_row import Contract, ids

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras with NumPy 2
]

# One row of each builder, and those with other inputs or outputs.
ROWS = {(row.builder.__name__, *row.inputs, *row.outputs): row for row in reversed(CONTRACTS)}
TRAINED = [row for row in ROWS.values() if not row.frozen]


def as_numpy(value):
    """Returns sizes as people have them who took them from arrays."""
    if isinstance(value, dict):
        return {key: as_numpy(one) for key, one in value.items()}
    if isinstance(value, tuple) and value and not isinstance(value[0], str):
        return np.array(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return np.array(value)[()]
    return value


def targets(row: Contract) -> dict[str, np.ndarray]:
    return {name: np.zeros((4, *shape), np.float32) for name, shape in row.outputs.items()}


def compiled(model: keras.Model) -> keras.Model:
    # Step by step: to trace a graph would take longer than these few steps.
    model.compile(keras.optimizers.SGD(1e-6), "mse", run_eagerly=True)
    return model


def flat(outputs: dict) -> np.ndarray:
    return np.concatenate([np.ravel(value) for value in outputs.values()])


@pytest.fixture(scope="module", params=ROWS.values(), ids=str)
def row(request) -> Contract:
    return request.param


@pytest.fixture(scope="module")
def model(row) -> keras.Model:
    return row.builder(**as_numpy(row.arguments))


class Batches(keras.utils.PyDataset):
    """Two batches."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.data = inputs, outputs

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return keras.tree.map_structure(lambda array: array[2 * index : 2 * index + 2], self.data)


def test_order_is_that_of_the_docstring(row, model):
    assert [tensor.name for tensor in model.inputs] == [*row.inputs]
    assert [*model.output] == [*row.outputs]


def test_no_layer_has_a_name_that_keras_gives(model):
    kinds = [getattr(layers, name) for name in dir(layers)]
    given = {keras.src.utils.naming.to_snake_case(kind.__name__) for kind in kinds if isinstance(kind, type)}
    assert not [layer.name for layer in model.layers if re.sub(r"_\d+$", "", layer.name) in given]


def test_inputs_in_every_form(row, model):
    expected = flat(model(row.inputs))
    values = [*row.inputs.values()]
    # A lone array is converted first: `model(array)` warns for every functional model of Keras with a list of inputs.
    alone = [tf.convert_to_tensor(values[0])] if len(values) == 1 else []
    for inputs in (values, tuple(values), *alone, row.inputs | {"more": values[0]}):
        np.testing.assert_allclose(flat(model(inputs)), expected, atol=1e-6)
    for inputs in (values, row.inputs, *(values if len(values) == 1 else [])):
        made = compiled(model).predict(inputs, verbose=0)
        assert isinstance(made, dict)
        np.testing.assert_allclose(flat(made), expected, atol=1e-5)


@pytest.mark.parametrize("row", sampled(TRAINED))
def test_training_in_every_form(row):
    model = compiled(row.builder(**row.arguments))
    inputs, outputs = [*row.inputs.values()], targets(row)
    listed = [*outputs.values()]
    x, y = (one[0] if len(one) == 1 else one for one in (inputs, listed))
    quiet = {"verbose": 0, "epochs": 1, "batch_size": 4}
    seen = []
    noted = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"]))
    model.fit(x, y, validation_split=0.5, callbacks=[noted], **quiet)
    weights = np.array([1.0, 2.0, 0.0, 1.0]).reshape(-1, *[1] * (listed[0].ndim - 2))  # of a row, or of each pixel
    # Keras takes weights of a lone array of targets as an array, not in a list.
    model.fit(inputs, y, sample_weight=[weights] * len(listed) if len(listed) > 1 else weights, **quiet)
    model.fit(row.inputs, outputs, validation_data=(x, y), **quiet)
    model.fit(Batches(row.inputs, outputs), verbose=0)
    data = tf.data.Dataset.from_tensor_slices((row.inputs, outputs)).batch(4)
    model.fit(data, shuffle=False, verbose=0)
    assert model.predict(data, verbose=0).keys() == outputs.keys()
    assert np.isfinite(model.train_on_batch(inputs, y)).all()
    losses = [np.ravel(model.evaluate(*one, verbose=0)) for one in ((x, y), (row.inputs, outputs), (inputs, listed))]
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-5)
    if len(listed) == 1 and listed[0].shape == (4, 1):
        model.fit(x, y, class_weight={0: 1.0, 1: 2.0}, **quiet)
    elif [*outputs] in (["label"], ["answer"]) and listed[0].size == len(listed[0]):  # not a label of each node
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        model.fit(x, np.array([0, 1, 2, 0]), class_weight={0: 1.0, 1: 2.0, 2: 0.5}, **quiet)
    assert np.isfinite(seen).all()
    assert len(seen) == 1


@pytest.mark.parametrize("row", TRAINED, ids=str)
def test_mixed_precision(row):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = compiled(row.builder(**row.arguments))
    assert np.isfinite(model.train_on_batch(row.inputs, targets(row))).all()
    # Logits of tokens, which are many, stay as they are: their loss takes them so.
    dtypes = {value.dtype.name for name, value in model.predict_on_batch(row.inputs).items() if name != "next"}
    assert dtypes <= {"float32"}


def test_copies(row, model, tmp_path):
    expected = flat(model(row.inputs))
    model.save_weights(tmp_path / "model.weights.h5")
    for copy in (keras.models.clone_model(model), keras.models.model_from_json(model.to_json())):
        assert [*copy.output] == [*row.outputs]
        copy.load_weights(tmp_path / "model.weights.h5")
        np.testing.assert_allclose(flat(copy(row.inputs)), expected, atol=1e-6)


def test_part_of_another_network(row, model):
    keras.utils.clear_session(free_memory=False)  # Keras counts names from the start, as in a fresh notebook
    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in model.inputs]
    nested = keras.Model(inputs, model(inputs if len(inputs) > 1 else inputs[0]))
    np.testing.assert_allclose(flat(nested(row.inputs)), flat(model(row.inputs)), atol=1e-6)
    # The textbook's transfer learning: a frozen trunk, cut off before the head, under layers without names.
    kept = [one.trainable for one in model.layers]
    model.trainable = False
    cut = next(one for one in reversed(model.layers[:-1]) if isinstance(one.output, keras.KerasTensor))
    x = layers.Dropout(0.1)(layers.Flatten()(keras.ops.cast(cut.output, "float32")))
    x = layers.Dense(4, activation="relu")(layers.Dense(4)(x)) if x.shape[-1] else x
    top = keras.Model(model.input, x)
    assert len(top.trainable_weights) == (4 if x.shape[-1] == 4 else 0)
    top(row.inputs)
    for one, trainable in zip(model.layers, kept, strict=True):
        one.trainable = trainable
    assert [*feature_taps(model, [cut.name])(row.inputs)] == [cut.name]


# --- several heads

HEADS = {"z": Head("regression"), "a": Head("regression", mean=5.0), "m": Head("binary")}


def test_a_list_of_targets_trains_the_heads_in_the_order_given(tmp_path):
    model = build_multi_head_text(vocab_size=12, heads=HEADS, embedding_dim=4, filters=(), convolutions=())
    model.compile(keras.optimizers.Adam(0.1), ["mse", "mae", "mse"], loss_weights=[1.0, 2.0, 1.0], jit_compile=False)
    texts, values = ids(8, 5), [np.full((8, 1), value, np.float32) for value in (2.0, 7.0, 1.0)]
    for _ in range(60):
        model.train_on_batch([texts], values)
    for name, value in zip(HEADS, values, strict=True):
        np.testing.assert_allclose(model.predict_on_batch([texts])[name], value, atol=0.5)
    expected = model.evaluate(texts, dict(zip(HEADS, values, strict=True)), verbose=0)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras", compile=True)
    np.testing.assert_allclose(again.evaluate(texts, values, verbose=0), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="one for each of z, a, m"):
        again.fit(texts, values[:2], verbose=0)


# --- search spaces


def test_each_builder_has_its_search_space():
    spaces = {row.builder.__name__: row.search_space for row in CONTRACTS if row.search_space}
    assert {*search_spaces} == {*spaces}
    keras_tuner = pytest.importorskip("keras_tuner")
    together = keras_tuner.HyperParameters()
    for name, space in spaces.items():
        assert search_spaces[name](together) == space(keras_tuner.HyperParameters())
    with pytest.raises(KeyError, match="build_lenet5"):
        search_spaces["lenet5"]


def test_two_search_spaces_share_no_name():
    keras_tuner = pytest.importorskip("keras_tuner")
    hp = keras_tuner.HyperParameters()
    for scope in ("teacher", "student"):
        with hp.name_scope(scope):
            search_spaces["build_lenet5"](hp)
    search_spaces["build_mnist_network"](hp)
    assert len(hp.values) == len({*hp.values}) == 5 + 5 + 4
    hp.values |= {"teacher/lenet5/dropout": 0.5, "mnist_network/dropout": 0.1}
    with hp.name_scope("teacher"):
        assert search_spaces["build_lenet5"](hp)["dropout"] == 0.5
    with hp.name_scope("student"):
        assert search_spaces["build_lenet5"](hp)["dropout"] == 0.0
