"""`combine`: one network of the networks of several runs, weighed by what they predict for the validation set."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kerasapps.data.splits import Split, Splits
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Text, nonempty, or_none, settings_of

from ..shared.runs import SavedRun, load_run, load_splits, write_codec
from .judging import Evidence, weigh
from .learning import EXPERIMENT, Way
from .network import BATCH_SIZE, CodecOf
from .reporting import report_ensemble
from .weighing import one_network


def combine(
    *,
    runs: nonempty(tuple[Path, ...]),
    method: Way = "auto",
    output: or_none(Text) = None,
    options: Options = Options(),
) -> None:
    """Combines the networks of runs on the same data, of any experiment that predicts classes or numbers.

    Args:
        runs: Run folders of one experiment, trained on the same data with the same split.
        method: How members are weighed on the validation set, as for `train`.
        output: Which output, where there are several, decides the weights.
        options: Options that every experiment shares; those that concern training have no effect.
    """
    run = start("Ensemble of runs", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    saved = [load_run(folder) for folder in runs]
    check_together(saved)
    splits = [load_splits(one) for one in saved]
    check_same_rows(saved, splits)
    output = output_of(saved[0], splits[0], output)
    names = names_of(saved)
    found = {
        name: (read(one.model, part.validation, output)[0], read(one.model, part.test, output)[0])
        for name, one, part in zip(names, saved, splits, strict=True)
    }
    truth, test_truth = (read(saved[0].model, part, output)[1] for part in (splits[0].validation, splits[0].test))
    evidence = Evidence(
        truth=truth,
        predictions={name: one for name, (one, _) in found.items()},
        groups=np.arange(len(truth)),
        folds=None,
        test_truth=test_truth,
        test={name: one for name, (_, one) in found.items()},
        failed={},
        seconds={},
    )
    if not evidence.members:
        raise UserError("None of these networks predicts finite numbers for all rows of the validation set.")
    weights = weigh(evidence, method)
    model = one_network(dict(zip(names, (one.model for one in saved), strict=True)), weights)
    run.save(model)
    write_codec(run, CodecOf(saved[0].experiment, saved[0].codec))
    class_names = classes_of(saved[0].codec, output, evidence)
    report_ensemble(
        run,
        model,
        read(model, splits[0].test, output)[0],
        evidence,
        weights,
        test=labelled(splits[0].test, output),
        class_names=class_names,
        what=f"{len(saved)} runs of {saved[0].experiment}",
        notes=splits[0].notes,
    )


def check_together(saved: Sequence[SavedRun]) -> None:
    """Refuses runs that cannot be one network.

    Raises:
        UserError: If there is one alone, or they are of different experiments, classes or encodings.
    """
    first, *others = saved
    if not others:
        raise UserError(f"--runs takes at least two run folders. Received: {first.folder}")
    for one in others:
        if one.experiment != first.experiment:
            raise UserError(f"{one.folder} is a run of {one.experiment}, and {first.folder} of {first.experiment}.")
        names = [getattr(each.codec, "class_names", None) for each in (first, one)]
        if names[0] != names[1]:
            raise UserError(f"{one.folder} has other classes than {first.folder}: they cannot be combined.")
        if same_json(one) != same_json(first):
            raise UserError(
                f"{one.folder} takes other inputs than {first.folder} (another size, vocabulary or data): train them "
                "with the same options for the data."
            )


def same_json(saved: SavedRun) -> str:
    """Returns what a codec holds, as text."""
    return json.dumps(None if saved.codec is None else saved.codec.to_json(), sort_keys=True, default=str)


def check_same_rows(saved: Sequence[SavedRun], splits: Sequence[Splits]) -> None:
    """Refuses runs on other rows.

    Raises:
        UserError: If there is no validation set, or validation or test set differ from those of the first run.
    """
    for one, part in zip(saved, splits, strict=True):
        for name in ("validation", "test"):
            rows, first = getattr(part, name), getattr(splits[0], name)
            if rows is None:
                raise UserError(f"{one.folder} has no {name} set.")
            if rows.digest() != first.digest():
                raise UserError(
                    f"{one.folder} has another {name} set than {saved[0].folder}: train both on the same data with the "
                    "same --seed and --limit."
                )


def output_of(saved: SavedRun, splits: Splits, output: str | None) -> str:
    """Returns the output that decides the weights.

    Raises:
        UserError: If there are several, or none of this name.
    """
    known = [name for name in splits.test.targets if name in saved.model.output]
    if output is None and len(known) == 1:
        return known[0]
    if output not in known:
        received = "" if output is None else f" Received: {output}"
        raise UserError(f"--output must be one of {', '.join(known)}.{received}")
    return output


def names_of(saved: Sequence[SavedRun]) -> list[str]:
    """Returns a name for each run: that of its folder, with a number where it is taken."""
    names: list[str] = []
    for one in saved:
        name = re.sub(r"\W+", "_", one.folder.resolve().name).strip("_") or "run"
        taken = sum(other == name or other.startswith(f"{name}__") for other in names)
        names.append(f"{name}__{taken + 1}" if taken else name)
    return names


def labelled(split: Split, output: str) -> Split:
    """Returns the rows that have a label for an output."""
    weights = split.weights.get(output) if split.weights else None
    return split if weights is None else split.take(np.flatnonzero(np.asarray(weights) > 0))


def read(model: keras.Model, split: Split, output: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a network predicts for the rows with a label, and that label: of classes, or numbers.

    A probability of yes alone becomes those of no and yes.
    """
    split = labelled(split, output)
    target = np.asarray(split.targets[output])
    predicted = np.asarray(model.predict(split.batches(BATCH_SIZE), verbose=0)[output], np.float64)
    if predicted.shape[-1] == 1 and set(np.unique(target)) <= {0, 1}:
        yes = predicted.reshape(len(target))
        return np.stack([1 - yes, yes], 1), target.reshape(len(target)).astype(np.int64)
    if predicted.shape[-1] == 1:
        return predicted.reshape(len(target)), target.reshape(len(target)).astype(np.float64)
    return predicted, target.astype(np.int64)


def classes_of(codec, output: str, evidence: Evidence) -> Sequence[str]:
    """Returns the names of the classes of an output; none where it is a number."""
    if evidence.truth.dtype.kind == "f":
        return ()
    named = getattr(codec, "class_names", None) or getattr(codec, "classes", {}).get(output)
    return named or [str(i) for i in range(evidence.predictions[next(iter(evidence.predictions))].shape[1])]
