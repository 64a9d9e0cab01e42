"""How a text classifier is deployed."""

from pathlib import Path

import numpy as np

from ..shared.deploying import SAMPLES, TESTED, WORDS, Deployable, Part, needs_for, some_rows, spread
from ..shared.runs import SavedRun, load_splits

TRY = "not half as dull as its title"


def deployable(saved: SavedRun) -> Deployable:
    """Returns the classifier with rows of its test set."""
    splits = load_splits(saved)
    labels = np.asarray(splits.test.targets["label"])
    part = Part(
        model=saved.model,
        rows=some_rows(splits.test.inputs),
        samples=some_rows(splits.train.inputs, SAMPLES),
        label="label",
        tested=lambda: (some_rows(splits.test.inputs, TESTED), labels[spread(len(labels), TESTED)]),
        longest=saved.codec.words.length,
    )
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=WORDS,
        codec=saved.codec.to_json(),
        arguments=("--text", TRY),
        needs=needs_for(saved.codec.words.tokens),
        limits=(f"Texts are cut to {saved.codec.words.length} tokens; a word that is not in codec.json is unknown.",),
    )
