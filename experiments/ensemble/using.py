"""From what a person has to the inputs of an ensemble."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.rows import RowCodec
from kerasapps.data.text_classes import TextClassCodec
from kerasapps.errors import UserError
from kerasapps.files import printable

from ..shared.runs import SavedRun, load_run
from .learning import EXPERIMENT


def load_learned(run: Path, instead: str) -> SavedRun:
    """Loads an ensemble of `train`.

    Raises:
        UserError: If it combines runs or is a distilled network; it ends with what to do instead.
    """
    saved = load_run(run, EXPERIMENT)
    if "runs" in saved.settings:
        raise UserError(f"{run} combines runs of another experiment: {instead}.")
    if "student" in saved.settings:
        raise UserError(f"{run} is a distilled network, not an ensemble: {instead}.")
    return saved


def inputs_of(
    codec: Any, *, files: Sequence[Path], row: Sequence[str], text: Sequence[str]
) -> tuple[Mapping[str, np.ndarray], list[str]]:
    """Returns the inputs for what was given, and a name for each row of them.

    Raises:
        UserError: If nothing was given, or not what the ensemble takes.
    """
    if isinstance(codec, ImageCodec):
        wanted, given = "--files", files
    elif isinstance(codec, RowCodec):
        wanted, given = "--row", row
    elif not isinstance(codec, TextClassCodec):
        raise UserError("predict takes ensembles of images, rows or texts with classes: use load_model for this one.")
    else:
        wanted, given = "--text", text
    others = {"--files": files, "--row": row, "--text": text}
    del others[wanted]
    odd = [name for name, values in others.items() if values]
    if odd or not given:
        raise UserError(f"This ensemble predicts from {wanted}{f', not from {odd[0]}' if odd else ': give some'}.")
    if isinstance(codec, ImageCodec):
        return codec.encode(files), [printable(file) for file in files]
    if isinstance(codec, RowCodec):
        return codec.encode(columns_of(codec, row)), ["the row"]
    return codec.encode(*text), [one if len(one) <= 40 else f"{one[:40]}…" for one in text]


def columns_of(codec: RowCodec, row: Sequence[str]) -> dict[str, list]:
    """Returns one row as columns, from NAME=VALUE.

    Raises:
        UserError: If there is no such column, or a value is no number where one is needed.
    """
    columns: dict[str, list] = {}
    for pair in row:
        name, equals, value = pair.partition("=")
        if not equals or name not in codec.numbers | codec.categories:
            known = [*codec.numbers, *codec.categories]
            more = f" and {len(known) - 10} more" if len(known) > 10 else ""
            raise UserError(f"--row {pair}: give NAME=VALUE with a name of {', '.join(known[:10])}{more}.")
        if name in codec.categories and value not in codec.categories[name]:
            print(f"No training row has the {name} {value}: it counts as unknown.")
        try:
            columns[name] = [float(value) if name in codec.numbers else value]
        except ValueError:
            raise UserError(f"--row {pair}: {value!r} is not a number.") from None
    return columns
