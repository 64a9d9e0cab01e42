"""What image classification reports: metrics, published figures next to them, and what a network costs."""

import keras
import numpy as np

from kerasapps.complexity import count_flops, measure_speed
from kerasapps.data.images import ImageSplits
from kerasapps.reports import Block, Table
from kerasapps.runs import Run

from ..shared.classification import (
    class_table,
    classification_metrics,
    confusion_figure,
    confusions_table,
    guessing_level,
)
from ..shared.images import mistakes_figure, predict_probabilities

# Accuracy in percent on the test set of the whole data set.
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
        ("LeNet-5, training images distorted", 99.2, "LeCun et al. 1998"),
    ],
}


def evaluate_model(model: keras.Model, splits: ImageSplits, *, flip: bool) -> tuple[dict[str, float], np.ndarray]:
    """Returns test metrics, with `flip` also those of the mean over mirrored images, and probabilities (n, classes)."""
    labels = splits.test.targets["label"]
    probabilities = predict_probabilities(model, splits.test)
    metrics = classification_metrics(probabilities, labels)
    metrics["accuracy_guess"] = guessing_level(splits.train.targets["label"], labels)
    if flip:
        both = (probabilities + predict_probabilities(model, splits.test, mirrored=True)) / 2
        metrics["accuracy_flip"] = classification_metrics(both, labels)["accuracy"]
    return metrics, probabilities


def result_blocks(
    splits: ImageSplits, probabilities: np.ndarray, *, data: str, network: str, whole: bool
) -> list[Block | None]:
    """Returns what the report shows of the test set; published results only if it is the whole one."""
    labels, names = splits.test.targets["label"], splits.class_names
    accuracy = float((probabilities.argmax(-1) == labels).mean())
    return [
        published_table(data, accuracy, network=network, note=" ".join(splits.notes)) if whole else None,
        confusion_figure(probabilities, labels, names),
        confusions_table(probabilities, labels, names),
        class_table(probabilities, labels, names),
        mistakes_figure(probabilities, splits.test, names),
    ]


def cost_table(run: Run, model: keras.Model, splits: ImageSplits, *, arch: str, training: float | None) -> Table:
    """Returns parameters, FLOPs, size and speed of a network; `training` is its images a second in training."""
    inputs, _ = next(iter(splits.test.batches(64)))
    return complexity_table(
        arch,
        parameters=model.count_params(),
        flops=count_flops(model),
        file_bytes=run.path("model.keras").stat().st_size,
        training=training,
        inference=measure_speed(model, {name: value.numpy() for name, value in inputs.items()}),
        caption="The training speed includes loading, augmentation and validation.",
    )


def published_table(data: str, accuracy: float, *, network: str = "this run", note: str = "") -> Table | None:
    """Compares an accuracy in [0, 1] with published ones; None for a data set without.

    Args:
        data: Name of the data set.
        accuracy: Test accuracy of this run.
        network: Label of the row of this run.
        note: What a reader must know to compare, such as that the test set is another one.
    """
    if data not in PUBLISHED:
        return None
    rows = [[network, 100 * accuracy, "this run"], *map(list, PUBLISHED[data])]
    rows.sort(key=lambda row: -row[1])
    title = "Test accuracy next to published results, in percent"
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
    """Returns what a network costs.

    Args:
        network: Its name.
        parameters: Their number.
        flops: Floating-point operations for one image in inference.
        file_bytes: Size of the saved model.
        training: Images a second in training, where it was measured.
        inference: Images a second in inference, where it was measured.
        caption: What else to know.
    """
    speeds = [None if speed is None else f"{speed:,.0f}" for speed in (training, inference)]
    row = [network, f"{parameters:,}", _short(flops, ""), _short(file_bytes, "B"), *speeds]
    columns = ["network", "parameters", "FLOPs an image", "model file", "images a second, training", "inference"]
    caption = " ".join(["A multiplication and an addition are two FLOPs.", caption]).strip()
    return Table("What the network costs", columns, [row], caption)


def _short(number: float, unit: str) -> str:
    """Returns 12300000 as 12.3 M."""
    prefixes = ["", "k", "M", "G", "T"]
    while number >= 999.5 and len(prefixes) > 1:
        number /= 1000
        del prefixes[0]
    return f"{number:.3g} {prefixes[0]}{unit}".strip()
