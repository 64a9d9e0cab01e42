"""The proof of an export: its file is run by its own runtime in a separate process, and the outputs are compared."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerasapps.exporting.converting import ExportError

RUNTIME = Path(__file__).with_name("runtime.py")
# In the separate process these cannot be imported; a SavedModel needs TensorFlow itself.
HIDDEN = ("kerasapps", "experiments", "keras", "tensorflow")
RUN = """if True:
    import runpy, sys
    hidden, *sys.argv = sys.argv[1:]
    sys.modules.update(dict.fromkeys(hidden.split(",")))
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
SECONDS = 600


def run_apart(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns what a file computes, in a process that cannot import this package, Keras or TensorFlow.

    Raises:
        ExportError: If it does not run there.
    """
    hidden = HIDDEN[:-1] if path.is_dir() else HIDDEN
    with tempfile.TemporaryDirectory() as folder:
        given, done = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(given, **inputs)
        command = [sys.executable, "-P", "-c", RUN, ",".join(hidden), str(RUNTIME), str(path), str(given), str(done)]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise ExportError(f"{path.name} does not answer within {SECONDS} seconds.") from None
        if ended.returncode or not done.exists():
            lines = [line for line in ended.stderr.strip().splitlines() if line.strip()]
            why = lines[-1].strip() if lines else f"exit status {ended.returncode}"
            raise ExportError(f"{path.name} does not run in its runtime: {why}")
        with np.load(done) as file:
            return dict(file)


def difference(path: Path, inputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Returns how far the outputs of a file are from those expected, relative to the largest number of each.

    Raises:
        ExportError: If it does not run, or lacks an output, or one has another shape or is not finite.
    """
    return apart(path.name, run_apart(path, inputs), expected)


def apart(what: str, outputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Returns how far outputs are from those expected, relative to the largest number of each.

    Raises:
        ExportError: If one is missing, or has another shape or is not finite; it begins with `what`.
    """
    if outputs.keys() != expected.keys():
        raise ExportError(f"{what} has the outputs {', '.join(outputs)} and not {', '.join(expected)}.")
    worst = 0.0
    for name, value in expected.items():
        if outputs[name].shape != value.shape:
            raise ExportError(f"{what} returns {name} {outputs[name].shape} where Keras returns {value.shape}.")
        there = np.isfinite(value)
        if not np.array_equal(outputs[name][~there], value[~there], equal_nan=True):
            raise ExportError(f"{what} returns numbers in {name} where Keras has none.")
        if not np.isfinite(outputs[name][there]).all():
            raise ExportError(f"{what} returns NaN or infinity in {name} where Keras does not.")
        far = np.abs(outputs[name][there].astype(np.float64) - value[there])
        worst = max(worst, float(far.max(initial=0) / max(np.abs(value[there]).max(initial=0), 1e-30)))
    return worst
