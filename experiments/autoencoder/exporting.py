"""How an autoencoder is deployed: as a program that tells unusual images by their reconstruction errors."""

from pathlib import Path

from kerasapps.errors import UserError
from kerasapps.exporting import pictures

from ..shared.deploying import SAMPLES, Deployable, Part, prepared_rows
from ..shared.images import plain_png
from ..shared.runs import SavedRun
from .network import encoded_splits


def deployable(saved: SavedRun) -> Deployable:
    """Returns the whole network, encoder and decoder, with rows of its test set."""
    if saved.settings.get("binary"):
        raise UserError(f"{saved.folder} was trained with --binary: images would have to be drawn, by chance.")
    splits = encoded_splits(saved)
    part = Part(model=saved.model, rows=prepared_rows(splits.test), samples=prepared_rows(splits.train, SAMPLES))
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=(pictures,),
        codec=saved.codec.to_json() | {"unusual_error": saved.metric("unusual_error")},
        arguments=("example.png",),
        files={"example.png": plain_png(splits.example)},
        needs=("pillow",),
        limits=("An image is called unusual if its error is above that of 95 % of the test images.",),
    )
