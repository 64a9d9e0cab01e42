"""How an ensemble is deployed: it is one network, with the program for what its members take."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.points import PointCodec
from kerasapps.data.rows import RowCodec
from kerasapps.data.splits import Split
from kerasapps.data.text_classes import TextClassCodec
from kerasapps.errors import UserError
from kerasapps.exporting import pictures
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import SAMPLES, TESTED, WORDS, Deployable, Part, needs_for, prepared_rows, spread
from ..shared.images import plain_png, stored_images
from ..shared.runs import SavedRun, load_run, load_splits, readable_splits
from .network import Source, load

TRY = "not half as dull as its title"


def deployable(saved: SavedRun) -> Deployable:
    """Returns an ensemble of images, rows or texts, or a network that was distilled from one, with its test set.

    Raises:
        UserError: If its members take something else.
    """
    codec = saved.codec
    if not isinstance(codec, ImageCodec | RowCodec | TextClassCodec) or isinstance(codec, PointCodec):
        raise UserError(f"{saved.folder} combines runs that have no program to predict with: export one of them.")
    train, test = learned_from(saved)
    output = next(iter(saved.model.output))
    truth = np.asarray(test.targets[output])
    part = Part(
        model=saved.model,
        rows=prepared_rows(test),
        samples=prepared_rows(train, SAMPLES),
        label="label" if output == "label" else None,
        longest=codec.words.length if isinstance(codec, TextClassCodec) else None,
        tested=lambda: (prepared_rows(test, TESTED), truth[spread(len(truth), TESTED)]),
    )
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        codec=codec.to_json(),
        limits=("It is as large as all its members, also those of little weight: `distill` makes one small network.",),
        **program_for(codec, test),
    )


def learned_from(saved: SavedRun) -> tuple[Split, Split]:
    """Returns what an ensemble learned from, and its test set."""
    if "runs" in saved.settings:
        members = [load_run(folder) for folder in saved.settings.of("runs", tuple[Path, ...])]
        splits = readable_splits(members, load_splits(members[0]))
        return splits.train, splits.test
    if "student" in saved.settings:
        saved = load_run(saved.settings.of("run", Path))
    data = load(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings))
    return data.train, data.test


def program_for(codec: Any, test: Split) -> Mapping[str, Any]:
    """Returns an example for the program, with the modules, packages and files that it needs."""
    if isinstance(codec, ImageCodec):
        image = stored_images(test, np.arange(1))[0]
        arguments = ("--files", "example.png")
        return {"arguments": arguments, "files": {arguments[1]: plain_png(image)}} | {
            "modules": (pictures,),
            "needs": ("pillow",),
        }
    if isinstance(codec, TextClassCodec):
        return {"arguments": ("--text", TRY), "modules": WORDS, "needs": needs_for(codec.words.tokens)}
    numbers = [f"{name}={mean:.0f}" for name, (mean, _) in codec.numbers.items()]
    return {"arguments": ("--row", *numbers, *(f"{name}={known[0]}" for name, known in codec.categories.items()))}
