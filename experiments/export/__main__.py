"""Export: a trained network as files for another runtime, compared there, with a program that predicts.

python -m experiments.export --run runs/NAME --format onnx --out deployed/
python -m experiments.export --run runs/NAME --format litert --precision int8 --out deployed/
python -m experiments.export inspect deployed/model.onnx
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from kerasapps.errors import UserError, no_room
from kerasapps.exporting.converting import Format, Precision
from kerasapps.exporting.inspecting import inspected
from kerasapps.reports import Table
from kerasapps.settings import Count, or_none

from ..shared.cli import main, print_table
from ..shared.deploying import deployable
from ..shared.runs import load_run
from .folder import check_options, write_folder


def export(
    *,
    run: Path,
    format: Format,
    out: Path,
    precision: Precision = "float32",
    length: or_none(Count) = None,
) -> None:
    """Writes a folder that predicts without TensorFlow, after its outputs were compared with those of Keras.

    Args:
        run: A run folder.
        format: "onnx", "litert" (TensorFlow Lite), "openvino" or "saved_model" (which needs TensorFlow).
        out: The folder to write; it must not exist.
        precision: Of LiteRT: "float32", "float16" (weights), "dynamic" (8-bit weights) or "int8" (all of it).
        length: Tokens of a text, fixed in LiteRT; by default any where that is possible.
    """
    check_options(out, format, precision, length)
    saved = load_run(run)
    try:
        write_folder(saved, deployable(saved), out, format=format, precision=precision, length=length)
    except OSError as error:
        full = no_room(error)
        if full is None:
            raise
        raise UserError(f"{full[0]}: {full[1]}. There is no folder.") from error


def inspect(file: Path, /) -> None:
    """Lists what is in a model file without running it, and names operations that can touch files or run code.

    Args:
        file: An ONNX, LiteRT or .keras file, or the folder of a SavedModel.
    """
    found = inspected(file)
    print(f"{found.kind}, {found.size / 1e6:,.2f} MB")
    tensors = [["in", *pair] for pair in found.inputs.items()] + [["out", *pair] for pair in found.outputs.items()]
    print_table(Table("", ["", "tensor", "dtype and shape"], tensors))
    counted = sorted(found.operations.items(), key=lambda one: (-one[1], one[0]))
    print_table(Table("", ["operation", "count"], [list(one) for one in counted]))
    if found.is_data:
        print("It computes, and can do nothing else.")
    for name, what in sorted(found.reaching.items()):
        print(f"It can {what}: {name}.")
    if found.unknown:
        print(f"Unknown, and may do anything: {', '.join(found.unknown)}.")


COMMANDS = (export, inspect)


def named(given: Sequence[str]) -> list[str]:
    """Returns arguments that begin with a command: `export` where none is named."""
    return [*given] if given and given[0] in ("export", "inspect", "--help", "-h") else ["export", *given]


if __name__ == "__main__":
    main("experiments.export", *COMMANDS, args=named(sys.argv[1:]))
