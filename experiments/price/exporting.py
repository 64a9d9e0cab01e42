"""How a network that estimates prices is deployed."""

from pathlib import Path

from kerasapps.exporting import pictures

from ..shared.deploying import SAMPLES, WORDS, Deployable, Part, needs_for, prepared_rows
from ..shared.runs import SavedRun, load_splits


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network with rows of its test set."""
    codec, splits = saved.codec, load_splits(saved)
    rows, samples = prepared_rows(splits.test), prepared_rows(splits.train, SAMPLES)
    arguments = []
    if codec.numbers:
        arguments += ["--numbers", *(f"{name}={mean:.0f}" for name, (mean, _) in codec.numbers.items())]
    if codec.categories:
        arguments += ["--categories", *(f"{name}={values[0]}" for name, values in codec.categories.items())]
    if codec.words:
        arguments += ["--text", " ".join(codec.words.words[:8])]
    return Deployable(
        parts={
            "model": Part(model=saved.model, rows=rows, samples=samples, longest=codec.words and codec.words.length)
        },
        script=Path(__file__).with_name("deployed.py"),
        modules=(*WORDS, pictures),
        codec=codec.to_json() | {"percent_error": saved.metric("percent_error")},
        arguments=tuple(arguments),
        needs=("pillow",) * (codec.image_shape is not None) + needs_for(codec.words and codec.words.tokens),
        limits=("What is not known may be left out; the less is known, the closer the estimate is to the average.",),
    )
