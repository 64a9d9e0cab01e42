"""How a text classifier is deployed."""

from pathlib import Path

from kerasapps.data import pieces, segments, words
from kerasapps.data.segments import Segmenter
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import ROWS, SAMPLES, Deployable, Part, first_rows
from ..shared.runs import SavedRun
from .network import Source, load

TRY = "not half as dull as its title"


def deployable(saved: SavedRun) -> Deployable:
    """Returns the classifier with rows of its test set."""
    options = from_settings(Options, saved.settings)
    splits = load(from_settings(Source, saved.settings), saved.settings["arch"], options=options)
    # With the words and classes of the run: those of the data may have changed since.
    test = saved.codec.split(splits.texts["test"][:ROWS], splits.labels["test"][:ROWS])
    part = Part(
        model=saved.model,
        rows=test.inputs,
        samples=first_rows(splits.train.inputs, SAMPLES),
        label="label",
        truth=test.targets["label"],
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
