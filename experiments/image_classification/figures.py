"""What the image-classification experiment draws: confusions, mistakes, augmentation and predictions as pictures."""

from collections.abc import Sequence
from dataclasses import replace

import matplotlib
import matplotlib.axes
import matplotlib.figure
import numpy as np
import tensorflow as tf
from matplotlib.colors import LinearSegmentedColormap
from sklearn.metrics import confusion_matrix

from experiments.image_classification.results import IMAGE, LABEL, likeliest
from kerasapps.data.pictures import printable
from kerasapps.data.splits import Split
from kerasapps.reports import Figure, add_axes, new_figure, plain

WIDTH = 9.0  # inches that the report shows about 62 rem wide, so that 10 points read like its text
INK, SOFT, LINE = "#1c2430", "#5d6878", "#d5d9e0"
RIGHT = LinearSegmentedColormap.from_list("right", ["#e6eff9", "#1d5596"])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#fdf1e2", "#e59a4a", "#b9560f"])
NUMBERED = 20  # classes up to which the cells of a confusion matrix hold numbers
NAMED = 50  # classes up to which its columns have names as well
LEAST_WRONG = 0.1  # no smaller share of a class gets the darkest colour of a mistake
COLUMNS = 6
LONGEST_NAME = 18
PREDICTIONS = 24  # pictures in a figure


