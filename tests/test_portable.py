"""`kerasapps.portable`: the same network in Keras' own layers, opened where this package cannot be imported."""

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerasapps import build_generator, build_lenet5, load_model, portable
from kerasapps.applications.gan import build_discriminator
from kerasapps.applications.memory_network import attention_of
from kerasapps.blocks.conv import AveragePooling2D
from kerasapps.blocks.distinct_words import DistinctWords, StrongestWindow, WordConv1D
from kerasapps.blocks.fast_conv import Conv2D, Conv2DTranspose
from kerasapps.blocks.heads import OrderedProbabilities
from kerasapps.blocks.noise import Dropout, GaussianNoise
from kerasapps.blocks.normalization import BatchNormalization, SpectralNormalization
from kerasapps.blocks.recurrent import LSTM
from kerasapps.blocks.style import L2Pooling2D, MirrorConv2D
from kerasapps.gan.model import GAN
from kerasapps.heads import Head
from kerasapps.losses import compile_heads
from tests.contract import CONTRACTS

# Opens files with Keras alone; prints the first whose outputs are not those that it was saved with.
OPEN = """if True:
    import sys
    from pathlib import Path

    class Blocked:
        def find_spec(self, name, *_):
            if name.partition(".")[0] == "kerasapps":
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Blocked())
    import keras
    import numpy as np

    def close(model, folder):
        with np.load(folder / "inputs.npz") as inputs, np.load(folder / "outputs.npz") as outputs:
            made = model({**inputs}, training=False)
            assert made.keys() == {*outputs}
            return all(np.allclose(made[name], outputs[name], rtol=1e-6, atol=1e-6) for name in made)

    folders = sorted(path.parent for path in Path(sys.argv[1]).glob("*/model.keras"))
    wrong = [folder.name for folder in folders if not close(keras.models.load_model(folder / "model.keras"), folder)]
    print(len(folders), *wrong)
"""


def contract(name: str):
    return next(row for row in CONTRACTS if str(row) == name)


def moved(model: keras.Model) -> keras.Model:
    """Moves all weights from where they start, as training does."""
    rng = np.random.default_rng(0)
    model.set_weights([weight * rng.uniform(0.8, 1.2, weight.shape) + 0.01 for weight in model.get_weights()])
    return model


def assert_close(one, other, *, atol=1e-6):
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=atol), one, other)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("portable")


SAVED: set[type] = set()  # what the files hold; a network without anything new is not saved


# Keras has no such layer, and no operation that could take its place in a graph.
HAS_NONE = {
    "build_recurrent_classifier-peephole-max": "peephole_lstm1",
    "build_attention_classifier-hierarchical": "sentences",
    "build_seq2seq-additive": "decoder",
    "build_seq2seq-lectures": "decoder",
    "build_seq2seq-dot-lstm": "decoder",
    "build_seq2seq-none": "decoder",
    "build_neural_turing_machine": "machine",
    "build_captioner-gru": "captions",
    "build_captioner-lstm": "captions",
    "build_captioner-mean": "captions",
    "build_captioner-base": "captions",
    "build_captioner-transformer": "captions",
}


@pytest.mark.parametrize("name", HAS_NONE)
def test_a_network_that_keras_cannot_express_is_refused(name):
    row = contract(name)
    with pytest.raises(ValueError, match=f"Received: {HAS_NONE[name]}, which holds a"):
        portable(row.builder(**row.arguments))


