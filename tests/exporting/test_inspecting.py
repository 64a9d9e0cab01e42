"""`inspected`: what is in a model file, and what of it could do more than compute, without running it."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kerasapps
from kerasapps.errors import UserError
from kerasapps.exporting import checking, converting
from kerasapps.exporting.inspecting import inspected, reach_of
from kerasapps.exporting.runtime import Network

X = np.ones((3, 4), np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A network of two layers in every format."""
    folder = tmp_path_factory.mktemp("files")
    x = keras.Input((4,), name="x")
    model = keras.Model([x], {"y": layers.Dense(2, activation="softmax", name="y")(layers.Dense(3, name="hidden")(x))})
    model.save(folder / "model.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "run_apart", lambda path, inputs: Network(path)(inputs))
        for format in ("saved_model", "onnx", "litert"):
            kerasapps.export(model, folder / converting.FILES[format], format=format, examples={"x": X})
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "operation", "count", "shape"),
    [
        ("model", "SavedModel", "MatMul", 2, "float (any, 4)"),
        ("model.onnx", "ONNX", "MatMul", 2, "float (batch, 4)"),
        ("model.tflite", "LiteRT", "FULLY_CONNECTED", 2, "float32 (any, 4)"),
        ("model.keras", "Keras", "Dense", 2, "float32 (None, 4)"),
    ],
)
def test_what_is_in_a_file(name, kind, operation, count, shape, files):
    found = inspected(files / name)
    assert found.kind == kind
    assert found.operations[operation] == count
    assert found.inputs == {"x": shape}
    assert list(found.outputs) == ["y"]
    assert 0 < found.size < 1e6
    assert found.is_data


def save_program(run, folder):
    module = tf.Module()
    module.run = tf.function(run, input_signature=[tf.TensorSpec((), tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures=module.run)


def test_a_saved_model_that_writes_a_file(tmp_path):
    written = tmp_path / "written.txt"

    def run(x):
        tf.io.write_file(str(written), "written")
        return {"y": x}

    save_program(run, tmp_path / "model")
    found = inspected(tmp_path / "model")
    assert found.reaching["WriteFile"].startswith("read or write files (called by serving_default")
    assert not found.is_data
    assert not written.exists()  # until somebody calls it
    tf.saved_model.load(tmp_path / "model").signatures["serving_default"](tf.constant(1.0))
    assert written.exists()


def test_a_saved_model_with_an_operation_deep_inside(tmp_path):
    def run(x):
        read = tf.cond(x > 0, lambda: tf.strings.length(tf.io.read_file("secret")), lambda: 0)
        return {"y": tf.while_loop(lambda i: i < read, lambda i: i + 1, [0])[0]}

    save_program(run, tmp_path / "model")
    assert [*inspected(tmp_path / "model").reaching] == ["ReadFile"]


def test_a_saved_model_with_another_function(tmp_path):
    """No signature calls it, but whoever loads the model may."""
    module = tf.Module()
    module.run = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec((), tf.float32, name="x")])
    module.other = tf.function(lambda: tf.io.read_file("secret"), input_signature=[])
    module.weight = tf.Variable(1.0)  # is saved and restored by operations that are no finding
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run)
    assert [*inspected(tmp_path / "model").reaching] == ["ReadFile"]


def test_operations_that_are_unknown_or_names_of_functions(files, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((files / "model" / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    function = graph.library.function.add()
    function.signature.name = "harmless"
    function.node_def.add(name="a", op="LoadAndRemapMatrix")
    graph.node.add(name="b", op="harmless")
    graph.node.add(name="c", op="OfTomorrow")
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    found = inspected(tmp_path)
    assert [*found.reaching] == ["LoadAndRemapMatrix"]
    assert found.unknown == ("OfTomorrow",)


def test_a_vocabulary_that_is_a_path_and_outputs_in_a_list(files, tmp_path):
    with zipfile.ZipFile(files / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1]["config"]["vocabulary"] = "/etc/secret"
    config["config"]["output_layers"] = [["y", 0, 0], ["hidden", 0, 0]]
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    found = inspected(tmp_path / "model.keras")
    assert [*found.reaching] == ["vocabulary /etc/secret"]
    assert [*found.outputs] == ["y", "hidden"]


def test_a_saved_model_that_runs_python(tmp_path):
    save_program(lambda x: {"y": tf.ensure_shape(tf.py_function(lambda v: v, [x], tf.float32), ())}, tmp_path / "model")
    assert "run Python" in inspected(tmp_path / "model").reaching["EagerPyFunc"]


@pytest.mark.filterwarnings("ignore")
def test_a_lambda_layer(tmp_path):
    x = keras.Input((4,), name="x")
    keras.Model(x, layers.Lambda(lambda v: v + 1)(x)).save(tmp_path / "model.keras")
    assert inspected(tmp_path / "model.keras").reaching["Lambda"] == "run Python"


def test_a_layer_of_another_package(files, tmp_path):
    with zipfile.ZipFile(files / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1] |= {"module": "somewhere.else", "class_name": "Own"}
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    assert [*inspected(tmp_path / "model.keras").reaching] == ["somewhere.else.Own"]


def test_onnx_files_with_weights_elsewhere_and_own_operations(files, tmp_path):
    import onnx

    model = onnx.load(files / "model.onnx")
    model.graph.node.append(onnx.helper.make_node("Own", ["x"], ["z"], domain="somewhere"))
    model.functions.add(domain="somewhere", name="Another")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(X))
    constant.attribute[0].t.external_data.add(key="location", value="constant")
    inner = onnx.helper.make_graph([constant], "inner", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["w"], then_branch=inner, else_branch=inner))
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../secret")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert {*inspected(tmp_path / "model.onnx").reaching} == {
        "somewhere.Own",
        "weights in ../../secret",
        "weights in constant",
    }


def test_operations_that_reach_out():
    harmless = ("MatMul", "Conv2D", "While", "StatefulPartitionedCall", "ReadVariableOp", "TensorListReserve", "Gather")
    assert not any(map(reach_of, harmless))
    assert all(
        map(
            reach_of,
            (
                "PyFunc",
                "WriteFile",
                "SaveV2",
                "RpcCall",
                "PrintV2",
                "TFRecordDataset",
                "XlaCustomCall",
                "RemoteCall",
                "Abort",
                "DecodeProtoV2",
            ),
        )
    )


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model.keras", "missing.onnx", "model.pickle"])
def test_damaged_files(name, tmp_path):
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"\x08nothing of the kind")
    with pytest.raises((UserError, ValueError)) as error:
        inspected(tmp_path / name)
    assert name in str(error.value)
