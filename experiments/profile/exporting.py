"""How a network that predicts an author's properties is deployed."""

from pathlib import Path

from kerasapps.data import pieces, segments, words
from kerasapps.data.segments import Segmenter

from ..shared.deploying import SAMPLES, Deployable, Part, some_rows
from ..shared.runs import SavedRun, load_splits
from .network import pad_split, shortest_text


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network with rows of its test set."""
    splits = load_splits(saved)
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