@pytest.mark.parametrize("contract", [row for row in CONTRACTS if str(row) not in HAS_NONE], ids=str)
def test_every_builder_in_keras_own_layers(contract, saved):
    model = moved(contract.builder(**contract.arguments))
    plain = portable(model)
    outputs = model(contract.inputs)
    assert_close(plain(contract.inputs), outputs)
    assert [tensor.name for tensor in plain.inputs] == [tensor.name for tensor in model.inputs]
    assert (plain.name, plain.output_names) == (model.name, model.output_names)
    assert {layer.name for layer in model.layers} <= {layer.name for layer in plain.layers}
    assert plain.count_params() == model.count_params()
    trainable = len(model.trainable_weights)
    assert len(plain.trainable_weights) == trainable
    rates = [{layer.name: layer.rate for layer in m.layers if hasattr(layer, "rate")} for m in (model, plain)]
    assert rates[0] == rates[1]

    assert "kerasapps" not in plain.to_json()
    kinds = {type(operation) for operation in plain.operations}
    if not kinds <= SAVED:
        SAVED.update(kinds)
        folder = saved / str(contract)
        folder.mkdir()
        plain.save(folder / "model.keras")
        np.savez(folder / "inputs.npz", **contract.inputs)
        np.savez(folder / "outputs.npz", **outputs)

    # While it is built: frozen, it does not change in training either.
    before = model.get_weights()
    model.trainable = False
    if len(before) > trainable:  # it has statistics
        model(contract.inputs, training=True)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_files_open_with_keras_alone(saved):
    """Those of the test above."""
    count = len([*saved.glob("*/model.keras")])
    if not count:
        pytest.skip("no file was saved")
    command = [sys.executable, "-c", OPEN, str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=saved)
    assert done.stdout == f"{count}\n", done.stdout + done.stderr[-2000:]


# --- layers by themselves

IMAGES = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype(np.float32)
TEXTS = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (BatchNormalization(), IMAGES),
        (AveragePooling2D(3, strides=2, padding="same"), IMAGES),
        (Conv2D(4, 3, activation="relu"), IMAGES),
        (Conv2DTranspose(4, 3, strides=2), IMAGES),
        (L2Pooling2D(2), IMAGES),
        (MirrorConv2D(4, 3, activation="relu"), IMAGES),
        (SpectralNormalization(Conv2D(4, 3, use_bias=False)), IMAGES),
        (SpectralNormalization(layers.Dense(4, use_bias=False), use_bias=False), TEXTS),
        (GaussianNoise(1.0), TEXTS),
        (LSTM(4, return_sequences=True, go_backwards=True), TEXTS),
        (layers.Bidirectional(LSTM(4)), TEXTS),
        (layers.TimeDistributed(Dropout(0.5)), TEXTS),
        (OrderedProbabilities(2), TEXTS[:, 0, :1]),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else "",
)
def test_a_layer(layer, x):
    inputs = keras.Input(x.shape[1:])
    model = moved(keras.Model(inputs, layer(inputs)))
    plain = portable(model)
    assert_close(plain(x), model(x))
    assert all(type(one).__module__.startswith("keras.") for one in plain.layers)


def build(name: str, **changes) -> keras.Model:
    row = contract(name)
    return moved(row.builder(**row.arguments | changes))


def test_spectral_normalization_and_its_training():
    model, inputs = (
        build("build_resnet_discriminator-classes", dropout=0.0),
        contract("build_discriminator-classes").inputs,
    )
    plain = portable(model)
    for _ in range(2):  # each a step of the power iteration
        assert_close(plain(inputs, training=True), model(inputs, training=True), atol=1e-5)


def test_a_gradient_reaches_every_weight_of_the_copy():
    row = contract("build_memory_network-2hops-2walkers")
    plain = portable(build(str(row)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(plain(row.inputs)["answer"][:, 0])
    gradients = tape.gradient(loss, [weight.value for weight in plain.trainable_weights])
    assert all(np.abs(tf.convert_to_tensor(gradient)).max() > 0 for gradient in gradients)


# --- networks


def test_shared_nested_and_frozen_layers():
    image = keras.Input((8,), name="image")
    inner = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="dense"), Dropout(0.5, name="drop")], name="inner"
    )
    shared = layers.Dense(8, name="shared")
    model = keras.Model(
        image, layers.Add(name="sum")([inner(inner(image)), shared(shared(image)), image * 2]), name="outer"
    )
    shared.trainable = False
    plain, x = portable(model), np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    assert_close(plain(x), model(x))
    assert plain.count_params() == model.count_params()
    assert len(plain.trainable_weights) == len(model.trainable_weights) == 2
    assert plain.get_layer("inner").get_layer("drop").rate == 0.5
    model.trainable = False
    assert not portable(model).trainable_weights


