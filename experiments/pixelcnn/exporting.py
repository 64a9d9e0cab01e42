"""How a PixelCNN is deployed: as a program that draws images pixel by pixel."""

from pathlib import Path

from kerasapps.exporting import sheets

from ..shared.deploying import SAMPLES, Deployable, Part, prepared_rows
from ..shared.runs import SavedRun
from .network import saved_splits


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network with rows of its test set."""
    splits = saved_splits(saved)
    part = Part(model=saved.model, rows=prepared_rows(splits.test), samples=prepared_rows(splits.train, SAMPLES))
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=(sheets,),
        codec=saved.codec.to_json(),
        arguments=("--n", "4", "--out", "samples.png"),
        limits=("The network runs once for each value of a pixel, on all images together.",),
    )
