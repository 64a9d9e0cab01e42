"""`export`: a network as a file for another runtime, compared there before it is called done."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import keras
import numpy as np

from kerasapps.errors import UserError
from kerasapps.exporting import converting
from kerasapps.exporting.checking import apart, difference
from kerasapps.exporting.converting import ExportError, Format, Precision, Shapes
from kerasapps.exporting.preparing import computes_in_float32, inference_form, plain_form, predictions
from kerasapps.files import user_path

# How far outputs may be from those of Keras, relative to the largest. With 8 bits the bound only finds what is broken.
TOLERANCES: dict[Precision, float] = {"float32": 1e-5, "float16": 2e-2, "dynamic": 0.1, "int8": 0.25}
HALF = 0.1  # the same for the copy in float32 of a network that computes in 16 bits
Examples = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Exported:
    """A network that was exported and compared.

    Args:
        path: The file, or the folder of a SavedModel.
        difference: The largest difference of an output, relative to the largest number of that output.
        notes: What to know about it, a sentence each.
    """

    path: Path
    difference: float
    notes: tuple[str, ...] = ()


def export(
    model: keras.Model,
    path: str | Path,
    *,
    format: Format,
    examples: Mapping[str, np.ndarray],
    precision: Precision = "float32",
    length: int | None = None,
    samples: Mapping[str, np.ndarray] | None = None,
    tolerance: float | None = None,
) -> Exported:
    """Writes a network for another runtime, runs it there in a separate process, and compares the outputs.

    The file computes in float32 whatever the network was trained in. It has the names of inputs and outputs, and any
    number of rows. Texts may be of any length where the format can; loops over steps need fixed sides in LiteRT.

    Args:
        model: A functional or sequential model, or a GAN, whose averaged generator is meant.
        path: The file; a folder for a SavedModel. It must not exist.
        format: "saved_model", "onnx", "litert" or "openvino".
        examples: Inputs by name, a few rows each, which are compared.
        precision: "float32", or for LiteRT "float16" (weights), "dynamic" (8-bit weights) or "int8" (all of it).
        length: Length of what is free, such as a text, in LiteRT; by default it stays free where it can.
        samples: Inputs by name that set the ranges of int8; the examples by default.
        tolerance: How far outputs may be from those of Keras, relative to the largest; by default 1e-5 for "float32",
            0.02 for "float16", 0.1 for "dynamic" and 0.25 for "int8".

    Returns:
        The path, the largest difference, and what to know.

    Raises:
        ValueError: If an argument is wrong.
        UserError: If the path exists, a library is missing, or the export fails; then there is no file.

    Example:
        >>> model = build_mnist_network(image_shape=(28, 28, 1))
        >>> done = export(model, "model.onnx", format="onnx", examples={"image": digits})
        >>> done.difference  # at most 1e-5, or it would have raised
    """
    path = user_path(path)
    check_form(format, precision, length)
    _check_path(path, format)
    converting.require(format)
    made = inference_form(model)
    examples, samples = _as_taken(made, examples), _as_taken(made, samples or examples, "samples")
    _check_copy(plain_form(model), made, examples)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        written = Path(folder) / path.name
        try:
            notes, examples = _convert(made, written, format, precision, length, examples, samples)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # of whatever kind a converter likes
            words = converting.first_words(error)
            raise ExportError(f"{made.name} cannot be exported as {format}: {words}.") from error
        worst = _compare(made, written, examples, TOLERANCES[precision] if tolerance is None else tolerance)
        for one in sorted(Path(folder).iterdir()):  # OpenVINO has two files
            shutil.move(one, path.parent / one.name)
    return Exported(path, worst, notes)


def check_form(format: Format, precision: Precision, length: int | None) -> None:
    """Refuses what no export can be.

    Raises:
        ValueError: If a word is none of those that there are, or an option is for another format.
    """
    for name, value, words in (("format", format, Format), ("precision", precision, Precision)):
        if value not in get_args(words):
            raise ValueError(f"`{name}` must be one of {', '.join(get_args(words))}. Received: {name}={value}")
    if precision != "float32" and format != "litert":
        raise ValueError(f"`precision` must be float32 but for LiteRT. Received: precision={precision}")
    if length is not None and (format != "litert" or length < 1):
        raise ValueError(f"`length` must be at least 1, and fixes LiteRT alone. Received: length={length}")


def _check_path(path: Path, format: Format) -> None:
    suffix = Path(converting.FILES[format]).suffix
    if path.suffix != suffix and (suffix or path.suffix in (".onnx", ".tflite", ".xml")):
        raise ValueError(f"`path` must end in {suffix or 'no suffix, as a folder'} for {format}. Received: {path}")
    for one in (path, path.with_suffix(".bin")) if format == "openvino" else (path,):
        if one.exists():
            raise UserError(f"{one} exists: choose another name, or remove it.")


def _as_taken(
    model: keras.Model, examples: Mapping[str, np.ndarray], option: str = "examples"
) -> dict[str, np.ndarray]:
    """Returns the inputs of a network, in its dtypes."""
    names = [tensor.name for tensor in model.inputs]
    missing = [name for name in names if name not in examples]
    if missing:
        raise ValueError(f"`{option}` must have every input of the model. Received: none for {', '.join(missing)}")
    rows = {name: len(examples[name]) for name in names}
    if len({*rows.values()}) > 1 or not min(rows.values()):
        raise ValueError(f"`{option}` must have at least one row, and as many of each input. Received: {rows}")
    return {tensor.name: np.asarray(examples[tensor.name]).astype(tensor.dtype) for tensor in model.inputs}


def _check_copy(model: keras.Model, made: keras.Model, examples: Mapping[str, np.ndarray]) -> None:
    """Refuses a network whose copy in float32 computes something else.

    Raises:
        ExportError: If it does, as with a layer whose state is neither in its weights nor in its config.
    """
    allowed = TOLERANCES["float32"] if computes_in_float32(model) else HALF
    worst = apart(model.name, predictions(made, examples), predictions(model, examples))
    if not worst <= allowed:
        raise ExportError(
            f"{model.name} has a layer that cannot be copied with its state: the outputs of its copy in float32 differ "
            f"by {worst:.1e} of the largest, and {allowed:.0e} is allowed."
        )


def _convert(made, path, format, precision, length, examples, samples) -> tuple[tuple[str, ...], Examples]:
    """Writes the file; returns what to know about it, and the examples with the sides that it takes."""
    if format == "saved_model":
        converting.to_saved_model(made, path)
    elif format == "onnx":
        converting.to_onnx(made, path)
    elif format == "openvino":
        converting.to_openvino(made, path)
    else:
        return _to_litert(made, path, precision, length, examples, samples)
    return (), examples


def _to_litert(made, path, precision, length, examples, samples) -> tuple[tuple[str, ...], Examples]:
    """Writes a LiteRT file with sides as free as they can be."""
    free = [(None, *tensor.shape[1:]) for tensor in made.inputs]
    fixed = _fixed(free, made, examples, length)
    # Rows may be of any number, but for loops over steps and upsampling: there they come one by one.
    tries: list[Shapes] = [fixed if length else free, [(1, *shape[1:]) for shape in fixed]]
    for i, shapes in enumerate(tries):
        given, compared = (
            {one.name: _padded(rows[one.name], shape) for one, shape in zip(made.inputs, shapes, strict=True)}
            for rows in (samples, examples)
        )
        try:
            converting.to_litert(made, path, precision=precision, shapes=shapes, samples=given)
        except Exception as error:
            if i == len(tries) - 1 or not converting.needs_fixed_sides(error):
                raise
            continue
        sides = ", ".join(
            f"{tensor.name} {'x'.join(map(str, shape[1:]))}"
            for tensor, shape in zip(made.inputs, shapes, strict=True)
            if None in tensor.shape[1:]
        )
        if i:
            how = f", and {sides} (change it with --length)" if sides else ""
            return (f"LiteRT needs fixed sides for this network: rows are computed one by one{how}.",), compared
        return (f"Fixed: {sides}.",) if length and sides else (), compared
    raise AssertionError


def _fixed(free: Shapes, made, examples, length: int | None) -> Shapes:
    """Returns shapes with all sides known but the rows: a text's is `length` if given, others as the examples'."""
    fixed = []
    for shape, tensor in zip(free, made.inputs, strict=True):
        have = examples[tensor.name].shape
        sides = [side or (length if length and i == 1 else have[i]) for i, side in enumerate(shape) if i]
        fixed.append((None, *sides))
    return fixed


def _padded(array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Returns rows cut or padded with 0 to the sides that are fixed."""
    for axis, side in enumerate(shape):
        if axis and side is not None:
            array = np.take(array, range(min(side, array.shape[axis])), axis)
            array = np.pad(array, [(0, side - array.shape[axis] if i == axis else 0) for i in range(array.ndim)])
    return array


def _compare(made, path, examples, tolerance: float) -> float:
    """Returns the largest difference, of all rows at once and of one alone.

    Raises:
        ExportError: If it is too large.
    """
    worst = 0.0
    for rows in {len(next(iter(examples.values()))), 1}:
        given = {name: value[:rows] for name, value in examples.items()}
        worst = max(worst, difference(path, given, predictions(made, given)))
    if not worst <= tolerance:
        raise ExportError(
            f"{path.name} computes something else than the network: its outputs differ by {worst:.1e} of the largest, "
            f"and {tolerance:.0e} is allowed."
        )
    return worst
