"""What the image-classification experiment measures: probabilities, figures of merit, and their tables."""

from collections.abc import Sequence

import keras
import numpy as np
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from kerasapps.data.pictures import printable
from kerasapps.data.splits import Split
from kerasapps.reports import Table

IMAGE, LABEL = "image", "label"
RANKS = ("likeliest", "second", "third")
MOST_CLASSES = 100  # rows of a table
# What a table can still say of a probability of zero.
SMALLEST = 1e-7
# Accuracy in percent on the test part of the whole data set.
PUBLISHED: dict[str, list[tuple[str, float, str]]] = {
    "cifar10": [
        ("Keras cifar10_cnn, 50 epochs", 79, "Keras examples"),
        ("ResNet-20, He et al.", 91.25, "He et al. 2016"),
        ("ResNet-20 v1 in Keras, 200 epochs", 92.16, "Keras examples"),
        ("ResNet-56 v1 in Keras, 200 epochs", 92.71, "Keras examples"),
        ("ResNet-110, He et al., mean of 5", 93.39, "He et al. 2016"),
        ("ResNet-9 of DAWNBench, 24 epochs", 94.1, "davidcpage cifar10-fast"),
        ("MobileNetV2", 94.4, "kuangliu pytorch-cifar"),
        ("PreActResNet-18", 95.1, "kuangliu pytorch-cifar"),
        ("airbench96", 96, "KellerJordan cifar10-airbench"),
    ],
    "cifar100": [("Wide ResNet 28-10 with dropout", 81.15, "Zagoruyko & Komodakis 2016")],
    "fashion_mnist": [("support vector machine", 89.7, "Xiao et al. 2017")],
    "mnist": [
        ("LeNet-5", 99.05, "LeCun et al. 1998"),
        ("LeNet-5, training pictures distorted", 99.2, "LeCun et al. 1998"),
    ],
}


def predict_probabilities(
    model: keras.Model, split: Split, *, mirrored: bool = False, batch_size: int = 256
) -> np.ndarray:
    """Returns the probability of each class for each row, float32 (n, classes).

    Args:
        model: Classifier with the output "label".
        split: Rows to classify, in their order.
        mirrored: Classify the mirror images of the pictures.
        batch_size: Rows at a time.
    """
    batches = split.batches(batch_size)
    if mirrored:
        batches = batches.map(lambda inputs, targets: (inputs | {IMAGE: inputs[IMAGE][:, :, ::-1]}, targets))
    return model.predict(batches, verbose=0)[LABEL]


def classification_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns accuracy, loss (cross-entropy in nats), macro F1, and top-5 accuracy where there are over 5 classes.

    Args:
        probabilities: Of each class, (n, classes).
        labels: Right classes, int (n,).
    """
    predicted = probabilities.argmax(-1)
    of_label = probabilities[np.arange(len(labels)), labels]  # (n,)
    metrics = {
        "accuracy": float((predicted == labels).mean()),
        "loss": float(-np.log(np.maximum(of_label.astype(np.float64), SMALLEST)).mean()),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
    }
    if probabilities.shape[-1] > 5:
        # A tie counts against the network, or one that says nothing at all would be right.
        rank = (probabilities >= of_label[:, None]).sum(-1)
        metrics["top5_accuracy"] = float((rank <= 5).mean())
    return metrics


def class_table(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Table:
    """Lists precision, recall and F1 of each class in percent, the worst F1 first."""
    counts = precision_recall_fscore_support(
        labels, probabilities.argmax(-1), labels=range(len(class_names)), zero_division=np.nan
    )
    rows = []
    for name, *shares, number in zip(class_names, *counts, strict=True):
        rows.append([name, *(None if np.isnan(share) else 100 * float(share) for share in shares), int(number)])
    rows.sort(key=lambda row: (row[3] is None, row[3]))
    caption = "Precision: share of the pictures called so that are it. Recall: share of its pictures that are found."
    if len(rows) > MOST_CLASSES:
        caption += f" The {MOST_CLASSES} worst of {len(rows)} classes."
    columns = ["class", "precision", "recall", "F1", "pictures"]
    return Table("Classes on the test part, in percent, the worst first", columns, rows[:MOST_CLASSES], caption)


def confusions_table(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str], count: int = 20
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
    caption = "" if rows else f"None: all {totals.sum():,} pictures are classified right."
    columns = ["true", "predicted", "pictures", "% of the true class"]
    return Table("The most frequent confusions on the test part", columns, rows, caption)


def predictions_table(files: Sequence[str], probabilities: np.ndarray, class_names: Sequence[str]) -> Table:
    """Lists the likeliest classes of each picture with their probabilities in percent."""
    rows = [
        [printable(file), *(cell for name, share in likeliest(row, class_names) for cell in (name, 100 * share))]
        for file, row in zip(files, probabilities, strict=True)
    ]
    return Table(
        "Predictions", ["picture", *(cell for rank in RANKS[: len(class_names)] for cell in (rank, "%"))], rows
    )


def likeliest(
    probabilities: np.ndarray, class_names: Sequence[str], count: int = len(RANKS)
) -> list[tuple[str, float]]:
    """Returns the likeliest classes of one picture with their probabilities, the likeliest first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(class_names[i], float(probabilities[i])) for i in order]


def published_table(data: str, accuracy: float, *, network: str = "this run", note: str = "") -> Table | None:
    """Puts an accuracy in [0, 1] beside published ones; None for a data set without.

    Args:
        data: Name of the data set.
        accuracy: Of this run on the test part.
        network: What the row of this run says.
        note: What a reader must know to compare, such as that the test part is another one.
    """
    if data not in PUBLISHED:
        return None
    rows = [[network, 100 * accuracy, "this run"], *map(list, PUBLISHED[data])]
    rows.sort(key=lambda row: -row[1])
    title = "Beside published results: right answers on the test part, in percent"
    return Table(title, ["network", "accuracy", "source"], rows, note, digits=2)


def complexity_table(
    network: str,
    *,
    parameters: int,
    flops: int,
    file_bytes: int,
    training: float | None = None,
    inference: float | None = None,
    caption: str = "",
) -> Table:
    """Tells what a network costs.

    Args:
        network: Its name.
        parameters: Their number.
        flops: Floating-point operations for one picture in inference.
        file_bytes: Size of the saved model.
        training: Pictures a second in training, where it was measured.
        inference: Pictures a second in inference, where it was measured.
        caption: What else to say.
    """
    speeds = [None if speed is None else f"{speed:,.0f}" for speed in (training, inference)]
    row = [network, f"{parameters:,}", _short(flops, ""), _short(file_bytes, "B"), *speeds]
    columns = ["network", "parameters", "FLOPs a picture", "model file", "pictures a second, training", "inference"]
    caption = " ".join(["A multiplication and an addition are two FLOPs.", caption]).strip()
    return Table("What the network costs", columns, [row], caption)


def _short(number: float, unit: str) -> str:
    """Returns 12300000 as 12.3 M."""
    prefixes = ["", "k", "M", "G", "T"]
    while number >= 999.5 and len(prefixes) > 1:
        number /= 1000
        del prefixes[0]
    return f"{number:.3g} {prefixes[0]}{unit}".strip()
