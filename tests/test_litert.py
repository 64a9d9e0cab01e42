"""LiteRT files: numbers with their scales, and MobileNet from them."""

import contextlib

import flatbuffers
import keras
import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema

from kerasapps.weights import WeightsError
from kerasapps.weights.litert import read_litert
from kerasapps.weights.mobilenet import BLOCKS, read_mobilenet


def write_litert(path, tensors):
    """Writes arrays by name; 8-bit ones come as (values, scales, zero points, axis)."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers, graph.tensors = 3, [graph], [schema.BufferT()], []
    kinds = {"float32": 0, "int32": 2, "uint8": 3, "int8": 9}
    for name, value in tensors.items():
        values, *scaled = value if isinstance(value, tuple) else (value,)
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.name, tensor.shape, tensor.type = name, list(values.shape), kinds[values.dtype.name]
        tensor.buffer, buffer.data = len(model.buffers), np.frombuffer(values.tobytes(), np.uint8)
        if scaled:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = scaled[0], scaled[1]
            tensor.quantization.quantizedDimension = scaled[2]
        model.buffers.append(buffer)
        graph.tensors.append(tensor)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_numbers_times_their_scale(tmp_path):
    path = write_litert(
        tmp_path / "a.tflite",
        {
            "plain": np.array([[1.5, -2.0]], np.float32),
            "bias": (np.array([3, -4], np.int32), [0.5], [0], 0),
            "kernel": (np.array([[0, 128], [255, 130]], np.uint8), [0.1], [128], 0),
            "channels": (np.array([[1, 2], [3, -4]], np.int8), [0.5, 10.0], [0, 1], 1),
        },
    )
    found = read_litert(path)
    np.testing.assert_array_equal(found["plain"], [[1.5, -2.0]])
    np.testing.assert_array_equal(found["bias"], [1.5, -2.0])
    np.testing.assert_allclose(found["kernel"], [[-12.8, 0], [12.7, 0.2]], rtol=1e-6)
    np.testing.assert_array_equal(found["channels"], [[0.5, 10.0], [1.5, -50.0]])


def test_damage_is_one_sentence(tmp_path):
    whole = write_litert(tmp_path / "a.tflite", {"plain": np.ones((40, 40), np.float32)}).read_bytes()
    rng = np.random.default_rng(0)
    for i in range(200):
        damaged = bytearray(whole[: rng.integers(8, len(whole))] if i % 2 else whole)
        for place in rng.integers(8, len(damaged), 30):
            damaged[place] = rng.integers(256)
        path = tmp_path / "b.tflite"
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(WeightsError):  # and nothing else
            read_litert(path)
    for content, message in ((b"", "is not a LiteRT file"), (b"\0" * 100, "is not a LiteRT file")):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            read_litert(path)
    with pytest.raises(WeightsError, match="is not there"):
        read_litert(tmp_path / "nowhere.tflite")


@pytest.fixture
def narrow():
    """MobileNet at a width of 1/8 with normalization that does something."""
    model = keras.applications.MobileNet((32, 32, 3), alpha=0.125, include_top=False, weights=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def folded(model) -> dict[str, np.ndarray]:
    """Its convolutions with their normalization, named and arranged as in a LiteRT file."""
    names = {"conv1": "Conv2d_0"}
    for i in range(1, BLOCKS + 1):
        names |= {f"conv_dw_{i}": f"Conv2d_{i}_depthwise", f"conv_pw_{i}": f"Conv2d_{i}_pointwise"}
    tensors = {}
    for layer, name in names.items():
        norm = model.get_layer(f"{layer}_bn")
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        (kernel,) = model.get_layer(layer).get_weights()
        kernel = kernel * (scale[:, None] if "dw" in layer else scale)
        tensors[f"MobilenetV1/{name}/weights"] = kernel.transpose(3, 0, 1, 2).astype(np.float32)
        tensors[f"MobilenetV1/{name}/bias"] = (beta - mean * scale).astype(np.float32)
    return tensors


def test_mobilenet_gives_the_same_features(narrow, tmp_path):
    read = read_mobilenet(write_litert(tmp_path / "a.tflite", folded(narrow)), image_shape=(32, 32, 3))
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(read(images), narrow(images), atol=1e-4)


def test_another_network_is_refused(narrow, tmp_path):
    tensors = folded(narrow)
    tensors["MobilenetV1/Conv2d_3_pointwise/weights"] = np.zeros((5, 1, 1, 5), np.float32)
    with pytest.raises(WeightsError, match="is of another network than MobileNet v1"):
        read_mobilenet(write_litert(tmp_path / "a.tflite", tensors), image_shape=(32, 32, 3))
    del tensors["MobilenetV1/Conv2d_3_pointwise/weights"]
    with pytest.raises(WeightsError, match="is not MobileNet v1: it has no Conv2d_3_pointwise"):
        read_mobilenet(write_litert(tmp_path / "b.tflite", tensors), image_shape=(32, 32, 3))
