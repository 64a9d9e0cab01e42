"""What the profile experiment measures: errors and accuracies next to references, calibration, subgroups."""

from collections.abc import Mapping
from itertools import pairwise

import keras
import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from kerasapps.data.labelled_texts import ADULT_NUMBERS, ADULT_TARGETS, Labelled, adult_columns
from kerasapps.data.profiles import ProfileSplits, TextCodec
from kerasapps.data.splits import Split
from kerasapps.formats import format_share
from kerasapps.heads import Head
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure, plain

from .network import pad_split

Outputs = Mapping[str, np.ndarray]
AGE_BANDS = 4
BINS = 10
FEWEST_IN_GROUP = 20


def predict_heads(model: keras.Model, split: Split, *, batch_size: int = 256) -> dict[str, np.ndarray]:
    """Returns for each head numbers or probabilities of the second class (n,), or probabilities (n, classes)."""
    outputs = model.predict(pad_split(split, model).batches(batch_size), verbose=0)
    return {name: values[:, 0] if values.shape[1] == 1 else values for name, values in outputs.items()}


def test_metrics(splits: ProfileSplits, outputs: Outputs, *, data: str, seed: int) -> tuple[dict[str, float], Table]:
    """Returns the metrics of the test set, and a table of them next to what they are to be compared with."""
    heads, test = splits.codec.heads, splits.test
    rows = {
        "network": scores(heads, {name: decide(head, outputs[name]) for name, head in heads.items()}, test),
        "constant prediction": scores(heads, constant_predictions(heads, splits.train, len(test)), test),
    }
    metrics = dict(rows["network"])
    metrics |= {f"{name}_guess": value for name, value in rows["constant prediction"].items()}
    caption = "Numbers: mean absolute error in their unit. Classes: accuracy in percent."
    if splits.reference:
        best = dict(splits.reference)  # numbers and classes, but probabilities of the second of two
        best |= {name: decide(head, best[name]) for name, head in heads.items() if head.kind == "binary"}
        rows["best possible (Bayes)"] = scores(heads, best, test)
        metrics |= {f"{name}_reference": value for name, value in rows["best possible (Bayes)"].items()}
        caption += " The data are simulated: Bayes' rule with the true model of the data cannot be beaten."
    if data == "adult":
        boosted = scores(heads, boosted_predictions(splits, seed=seed), test)
        rows["gradient boosting, one model per target"] = boosted
        metrics |= {f"{name}_baseline": value for name, value in boosted.items()}
        caption += " Gradient boosting is scikit-learn's, with the same columns and rows."
    return metrics, heads_table(rows, title="Test set", caption=caption)


def result_blocks(splits: ProfileSplits, outputs: Outputs) -> list[Block | None]:
    """Returns what the report shows of the test set."""
    codec, test = splits.codec, splits.test
    return [
        calibration_figure(codec, outputs, test),
        subgroup_table(codec, outputs, test),
        examples_table(codec, splits.rows["test"], outputs),
    ]


def decide(head: Head, output: np.ndarray) -> np.ndarray:
    """Returns the number, or the class with the highest probability (n,)."""
    if head.kind == "regression":
        return output
    return (output > 0.5).astype(int) if head.kind == "binary" else output.argmax(1)


def metric_name(name: str, head: Head) -> str:
    """Returns the name of a head's metric."""
    return f"{name}_mae" if head.kind == "regression" else f"{name}_accuracy"


def scores(heads: Mapping[str, Head], decided: Outputs, split: Split) -> dict[str, float]:
    """Returns for each head its mean absolute error or its accuracy, over the rows whose label is known.

    Args:
        heads: What to score.
        decided: For each head a number or a class for each row, (n,).
        split: The rows.
    """
    result = {}
    for name, head in heads.items():
        known = split.weights[name] > 0
        if known.any():
            truth, predicted = split.targets[name][known], decided[name][known]
            value = np.abs(truth - predicted).mean() if head.kind == "regression" else (truth == predicted).mean()
            result[metric_name(name, head)] = float(value)
    return result


def constant_predictions(heads: Mapping[str, Head], train: Split, count: int) -> dict[str, np.ndarray]:
    """Returns for each head the best constant prediction: the median or the most frequent class."""
    predictions = {}
    for name, head in heads.items():
        values = train.targets[name][train.weights[name] > 0]
        value = np.median(values) if head.kind == "regression" else np.bincount(values.astype(int)).argmax()
        predictions[name] = np.full(count, value)
    return predictions


def boosted_predictions(splits: ProfileSplits, *, seed: int) -> dict[str, np.ndarray]:
    """Returns the predictions of scikit-learn's gradient boosting, one model per target, of the Adult test set.

    The models see the same columns of the same rows as the network: numbers as numbers, words as categories.
    """
    columns = adult_columns()
    targets = {name: columns.pop(column) for name, column in ADULT_TARGETS.items()}
    numeric = np.array([name in ADULT_NUMBERS for name in columns])
    table = np.stack(
        [
            values.astype(np.float64) if is_number else np.unique(values, return_inverse=True)[1].astype(np.float64)
            for values, is_number in zip(columns.values(), numeric, strict=True)
        ],
        1,
    )  # (n, columns)
    predictions = {}
    for name, head in splits.codec.heads.items():
        train, test = splits.rows["train"], splits.rows["test"]
        settings = {"categorical_features": ~numeric, "random_state": seed}
        if head.kind == "regression":
            model = HistGradientBoostingRegressor(loss="absolute_error", **settings)
            truth = targets[name].astype(np.float64)
        else:
            model = HistGradientBoostingClassifier(**settings)
            numbers = {label: i for i, label in enumerate(splits.codec.classes[name])}
            truth = np.array([numbers[label] for label in targets[name]])
        known = splits.train.weights[name] > 0
        model.fit(table[train.numbers][known], truth[train.numbers][known])
        predictions[name] = model.predict(table[test.numbers])
    return predictions