def test_a_compiled_network_whose_losses_are_ours(tmp_path):
    row = contract("build_novel")
    heads = {"genre": Head("classes", num_classes=3), "year": Head("regression", mean=1900, scale=50)}
    model = compile_heads(build("build_novel"), keras.optimizers.SGD(), heads, loss_weights="learnt")
    plain = portable(model)
    assert not plain.compiled
    assert_close(plain(row.inputs), model(row.inputs), atol=1e-3)  # years


def test_a_loaded_network(tmp_path):
    model, inputs = build("build_memory_network-1hops-0walkers"), contract("build_memory_network-1hops-0walkers").inputs
    model.save(tmp_path / "model.keras")
    plain = portable(load_model(tmp_path / "model.keras"))
    assert_close(plain(inputs), model(inputs))
    # What a layer returns is still found by its name.
    assert_close(
        keras.Model(plain.input, plain.get_layer("hop1").output[1])(inputs), attention_of(model)(inputs)["hop1"]
    )


def test_of_a_gan_the_averaged_generator():
    small = {"image_shape": (8, 8, 1), "filters": 4, "units": 6}
    gan = GAN(build_generator(noise_dim=5, **small), build_discriminator(**small))
    noise = {"noise": np.ones((2, 5), np.float32)}
    assert_close(portable(gan)(noise), gan(noise))


def test_in_half_precision_it_is_nearly_the_same():
    keras.config.set_dtype_policy("mixed_bfloat16")
    row = contract("build_memory_network-2hops-2walkers")
    model = build(str(row))
    np.testing.assert_allclose(portable(model)(row.inputs)["answer"], model(row.inputs)["answer"], atol=0.02)


def test_what_does_nothing_special_is_keras_own_to_begin_with():
    assert all(type(layer).__module__.startswith("keras.") for layer in build_lenet5().layers)


@keras.saving.register_keras_serializable("tests")
class Own(layers.Layer):
    def call(self, x):
        return x

    def compute_output_shape(self, shape):
        return shape


def with_layer(layer, *shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


class Subclassed(keras.Model):
    pass


ALONE = "`model` must have layers of Keras or kerasapps alone. Received: mine, which holds a"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: with_layer(Own(name="mine"), 3), f"{ALONE} Own"),
        (lambda: with_layer(layers.TimeDistributed(Own(), name="mine"), 4, 3), f"{ALONE} Own"),
        (lambda: with_layer(layers.TimeDistributed(L2Pooling2D(2), name="mine"), 4, 8, 8, 3), f"{ALONE} L2Pooling2D"),
        (lambda: Subclassed(name="mine"), "sequential with an input. Received: mine, a Subclassed"),
        (lambda: keras.Sequential([layers.Dense(3)], name="mine"), "Received: mine, a Sequential"),
    ],
)
def test_what_is_refused(model, message):
    with pytest.raises(ValueError, match="must") as error:
        portable(model())
    assert message in str(error.value)


# --- what else must work: XLA, other formats, int8


QUANTIZED = [
    "build_memory_network-2hops-2walkers",
    "build_resnet_discriminator-classes",
    "build_discriminator-spectral",
]


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * ("2walkers" in name)) for name in QUANTIZED]
)
def test_a_quantized_network_opens_again(name, tmp_path):
    model, inputs = build(name), contract(name).inputs
    exact = model(inputs)
    model.quantize("int8")
    rounded = model(inputs)
    for key, value in exact.items():
        assert 0 < np.abs(rounded[key] - value).max() < 0.05 * np.abs(value).max() + 0.01
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert_close(loaded(inputs), rounded)
    modes = [{layer.name: layer.quantization_mode for layer in m._flatten_layers()} for m in (model, loaded)]
    assert modes[0] == modes[1]
    if "memory" in name:
        assert_close(portable(loaded)(inputs), rounded)
    else:
        with pytest.raises(ValueError, match="`portable` must come before `quantize`"):
            portable(loaded)


def step(model: keras.Model, inputs: dict, *, jit_compile: bool):
    """Predicts, then trains a step without dropout; returns the prediction and the weights."""
    model.compile("sgd", {name: "mse" for name in model.output}, jit_compile=jit_compile)
    assert model.jit_compile == jit_compile
    outputs = model.predict(inputs, verbose=0)
    if model.trainable_weights:
        model.train_on_batch(inputs, {name: np.zeros_like(value) for name, value in outputs.items()})
    return outputs, model.get_weights()


