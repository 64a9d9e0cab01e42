"""The deployable folder: networks, codec, program, example, and a card that says what it is."""

import ast
import math
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np

from kerasapps.errors import UserError
from kerasapps.exporting import runtime
from kerasapps.exporting.checking import run_apart
from kerasapps.exporting.converting import FILES, ExportError, Format, Precision, require
from kerasapps.exporting.exporter import Exported, check_form, export
from kerasapps.exporting.inspecting import signature_tensors
from kerasapps.exporting.preparing import inference_form, predictions
from kerasapps.files import printable, user_path, write_json
from kerasapps.formats import format_share

from ..shared.deploying import Deployable, Part, Rows
from ..shared.runs import SavedRun
from .card import card_of

C_PROGRAM = Path(__file__).with_name("classify.c")
POINT = 0.01  # of accuracy, which 8 bits may cost
BATCH = 64
RUNTIMES: dict[Format, str] = {
    "onnx": "onnxruntime",
    "litert": "ai-edge-litert",
    "openvino": "openvino",
    "saved_model": "tensorflow",
}


def write_folder(
    saved: SavedRun,
    deployed: Deployable,
    out: Path,
    *,
    format: Format,
    precision: Precision = "float32",
    length: int | None = None,
) -> None:
    """Writes and proves a folder, and prints what was compared; what fails leaves nothing.

    Raises:
        UserError: If the folder exists, a library is missing or the comparison fails.
    """
    out = user_path(out)
    check_options(out, format, precision, length)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        folder = Path(temporary) / out.name
        folder.mkdir()
        notes: list[str] = []
        if length and not any(part.longest for part in deployed.parts.values()):
            raise UserError("--length is about networks that read a text, and this one reads none of any length.")
        for name, part in deployed.parts.items():
            notes += _write_part(name, part, folder, format=format, precision=precision, length=length)
        _write_program(deployed, folder)
        if format == "saved_model":
            write_c_program(deployed, folder)
        write_json(folder / "codec.json", deployed.codec)
        packages = [RUNTIMES[format], "numpy"]
        pinned = [f"{name}>={version(name)}" for name in packages] + list(deployed.needs)
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in pinned))
        expected = _example(deployed, folder)
        (folder / "expected.txt").write_text(expected, encoding="utf-8")
        card = card_of(saved, deployed, folder, format=format, precision=precision, notes=notes, expected=expected)
        (folder / "card.md").write_text(card, encoding="utf-8")
        shutil.move(folder, out)
    for note in notes:
        print(note)
    print(f"{printable(out)}: python {printable(out / 'predict.py')} {shlex.join(deployed.arguments)}")


def check_options(out: Path, format: Format, precision: Precision, length: int | None) -> None:
    """Refuses, before anything is loaded, what cannot be written.

    Raises:
        UserError: If the folder exists or a library is missing.
        ValueError: If an option is for another format.
    """
    check_form(format, precision, length)
    if user_path(out).exists():
        raise UserError(f"--out {printable(user_path(out))} exists: choose another folder, or remove it.")
    require(format)


def _write_part(
    name: str, part: Part, folder: Path, *, format: Format, precision: Precision, length: int | None
) -> list[str]:
    """Exports one network with its example; returns what was compared, a sentence each."""
    length = length if part.longest else None  # a network that writes takes a token at a time
    file = FILES[format].replace("model", name)
    given = _lengthened(part) if format == "litert" and not length else part.rows
    counts = precision in ("dynamic", "int8") and part.label is not None  # then it is accuracy that matters
    done = export(
        part.model,
        folder / file,
        format=format,
        examples=given,
        precision=precision,
        length=length,
        samples=part.samples,
        tolerance=math.inf if counts else None,
    )
    rows = len(next(iter(given.values())))
    size = sum(one.stat().st_size for one in folder.glob(f"{name}*/**/*" if done.path.is_dir() else f"{name}.*"))
    notes = [
        f"{file}: {size / 1e6:,.2f} MB; on {rows} rows in its own runtime the largest difference from Keras is "
        f"{done.difference:.1e} of the largest output.",
        *done.notes,
    ]
    example = {key: value[:1] for key, value in _as_taken(part, part.rows, length).items()}
    outputs = run_apart(done.path, example)
    named = {f"input.{key}": value for key, value in example.items()} | {
        f"output.{key}": value for key, value in outputs.items()
    }
    np.savez(folder / ("example.npz" if name == "model" else f"example-{name}.npz"), **named)
    if counts:
        notes.append(_accuracy(part, done, length))
    return notes


