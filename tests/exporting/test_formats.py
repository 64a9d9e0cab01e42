"""`kerasapps.export`: every builder in every format gives the outputs that it gives in Keras."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasapps
from kerasapps.errors import UserError
from kerasapps.exporting import checking, converting
from kerasapps.exporting.preparing import inference_form, predictions
from kerasapps.exporting.runtime import Network
from tests.contract import CONTRACTS
from tests.contract_row import Contract

SLOW = pytest.mark.slow
FORMATS = ("saved_model", "onnx", "litert", "openvino")
# Loops over steps, and upsampling in a row, for which LiteRT has built-in operations with fixed sides alone.
FIXED = ("lstm", "gru", "peephole", "recurrent", "seq2seq", "hierarchical", "captioner-mean", "captioner-base")
FIXED += ("resnet_generator", "sequence_tagger", "turing_machine", "text_cnn-reader")
# They hash triples of words by products that overflow int32, which OpenVINO computes in another way.
HASHED = ("bag_of_ngrams-weighted-triples", "wide_text_cnn")
ROWS = (1, 7, 33)


@pytest.fixture
def _here(monkeypatch):
    """Runs files in this process: the separate one takes seconds, and has a test of its own."""
    monkeypatch.setattr(checking, "run_apart", lambda path, inputs: Network(path)(inputs))


def made(row: Contract) -> keras.Model:
    keras.utils.set_random_seed(0)
    return row.builder(**row.arguments)


def tiled(row: Contract, count: int, *, longer: int = 0) -> dict[str, np.ndarray]:
    """The inputs of a row, so many of them, texts with more padding."""
    inputs = {}
    for name, array in row.inputs.items():
        array = np.resize(array, (count, *array.shape[1:]))
        if name in row.padded and longer:
            array = np.pad(array, [(0, 0), (0, longer), *[(0, 0)] * (array.ndim - 2)])
        inputs[name] = array
    return inputs


def check_row(row: Contract, format: str, folder: Path) -> None:
    model = made(row)
    done = kerasapps.export(model, folder / converting.FILES[format], format=format, examples=row.inputs)
    assert done.difference <= 1e-5
    is_fixed = any(word in str(row) for word in FIXED)
    if format == "litert":
        assert bool(done.notes) == is_fixed or "bilstm" in str(row), done.notes
    network, prepared = Network(done.path), inference_form(model)
    assert {name: len(shape) for name, shape in network.inputs.items()} == {
        name: array.ndim for name, array in row.inputs.items()
    }
    for count in ROWS[: 1 if row.builder.__name__ in DEEP else None]:
        given = tiled(row, count, longer=0 if format == "litert" and done.notes else 3)
        expected = predictions(prepared, given)
        outputs = network(given)
        assert outputs.keys() == expected.keys() == row.outputs.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, atol=1e-5 * max(1e-3, np.abs(value).max()))


DEEP = {
    *("build_xception", "build_inception_classifier", "build_inception_v3", "build_densenet", "build_resnet"),
    "build_resnet_generator",
}
FEW = [("build_text_cnn", "onnx"), ("build_question_answering-gru", "litert"), ("build_text_cnn", "openvino")]


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(("name", "format"), FEW)
def test_a_few_builders(name, format, tmp_path):
    check_row(next(row for row in CONTRACTS if str(row) == name), format, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("row", CONTRACTS, ids=str)
def test_every_builder_in_every_format(row, format, tmp_path):
    """As trained in bfloat16, which no other format computes in."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    if format == "openvino" and str(row).endswith(HASHED):
        with pytest.raises(UserError, match="computes something else than the network"):
            check_row(row, format, tmp_path)
        return
    check_row(row, format, tmp_path)


# --- networks that others build


def dense(x, name: str):
    return layers.Dense(2, name=name)(x)


def with_names_of_operations(x):
    return {"Softmax": layers.Softmax(name="Softmax")(dense(dense(x, "MatMul"), "Identity"))}


@keras.saving.register_keras_serializable("tests")
class Either(layers.Layer):
    """Control flow."""

    def call(self, x):
        return ops.cond(ops.sum(x) > 0, lambda: x * 2, lambda: x - 1)

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    """A state that neither its weights nor its config has."""

    scale = 1.0

    def call(self, x):
        return x * self.scale


def with_control_flow(x):
    return {"y": dense(Either(name="either")(x), "y")}


def with_constants(x):
    return {"y": dense(layers.Normalization(mean=[1, 2, 1900], variance=[1, 4, 2500], name="normal")(x), "y")}


def with_an_output_like_its_input(x):
    return {"x": layers.Rescaling(0.5, name="half")(x)}


