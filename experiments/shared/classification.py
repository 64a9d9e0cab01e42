"""What every classifier reports, of texts or of images: metrics, a table by class, confusions."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from kerasapps.formats import format_share
from kerasapps.reports import INK, KEEP, Figure, Table, add_axes, new_figure, plain

WIDTH = 9.0  # inches that the report shows about 62 rem wide, so that 10 points read like its text
LINE = "#d5d9e0"
# Transparent where a share is small, so that they suit white paper and a dark ground.
RIGHT = LinearSegmentedColormap.from_list("right", ["#2563a818", "#1d5596ff"])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#d9822b20", "#d9822bb0", "#b9560fff"])
NUMBERED = 20  # classes up to which the cells of a confusion matrix hold numbers
NAMED = 50  # classes up to which its columns have names as well
LEAST_WRONG = 0.1  # no smaller share of a class gets the darkest color of a mistake
LONGEST_NAME = 18
BINS = 10  # of the highest probability
LIKELIEST = 3
MOST_CLASSES = 100  # rows of a table
SMALLEST = 1e-7  # what the loss takes a probability of zero for


def classification_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns accuracy, loss (cross-entropy in nats), macro F1, and with over 5 classes top-5 accuracy.

    Args:
        probabilities: Of each class, (n, classes).
        labels: True classes, int (n,).
    """
    predicted = probabilities.argmax(-1)
    of_label = probabilities[np.arange(len(labels)), labels]  # (n,)
    metrics = {"accuracy": float((predicted == labels).mean())}
    if np.allclose(probabilities.sum(-1), 1, atol=0.02):  # lengths of capsules are no distribution
        metrics["loss"] = float(-np.log(np.maximum(of_label.astype(np.float64), SMALLEST)).mean())
    metrics["macro_f1"] = float(f1_score(labels, predicted, average="macro", zero_division=0))
    if probabilities.shape[-1] > 5:
        # A tie counts against the network, or one that predicts all classes alike would be right.
        rank = (probabilities >= of_label[:, None]).sum(-1)
        metrics["top5_accuracy"] = float((rank <= 5).mean())
    return metrics


def guessing_level(train: np.ndarray, labels: np.ndarray) -> float:
    """Returns the accuracy on `labels` of always predicting the most frequent class of the training set."""
    return float((labels == np.bincount(train).argmax()).mean())


def class_table(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str], *, unit: str = "images"
) -> Table:
    """Lists precision, recall and F1 of each class in percent, the worst F1 first; `unit` is what the rows are."""
    counts = precision_recall_fscore_support(
        labels, probabilities.argmax(-1), labels=range(len(class_names)), zero_division=np.nan
    )
    rows = []
    for name, *shares, number in zip(class_names, *counts, strict=True):
        rows.append([name, *(None if np.isnan(share) else 100 * float(share) for share in shares), int(number)])
    rows.sort(key=lambda row: (row[3] is None, row[3]))
    caption = ""
    if len(rows) > MOST_CLASSES:
        caption = f"The {MOST_CLASSES} worst of {len(rows)} classes."
    columns = ["class", "precision", "recall", "F1", unit]
    return Table("Classes on the test set, in percent, the worst first", columns, rows[:MOST_CLASSES], caption)


