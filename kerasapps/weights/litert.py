"""The numbers in a LiteRT (TensorFlow Lite) file, read without executing anything.

A LiteRT file is a FlatBuffer: tables whose fields lie where an index in front of them says. Only what leads to the
constant tensors is read, and every position is checked against the length of the file.

Reference: FlatBuffers, "FlatBuffer Internals"; TensorFlow, `schema.fbs`.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasapps.weights import WeightsError

IDENTIFIER = b"TFL3"
LARGEST = 2**28  # bytes of a file
# Of the schema: numbers of fields in the tables Model, SubGraph, Tensor, Buffer, QuantizationParameters, OperatorCode
# and Operator.
CODES, SUBGRAPHS, BUFFERS, SIGNATURES = 1, 2, 4, 7
MAP_NAME, MAP_TENSOR = 0, 1  # of the table that names a tensor of a signature
TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, OPERATORS = 0, 1, 2, 3
OLD_CODE, CUSTOM_CODE, CODE = 0, 1, 3
CUSTOM = 32  # the code of an operation that is named
SHAPE, TYPE, BUFFER, NAME, QUANTIZATION, SIGNATURE = 0, 1, 2, 3, 4, 7
DATA = 0
SCALE, ZERO_POINT, AXIS = 2, 3, 6
TYPES = {
    0: np.dtype("<f4"),
    1: np.dtype("<f2"),
    2: np.dtype("<i4"),
    6: np.dtype("?"),
    3: np.dtype("u1"),
    9: np.dtype("i1"),
}


def read_litert(path: Path) -> dict[str, np.ndarray]:
    """Returns the constant tensors of a LiteRT file by name, float32; those of 8 bits times their scale.

    Args:
        path: The file.

    Raises:
        WeightsError: If the file is missing, cannot be read, is damaged or is no LiteRT file.
    """
    return _read(path, lambda model: dict(_constants(model)))


@dataclass(frozen=True)
class Operators:
    """What a LiteRT file computes.

    Args:
        counts: How often each operation is there, "custom NAME" for one that is not built in.
        inputs: Dtype and shape of the inputs of the first graph by name, as text.
        outputs: The same of its outputs.
    """

    counts: dict[str, int]
    inputs: dict[str, str]
    outputs: dict[str, str]


def operators(path: Path) -> Operators:
    """Returns what a LiteRT file computes, without executing anything; errors as of `read_litert`."""
    return _read(path, _operators)


def _read(path: Path, take: Callable[["_Table"], Any]) -> Any:
    """Returns what is taken from the model table of a file."""
    try:
        if not path.is_file():
            raise WeightsError(f"{path} is {'no file' if path.exists() else 'not there'}.")
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{path} has {path.stat().st_size:,} bytes, and more than {LARGEST:,} are refused.")
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from None
    if content[4:8] != IDENTIFIER:
        raise WeightsError(f"{path} is not a LiteRT file.")
    try:
        return take(_Table(content, *struct.unpack_from("<I", content)))
    except (struct.error, ValueError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is damaged: {error}.") from None


@dataclass(frozen=True)
class _Table:
    """A table of a FlatBuffer: where it begins, and its fields by number."""

    content: bytes
    start: int

    def field(self, number: int) -> int | None:
        """Returns where a field lies; None where the table does not have it."""
        index = self.start - struct.unpack_from("<i", self.content, self.start)[0]
        if index < 0:
            raise ValueError("a table begins before the file")
        slot = 4 + 2 * number
        (length,) = struct.unpack_from("<H", self.content, index)
        (offset,) = struct.unpack_from("<H", self.content, index + slot) if slot < length else (0,)
        return self.start + offset if offset else None

    def number(self, number: int, form: str) -> int:
        """Returns a field that is a number, 0 by default."""
        place = self.field(number)
        return 0 if place is None else struct.unpack_from(form, self.content, place)[0]

    def vector(self, number: int, dtype: np.dtype) -> np.ndarray:
        """Returns a field that is a vector of numbers, empty by default."""
        place = self.field(number)
        if place is None:
            return np.zeros(0, dtype)
        start = place + struct.unpack_from("<I", self.content, place)[0]
        (count,) = struct.unpack_from("<I", self.content, start)
        if start + 4 + count * dtype.itemsize > len(self.content):
            raise ValueError("a vector ends behind the file")
        return np.frombuffer(self.content, dtype, count, start + 4)

    def tables(self, number: int) -> list["_Table"]:
        """Returns a field that is a vector of tables."""
        offsets = self.vector(number, np.dtype("<u4"))
        place = self.field(number)
        if place is None:
            return []
        start = place + struct.unpack_from("<I", self.content, place)[0] + 4
        return [_Table(self.content, start + 4 * i + int(offset)) for i, offset in enumerate(offsets)]

    def table(self, number: int) -> "_Table | None":
        """Returns a field that is a table."""
        place = self.field(number)
        return None if place is None else _Table(self.content, place + self.number(number, "<I"))


def _constants(model: _Table) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and values of each tensor that the file holds values of."""
    buffers = model.tables(BUFFERS)
    for graph in model.tables(SUBGRAPHS):
        for tensor in graph.tables(TENSORS):
            data = buffers[tensor.number(BUFFER, "<I")].vector(DATA, np.dtype("u1"))
            kind = TYPES.get(tensor.number(TYPE, "<b"))
            if not len(data) or kind is None:
                continue
            shape = tensor.vector(SHAPE, np.dtype("<i4"))
            values = np.frombuffer(data.tobytes(), kind).reshape(shape)
            yield _text(tensor, NAME), _scaled(values, tensor.table(QUANTIZATION))


