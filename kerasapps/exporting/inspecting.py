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
    "use the network": r"Rpc|Grpc|DataService|Collective|Send$|Recv$|BigQuery|Bigtable|Kafka|RemoteCall",
    "read or write files": r"File|Reader|Save|Restore|Checkpoint|Summary|Dump|Dataset|Immutable|Debug|Print|WriteAudio|"
    r"LoadAndRemap|VocabRemapping|DecodeProto|RecordInput",
    "run native code": r"CustomCall|LoadLibrary|Composite|TRTEngine",
    "end the process": r"Abort",
}
# The modules of TensorFlow whose operations compute, but for those above, and others that do; the rest is unknown.
FAMILIES = (
    "array bitwise control_flow functional image linalg list lookup manip math nn parsing ragged_array "
    "ragged_conversion ragged_math random resource_variable rnn set sparse special_math spectral state "
    "stateless_random string"
)
OTHERS = r"Assert|TensorArray\w*|Stack\w*|Stateless\w*V2|StatelessRandomGet\w*|(Parallel)?Dynamic(Partition|Stitch)"
SAVING = {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"}  # what saving and loading weights takes
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
        unknown: Operations of which nothing is known.
    """

    kind: str
    size: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    operations: Mapping[str, int]
    reaching: Mapping[str, str]
    unknown: tuple[str, ...] = ()

    @property
    def is_data(self) -> bool:
        """Whether all that it does is compute."""
        return not (self.reaching or self.unknown)


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
    """Returns what an operation of TensorFlow can do but compute, None for one that computes."""
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
    own = {(one.domain, one.name) for one in model.functions}
    graphs = [model.graph, *model.functions]
    for node in (node for graph in graphs for node in _nodes(graph, graphs)):
        name = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
        operations[name] += 1
        if node.domain not in STANDARD and (node.domain, node.op_type) not in own:
            reaching[name] = "run native code that its runtime must be given"
    for tensor in (tensor for graph in graphs for tensor in _tensors(graph)):
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


def _nodes(graph, graphs: list) -> Iterable[Any]:
    """Yields the nodes of a graph of ONNX; graphs inside them are added to the list."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def _tensors(graph) -> Iterable[Any]:
    """Yields the constants of a graph or function of ONNX, wherever they are."""
    sparse = [*getattr(graph, "sparse_initializer", ())]
    yield from getattr(graph, "initializer", ())
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from [attribute.t, *attribute.tensors]
        sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for one in sparse:
        yield from (one.values, one.indices)


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
        words = one["config"].get("vocabulary") if isinstance(one.get("config"), dict) else None
        if isinstance(words, str):  # the path of a file
            reaching[f"vocabulary {words}"] = "read or write files"
    layers = config.get("config", {}).get("layers", [])
    inputs = {
        layer["config"]["name"]: f"{layer['config'].get('dtype')} {tuple(layer['config'].get('batch_shape') or ())}"
        for layer in layers
        if layer.get("class_name") == "InputLayer"
    }
    named = config.get("config", {}).get("output_layers", [])
    if isinstance(named, list):  # a list of outputs, or one: the layer and where it was called
        named = [named[0]] if named and isinstance(named[0], str) else [one[0] for one in named]
    outputs = {str(name): "" for name in named}
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
        bodies = {one.signature.name: [*one.node_def] for one in graph.graph_def.library.function}
        own = {"": [*graph.graph_def.node]} | bodies  # lists: the nodes stay the same objects
        operations.update(node.op for nodes in own.values() for node in nodes if node.op not in bodies)
        reaching |= _reaching(graph, own)
        for key, signature in graph.signature_def.items():
            if key.startswith("__"):
                continue
            for given, shown in ((signature.inputs, inputs), (signature.outputs, outputs)):
                for name, tensor in given.items():
                    sides = ", ".join("any" if side.size < 0 else str(side.size) for side in tensor.tensor_shape.dim)
                    shown[name] = f"{types_pb2.DataType.Name(tensor.dtype)[3:].lower()} ({sides})"
    size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    known = _computing()
    unknown = [name for name in operations if name not in known and not reach_of(name)]
    return Found("SavedModel", size, inputs, outputs, operations, reaching, tuple(sorted(unknown)))


def _reaching(graph, bodies: Mapping[str, Any]) -> dict[str, str]:
    """Returns the operations of a graph and all of its functions that do more than compute, but for saving weights."""
    saver = graph.saver_def
    saving = [name.partition(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name) if name]
    saved = {id(node) for node in _called(bodies, saving)}
    # What something else runs as well is no exception.
    others = [node.name for node in bodies[""] if id(node) not in saved]
    others += [tensor.name.partition(":")[0] for one in graph.signature_def.values() for tensor in one.outputs.values()]
    saved -= {id(node) for node in _called(bodies, others)}
    caller = {
        id(node): f"called by {key}, as {node.name}"
        for key, signature in graph.signature_def.items()
        for node in _called(bodies, [tensor.name.partition(":")[0] for tensor in signature.outputs.values()])
    }
    found = {}
    for function, node in ((name, node) for name, nodes in bodies.items() for node in nodes):
        what = reach_of(node.op) if node.op not in bodies else None
        if what and not (node.op in SAVING and id(node) in saved):
            where = caller.get(id(node), f"in the function {function}" if function else f"in its graph, as {node.name}")
            if node.op not in found or id(node) in caller:
                found[node.op] = f"{what} ({where})"
    return found


def _computing() -> set[str]:
    """Returns the operations of TensorFlow that compute, and do nothing else."""
    import importlib

    import tensorflow as tf

    modules = [vars(importlib.import_module(f"tensorflow.python.ops.gen_{name}_ops")) for name in FAMILIES.split()]
    names = {name for module in modules for name in module if hasattr(tf.raw_ops, name)}
    names |= {name for name in dir(tf.raw_ops) if re.fullmatch(OTHERS, name)} | {"_Arg", "_Retval"}
    return {name for name in names if not reach_of(name)}


def _called(bodies: Mapping[str, Any], names: Iterable[str]) -> Iterable[Any]:
    """Yields the nodes that are run for some nodes of a graph, which is the body without a name, and in functions."""
    by_name = {node.name: node for node in bodies[""]}
    waiting, found, functions = [*names], set(), set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in by_name:
            continue
        found.add(name)
        yield by_name[name]
        functions |= _functions(by_name[name])
        waiting += [one.lstrip("^").partition(":")[0] for one in by_name[name].input]
    done = {""}
    while functions - done:
        name = (functions - done).pop()
        done.add(name)
        for node in bodies.get(name, ()):
            yield node
            functions |= _functions(node)


def _functions(node) -> set[str]:
    """Returns the names of the functions that a node may call, which may be its operation."""
    values = [value for one in node.attr.values() for value in (one, *one.list.func)]
    return {node.op} | {
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
