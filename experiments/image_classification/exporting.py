"""How an image classifier is deployed."""

from pathlib import Path

import numpy as np

from kerasapps.exporting import pictures
from kerasapps.runs import Options
from kerasapps.settings import convert, from_settings

from ..shared.deploying import SAMPLES, TESTED, Deployable, Part, prepared_rows, spread
from ..shared.image_classifier import load_as_trained
from ..shared.images import plain_png
from ..shared.runs import SavedRun


def deployable(saved: SavedRun) -> Deployable:
    """Returns the classifier, trained from scratch or fine-tuned, with rows of its test set."""
    codec, options = saved.codec, from_settings(Options, saved.settings)
    splits = load_as_trained(saved, convert("data", str, saved.settings["data"]), options=options, same=True)
    labels = np.asarray(splits.test.targets["label"])
    part = Part(
        model=saved.model,
        rows=prepared_rows(splits.test),
        samples=prepared_rows(splits.train, SAMPLES),
        label="label",
        tested=lambda: (prepared_rows(splits.test, TESTED), labels[spread(len(labels), TESTED)]),
    )
    stored = np.asarray(splits.test.inputs["image"][0])
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=(pictures,),
        codec=codec.to_json(),
        arguments=("example.png",),
        files={"example.png": plain_png(stored.astype(np.uint8))},
        needs=("pillow",),
        limits=(
            f"Images are cropped to their center and scaled to {codec.image_shape[0]} pixels.",
            f"Every image is one of {len(codec.class_names)} classes to it, also one that is none of them.",
        ),
    )
