"""What transfer learning reports: accuracy by way and number of images, neighbors in feature space, learning rates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np

from kerasapps.applications.transfer_classifier import STANDARDIZED, freeze_base
from kerasapps.data.images import ImageSplits
from kerasapps.data.splits import Split
from kerasapps.optimizers import LayerwiseAdam
from kerasapps.reports import Figure, Table, add_axes, new_figure

from ..shared.classification import shorten
from ..shared.image_classifier import loss_of
from ..shared.images import image_grid, stored_images
from .transfer import Transferred, falling_rates
from .transfer_options import TransferRecipe, parse_freeze

WAYS = {"scratch": "from scratch", "frozen": "frozen", "finetuned": "fine-tuned"}
METRICS = {"finetuned": "accuracy", "frozen": "accuracy_frozen", "scratch": "accuracy_baseline"}
COLORS = {"scratch": "#8a94a3", "frozen": "#d9822b", "finetuned": "#2563a8"}
NEIGHBORS, ASKED = 5, 6
STEPS, LOWEST, HIGHEST = 30, 1e-6, 1e-1  # of the search for a learning rate

Rows = Sequence[tuple[int | None, Mapping[str, float]]]  # images a class, and accuracy by way, of each draw


def by_shots(rows: Rows, way: str) -> dict[int | None, np.ndarray]:
    """Returns the accuracies of a way by the number of images a class; nothing if it was not tried."""
    found: dict[int | None, list[float]] = {}
    for shots, accuracy in rows:
        if way in accuracy:
            found.setdefault(shots, []).append(accuracy[way])
    return {shots: np.array(values) for shots, values in found.items()}


def summarize(rows: Rows) -> dict[str, float]:
    """Returns the metrics of the last number of shots, over several draws the mean and `_std`; others by number."""
    metrics = {}
    last = rows[-1][0]
    for way, name in METRICS.items():
        for shots, values in by_shots(rows, way).items():
            full = name if shots == last else f"{name}_{shots}_shots"
            metrics[full] = float(values.mean())
            if len(values) > 1:
                metrics[f"{full}_std"] = float(values.std(ddof=1))
    return metrics


def shots_table(rows: Rows) -> Table:
    """Lists the test accuracy of each way by the number of images a class, with its spread over the draws."""
    ways = [way for way in WAYS if by_shots(rows, way)]
    several = max(len(values) for values in by_shots(rows, "frozen").values()) > 1
    columns = ["images a class"]
    for way in ways:
        columns += [WAYS[way], "std"] if several else [WAYS[way]]
    lines = []
    for shots in by_shots(rows, "frozen"):
        line: list = ["all" if shots is None else str(shots)]
        for way in ways:
            values = 100 * by_shots(rows, way)[shots] if shots in by_shots(rows, way) else np.array([np.nan])
            line.append(float(values.mean()))
            if several:
                line.append(float(values.std(ddof=1)) if len(values) > 1 else None)
        lines.append(line)
    caption = "Frozen: a new head on the features of the base. Fine-tuned: all of it after that, at a small rate."
    if several:
        caption += " Mean and standard deviation over draws of the training images, each with its own test images."
    return Table("Test accuracy in percent", columns, lines, caption)


def shots_figure(rows: Rows) -> Figure | None:
    """Draws accuracy against the number of images a class; None for a single number."""
    numbers = [*by_shots(rows, "frozen")]
    if len(numbers) < 2:
        return None
    figure = new_figure()
    axes = add_axes(figure, xlabel="training images a class", ylabel="test accuracy, %")
    for way, color in COLORS.items():
        found = by_shots(rows, way)
        if found:
            x = [*found]
            means = np.array([100 * values.mean() for values in found.values()])
            spread = np.array([100 * values.std() for values in found.values()])
            axes.plot(x, means, marker="o", color=color, label=WAYS[way])
            axes.fill_between(x, means - spread, means + spread, color=color, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.minorticks_off()
    axes.legend(frameon=False)
    caption = "Test accuracy by the number of training images a class, mean over the draws."
    return Figure("shots", caption, figure, "Accuracy by the number of images")


def nearest_figure(model: keras.Model, splits: ImageSplits) -> Figure:
    """Shows test images of different classes next to the training images whose features are most like theirs."""
    body = keras.Model(model.input, model.get_layer(STANDARDIZED).output)

    def features(split: Split) -> np.ndarray:
        values = body.predict(split.batches(64), verbose=0)
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)

    labels, names = splits.test.targets["label"], splits.class_names
    asked = np.unique(labels, return_index=True)[1][:ASKED]
    train = replace(splits.train, augment=None)
    likeness = features(splits.test.take(asked)) @ features(train).T  # (asked, n)
    count = min(NEIGHBORS, len(train))
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
    images, below = [], []
    for row, near in zip(asked, nearest, strict=True):
        images += [*stored_images(splits.test, np.array([row])), *stored_images(train, near)]
        below += [shorten(names[labels[row]])]
        below += [shorten(names[train.targets["label"][i]]) for i in near]
    figure = image_grid(images, below, columns=count + 1, above=("test image", "nearest"))
    caption = "Test images and the training images with the most similar features (cosine), the most similar first."
    return Figure("neighbors", caption, figure, "Nearest training images")


def rate_figure(done: Transferred, recipe: TransferRecipe, *, freeze: str) -> Figure | None:
    """Draws the loss while the learning rate rises from step to step, from where the second stage began; None without.

    The network stays as it is.

    Reference: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.
    """
    if not recipe.epochs:
        return None
    model, train = done.trained.model, done.trained.splits.train
    kept = model.get_weights()
    model.set_weights(done.before)
    freeze_base(model, parse_freeze(freeze))
    optimizer = LayerwiseAdam(LOWEST, factors=falling_rates(model, recipe.falling))
    model.compile(optimizer, {"label": loss_of(recipe.label_smoothing)}, jit_compile=False)
    size = min(recipe.batch_size, len(train))
    batches = train.epochs(size, seed=0, first=0, last=STEPS)
    rates, losses, mean = np.geomspace(LOWEST, HIGHEST, STEPS), [], 0.0
    for i, (rate, (inputs, targets)) in enumerate(zip(rates, batches, strict=False)):
        optimizer.learning_rate = rate
        loss = float(np.ravel(model.train_on_batch(inputs, targets))[0])
        model.reset_metrics()
        mean = 0.7 * mean + 0.3 * loss
        losses.append(mean / (1 - 0.7 ** (i + 1)))
        if not np.isfinite(loss) or losses[-1] > 4 * losses[0]:
            break
    model.set_weights(kept)
    figure = new_figure()
    axes = add_axes(figure, xlabel="learning rate", ylabel="training loss")
    axes.plot(rates[: len(losses)], losses)
    axes.axvline(recipe.learning_rate, color="#9aa1ab", linestyle=":", label="--learning-rate")
    axes.set_xscale("log")
    axes.legend(frameon=False)
    caption = "Training loss while the rate rises from step to step, smoothed. Where it falls, a rate is worth a try."
    return Figure("rates", caption, figure, "Learning-rate finder")
