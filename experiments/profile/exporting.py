"""How a network that predicts an author's properties is deployed."""

from pathlib import Path

from ..shared.deploying import SAMPLES, WORDS, Deployable, Part, needs_for, some_rows
from ..shared.runs import SavedRun, load_splits
from .network import pad_split, shortest_text


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network with rows of its test set."""
    splits = load_splits(saved)
    test, train = (pad_split(split, saved.model) for split in (splits.test, splits.train))
    rows, samples = some_rows(test.inputs), some_rows(train.inputs, SAMPLES)
    return Deployable(
        parts={"model": Part(model=saved.model, rows=rows, samples=samples, longest=saved.codec.words.length)},
        script=Path(__file__).with_name("deployed.py"),
        modules=WORDS,
        codec=saved.codec.to_json() | {"shortest_text": shortest_text(saved.model)},
        arguments=("--text", " ".join(saved.codec.words.words[:12])),
        needs=needs_for(saved.codec.words.tokens),
        limits=("It predicts averages over people who write alike, and knows nothing of a single person.",),
    )
