"""Conversions of a prepared network into the formats of other runtimes."""

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from kerasapps.errors import UserError
from kerasapps.exporting.preparing import frozen, output_names, serving_function

Format = Literal["saved_model", "onnx", "litert", "openvino"]
Precision = Literal["float32", "float16", "dynamic", "int8"]
FILES: dict[Format, str] = {
    "saved_model": "model",
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "openvino": "model.xml",
}
NEEDS = {
    "saved_model": (),
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
    "openvino": ("openvino",),
}
REPRESENTATIVE = 100  # rows that set the ranges of int8
Shapes = Sequence[tuple[int | None, ...]]


class ExportError(UserError):
    """A network that a format cannot hold, or whose file does not compute what the network does."""


def to_saved_model(model: keras.Model, path: Path, shapes: Shapes | None = None) -> None:
    """Writes a SavedModel whose signature has the names of inputs and outputs, and whose weights are constants."""
    import tensorflow as tf

    serve = frozen(serving_function(model, shapes))
    with quiet():
        tf.saved_model.save(tf.Module(), str(path), signatures={"serving_default": serve})


def to_onnx(model: keras.Model, path: Path) -> None:
    """Writes an ONNX file with named inputs, outputs and free sides."""
    import onnx

    names = output_names(model)
    outputs = [model.output[name] for name in names] if isinstance(model.output, dict) else list(model.outputs)
    flat = keras.Model(list(model.inputs), outputs)
    specs = [keras.InputSpec(shape=(None, *one.shape[1:]), dtype=one.dtype, name=one.name) for one in model.inputs]
    with quiet():
        flat.export(path, format="onnx", input_signature=[specs], verbose=False)
    graph = onnx.load(path)
    _rename_outputs(graph.graph, names)
    graph.metadata_props.add(key="outputs", value=json.dumps(names))
    for tensor in graph.graph.input:
        for i, side in enumerate(tensor.type.tensor_type.shape.dim):
            if not side.HasField("dim_value"):
                side.dim_param = f"{tensor.name}_side{i}" if i else "batch"
    for tensor in graph.graph.output:  # those that tf2onnx numbered say nothing
        for i, side in enumerate(tensor.type.tensor_type.shape.dim):
            if not side.HasField("dim_value"):
                side.dim_param = f"{tensor.name}_side{i}" if i else "batch"
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def _rename_outputs(graph, names: Sequence[str]) -> None:
    """Gives outputs their names; one that an input has as well is an output of an operation that copies."""
    import onnx

    taken = {tensor.name for tensor in graph.input}
    for tensor, name in zip(graph.output, names, strict=True):
        name = f"{name}_output" if name in taken else name
        graph.node.append(onnx.helper.make_node("Identity", [tensor.name], [name], name=f"named_{name}"))
        tensor.name = name


def to_litert(
    model: keras.Model, path: Path, *, precision: Precision, shapes: Shapes, samples: Mapping[str, np.ndarray]
) -> None:
    """Writes a LiteRT file of built-in operations alone.

    Args:
        model: What `inference_form` returned.
        path: The file.
        precision: Of the weights, and with "int8" of what is computed as well.
        shapes: Shapes of the inputs with the batch, None where a side is free.
        samples: Rows that set the ranges of int8.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        to_saved_model(model, Path(folder), shapes)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            names = [tensor.name for tensor in model.inputs]
            rows = min(REPRESENTATIVE, len(samples[names[0]]))
            converter.representative_dataset = lambda: (
                {name: samples[name][i : i + 1] for name in names} for i in range(rows)
            )
        with quiet():
            content = converter.convert()
    path.write_bytes(content)


def to_openvino(model: keras.Model, path: Path) -> None:
    """Writes OpenVINO's pair of files, .xml and .bin, in float32."""
    import openvino

    taken, names = {tensor.name for tensor in model.inputs}, {*output_names(model)}
    with tempfile.TemporaryDirectory() as folder:
        to_saved_model(model, Path(folder) / "model")
        with quiet():
            made = openvino.convert_model(Path(folder) / "model")  # of ONNX it takes no loops over steps
            for port in made.outputs:  # two may share a tensor, with the names of both
                node = port.get_node()
                name = node.get_friendly_name()
                if name not in names:  # it was numbered, as an input has the same
                    name = re.sub(r"_\d+$", "", name)
                # One that an input has as well is marked, as in ONNX.
                node.set_friendly_name(f"{name}_output" if name in taken else name)
            openvino.save_model(made, path, compress_to_fp16=False)


def require(format: Format) -> None:
    """Refuses a format whose libraries are not installed.

    Raises:
        UserError: It names the extra that has them.
    """
    import importlib.util

    missing = [name.replace("_", "-") for name in NEEDS[format] if importlib.util.find_spec(name) is None]
    if missing:
        extra = "openvino" if format == "openvino" else "export"
        raise UserError(
            f"The format {format} needs what kerasapps[{extra}] installs, of which there is no {', '.join(missing)}: "
            f"pip install {' '.join(missing)}"
        )


def needs_fixed_sides(error: BaseException) -> bool:
    """Returns whether LiteRT's converter failed for a side that is free, as in a loop over steps or an upsampling."""
    return any(word in str(error) for word in ("TensorList", "tensor_list", "Flex ops", "TF Select ops"))


def first_words(error: BaseException) -> str:
    """Returns what a converter complained of, in one line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    flex = re.search(r"(?:Flex|TF Select) ops: ([\w, ]+)", text)
    if flex:
        return f"it has no {flex[1].strip()}"
    if "TensorListReserve" in text:
        return "a loop over steps needs a fixed batch"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what converters print, also those in C++; an exception says what matters."""
    sys.stdout.flush(), sys.stderr.flush()
    with open(os.devnull, "w") as nowhere, contextlib.ExitStack() as end:
        for number in (1, 2):
            kept = os.dup(number)
            end.callback(os.close, kept)
            end.callback(os.dup2, kept, number)
            os.dup2(nowhere.fileno(), number)
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