def confusion_figure(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draws how often each true class, a row, is taken for each class, a column.

    Args:
        probabilities: Of each class, (n, classes).
        labels: Right classes, int (n,).
        class_names: Their names.
    """
    many = len(class_names)
    counts = confusion_matrix(labels, probabilities.argmax(-1), labels=range(many))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    diagonal = np.eye(many, dtype=bool)
    darkest = max(LEAST_WRONG, shares[~diagonal].max(initial=0))
    cells = np.where(diagonal[..., None], RIGHT(shares), WRONG(shares / darkest))  # (classes, classes, 4)
    cells[counts == 0] = 1
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
            dark = np.dot(cells[i, j, :3], (0.299, 0.587, 0.114)) < 0.6
            if count:
                axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=size, color="white" if dark else INK)
    caption = (
        f"Rows are the true classes, columns what the network says, of {counts.sum():,} test pictures. Blue is right "
        f"and orange wrong; the darker, the larger the share of its row, for mistakes up to {darkest:.0%}."
    )
    if many > NAMED:
        caption += " The columns are in the order of the rows."
    return Figure("confusion", caption, figure)


def mistakes_figure(probabilities: np.ndarray, split: Split, class_names: Sequence[str], count: int = 24) -> Figure:
    """Shows the mistakes that the network was surest of, or says that there are none.

    Args:
        probabilities: Of each class, (n, classes).
        split: The rows behind them, in their order.
        class_names: Names of the classes.
        count: How many to show at most.
    """
    labels, predicted = np.asarray(split.targets[LABEL]), probabilities.argmax(-1)
    wrong = np.flatnonzero(predicted != labels)
    if not len(wrong):
        figure = new_figure(WIDTH, 0.6)
        figure.text(0.5, 0.5, "No mistakes", ha="center", va="center", fontsize=14, color=INK)
        return Figure("mistakes", f"All {len(labels):,} pictures of the test part are classified right.", figure)
    rows = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:count]
    names = [(shorten(class_names[labels[row]]), shorten(class_names[predicted[row]])) for row in rows]
    sure = [f"{100 * probabilities[row, predicted[row]]:.0f} %" for row in rows]
    # One line for all or two for all, or the rows of the grid would not line up.
    between = " → " if max(len(true) + len(said) for true, said in names) <= 10 else " →\n"
    below = [f"{true}{between}{said}  {share}" for (true, said), share in zip(names, sure, strict=True)]
    narrow = max(len(line) for label in below for line in label.splitlines()) <= 18
    which = (
        f"The {len(rows)} surest of {len(wrong):,} mistakes"
        if len(rows) < len(wrong)
        else "Every mistake, the surest first,"
    )
    caption = f"{which} on the test part: true class → what the network said, and how sure it was."
    figure = picture_grid(list(pictures(split, rows)), below, columns=COLUMNS if narrow else COLUMNS - 1)
    return Figure("mistakes", caption, figure)


def augmentation_figure(split: Split, seed: int, *, count: int = 4, versions: int = 7) -> Figure | None:
    """Shows some training pictures as they are and as training sees them; None if it does not change them.

    Args:
        split: The training part.
        seed: Decides which pictures, and how they are changed.
        count: Pictures, one a row.
        versions: Changed versions of each.
    """
    if split.augment is None:
        return None
    labels = np.asarray(split.targets[LABEL])
    order = np.random.default_rng(seed).permutation(len(labels))
    # Pictures of different classes say more; the rest follow where there are too few classes.
    first = np.unique(labels[order], return_index=True)[1]
    rows = order[np.concatenate([np.sort(first), np.setdiff1d(np.arange(len(order)), first)])][:count]
    inputs, targets = next(iter(replace(split.take(rows), prepare=None).batches(len(rows))))
    augment = tf.function(split.augment)
    seeds = [tf.constant([seed, version], tf.int32) for version in range(versions)]
    changed = [as_bytes(augment(inputs, targets, pair)[0][IMAGE].numpy()) for pair in seeds]
    originals = as_bytes(inputs[IMAGE].numpy())
    images = [image for i in range(len(rows)) for image in (originals[i], *(version[i] for version in changed))]
    above = ["as it is", *[""] * (versions // 2), "as training sees it"][: versions + 1]
    figure = picture_grid(images, [""] * len(images), columns=versions + 1, above=above)
    return Figure(
        "augmentation", "Some training pictures, and how training sees them: changed anew every epoch.", figure
    )


def predictions_figure(
    files: Sequence[str],
    images: Sequence[np.ndarray],
    probabilities: np.ndarray,
    class_names: Sequence[str],
    count: int = PREDICTIONS,
) -> Figure:
    """Shows pictures, each with its likeliest classes.

    Args:
        files: Name of each picture.
        images: The pictures, each (H, W, C), values 0 to 255.
        probabilities: Of each class, (n, classes).
        class_names: Names of the classes.
        count: How many pictures to show at most.
    """
    files, images, probabilities = files[:count], images[:count], probabilities[:count]
    lines = -(-len(images) // 2)
    figure = new_figure(WIDTH, 1.75 * lines)
    for i, (file, image, row) in enumerate(zip(files, images, probabilities, strict=True)):
        picture = add_axes(figure, lines, 4, 2 * i + 1)
        _show(picture, as_bytes(image))
        axes = add_axes(figure, lines, 4, 2 * i + 2)
        axes.set_title(shorten(printable(file).rsplit("/", 1)[-1], 26), fontsize=10, loc="left", color=INK)
        for place, (name, share) in enumerate(likeliest(row, class_names)):
            axes.barh(place, share, height=0.28, color="#2563a8" if place == 0 else "#b9c2cf", align="edge")
            axes.text(0, place - 0.08, f"{shorten(name)}  {100 * share:.0f} %", va="bottom", fontsize=10, color=INK)
        axes.set(xlim=(0, 1), ylim=(2.6, -0.7))
        axes.set_axis_off()
    return Figure("predictions", "The likeliest classes of each picture.", figure)


def pictures(split: Split, rows: np.ndarray) -> np.ndarray:
    """Fetches some rows as they are stored, uint8 (len(rows), H, W, C); no others are read."""
    chosen = replace(split.take(rows), augment=None, prepare=None)
    return np.concatenate([as_bytes(inputs[IMAGE].numpy()) for inputs, _ in chosen.batches(256)])


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Returns values of 0 to 255 as uint8, those beyond cut off."""
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """Returns a name no longer than so many characters, with an ellipsis where it was cut, as matplotlib takes it."""
    name = name if len(name) <= longest else name[: longest - 1] + "…"
    return plain(name)


def picture_grid(
    images: Sequence[np.ndarray],
    below: Sequence[str],
    *,
    columns: int,
    above: Sequence[str] = (),
    aspect: float = 1.0,
) -> matplotlib.figure.Figure:
    """Draws pictures in rows, each with its text below, and a text above some columns; `aspect` is height to width."""
    lines = -(-len(images) // columns)
    text = max(label.count("\n") + 1 if label else 0 for label in below)
    figure = new_figure(WIDTH, lines * (aspect * WIDTH / columns + 0.19 * text) + (0.3 if above else 0))
    for i, (image, label) in enumerate(zip(images, below, strict=True)):
        axes = add_axes(figure, lines, columns, i + 1)
        _show(axes, image)
        axes.set_xlabel(label, fontsize=10, color=INK, labelpad=3)
        if i < len(above):
            axes.set_title(above[i], fontsize=10, color=SOFT)
    return figure


def _show(axes: matplotlib.axes.Axes, image: np.ndarray) -> None:
    """Draws one picture, uint8 (H, W, C), in a thin frame, for it may be white at its edge."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=LINE)
