"""How an image classifier is deployed."""

from pathlib import Path

import numpy as np

from kerasapps.exporting import pictures

from ..shared.deploying import SAMPLES, TESTED, Deployable, Part, prepared_rows, spread
from ..shared.images import plain_png, stored_images
from ..shared.runs import SavedRun, load_splits


def deployable(saved: SavedRun) -> Deployable:
    """Returns the classifier, trained from scratch or fine-tuned, with rows of its test set."""
    codec, splits = saved.codec, load_splits(saved)
    labels = np.asarray(splits.test.targets["label"])
    part = Part(
        model=saved.model,
        rows=prepared_rows(splits.test),
        samples=prepared_rows(splits.train, SAMPLES),
        label="label",
        tested=lambda: (prepared_rows(splits.test, TESTED), labels[spread(len(labels), TESTED)]),
    )
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=(pictures,),
        codec=codec.to_json(),
        arguments=("example.png",),
        files={"example.png": plain_png(stored_images(splits.test, np.arange(1))[0])},
        needs=("pillow",),
        limits=(
            f"Images are cropped to their center and scaled to {codec.image_shape[0]} pixels.",
            f"Every image is one of {len(codec.class_names)} classes to it, also one that is none of them.",
        ),
    )
