"""What is in a model file, read without running or loading it, and what in it could do more than compute.

A SavedModel is a program: operations of its graph can read and write files when it is called. An ONNX or LiteRT file is
data, unless it asks for operations that its runtime does not have.
"""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasapps.errors import UserError
from kerasapps.files import printable, user_path
from kerasapps.weights.litert import WeightsError, operators

# By a part of the name of an operation of TensorFlow, what it can do. It is on the safe side.
REACHES = {
    "run Python": r"PyFunc",
    "use the network": r"Rpc|Grpc|DataService|Collective|Send$|Recv$|BigQuery|Bigtable|Kafka",
    "read or write files": r"File|Reader|Save|Restore|Checkpoint|Summary|Dump|Dataset|Immutable|Debug|Print|WriteAudio",
    "run native code": r"CustomCall|LoadLibrary|Composite|TRTEngine",
}
STANDARD = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training")  # domains that every ONNX runtime has
# Layers that hold code, or a program of TensorFlow.
CODE = {"Lambda": "run Python", "TorchModuleWrapper": "run Python", "TFSMLayer": "run a SavedModel"}


@dataclass(frozen=True)
class Found:
    """What is in a model file.

    Args:
        kind: Its format.
        size: Bytes.
        inputs: Dtype and shape by name, as text.
        outputs: The same.
        operations: How often each operation or layer is there.
        reaching: Operations that can do more than compute, with what that is and where they are.
    """

    kind: str
    size: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    operations: Mapping[str, int]
    reaching: Mapping[str, str]

    @property
    def is_data(self) -> bool:
        """Whether all that it does is compute."""
        return not self.reaching


def inspected(path: str | Path) -> Found:
    """Returns what is in an ONNX, LiteRT or .keras file or in the folder of a SavedModel, without running it.

    Raises:
        UserError: If it is none of these, or damaged.
    """
    path = user_path(path)
    if not path.exists():
        raise UserError(f"{printable(path)} does not exist.")
    read = {".onnx": _onnx, ".tflite": _litert, ".keras": _keras}.get(path.suffix)
    if path.is_dir() and (path / "saved_model.pb").is_file():
        read = _saved_model
    if read is None:
        raise UserError(f"{printable(path)} is none of .onnx, .tflite, .keras and the folder of a SavedModel.")
    try:
        return read(path)
    except (UserError, WeightsError, ImportError):
        raise
    except Exception as error:  # parsers raise whatever the damage leads to
        words = " ".join(str(error).split())[:120]
        raise UserError(f"{printable(path)} is damaged or no such file: {words or type(error).__name__}.") from None


def reach_of(operation: str) -> str | None:
    """Returns what an operation of TensorFlow can do beside computing, None for one that computes."""
    return next((what for what, names in REACHES.items() if re.search(names, operation)), None)


# --- formats


def _onnx(path: Path) -> Found:
    try:
        import onnx
    except ImportError:
        raise UserError("ONNX files are read by onnx, which kerasapps[export] installs: pip install onnx") from None
    model = onnx.load(path, load_external_data=False)
    operations: Counter[str] = Counter()
    reaching = {}
    for node in _nodes(model.graph, model.functions):
        name = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
        operations[name] += 1
        if node.domain not in STANDARD and not any(one.domain == node.domain for one in model.functions):
            reaching[name] = "run native code that its runtime must be given"
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                reaching[f"weights in {entry.value}"] = "read or write files"
    kinds = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}

    def shape(value) -> str:
        tensor = value.type.tensor_type
        sides = (side.dim_param or str(side.dim_value) for side in tensor.shape.dim)
        return f"{kinds.get(tensor.elem_type, '?')} ({', '.join(sides)})"

    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {one.name: shape(one) for one in model.graph.input if one.name not in constants}
    outputs = {one.name: shape(one) for one in model.graph.output}
    return Found("ONNX", path.stat().st_size, inputs, outputs, operations, reaching)


def _nodes(graph, functions=()) -> Iterable[Any]:
    """Yields the nodes of a graph of ONNX and of those inside it."""
    for node in [*graph.node, *(node for function in functions for node in function.node)]:
        yield node
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                yield from _nodes(inner)


