"""How a captioner is deployed: one file reads an image, the other writes its caption a token at a time."""

from pathlib import Path

import numpy as np

from kerasapps import errors
from kerasapps.applications.captioner import encoder_of, step_of
from kerasapps.data import subwords
from kerasapps.exporting import pictures
from kerasapps.exporting.preparing import inference_form

from ..shared.deploying import WORDS, Deployable, needs_for, spread, writing_parts
from ..shared.images import plain_png
from ..shared.runs import SavedRun
from .network import load_as_trained


def deployable(saved: SavedRun) -> Deployable:
    """Returns both graphs on the weights of the network, with images of its test set."""
    codec, images = saved.codec, load_as_trained(saved).test.inputs["image"]
    images = images[spread(len(images))]
    model = inference_form(saved.model)
    return Deployable(
        parts=writing_parts(encoder_of(model), step_of(model), {"image": images.astype(np.float32)}),
        script=Path(__file__).with_name("deployed.py"),
        modules=(*WORDS, subwords, pictures, errors),
        codec=codec.to_json(),
        arguments=("example.png",),
        files={"example.png": plain_png(images[0])},
        needs=("pillow", *needs_for(codec.pieces)),
        limits=(
            "predict.py always takes the likeliest token, as `caption --beam 1` does; a beam writes better.",
            "It knows the things and the words of its training set, and names one of them for whatever it sees.",
        ),
    )