def confusions_table(
    probabilities: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    count: int = 20,
    *,
    unit: str = "images",
) -> Table:
    """Lists the most frequent confusions: true class, predicted class, how often, and the share of the true class."""
    counts = confusion_matrix(labels, probabilities.argmax(-1), labels=range(len(class_names)))
    totals = counts.sum(1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    pairs = [divmod(int(i), len(class_names)) for i in order if counts.flat[i]]
    rows = [
        [class_names[i], class_names[j], int(counts[i, j]), 100 * float(counts[i, j] / totals[i])] for i, j in pairs
    ]
    caption = "" if rows else f"None: all {totals.sum():,} {unit} are classified correctly."
    columns = ["true", "predicted", unit, "% of the true class"]
    return Table("The most frequent confusions on the test set", columns, rows, caption)


def likeliest(probabilities: np.ndarray, class_names: Sequence[str], count: int = LIKELIEST) -> list[tuple[str, float]]:
    """Returns the most probable classes of one row with their probabilities, the most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(class_names[i], float(probabilities[i])) for i in order]


def confusion_figure(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str], *, unit: str = "images"
) -> Figure:
    """Draws how often each true class, a row, is predicted as each class, a column.

    Args:
        probabilities: Of each class, (n, classes).
        labels: True classes, int (n,).
        class_names: Their names.
    """
    many = len(class_names)
    counts = confusion_matrix(labels, probabilities.argmax(-1), labels=range(many))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    diagonal = np.eye(many, dtype=bool)
    darkest = max(LEAST_WRONG, shares[~diagonal].max(initial=0))
    cells = np.where(diagonal[..., None], RIGHT(shares), WRONG(shares / darkest))  # (classes, classes, 4)
    cells[counts == 0] = 0  # transparent
    height = min(max(4.2, 2.4 + 0.45 * many), 9.2 if many <= NAMED else 8.5)
    figure = new_figure(WIDTH, height)
    axes = add_axes(figure, xlabel="predicted", ylabel="true")
    axes.imshow(cells, interpolation="nearest")
    axes.grid(visible=False)
    every = -(-many // 100)
    size = 10 if many <= 12 else 9 if many <= NUMBERED else max(5.5, 10 - many / 20)
    names = [shorten(name) for name in class_names[::every]]
    axes.set_yticks(range(0, many, every), names, fontsize=size)
    if many > NAMED:
        axes.set_xticks([])
    else:
        # A letter is about 0.6 of its size wide, and an inch is left for names and labels.
        wide = max(map(len, names)) * 0.6 * size / 72 > (height - 1) / many
        axes.set_xticks(range(many), names, fontsize=size, rotation=90 if wide else 0)
    axes.spines[:].set(visible=True, color=LINE)
    if many <= NUMBERED:
        for (i, j), count in np.ndenumerate(counts):
            dark = cells[i, j, 3] > 0.75
            if count:
                color, gid = ("white", KEEP) if dark else (INK, None)
                axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=size, color=color, gid=gid)
    caption = (
        f"Rows are true classes, columns predicted ones, of {counts.sum():,} test {unit}. Blue is correct and orange "
        f"wrong; the darker, the larger the share of its row, for mistakes up to {format_share(darkest, 0)}."
    )
    if many > NAMED:
        caption += " The columns are in the order of the rows."
    return Figure("confusion", caption, figure, "Confusion matrix")


def calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Returns the mean distance between the highest probability and how often it is right, over bins of it."""
    shares, sure, right = calibration(probabilities, truth)
    return float(np.nansum(shares * np.abs(sure - right)))


def calibration(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns by bins of the highest probability the share of rows, its mean, and the accuracy, NaN where empty."""
    highest = probabilities.max(1)
    bins = np.minimum((highest * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        sure = np.bincount(bins, highest, minlength=BINS) / counts
        right = np.bincount(bins, probabilities.argmax(1) == truth, minlength=BINS) / counts
    return counts / len(truth), sure, right


def calibration_figure(
    probabilities: np.ndarray,
    truth: np.ndarray,
    *,
    name: str = "the network",
    others: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Draws how often a classifier is right where it is so sure; `others` are probabilities of further ones by name."""
    figure = new_figure()
    axes = add_axes(figure, xlabel="highest probability", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.plot([0, 1], [0, 1], color="#9aa3af", linestyle="--", label="perfectly calibrated")
    errors = []
    for one, found in ({name: probabilities} | dict(others or {})).items():
        shares, sure, right = calibration(found, truth)
        there = shares > 0
        axes.plot(sure[there], right[there], marker="o", label=plain(one))
        errors.append(f"{calibration_error(found, truth):.3f}" + (f" of {one}" if others else ""))
    axes.legend()
    caption = f"Right and sure: expected calibration error {', '.join(errors)}."
    return Figure("calibration", caption, figure)


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """Returns a name no longer than so many characters, with an ellipsis where it was cut, as matplotlib takes it."""
    name = name if len(name) <= longest else name[: longest - 1] + "…"
    return plain(name)
