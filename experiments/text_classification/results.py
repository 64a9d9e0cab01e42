"""What the text classification experiment reports: accuracy by class and length, calibration, mistakes, baselines."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerasapps.data.splits import Split
from kerasapps.data.text_classes import TextSplits
from kerasapps.data.words import between, tokenize
from kerasapps.formats import format_share
from kerasapps.inside.words import attends_to_words, word_weights
from kerasapps.reports import Block, Figure, Highlighted, Highlights, Table, add_axes, new_figure

from ..shared.classification import (
    calibration_error,
    calibration_figure,
    class_table,
    classification_metrics,
    confusion_figure,
    confusions_table,
    guessing_level,
)
from .network import predict_labels

# Accuracy in percent, by data set: the paper's, or a faithful reproduction's.
PUBLISHED = {
    "mr": {
        "text CNN, random vectors (Kim 2014)": 76.1,
        "the same, reproduced with all splits alike (Shawn1993, issue 29)": 74.4,
        "NB-SVM, bigrams (Wang and Manning 2012)": 79.4,
    },
    "subj": {"text CNN, random vectors (Kim 2014)": 89.6, "NB-SVM, bigrams (Wang and Manning 2012)": 93.2},
    "trec": {"text CNN, random vectors (Kim 2014)": 91.2},
    "imdb": {
        "NB-SVM, bigrams (Wang and Manning 2012)": 91.22,
        "bidirectional LSTM, one-hot (Johnson and Zhang 2016)": 91.9,
    },
}
LENGTHS = 5
MISTAKES = 12
START = 40  # characters of a text in the terminal


def test_metrics(model: keras.Model, splits: TextSplits) -> tuple[dict[str, float], np.ndarray]:
    """Returns the metrics on the test set, and the probabilities (n, classes)."""
    probabilities = predict_labels(model, splits.test)
    truth = splits.test.targets["label"]
    metrics = label_metrics(probabilities, truth, splits.class_names)
    metrics["accuracy_guess"] = guessing_level(splits.train.targets["label"], truth)
    if splits.optimum is not None:
        metrics["accuracy_reference"] = splits.optimum
    metrics["calibration_error"] = calibration_error(probabilities, truth)
    return metrics, probabilities


def label_metrics(probabilities: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Returns the metrics of classes; with labels such as "NUM:date" also the accuracy of their first parts.

    A first part has the probabilities of all its labels together.

    Args:
        probabilities: float32 (n, classes).
        truth: Class ids int32 (n,).
        names: Class names.
    """
    metrics = classification_metrics(probabilities, truth)
    first, group = np.unique([name.partition(":")[0] for name in names], return_inverse=True)
    if 1 < len(first) < len(names) and all(":" in name for name in names):
        together = probabilities @ np.eye(len(first))[group]
        metrics["accuracy_coarse"] = float((together.argmax(1) == group[truth]).mean())
    return metrics


def published(data: str, *, fine: bool) -> dict[str, float]:
    """Returns published accuracies in percent; they are of the coarse labels."""
    return {name + ", coarse labels" * fine: figure for name, figure in PUBLISHED.get(data, {}).items()}


def accuracy_table(metrics: Mapping[str, float], splits: TextSplits, *, data: str, fine: bool) -> Table:
    """Compares the network with the baseline, the most frequent class, the optimum and published figures."""
    rows = [["the network", 100 * metrics["accuracy"]]]
    if "accuracy_baseline" in metrics:
        rows.append(["NB-SVM", 100 * metrics["accuracy_baseline"]])
    if "accuracy_reference" in metrics:
        rows.append(["best possible (Bayes)", 100 * metrics["accuracy_reference"]])
    rows.append(["most frequent class of the training set", 100 * metrics["accuracy_guess"]])
    if "accuracy_coarse" in metrics:
        rows.append(["the network, coarse labels", 100 * metrics["accuracy_coarse"]])
    rows += [[name, figure] for name, figure in published(data, fine=fine).items()]
    return Table("Test accuracy in percent", ["", "accuracy"], rows)


def result_blocks(model: keras.Model, splits: TextSplits, probabilities: np.ndarray) -> list[Block | None]:
    """Returns the classes, their confusions, calibration, accuracy by length, and the most confident mistakes."""
    truth, names = splits.test.targets["label"], splits.class_names
    return [
        class_table(probabilities, truth, names, unit="texts"),
        confusion_figure(probabilities, truth, names, unit="texts"),
        confusions_table(probabilities, truth, names, unit="texts"),
        mistakes_block(model, splits, probabilities),
        calibration_figure(probabilities, truth),
        length_figure(probabilities, splits.test),
    ]


def mistakes_block(model: keras.Model, splits: TextSplits, probabilities: np.ndarray) -> Highlights | None:
    """Shows the test texts that the network gets wrong with the highest probability, and what it saw in them."""
    test, names, words = splits.test, splits.class_names, splits.codec.words
    truth, predicted = test.targets["label"], probabilities.argmax(1)
    sure = np.where(predicted == truth, -1, probabilities.max(1))
    worst = [i for i in np.argsort(-sure, kind="stable")[:MISTAKES] if sure[i] > 0]
    if not worst:
        return None
    weights = word_weights(model, test.inputs["text"][worst], predicted[worst])
    texts = []
    for i, ids, of_words in zip(worst, test.inputs["text"][worst], weights, strict=True):
        read = words.cut(tokenize(splits.texts["test"][i], words.tokens))
        title = f"{names[predicted[i]]} ({format_share(sure[i])} sure), truly {names[truth[i]]}"
        texts.append(Highlighted(read, of_words[ids != 0], title, between(read, words.tokens)))
    what = (
        "the network attends to it"
        if attends_to_words(model)
        else "it speaks for the predicted class; blue ones speak against it"
    )
    caption = f"Each text as the network reads it. The more orange a word, the more {what}."
    return Highlights("The most confident mistakes on the test set", caption, texts)


def length_figure(probabilities: np.ndarray, split: Split) -> Figure:
    """Draws the accuracy by the length of the texts, in parts of equal size."""
    lengths = (split.inputs["text"] != 0).reshape(len(split), -1).sum(1)
    right = probabilities.argmax(1) == split.targets["label"]
    groups = np.array_split(np.argsort(lengths, kind="stable"), min(LENGTHS, len(lengths)))
    names = [f"{lengths[rows].min()} to {lengths[rows].max()}" for rows in groups]
    figure = new_figure()
    axes = add_axes(figure, xlabel="tokens", ylabel="accuracy", ylim=(0, 1))
    axes.bar(names, [right[rows].mean() for rows in groups])
    return Figure("lengths", "Test accuracy by the length of the texts, as far as the network reads them.", figure)


def predictions_table(texts: Sequence[str], likely: Sequence[Mapping[str, float]]) -> Table:
    """Lists texts with their most probable classes."""
    rows = []
    for text, classes in zip(texts, likely, strict=True):
        (first, sure), *others = list(classes.items())[:3]
        more = ", ".join(f"{name} {format_share(share)}" for name, share in others)
        rows.append([text[:START] + "…" * (len(text) > START), first, format_share(sure), more])
    return Table("", ["text", "label", "probability", "next"], rows)