def with_one_tensor_twice(x):
    made = dense(x, "made")
    return {"a": made, "b": made, "copy": x}


X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("format", ["onnx", pytest.param("litert", marks=SLOW), pytest.param("openvino", marks=SLOW)])
@pytest.mark.parametrize(
    "graph",
    [
        with_names_of_operations,
        with_control_flow,
        with_constants,
        with_an_output_like_its_input,
        with_one_tensor_twice,
    ],
)
def test_another_network(graph, format, tmp_path):
    x = keras.Input((3,), name="x")
    model = keras.Model(x, graph(x))
    done = kerasapps.export(model, tmp_path / converting.FILES[format], format=format, examples={"x": X})
    network = Network(done.path)
    assert network.inputs == {"x": (None, 3)}
    for inputs in (X, -X[:1]):  # both branches
        for name, value in predictions(model, {"x": inputs}).items():
            np.testing.assert_allclose(network({"x": inputs})[name], value, atol=1e-5)


@pytest.fixture(scope="module")
def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,), name="x"), layers.Dense(64, activation="relu"), layers.Dense(2)])


@pytest.mark.usefixtures("_here")
def test_texts_are_cut_to_a_fixed_length(tmp_path):
    text = keras.Input((None,), dtype="int32", name="text")
    mean = layers.GlobalAveragePooling1D(name="mean")(layers.Embedding(9, 4, name="words")(text))
    ids = np.arange(18, dtype=np.int32).reshape(2, 9) % 9
    run = {"format": "litert", "examples": {"text": ids}, "length": 4}
    done = kerasapps.export(keras.Model(text, {"y": mean}), tmp_path / "model.tflite", **run)
    assert Network(done.path).inputs == {"text": (None, 4)}
    with pytest.raises(SystemExit, match="text is too long: it has the sides 9, and the network was exported for 4"):
        Network(done.path)({"text": ids})


def test_nothing_of_tensorflow_runs_a_file(tmp_path, monkeypatch):
    (tmp_path / "runtime.py").write_text("import tensorflow")
    (tmp_path / "model.onnx").touch()
    monkeypatch.setattr(checking, "RUNTIME", tmp_path / "runtime.py")
    with pytest.raises(converting.ExportError, match="import of tensorflow halted"):
        checking.run_apart(tmp_path / "model.onnx", {"x": X})


def test_a_failure_of_another_kind_is_not_tried_again(small, tmp_path, monkeypatch):
    calls = []

    def fail(*_, shapes, **__):
        calls.append(shapes)
        raise RuntimeError("no such thing")

    monkeypatch.setattr(converting, "to_litert", fail)
    with pytest.raises(converting.ExportError, match="no such thing"):
        kerasapps.export(small, tmp_path / "model.tflite", format="litert", examples={"x": X})
    assert len(calls) == 1


def test_it_runs_where_tensorflow_cannot_be_imported(small, tmp_path):
    done = kerasapps.export(small, tmp_path / "model.onnx", format="onnx", examples={"x": X})
    assert done.difference < 1e-5
    (tmp_path / "model.tflite").write_bytes(b"nothing")
    with pytest.raises(converting.ExportError, match=r"model\.tflite does not run in its runtime"):
        checking.run_apart(tmp_path / "model.tflite", {"x": X})


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    "precision", [pytest.param("float16", marks=SLOW), pytest.param("dynamic", marks=SLOW), "int8"]
)
def test_precisions_of_litert(precision, small, tmp_path):
    full = kerasapps.export(small, tmp_path / "full.tflite", format="litert", examples={"x": X})
    done = kerasapps.export(small, tmp_path / "less.tflite", format="litert", examples={"x": X}, precision=precision)
    assert full.difference < 1e-6
    assert 0 <= done.difference < 0.05
    assert done.difference > full.difference or precision == "dynamic"  # which leaves small weights as they are


@pytest.mark.usefixtures("_here")
def test_a_gan_is_its_averaged_generator(tmp_path):
    from kerasapps.applications.gan import build_discriminator
    from kerasapps.gan.model import GAN

    sizes = {"image_shape": (8, 8, 1), "filters": 4, "units": 6}
    gan = GAN(kerasapps.build_generator(noise_dim=5, **sizes), build_discriminator(**sizes))
    noise = {"noise": np.ones((2, 5), np.float32)}
    done = kerasapps.export(gan, tmp_path / "model.onnx", format="onnx", examples=noise)
    np.testing.assert_allclose(Network(done.path)(noise)["image"], gan(noise)["image"], atol=1e-6)


