"""Ratios of benchmarks against readings by hand."""

import pytest

from benchmarks import harness
from benchmarks.harness import Implementation


def test_a_ratio_to_each_implementation_and_to_the_best_of_torch_and_of_keras(monkeypatch):
    readings = {
        "ours": [1.0, 2.0, 1.0],
        "keras": [4.0, 4.0, 8.0],
        "keras, bfloat16": [1.0, 1.0, 1.5],
        "torch, float32": [6.5, 8.0, 9.0],
        "torch, bfloat16": [2.0, 3.0, 0.5],
    }
    left = {name: iter(seconds) for name, seconds in readings.items()}

    def run(implementation):
        return {"seconds_per_step": next(left[implementation.name]), "precision": "float32", "peak_memory_mib": 1}

    monkeypatch.setattr(harness, "run", run)
    cases = {"toy": [Implementation(name, []) for name in readings]}
    ratios = harness.compare(cases, rounds=3, flops={"toy": 1.0}, peak=1.0, batch=1)["ratios"]["toy"]
    medians = {name: value for name, value in ratios.items() if not name.endswith("_pairs")}
    assert medians == pytest.approx(
        {
            "vs_keras": 4.0,
            "vs_keras, bfloat16": 1.0,
            "vs_torch, float32": 6.5,
            "vs_torch, bfloat16": 1.5,
            "vs_torch": 1.5,
            "vs_keras, best": 1.0,
        }
    )
    assert ratios["vs_keras_pairs"] == [4.0, 2.0, 8.0]  # the default, always
    assert ratios["vs_torch, float32_pairs"] == [6.5]  # over three times the best of its library: not run again
