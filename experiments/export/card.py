"""The card of a deployable folder: what it is, what it was trained on, how good it is, and what it cannot do."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from kerasapps.exporting.converting import Format, Precision
from kerasapps.formats import format_metric, label_of
from kerasapps.records import Record, read_runs
from kerasapps.runs import read_config

from ..shared.deploying import Deployable
from ..shared.runs import SavedRun

RUNS_WITH = {
    "onnx": "ONNX Runtime",
    "litert": "LiteRT (TensorFlow Lite)",
    "openvino": "OpenVINO",
    "saved_model": "TensorFlow",
}


def card_of(
    saved: SavedRun,
    deployed: Deployable,
    folder: Path,
    *,
    format: Format,
    precision: Precision,
    notes: Sequence[str],
    expected: str,
) -> str:
    """Returns the card, as Markdown."""
    config, record = read_config(saved.folder), record_of(saved.folder)
    command = f"python predict.py {shlex.join(deployed.arguments)}"
    parts = [
        f"# {config.get('title', saved.experiment)}: {saved.model.name}",
        f"{saved.model.count_params():,} parameters, {precision}, for {RUNS_WITH[format]}.",
        "## Use it",
        f"```\npip install -r requirements.txt\n{command}\n```",
        f"It prints (`expected.txt`):\n\n```\n{expected.rstrip()}\n```",
        "`python runtime.py` compares the outputs for the example with those that they had when this was made.",
        "## Inputs and outputs",
        _tensors(deployed),
        "## Trained on",
        _trained_on(saved, config),
        "## Metrics",
        _metrics(record),
        "## Proof",
        "\n".join(f"* {note}" for note in notes),
        "## Limits",
        "\n".join(f"* {limit}" for limit in deployed.limits),
    ]
    return "\n\n".join(parts) + "\n"


def record_of(folder: Path) -> Record | None:
    """Returns what is known of a run, not of others that its folder may hold, such as trials."""
    return next((one for one in read_runs(folder) if one.folder == folder), None)


def _tensors(deployed: Deployable) -> str:
    """Lists the tensors of each network with dtype and shape."""
    lines = ["| network | tensor | dtype | shape |", "|---|---|---|---|"]
    for name, part in deployed.parts.items():
        outputs = part.model.output if isinstance(part.model.output, dict) else {"output": part.model.outputs[0]}
        tensors = [("in", one.name, one) for one in part.model.inputs]
        tensors += [("out", key, outputs[key]) for key in outputs]
        for way, key, tensor in tensors:
            shape = ", ".join("any" if side is None else str(side) for side in tensor.shape)
            lines.append(f"| {name} | {way}: {key} | {'float32' if way == 'out' else tensor.dtype} | ({shape}) |")
    return "\n".join(lines)


def _trained_on(saved: SavedRun, config: dict) -> str:
    """Says by which command, on which data and when it was trained."""
    settings = saved.settings
    source = settings.get("source") if isinstance(settings.get("source"), dict) else settings
    named = (settings.get("edges"), source.get("data"), settings.get("data"), settings.get("runs"), settings.get("run"))
    data = next((one for one in named if one), "its own simulator")
    data = ", ".join(map(str, data)) if isinstance(data, list | tuple) else data
    return (
        f"Data: {data}. Started {config.get('started', 'at an unknown time')}.\n\n```\n{config.get('command', '')}\n```"
    )


def _metrics(record) -> str:
    """Lists the metrics of the run on its own test set."""
    if record is None or not record.metrics:
        return "None were written."
    shown = record.headline or record.metrics
    lines = [f"| {label_of(name)} | {format_metric(name, value)} |" for name, value in shown.items()]
    return "\n".join(["Of the run, on the test set of these data:", "", "| metric | value |", "|---|---|", *lines])