def _litert(path: Path) -> Found:
    found = operators(path)
    custom = {name for name in found.counts if name.startswith("custom ")}
    reaching = {
        name: (reach_of(name) or "run an operation of TensorFlow") if "Flex" in name else "run native code of the host"
        for name in custom
    }
    return Found("LiteRT", path.stat().st_size, found.inputs, found.outputs, found.counts, reaching)


def _keras(path: Path) -> Found:
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    operations: Counter[str] = Counter()
    reaching = {}
    for one in _objects(config):
        name, module = str(one["class_name"]), str(one.get("module") or "")
        operations[name] += 1
        if name in CODE or name.startswith("__lambda__"):
            reaching[name] = CODE.get(name, "run Python")
        elif module and module.partition(".")[0] not in ("keras", "kerasapps"):
            reaching[f"{module}.{name}"] = "run Python that must be there already"
        elif one.get("registered_name") and str(one["registered_name"]).partition(">")[0] not in ("kerasapps", name):
            reaching[str(one["registered_name"])] = "run Python that must be there already"
    layers = config.get("config", {}).get("layers", [])
    inputs = {
        layer["config"]["name"]: f"{layer['config'].get('dtype')} {tuple(layer['config'].get('batch_shape') or ())}"
        for layer in layers
        if layer.get("class_name") == "InputLayer"
    }
    named = config.get("config", {}).get("output_layers", [])
    outputs = {str(name): "" for name in named} if isinstance(named, dict) else {}
    return Found("Keras", path.stat().st_size, inputs, outputs, operations, reaching)


def _objects(config: Any) -> Iterable[dict]:
    """Yields the serialized objects in a config of Keras."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _saved_model(path: Path) -> Found:
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    operations: Counter[str] = Counter()
    reaching, inputs, outputs = {}, {}, {}
    for graph in model.meta_graphs:
        bodies = {one.signature.name: one.node_def for one in graph.graph_def.library.function}
        operations.update(node.op for nodes in [graph.graph_def.node, *bodies.values()] for node in nodes)
        for key, signature in graph.signature_def.items():
            for node in _called(graph.graph_def.node, signature, bodies):
                what = reach_of(node.op)
                if what:
                    reaching[node.op] = f"{what} (called by {key}, as {node.name})"
            if key.startswith("__"):
                continue
            for given, shown in ((signature.inputs, inputs), (signature.outputs, outputs)):
                for name, tensor in given.items():
                    sides = ", ".join("any" if side.size < 0 else str(side.size) for side in tensor.tensor_shape.dim)
                    shown[name] = f"{types_pb2.DataType.Name(tensor.dtype)[3:].lower()} ({sides})"
    size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return Found("SavedModel", size, inputs, outputs, operations, reaching)


def _called(nodes, signature, bodies: Mapping[str, Any]) -> Iterable[Any]:
    """Yields the nodes that a signature runs, also those of functions that it calls: not those that save weights."""
    by_name = {node.name: node for node in nodes}
    waiting = [tensor.name.partition(":")[0] for tensor in signature.outputs.values()]
    found, functions = set(), set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in by_name:
            continue
        found.add(name)
        yield by_name[name]
        functions |= _functions(by_name[name])
        waiting += [one.lstrip("^").partition(":")[0] for one in by_name[name].input]
    done: set[str] = set()
    while functions - done:
        name = (functions - done).pop()
        done.add(name)
        for node in bodies.get(name, ()):
            yield node
            functions |= _functions(node)


def _functions(node) -> set[str]:
    """Returns the names of the functions that a node may call."""
    values = [value for one in node.attr.values() for value in (one, *one.list.func)]
    return {
        value.name if hasattr(value, "attr") and not hasattr(value, "func") else value.func.name for value in values
    }


def signature_tensors(path: Path, name: str = "serving_default") -> tuple[dict[str, str], dict[str, str]]:
    """Returns how the graph of a SavedModel calls the inputs and outputs of a signature, such as "operation:0"."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    signature = model.meta_graphs[0].signature_def[name]
    inputs, outputs = (
        {key: tensor.name for key, tensor in one.items()} for one in (signature.inputs, signature.outputs)
    )
    return inputs, outputs