def _lengthened(part: Part) -> dict[str, np.ndarray]:
    """Returns the rows with texts as long as they may be: where LiteRT fixes a length, it is that one."""
    padded = dict(part.rows)
    for tensor in part.model.inputs:
        rows = padded[tensor.name]
        if len(tensor.shape) in (2, 3) and tensor.shape[1] is None:
            missing = max(0, (part.longest or 0) - rows.shape[1])
            padded[tensor.name] = np.pad(rows, [(0, missing * (axis == 1)) for axis in range(rows.ndim)])
    return padded


def _as_taken(part: Part, rows: Rows, length: int | None) -> dict[str, np.ndarray]:
    """Returns rows in the dtypes of the network, with texts of so many tokens at most."""
    taken = {}
    for tensor in part.model.inputs:
        values = rows[tensor.name]
        if len(tensor.shape) > 1 and tensor.shape[1] is None:
            values = values[:, :length]
        taken[tensor.name] = values.astype(tensor.dtype)
    return taken


def _accuracy(part: Part, done: Exported, length: int | None) -> str:
    """Returns what 8 bits cost on the test set, or as many rows of it as resolve a point.

    Raises:
        ExportError: If it is more than a point.
    """
    inputs, truth = part.tested()
    inputs = _as_taken(part, inputs, length)
    network, label = inference_form(part.model), part.label
    batches = ({name: rows[i : i + BATCH] for name, rows in inputs.items()} for i in range(0, len(truth), BATCH))
    before = np.concatenate([predictions(network, batch)[label] for batch in batches])
    before, after = (
        float(np.mean(outputs.argmax(-1) == truth)) for outputs in (before, run_apart(done.path, inputs)[label])
    )
    sentence = (
        f"Accuracy on {len(truth):,} rows of the test set: {format_share(before)} in float32, {format_share(after)} "
        "with 8 bits."
    )
    if before - after > POINT:
        raise ExportError(f"{done.path.name} loses more than a point. {sentence} Try --precision dynamic or float16.")
    return sentence


# --- the program


def _write_program(deployed: Deployable, folder: Path) -> None:
    """Copies the program and the modules that it imports, which then import each other by their own names."""
    shutil.copy(deployed.script, folder / "predict.py")
    shutil.copy(runtime.__file__, folder / "runtime.py")
    for module in deployed.modules:
        (folder / f"{module.__name__.rpartition('.')[2]}.py").write_text(standing_alone(module), encoding="utf-8")
    for name, content in deployed.files.items():
        (folder / name).write_bytes(content)


def write_c_program(deployed: Deployable, folder: Path) -> None:
    """Adds a program in C, with names of tensors and an image, where the network is a classifier of images."""
    part = deployed.parts.get("model")
    if part is None or part.label is None or [tensor.name for tensor in part.model.inputs] != ["image"]:
        return
    inputs, outputs = signature_tensors(folder / FILES["saved_model"])
    image = np.asarray(part.rows["image"][:1], np.float32)
    classes = list(deployed.codec["class_names"])
    lines = [
        f"{name.partition(':')[0]} {name.partition(':')[2]} {len(sides)} {' '.join(map(str, sides))}"
        for name, sides in ((inputs["image"], image.shape), (outputs[part.label], (1, len(classes))))
    ]
    shutil.copy(C_PROGRAM, folder / C_PROGRAM.name)
    (folder / "tensors.txt").write_text("".join(f"{line}\n" for line in [*lines, *classes]), encoding="utf-8")
    (folder / "example.raw").write_bytes(image.tobytes())


def standing_alone(module: ModuleType) -> str:
    """Returns the source of a module whose imports of this package are those of files next to it."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kerasapps."):
            source = source.replace(f"from {node.module} import", f"from {node.module.rpartition('.')[2]} import")
    return source


def _example(deployed: Deployable, folder: Path) -> str:
    """Runs the program as a user would, where nothing of the project can be imported; returns what it prints.

    Raises:
        ExportError: If it fails.
    """
    hidden = "import sys; sys.modules.update(dict.fromkeys(('kerasapps', 'experiments', 'keras')))"
    run = "import runpy; sys.path.insert(0, '.'); sys.argv.pop(0); runpy.run_path('predict.py', run_name='__main__')"
    command = [sys.executable, "-P", "-c", f"{hidden}; {run}", "predict.py", *deployed.arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"predict.py fails: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return done.stdout
