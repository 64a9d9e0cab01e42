"""How a tagger is deployed."""

from pathlib import Path

from ..shared.deploying import SAMPLES, WORDS, Deployable, Part, some_rows
from ..shared.runs import SavedRun
from .network import encoded_splits


def deployable(saved: SavedRun) -> Deployable:
    """Returns the tagger with rows of its test set."""
    splits = encoded_splits(saved)
    first = splits.sequences["test"][0].steps
    part = Part(
        model=saved.model,
        rows=some_rows(splits.test.inputs),
        samples=some_rows(splits.train.inputs, SAMPLES),
        longest=int(splits.train.lengths["tags"].max()),
    )
    if saved.codec.feature_names:
        lines = "".join(" ".join(f"{number:.6g}" for number in step) + "\n" for step in first)
        arguments, files, modules = ("--columns", "steps.txt"), {"steps.txt": lines.encode()}, ()
        limit = f"It reads {len(saved.codec.feature_names)} numbers a step: {', '.join(saved.codec.feature_names)}."
    else:
        arguments, files, modules = ("--text", " ".join(first)), {}, WORDS
        limit = "A word that is not in its training texts, or only once, is unknown."
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=modules,
        codec=saved.codec.to_json(),
        arguments=arguments,
        files=files,
        limits=(limit,),
    )
