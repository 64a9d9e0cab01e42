"""How the averaged generator of a GAN is deployed."""

from pathlib import Path

import numpy as np

from kerasapps.errors import UserError
from kerasapps.exporting import sheets
from kerasapps.gan.model import GAN

from ..shared.deploying import ROWS, Deployable, Part
from ..shared.runs import SavedRun
from .sampling import noise_of


def deployable(saved: SavedRun) -> Deployable:
    """Returns the generator with noise; the discriminator stays behind."""
    model = saved.model
    if not isinstance(model, GAN):
        raise UserError(f"{saved.folder} holds no generator: --run takes the folder that `train` wrote.")
    rows = {"noise": noise_of(model, ROWS, seed=0)}
    if model.conditional:
        rows["label"] = (np.arange(ROWS) % len(saved.codec.class_names)).astype(np.int32)
    return Deployable(
        parts={"model": Part(model=model.averaged, rows=rows)},
        script=Path(__file__).with_name("deployed.py"),
        modules=(sheets,),
        codec=saved.codec.to_json() | {"noise_dim": rows["noise"].shape[1]},
        arguments=("--n", "16", "--out", "samples.png"),
        limits=("What it draws is no photo of anything; it may draw images that are close to those of its training.",),
    )
