"""What the profile experiment measures: errors, accuracies, marks to compare them with, calibration, subgroups."""

from collections.abc import Mapping
from itertools import pairwise

import keras
import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from experiments.profile.network import long_enough
from kerasapps.data.labelled_texts import ADULT_NUMBERS, ADULT_TARGETS, Labelled, adult_columns
from kerasapps.data.profiles import ProfileSplits, TextCodec
from kerasapps.data.splits import Split
from kerasapps.heads import Head
from kerasapps.reports import Figure, Table, add_axes, new_figure, plain

Outputs = Mapping[str, np.ndarray]
AGE_BANDS = 4
BINS = 10
FEWEST_IN_GROUP = 20


def predict_heads(model: keras.Model, split: Split, *, batch_size: int = 256) -> dict[str, np.ndarray]:
    """Returns what each head says of each row: numbers or probabilities of yes (n,), probabilities (n, classes)."""
    outputs = model.predict(long_enough(split, model).batches(batch_size), verbose=0)
    return {name: values[:, 0] if values.shape[1] == 1 else values for name, values in outputs.items()}


def decide(head: Head, output: np.ndarray) -> np.ndarray:
    """Returns the number, or the class with the highest probability (n,)."""
    if head.kind == "regression":
        return output
    return (output > 0.5).astype(int) if head.kind == "binary" else output.argmax(1)


def metric_name(name: str, head: Head) -> str:
    """Returns the name of a head's figure of merit."""
    return f"{name}_mae" if head.kind == "regression" else f"{name}_accuracy"


def scores(heads: Mapping[str, Head], decided: Outputs, split: Split) -> dict[str, float]:
    """Returns for each head its mean absolute error or its accuracy, over the rows whose label is known.

    Args:
        heads: What to score.
        decided: A number or a class for each row, (n,) a head.
        split: The rows.
    """
    result = {}
    for name, head in heads.items():
        known = split.weights[name] > 0
        if known.any():
            truth, guess = split.targets[name][known], decided[name][known]
            value = np.abs(truth - guess).mean() if head.kind == "regression" else (truth == guess).mean()
            result[metric_name(name, head)] = float(value)
    return result


def constant_guesses(heads: Mapping[str, Head], train: Split, count: int) -> dict[str, np.ndarray]:
    """Returns for each head the best guess that reads nothing: the median or the most frequent class."""
    guesses = {}
    for name, head in heads.items():
        values = train.targets[name][train.weights[name] > 0]
        guess = np.median(values) if head.kind == "regression" else np.bincount(values.astype(int)).argmax()
        guesses[name] = np.full(count, guess)
    return guesses


def boosted_guesses(splits: ProfileSplits, *, seed: int) -> dict[str, np.ndarray]:
    """Returns what scikit-learn's gradient boosting, a model for each target, says of the Adult test part.

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
    guesses = {}
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
        guesses[name] = model.predict(table[test.numbers])
    return guesses


def heads_table(rows: Mapping[str, Mapping[str, float]], *, title: str, caption: str = "") -> Table:
    """Returns one row a model, one column a figure of merit; accuracies in percent, errors in their unit."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    columns = [
        name.removesuffix("_accuracy").removesuffix("_mae") + (", error" if "_mae" in name else ", % right")
        for name in names
    ]
    cells = [
        [label, *(None if name not in row else row[name] * (1 if name.endswith("_mae") else 100) for name in names)]
        for label, row in rows.items()
    ]
    return Table(title, ["", *columns], cells, caption, digits=2)


def subgroup_table(codec: TextCodec, outputs: Outputs, split: Split) -> Table | None:
    """Returns how well each head does for people of different kinds, by the other labels and by its own."""
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
            part = {name: values[chosen] for name, values in decided.items()}
            rows[f"{label} ({len(chosen):,})"] = scores(codec.heads, part, split.take(chosen))
    if not rows:
        return None
    caption = (
        "The network makes larger errors for some people than for others; the number of people in brackets. Rows by "
        "what a head itself predicts show how it errs towards the usual."
    )
    return heads_table(rows, title="Error by subgroup", caption=caption)


def calibration_figure(codec: TextCodec, outputs: Outputs, split: Split) -> Figure | None:
    """Draws how often what a head says with a certain confidence is so, for each head that gives probabilities."""
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
            said, right, label = output, truth == 1, f"probability of {plain(codec.classes[name][1])}"
        else:
            said, right, label = output.max(1), truth == output.argmax(1), "probability of the likeliest class"
        share, mean = calibration_curve(right, np.clip(said, 0, 1), n_bins=BINS, strategy="quantile")
        axes = add_axes(figure, 1, len(names), i, xlabel=label, ylabel="how often it is so", title=name)
        axes.plot([0, 1], [0, 1], color="#9aa1ab", linewidth=1, linestyle=":")
        axes.plot(mean, share, marker="o")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    caption = (
        "Calibration on the test part, in tenths of the rows: on the dotted line, what is said with 70 % is so in 70 %."
    )
    return Figure("calibration", caption, figure)


def examples_table(
    codec: TextCodec, part: Labelled, outputs: Outputs, *, count: int = 6, characters: int = 60
) -> Table:
    """Returns the first rows: the beginning of the text, and what was said of it beside what is so."""
    rows = []
    for i in range(min(count, len(part.texts))):
        text = part.texts[i][:characters] + ("…" if len(part.texts[i]) > characters else "")
        cells = []
        for name, head in codec.heads.items():
            truth = part.labels[name][i]
            said = say(codec, name, head, outputs[name][i])
            unknown = truth is None or truth != truth
            cells.append(f"{said} ({'unknown' if unknown else f'{truth:g}' if head.kind == 'regression' else truth})")
        rows.append([text, *cells])
    return Table("What it says of test rows", ["text", *codec.heads], rows, "What is so stands in brackets.")


def say(codec: TextCodec, name: str, head: Head, output: np.ndarray) -> str:
    """Puts one output into words: a number, or the likeliest class and its probability."""
    if head.kind == "regression":
        return f"{float(output):.1f}"
    if head.kind == "binary":
        side = int(output > 0.5)
        return f"{codec.classes[name][side]} {max(float(output), 1 - float(output)):.0%}"
    return f"{codec.classes[name][int(output.argmax())]} {float(output.max()):.0%}"