def _operators(model: _Table) -> Operators:
    """Returns the operations of all graphs, and inputs and outputs of the first."""
    names = []
    for one in model.tables(CODES):
        number = max(one.number(OLD_CODE, "<b"), one.number(CODE, "<i"))  # small ones are in either field
        custom = _text(one, CUSTOM_CODE)
        names.append(f"custom {custom}" if number == CUSTOM else _built_in(number))
    graphs = model.tables(SUBGRAPHS)
    counts = Counter(names[node.number(0, "<I")] for graph in graphs for node in graph.tables(OPERATORS))
    tensors, (signature, *_) = graphs[0].tables(TENSORS), [*model.tables(SIGNATURES), None]

    def shown(of_graph: int, of_signature: int) -> dict[str, str]:
        if signature is None:
            found = {_text(tensors[i], NAME): tensors[i] for i in graphs[0].vector(of_graph, np.dtype("<i4"))}
        else:  # it has the names that a caller uses
            named = signature.tables(of_signature)
            found = {_text(one, MAP_NAME): tensors[one.number(MAP_TENSOR, "<I")] for one in named}
        return {name: _shape(one.number(TYPE, "<b"), one) for name, one in found.items()}

    inputs, outputs = shown(GRAPH_INPUTS, 0), shown(GRAPH_OUTPUTS, 1)
    return Operators(dict(counts), inputs, outputs)


def _text(table: _Table, field: int) -> str:
    """Returns a field that is a text."""
    return table.vector(field, np.dtype("u1")).tobytes().decode()


def _shape(kind: int, tensor: _Table) -> str:
    """Returns dtype and shape, where -1 says that a side is free."""
    sides = tensor.vector(SIGNATURE, np.dtype("<i4"))
    sides = sides if len(sides) else tensor.vector(SHAPE, np.dtype("<i4"))
    name = TYPES[kind].name if kind in TYPES else f"type {kind}"
    return f"{name} ({', '.join('any' if side < 0 else str(side) for side in sides)})"


def _built_in(number: int) -> str:
    """Returns the name of a built-in operation where the runtime is installed, else its number."""
    try:
        from ai_edge_litert.schema_py_generated import BuiltinOperator
    except ImportError:
        return f"operation {number}"
    return next((name for name, value in vars(BuiltinOperator).items() if value == number), f"operation {number}")


def _scaled(values: np.ndarray, quantization: _Table | None) -> np.ndarray:
    """Returns (values - zero point) * scale, float32, with a scale for all or for each index of an axis."""
    scale = np.zeros(0) if quantization is None else quantization.vector(SCALE, np.dtype("<f4"))
    if not len(scale):
        return values.astype(np.float32)
    zero = quantization.vector(ZERO_POINT, np.dtype("<i8"))
    shape = [1] * values.ndim
    if len(scale) > 1:
        shape[quantization.number(AXIS, "<i")] = len(scale)
    zero = zero if len(zero) == len(scale) else np.zeros(len(scale))
    return ((values - zero.reshape(shape)) * scale.astype(np.float64).reshape(shape)).astype(np.float32)
