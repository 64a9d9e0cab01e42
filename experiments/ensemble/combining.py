"""`combine`: one network of the networks of several runs, weighed by what they predict for the validation set."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from kerasapps.data.splits import Split, Splits
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Text, nonempty, or_none, settings_of

from ..shared.runs import SavedRun, codec_json, load_run, load_splits, readable_splits, write_codec
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
    check_method(saved[0], method)
    data = readable_splits(saved, splits[0])
    models = dict(zip(names_of(saved), (one.model for one in saved), strict=True))
    evidence = evidence_of(models, data, output)
    if not evidence.members:
        raise UserError("None of these networks predicts finite numbers for all validation and test rows.")
    weights = weigh(evidence, method)
    model = one_network(models, weights)
    run.save(model)
    write_codec(run, CodecOf(saved[0].experiment, saved[0].codec))
    class_names = classes_of(saved[0].codec, output, evidence)
    report_ensemble(
        run,
        model,
        read(model, data.test, output),
        evidence,
        weights,
        test=labelled(data.test, output),
        class_names=class_names,
        what=f"{len(saved)} runs of {saved[0].experiment}",
        notes=data.notes,
        train_rows=len(data.train),
        more={"validation_rows": len(evidence.truth)},
    )


def evidence_of(models: Mapping[str, keras.Model], data: Splits, output: str) -> Evidence:
    """Returns what networks predict for the validation and the test set."""
    truth, test_truth = (truth_in(labelled(part, output), output) for part in (data.validation, data.test))
    predictions, test, failed = {}, {}, {}
    for name, model in models.items():
        predictions[name], test[name] = (read(model, part, output) for part in (data.validation, data.test))
        if not (np.isfinite(predictions[name]).all() and np.isfinite(test[name]).all()):
            predictions[name] = np.full_like(predictions[name], np.nan)
            failed[name] = "not all of its predictions are finite."
        elif predictions[name].ndim > 1 and not np.allclose(predictions[name].sum(-1), 1, atol=0.02):
            raise UserError(f"{name} cannot be combined: what it predicts for the classes does not add up to 1.")
    rows = np.arange(len(truth))
    pools = all(width_of(one) > 1 for model in models.values() for one in model.output.values())
    return Evidence(truth, predictions, rows, None, test_truth, test, failed, {}, pools)


def check_method(saved: SavedRun, method: Way) -> None:
    """Refuses logarithms of outputs that are no probabilities of classes.

    Raises:
        UserError: If there is such an output.
    """
    alone = [name for name, one in saved.model.output.items() if width_of(one) == 1]
    if method == "log_linear" and alone:
        raise UserError(
            f"--method log_linear needs probabilities of classes, which the output {alone[0]} does not have."
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
        if codec_json(one.codec) != codec_json(first.codec):
            raise UserError(
                f"{one.folder} takes other inputs than {first.folder} (another size, vocabulary or data): train them "
                "with the same options for the data."
            )


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
        numbered = (f"{name}__{number}" for number in itertools.count(2))
        names.append(name if name not in names else next(other for other in numbered if other not in names))
    return names


def labelled(split: Split, output: str) -> Split:
    """Returns the rows that have a label for an output."""
    weights = split.weights.get(output) if split.weights else None
    return split if weights is None else split.take(np.flatnonzero(np.asarray(weights) > 0))


def width_of(output: keras.KerasTensor) -> int:
    """Returns how many numbers an output has for a row."""
    return output.shape[-1] if len(output.shape) > 1 else 1


def truth_in(split: Split, output: str) -> np.ndarray:
    """Returns the label of each row: the class, int (n,), or the number, float64 (n,)."""
    target = np.asarray(split.targets[output])
    kind = np.int64 if target.dtype.kind in "iub" or set(np.unique(target)) <= {0, 1} else np.float64
    return target.reshape(len(target)).astype(kind)


def read(model: keras.Model, split: Split, output: str) -> np.ndarray:
    """Returns what a network predicts for the rows with a label: probabilities (n, classes), or numbers (n,), float64.

    A probability of yes alone becomes those of no and yes.
    """
    split = labelled(split, output)
    predicted = np.asarray(model.predict(split.batches(BATCH_SIZE), verbose=0)[output], np.float64)
    if predicted.ndim > 1 and predicted.shape[-1] > 1:
        return predicted
    column = predicted.reshape(len(predicted))
    return column if truth_in(split, output).dtype.kind == "f" else np.stack([1 - column, column], 1)


def classes_of(codec, output: str, evidence: Evidence) -> Sequence[str]:
    """Returns the names of the classes of an output; none where it is a number."""
    if evidence.truth.dtype.kind == "f":
        return ()
    named = getattr(codec, "class_names", None) or getattr(codec, "classes", {}).get(output)
    return named or [str(i) for i in range(evidence.predictions[next(iter(evidence.predictions))].shape[1])]