# --- what goes wrong


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("format", "precision"),
    [
        ("onnx", "float32"),
        ("litert", "int8"),
        pytest.param("litert", "dynamic", marks=SLOW),
    ],
)
def test_a_file_that_computes_something_else_is_not_kept(format, precision, small, tmp_path, monkeypatch):
    broken = keras.models.clone_model(small)
    broken.set_weights([weight[::-1] for weight in small.get_weights()])
    name = f"to_{format}"
    convert = getattr(converting, name)
    monkeypatch.setattr(converting, name, lambda _, path, **given: convert(inference_form(broken), path, **given))
    path = tmp_path / converting.FILES[format]
    with pytest.raises(converting.ExportError, match="computes something else than the network"):
        kerasapps.export(small, path, format=format, examples={"x": X}, precision=precision)
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("_here")
def test_an_adapted_normalization_is_exported_as_it_computes(tmp_path):
    values = np.random.default_rng(0).normal(50, 20, (40, 3)).astype(np.float32)
    normal = layers.Normalization(name="normal")
    normal.adapt(values)
    x = keras.Input((3,), name="x")
    model = keras.Model(x, {"y": dense(normal(x), "y")})
    path = tmp_path / "model.v2"  # a folder may have a dot
    done = kerasapps.export(model, path, format="saved_model", examples={"x": values[:5]})
    np.testing.assert_allclose(Network(done.path)({"x": values})["y"], model(values)["y"], atol=1e-5)


def test_a_layer_with_state_elsewhere_is_refused(tmp_path):
    x = keras.Input((3,), name="x")
    scaled = Scaled(name="scaled")
    model = keras.Model(x, {"y": scaled(x)})
    scaled.scale = 2.0
    with pytest.raises(converting.ExportError, match="cannot be copied with its state"):
        kerasapps.export(model, tmp_path / "model.onnx", format="onnx", examples={"x": X})


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device", "model.onnx")])
def test_what_is_interrupted_leaves_nothing(stop, small, tmp_path, monkeypatch):
    def fail(model, path):
        path.write_bytes(b"half")
        raise stop

    monkeypatch.setattr(converting, "to_onnx", fail)
    with pytest.raises((KeyboardInterrupt, OSError)):
        kerasapps.export(small, tmp_path / "model.onnx", format="onnx", examples={"x": X})
    assert not [*tmp_path.iterdir()]


def test_a_converter_that_complains_is_quoted(small, tmp_path, monkeypatch):
    def fail(model, path):
        raise RuntimeError("\x1b[1mno such operation\x1b[0m\nat line 3")

    monkeypatch.setattr(converting, "to_onnx", fail)
    with pytest.raises(converting.ExportError, match="cannot be exported as onnx: no such operation"):
        kerasapps.export(small, tmp_path / "model.onnx", format="onnx", examples={"x": X})


def test_a_missing_extra_is_named(small, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for format in ("onnx", "litert"):
        path = tmp_path / converting.FILES[format]
        with pytest.raises(UserError, match=r"kerasapps\[export\] installs.*: pip install "):
            kerasapps.export(small, path, format=format, examples={"x": X})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "pickle"}, "`format` must be one of saved_model, onnx, litert, openvino"),
        ({"precision": "int8"}, "`precision` must be float32 but for LiteRT"),
        ({"length": 5}, "`length` must be at least 1, and fixes LiteRT alone"),
        ({"path": "model.pb"}, "`path` must end in .onnx"),
        ({"examples": {"x": X[:0]}}, "`examples` must have at least one row, and as many of each input"),
        ({"samples": {"x": X[:0]}}, "`samples` must have at least one row, and as many of each input"),
        ({"examples": {}}, "`examples` must have every input of the model. Received: none for x"),
    ],
)
def test_bad_arguments(changes, message, small, tmp_path):
    arguments = {"path": "model.onnx", "format": "onnx", "examples": {"x": X}} | changes
    path = tmp_path / arguments.pop("path")
    with pytest.raises(ValueError, match=message.split("`")[1]) as error:
        kerasapps.export(small, path, **arguments)
    assert message in str(error.value)


def test_nothing_is_overwritten(small, tmp_path):
    os.mknod(tmp_path / "model.bin")
    with pytest.raises(UserError, match="bin exists: choose another name"):  # the weights beside model.xml
        kerasapps.export(small, tmp_path / "model.xml", format="openvino", examples={"x": X})
    os.mknod(tmp_path / "model.onnx")
    with pytest.raises(UserError, match="exists: choose another name"):
        kerasapps.export(small, tmp_path / "model.onnx", format="onnx", examples={"x": X})
