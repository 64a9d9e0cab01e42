"""How a text classifier is deployed."""

from pathlib import Path

import numpy as np

from kerasapps.data import pieces, segments, words
from kerasapps.data.segments import Segmenter
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import ROWS, SAMPLES, TESTED, Deployable, Part, some_rows, spread
from ..shared.runs import SavedRun
from .network import Arch, Source, load

TRY = "not half as dull as its title"


def deployable(saved: SavedRun) -> Deployable:
    """Returns the classifier with rows of its test set."""
    options = from_settings(Options, saved.settings)
    splits = load(from_settings(Source, saved.settings), saved.settings.of("arch", Arch), options=options)
    texts, labels = splits.texts["test"], splits.labels["test"]

    def some(count):
        """With the words and classes of the run: those of the data may have changed since."""
        rows = spread(len(texts), count)
        return saved.codec.split([texts[i] for i in rows], np.asarray(labels)[rows])

    def tested():
        split = some(TESTED)
        return split.inputs, split.targets["label"]

    part = Part(
        model=saved.model,
        rows=some(ROWS).inputs,
        samples=some_rows(splits.train.inputs, SAMPLES),
        label="label",
        tested=tested,
        longest=saved.codec.words.length,
    )
    learned = isinstance(saved.codec.words.tokens, Segmenter)
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=(words, segments, pieces),
        codec=saved.codec.to_json(),
        arguments=("--text", TRY),
        needs=("sentencepiece",) * learned,
        limits=(f"Texts are cut to {saved.codec.words.length} tokens; a word of no training text is unknown.",),
    )