def heads_table(rows: Mapping[str, Mapping[str, float]], *, title: str, caption: str = "") -> Table:
    """Returns one row per model, one column per metric; accuracies in percent, errors in their unit."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    columns = [
        name.removesuffix("_accuracy").removesuffix("_mae") + (", error" if "_mae" in name else ", accuracy %")
        for name in names
    ]
    cells = [
        [label, *(None if name not in row else row[name] * (1 if name.endswith("_mae") else 100) for name in names)]
        for label, row in rows.items()
    ]
    return Table(title, ["", *columns], cells, caption, digits=2)


def subgroup_table(codec: TextCodec, outputs: Outputs, split: Split) -> Table | None:
    """Returns the metrics of each head for groups of people, by the other labels and by its own."""
    groups = {}
    for name, head in codec.heads.items():
        known = split.weights[name] > 0
        values = split.targets[name]
        if head.kind == "regression":
            # A value that fills a whole band gives the same cut twice.
            cuts = np.unique(np.quantile(values[known], np.linspace(0, 1, AGE_BANDS + 1))) if known.any() else []
            for low, high in pairwise(cuts):
                last = high == cuts[-1]
                inside = known & (values >= low) & ((values <= high) if last else (values < high))
                groups[f"{name} {low:g} {'to' if last else 'to under'} {high:g}"] = inside
        else:
            for i, label in enumerate(codec.classes[name]):
                groups[f"{name} {label}"] = known & (values == i)
    decided = {name: decide(head, outputs[name]) for name, head in codec.heads.items()}
    rows = {}
    for label, inside in groups.items():
        if inside.sum() >= FEWEST_IN_GROUP:
            chosen = np.flatnonzero(inside)
            in_group = {name: values[chosen] for name, values in decided.items()}
            rows[f"{label} ({len(chosen):,})"] = scores(codec.heads, in_group, split.take(chosen))
    if not rows:
        return None
    caption = (
        "Errors differ between groups; group sizes in parentheses. Groups by the label that a head predicts itself "
        "show how far its predictions lean towards common values."
    )
    return heads_table(rows, title="Error by subgroup", caption=caption)


def calibration_figure(codec: TextCodec, outputs: Outputs, split: Split) -> Figure | None:
    """Draws the accuracy over the predicted probability, for each head that gives probabilities."""
    names = [
        name for name, head in codec.heads.items() if head.kind != "regression" and (split.weights[name] > 0).any()
    ]
    if not names:
        return None
    figure = new_figure(width=3.6 * max(2, len(names)))
    for i, name in enumerate(names, start=1):
        known = split.weights[name] > 0
        truth, output = split.targets[name][known], outputs[name][known]
        if codec.heads[name].kind == "binary":
            predicted, correct, label = output, truth == 1, f"probability of {plain(codec.classes[name][1])}"
        else:
            predicted, correct = output.max(1), truth == output.argmax(1)
            label = "probability of the most probable class"
        share, mean = calibration_curve(correct, np.clip(predicted, 0, 1), n_bins=BINS, strategy="quantile")
        axes = add_axes(figure, 1, len(names), i, xlabel=label, ylabel="observed frequency", title=name)
        axes.plot([0, 1], [0, 1], color="#9aa1ab", linewidth=1, linestyle=":")
        axes.plot(mean, share, marker="o")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    caption = "Calibration on the test set, in ten bins of equally many rows; perfect on the dotted line."
    return Figure("calibration", caption, figure, wraps=True)


def examples_table(
    codec: TextCodec, rows: Labelled, outputs: Outputs, *, count: int = 6, characters: int = 60
) -> Table:
    """Returns the first rows: the beginning of the text, and each prediction with the true label."""
    cells = []
    for i, predicted in enumerate(codec.decode({name: values[:count] for name, values in outputs.items()})):
        text = rows.texts[i][:characters] + ("…" if len(rows.texts[i]) > characters else "")
        true = {name: rows.labels[name][i] for name in predicted}
        cells.append([text, *(f"{shown(value)} ({true_label(true[name])})" for name, value in predicted.items())])
    return Table("Predictions on the test set", ["text", *codec.heads], cells, "True labels in parentheses.")


def true_label(value: str | float | None) -> str:
    """Returns a label for people; None and NaN are unknown."""
    if value is None or value != value:
        return "unknown"
    return value if isinstance(value, str) else f"{value:g}"


def shown(predicted: float | dict[str, float]) -> str:
    """Returns a prediction of a codec for people: a number, or the most probable class and its probability."""
    if isinstance(predicted, float):
        return f"{predicted:.1f}"
    label, probability = next(iter(predicted.items()))
    return f"{label} {format_share(probability, 0)}"
