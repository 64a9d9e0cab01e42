"""Times implementations of one job against each other: each in a process of its own, in turn, several times.

These machines are shared and their speed wanders, so what counts is the ratio of two readings taken one after the
other, and of these the median.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP_STEPS = 10


@dataclass(frozen=True)
class Implementation:
    """One way to do the job.

    Args:
        name: Its name in the records; variants of a library start with the library's name.
        command: Arguments of the Python interpreter that run it once and print a line of JSON.
        python: The interpreter.
    """

    name: str
    command: Sequence[str]
    python: str = sys.executable


def compare(
    cases: dict[str, Sequence[Implementation]], *, rounds: int, flops: dict[str, float], peak: float, batch: int
) -> dict[str, Any]:
    """Runs every implementation of every case `rounds` times, in turn.

    A variant of a library that takes over three times as long as its best one is run once; what a library does by
    default, named without a comma, always.

    Args:
        cases: Name to implementations; the first is ours.
        rounds: How often.
        flops: Floating-point operations of a step, by case.
        peak: Floating-point operations a second that this machine reaches in its best number format.
        batch: Items in a step.

    Returns:
        `records` and `ratios`. A ratio above 1 says that ours is faster; it is the median over the pairs. There is
        one to each implementation, as "vs_torch" one to PyTorch's variant with the best median, and as "vs_keras, best"
        one to that of plain Keras, where it has several. What was run once has one pair.
    """
    records, ratios = [], {}
    for case, implementations in cases.items():
        seconds: dict[str, list[float]] = {}
        details: dict[str, dict] = {}
        for number in range(rounds):
            for implementation in implementations:
                if _is_beaten(implementation.name, seconds):
                    continue
                reading = run(implementation)
                seconds.setdefault(implementation.name, []).append(reading["seconds_per_step"])
                details[implementation.name] = reading
                items = batch / reading["seconds_per_step"]
                print(f"{case}  round {number + 1}  {implementation.name:<24}{items:8.0f} items/s", flush=True)
        for name, values in seconds.items():
            step = float(np.median(values))
            records.append(
                {
                    "case": case,
                    "implementation": name,
                    "precision": details[name]["precision"],
                    "seconds_per_step": step,
                    "seconds_per_step_all": values,
                    "items_per_second": batch / step,
                    "share_of_peak": flops[case] / step / peak,
                    "peak_memory_mib": details[name]["peak_memory_mib"],
                }
            )
        ours, *others = seconds
        compared = {name: name for name in others}
        torch = [name for name in others if _library(name) == "torch"]
        if torch:
            compared["torch"] = min(torch, key=lambda name: np.median(seconds[name]))
        keras = [name for name in others if _library(name) == "keras"]
        if len(keras) > 1:
            compared["keras, best"] = min(keras, key=lambda name: np.median(seconds[name]))
        ratios[case] = {}
        for label, name in compared.items():
            pairs = np.array([other / our for other, our in zip(seconds[name], seconds[ours], strict=False)])
            ratios[case][f"vs_{label}"] = float(np.median(pairs))
            ratios[case][f"vs_{label}_pairs"] = [round(float(pair), 3) for pair in pairs]
    return {"records": records, "ratios": ratios, "peak_flops": peak}


def _is_beaten(name: str, seconds: dict[str, list[float]]) -> bool:
    """Tells whether the readings so far leave a variant of a library no chance against another one of it."""
    of_library = [values[0] for other, values in seconds.items() if _library(other) == _library(name)]
    return name != _library(name) and name in seconds and seconds[name][0] > 3 * min(of_library)


def _library(name: str) -> str:
    """Returns what stands before the first comma of a name."""
    return name.partition(",")[0]


def run(implementation: Implementation) -> dict[str, Any]:
    """Runs one implementation once and returns what it measured."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [implementation.python, *implementation.command]
    # From here, and by `-m`, or a benchmark would stand in the way of Python's own module `profile`.
    here = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=here, check=False)
    if done.returncode:
        sys.exit(f"{implementation.name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(times: Sequence[float], *, precision: str, warm_up: int = WARM_UP_STEPS) -> None:
    """Prints what a process measured, for `run`; `times` are the moments at which steps ended."""
    steps = np.diff(times[warm_up:])
    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    reading = {"seconds_per_step": float(np.median(steps)), "precision": precision, "peak_memory_mib": peak_memory}
    print(json.dumps(reading))


def has_torch(python: str) -> bool:
    """Tells whether an interpreter can import torch."""
    return subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0


def measure_peak(work: Callable[[], Any], flops: float, *, repeats: int = 10) -> float:
    """Returns the most floating-point operations a second that `work` reached."""
    work()
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = max(best, flops / (time.perf_counter() - start))
    return best


def write(path: Path, result: dict[str, Any]) -> None:
    """Writes the result and prints the ratios."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    for case, ratios in result["ratios"].items():
        shown = "; ".join(f"{value:.2f} {name}" for name, value in ratios.items() if not name.endswith("_pairs"))
        print(f"{case}: {shown}")
    print(path)