def check_xla(model: keras.Model, inputs: dict, *, atol: float = 1e-5):
    before = model.get_weights()
    usual = step(model, inputs, jit_compile=False)
    model.set_weights(before)
    assert_close(step(model, inputs, jit_compile=True), usual, atol=atol)


def words_and_lstm() -> keras.Model:
    """A network whose layers all compute in another way under XLA and in exported files."""
    text = keras.Input((None,), dtype="int32", name="text")
    words, places = DistinctWords(name="words")(text)
    vectors = layers.Embedding(12, 4, name="vectors")(words)
    windows = WordConv1D(3, 2, name="conv")(vectors, places)
    strongest = StrongestWindow(3, 2, name="strongest")(vectors, places, text)
    state = LSTM(3, name="lstm")(layers.Embedding(12, 4, mask_zero=True, name="embedding")(text))
    features = [layers.GlobalMaxPooling1D(name="highest")(windows), strongest, state]
    features = layers.Concatenate(name="features")(features)
    return keras.Model({"text": text}, {"label": layers.Dense(2, name="label")(features)}, name="words_and_lstm")


TEXT = {"text": np.array([[1, 2, 1, 3, 0], [4, 4, 1, 0, 0]], np.int32)}


def test_xla_gives_the_same_where_kernels_are_missing():
    check_xla(words_and_lstm(), TEXT)


def test_exported_it_gives_the_same_without_our_kernels(tmp_path):
    model = words_and_lstm()
    assert_close(portable(model)(TEXT), model(TEXT))
    model.compile(loss="mse", jit_compile=False)
    expected = model.predict(TEXT, verbose=0)["label"]
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    np.testing.assert_allclose(served(tf.constant(TEXT["text"]))["label"], expected, atol=1e-6)

    def kinds(graph):
        functions = [*graph.as_graph_def().library.function]
        nodes = [node.op for function in functions for node in function.node_def]
        return Counter(nodes + [op.type for op in graph.get_operations()])

    exported, used = kinds(served.graph), kinds(model.predict_function.get_concrete_function([TEXT]).graph)
    assert not exported["BlockLSTM"] + exported["Unique"]
    assert exported["Conv2D"] == 2
    # Where Keras runs the graph itself, the kernels are used, and words are not convolved but multiplied once.
    assert used["BlockLSTM"]
    assert used["Unique"]
    assert not used["Conv2D"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [str(row) for row in CONTRACTS])
def test_xla_gives_the_same(name):
    if "seq2seq" in name or ("captioner" in name and "transformer" not in name):
        pytest.skip("TensorFlow's XLA has no gradient of a loop over texts of any length")
    row = contract(name)
    model = row.builder(**row.arguments)
    for layer in model._flatten_layers():
        for rate in ("rate", "stddev"):
            if hasattr(layer, rate):
                setattr(layer, rate, 0.0)  # random numbers differ
    # Layer upon layer that is normalized over a few values makes much of what is rounded.
    check_xla(model, row.inputs, atol=1e-4 if "inception_v3" in name else 1e-5)


@pytest.mark.skipif(not all(map(importlib.util.find_spec, ("tf2onnx", "onnxruntime"))), reason="ONNX is not installed")
@pytest.mark.slow
@pytest.mark.parametrize("name", [str(row) for row in CONTRACTS if str(row) not in HAS_NONE])
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same(name, tmp_path):
    import onnxruntime

    row = contract(name)
    model = build(name)
    for network in (model, portable(model)):
        network(row.inputs)
        network.export(tmp_path / "model.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        given = {tensor.name.removesuffix(":0"): tensor.name for tensor in session.get_inputs()}
        outputs = session.run(None, {full: row.inputs[short] for short, full in given.items()})
        expected = model(row.inputs)
        for array in outputs:
            assert any(
                array.shape == value.shape and np.allclose(array, value, atol=1e-4) for value in expected.values()
            )
