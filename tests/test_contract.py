"""Every builder keeps the contract of tests/contract.py."""

import inspect
import json
import re

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from kerasapps import distribution
from tests.contract import CONTRACTS, GOLDEN, golden_output, sampled
from tests.contract_row import Contract


@pytest.fixture(params=CONTRACTS, ids=str, scope="module")
def contract(request) -> Contract:
    return request.param


@pytest.fixture(scope="module")
def model(contract) -> keras.Model:
    """One build for all tests of a row; none of them may change what it begins with."""
    return contract.builder(**contract.arguments)


def test_inputs_and_outputs_are_named_and_shaped(contract, model):
    assert {tensor.name for tensor in model.inputs} == set(contract.inputs)
    outputs = model(contract.inputs)
    rows = len(next(iter(contract.inputs.values())))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        name: (rows, *shape) for name, shape in contract.outputs.items()
    }
    for value in outputs.values():
        assert value.dtype == tf.float32


def test_a_second_build_has_the_same_layers_whatever_its_name(contract, model):
    again = contract.builder(**contract.arguments, name="again")
    assert again.name == "again"
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


def test_parameters(contract, model):
    assert model.count_params() == contract.parameters


def test_the_network_is_still_the_same(contract):
    golden = json.loads(GOLDEN.read_text())
    assert golden.keys() == {str(row) for row in CONTRACTS}
    np.testing.assert_allclose(golden_output(contract), golden[str(contract)], rtol=1e-4, atol=1e-6)


def test_no_two_weights_begin_alike(model):
    # Those of one initializer object would: it draws a seed when it is made, so that --seed would not count either.
    # A walker of the memory network begins by leaving what it enters.
    kernels = [weight.numpy().ravel()[:3] for weight in model.trainable_weights if weight.name != "leave"]
    begins = [tuple(np.round(kernel / kernel[0], 4)) for kernel in kernels if len(set(kernel)) == 3 and kernel[0]]
    assert len(set(begins)) == len(begins)


def test_a_saved_model_answers_the_same(contract, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for name, value in model(contract.inputs).items():
        np.testing.assert_allclose(loaded(contract.inputs)[name], value, atol=1e-6)


def test_a_gradient_reaches_every_weight(contract, model):
    assert bool(model.trainable_weights) != contract.frozen
    with tf.GradientTape() as tape:
        outputs = model(contract.inputs)
        # Each class with a weight of its own: probabilities as such always add up to 1.
        weighed = [value * tf.range(1.0, value.shape[-1] + 1) for value in outputs.values()]
        loss = tf.add_n([tf.reduce_sum(value) for value in weighed])
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, [w.value for w in model.trainable_weights]), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, weight.path


def test_dropout_acts_in_training_only(contract, model):
    if contract.frozen:
        pytest.skip("it has none")

    def answer(training):
        return np.concatenate([np.ravel(value) for value in model(contract.inputs, training=training).values()])

    np.testing.assert_array_equal(answer(False), answer(False))
    assert not np.allclose(answer(True), answer(True))


def test_more_padding_changes_nothing(contract, model):
    expected = model(contract.inputs)
    for name in contract.padded:
        array = contract.inputs[name]
        longer = np.pad(array, [(0, 0), (0, 3), *[(0, 0)] * (array.ndim - 2)])
        for output, value in model({**contract.inputs, name: longer}).items():
            # What has an output a step has more of them.
            steps = tuple(map(slice, expected[output].shape))
            np.testing.assert_allclose(value.numpy()[steps], expected[output], atol=1e-5)


@pytest.fixture
def _graphs_as_traced():
    """For a single step it takes longer to optimize the graph of two replicas than to run it as it is."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.mark.usefixtures("_graphs_as_traced")
@pytest.mark.parametrize("contract", sampled(CONTRACTS))
def test_it_trains_on_two_devices(contract):
    if contract.frozen:
        pytest.skip("nothing of it trains")
    strategy = distribution.make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        model = contract.builder(**contract.arguments)
        model.compile("sgd", {name: "mse" for name in contract.outputs}, jit_compile=False)
    rows = len(next(iter(contract.inputs.values())))
    targets = {name: np.zeros((rows, *shape), np.float32) for name, shape in contract.outputs.items()}
    before = [weight.numpy() for weight in model.weights]
    history = model.fit(contract.inputs, targets, batch_size=rows, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_bad_arguments_are_refused(contract):
    for change, message in contract.refused:
        with pytest.raises(ValueError, match=re.escape(message.split(".")[0])) as error:
            contract.builder(**contract.arguments | change)
        assert message in str(error.value)
        assert "Received" in str(error.value)


def test_the_search_space_starts_at_the_defaults(contract):
    if contract.search_space is None:
        pytest.skip("it only joins networks")
    defaults = {name: parameter.default for name, parameter in inspect.signature(contract.builder).parameters.items()}
    space = contract.search_space(keras_tuner.HyperParameters())
    assert space
    assert {name: defaults[name] for name in space} == space


def test_a_best_json_goes_into_the_builder(contract):
    """As docs/running.md shows: with what the data fix, `build_x(**sizes, **json.load(open("best.json")))`."""
    if contract.search_space is None:
        pytest.skip("it only joins networks")
    best = contract.search_space(keras_tuner.HyperParameters()).keys()
    parameters = inspect.signature(contract.builder).parameters.values()
    required = {parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty}
    assert not best & required
    toy = {name: value for name, value in contract.arguments.items() if name in best}
    model = contract.builder(**contract.arguments | json.loads(json.dumps(toy)))
    assert model.count_params() == contract.parameters


def test_the_docstring_names_every_argument_and_tensor(contract):
    docstring = inspect.getdoc(contract.builder)
    for name in [*inspect.signature(contract.builder).parameters, *contract.inputs, *contract.outputs]:
        assert name in docstring
    for section in ("Args:", "Returns:", "Train with:", "Raises:"):
        assert section in docstring
