"""How a perceptron is deployed."""

from pathlib import Path

from ..shared.deploying import SAMPLES, Deployable, Part, some_rows
from ..shared.runs import SavedRun
from .network import splits_of


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network with rows of its test set."""
    splits, numbers = splits_of(saved), saved.codec.numbers
    part = Part(
        model=saved.model,
        rows=some_rows(splits.test.inputs),
        samples=some_rows(splits.train.inputs, SAMPLES),
    )
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        codec=saved.codec.to_json(),
        arguments=("--numbers", *(f"{mean:.3f}" for mean, _ in numbers.values())),
        limits=(f"It takes one point at a time, in this order: {', '.join(numbers)}.",),
    )
