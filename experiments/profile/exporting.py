"""How a network that predicts an author's properties is deployed."""

from pathlib import Path

from kerasapps.data import pieces, segments, words
from kerasapps.data.segments import Segmenter
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import SAMPLES, Deployable, Part, some_rows
from ..shared.runs import SavedRun
from .network import Source, load, pad_split, shortest_text


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network with rows of its test set."""
    options = from_settings(Options, saved.settings)
    splits = load(from_settings(Source, saved.settings), options=options).as_seen_by(saved.codec, limit=None)
    test, train = (pad_split(split, saved.model) for split in (splits.test, splits.train))
    rows, samples = some_rows(test.inputs), some_rows(train.inputs, SAMPLES)
    learned = isinstance(saved.codec.words.tokens, Segmenter)
    return Deployable(
        parts={"model": Part(model=saved.model, rows=rows, samples=samples, longest=saved.codec.words.length)},
        script=Path(__file__).with_name("deployed.py"),
        modules=(words, segments, pieces),
        codec=saved.codec.to_json() | {"shortest_text": shortest_text(saved.model)},
        arguments=("--text", " ".join(saved.codec.words.words[:12])),
        needs=("sentencepiece",) * learned,
        limits=("It predicts averages over people who write alike, and knows nothing of a single person.",),
    )
