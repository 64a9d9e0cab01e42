"""Images in reports: grids, and for classifiers mistakes, augmentation and predictions."""

import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import matplotlib
import matplotlib.axes
import matplotlib.figure
import numpy as np
import tensorflow as tf
from PIL import Image

from kerasapps.data.splits import Split
from kerasapps.errors import DataError
from kerasapps.files import printable
from kerasapps.reports import Figure, Table, add_axes, new_figure

from .classification import INK, LINE, WIDTH, likeliest, shorten

IMAGE, LABEL = "image", "label"
SOFT = "#5d6878"
HEAT = matplotlib.colormaps["inferno"]
COLUMNS = 6
PREDICTIONS = 24  # images in a figure
PAPER = 255
LEAST_SIDE = 480  # pixels of a grid's file
RANKS = ("top class", "second", "third")


def mistakes_figure(probabilities: np.ndarray, split: Split, class_names: Sequence[str], count: int = 24) -> Figure:
    """Shows the most confident mistakes, or that there are none.

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
        return Figure("mistakes", f"All {len(labels):,} test images are classified correctly.", figure)
    rows = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:count]
    names = [(shorten(class_names[labels[row]]), shorten(class_names[predicted[row]])) for row in rows]
    confidence = [f"{100 * probabilities[row, predicted[row]]:.0f} %" for row in rows]
    # One line for all or two for all, or the rows of the grid would not line up.
    between = " → " if max(len(true) + len(guess) for true, guess in names) <= 10 else " →\n"
    below = [f"{true}{between}{guess}  {share}" for (true, guess), share in zip(names, confidence, strict=True)]
    narrow = max(len(line) for label in below for line in label.splitlines()) <= 18
    which = (
        f"The {len(rows)} most confident of {len(wrong):,} mistakes"
        if len(rows) < len(wrong)
        else "Every mistake, the most confident first,"
    )
    caption = f"{which} on the test set: true class → predicted class, and its probability."
    figure = image_grid(list(stored_images(split, rows)), below, columns=COLUMNS if narrow else COLUMNS - 1)
    return Figure("mistakes", caption, figure)


def augmentation_figure(split: Split, seed: int, *, count: int = 4, versions: int = 7) -> Figure | None:
    """Shows some training images before and after augmentation; None if there is none.

    Args:
        split: The training set.
        seed: Decides which images, and how they are changed.
        count: Images, one a row.
        versions: Changed versions of each.
    """
    if split.augment is None:
        return None
    labels = np.asarray(split.targets[LABEL])
    order = np.random.default_rng(seed).permutation(len(labels))
    # Images of different classes tell more; the rest follow where there are too few classes.
    first = np.unique(labels[order], return_index=True)[1]
    rows = order[np.concatenate([np.sort(first), np.setdiff1d(np.arange(len(order)), first)])][:count]
    inputs, targets = next(iter(replace(split.take(rows), prepare=None).batches(len(rows))))
    augment = tf.function(split.augment)
    seeds = [tf.constant([seed, version], tf.int32) for version in range(versions)]
    changed = [as_bytes(augment(inputs, targets, pair)[0][IMAGE].numpy()) for pair in seeds]
    originals = as_bytes(inputs[IMAGE].numpy())
    images = [image for i in range(len(rows)) for image in (originals[i], *(version[i] for version in changed))]
    above = ["original", *[""] * (versions // 2), "augmented"][: versions + 1]
    figure = image_grid(images, [""] * len(images), columns=versions + 1, above=above)
    return Figure("augmentation", "Some training images and augmented versions of them, new ones every epoch.", figure)


def predictions_figure(
    files: Sequence[str],
    images: Sequence[np.ndarray],
    probabilities: np.ndarray,
    class_names: Sequence[str],
    count: int = PREDICTIONS,
) -> Figure:
    """Shows images, each with its most probable classes.

    Args:
        files: Name of each image.
        images: The images, each (H, W, C), values 0 to 255.
        probabilities: Of each class, (n, classes).
        class_names: Names of the classes.
        count: How many images to show at most.
    """
    files, images, probabilities = files[:count], images[:count], probabilities[:count]
    lines = -(-len(images) // 2)
    figure = new_figure(WIDTH, 1.75 * lines)
    for i, (file, image, row) in enumerate(zip(files, images, probabilities, strict=True)):
        show_image(add_axes(figure, lines, 4, 2 * i + 1), as_bytes(image))
        axes = add_axes(figure, lines, 4, 2 * i + 2)
        axes.set_title(shorten(printable(file).rsplit("/", 1)[-1], 26), fontsize=10, loc="left", color=INK)
        for place, (name, share) in enumerate(likeliest(row, class_names)):
            axes.barh(place, share, height=0.28, color="#2563a8" if place == 0 else "#b9c2cf", align="edge")
            axes.text(0, place - 0.08, f"{shorten(name)}  {100 * share:.0f} %", va="bottom", fontsize=10, color=INK)
        axes.set(xlim=(0, 1), ylim=(2.6, -0.7))
        axes.set_axis_off()
    return Figure("predictions", "The most probable classes of each image.", figure)


def read_inputs(codec, files: Sequence[Path]) -> tuple[list[Path], np.ndarray]:
    """Reads image files as a network takes them; those that cannot be read are named on standard error.

    Args:
        codec: From files to the input "image".
        files: The files.

    Returns:
        The files that could be read, and their images (n, H, W, C).

    Raises:
        DataError: If there is none, or the only one cannot be read.
    """
    kept, inputs = [], []
    for file in files:
        try:
            inputs.append(codec.encode([file])[IMAGE])
            kept.append(file)
        except DataError as error:
            if len(files) == 1:
                raise
            print(error, file=sys.stderr)
    if not inputs:
        raise DataError("None of the images could be read.")
    return kept, np.concatenate(inputs)


def stored_images(split: Split, rows: np.ndarray) -> np.ndarray:
    """Fetches some rows as they are stored, uint8 (len(rows), H, W, C); no others are read."""
    chosen = replace(split.take(rows), augment=None, prepare=None)
    return np.concatenate([as_bytes(inputs[IMAGE].numpy()) for inputs, _ in chosen.batches(256)])


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Returns values of 0 to 255 as uint8, those beyond cut off."""
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def overlay(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lays the positive part of a map over the grays of an image, uint8 (H, W, 3)."""
    top = max(float(np.quantile(values, 0.998)), 1e-12)
    strength = np.clip(values / top, 0, 1)[..., None]  # (H, W, 1)
    gray = colored(image).mean(-1, keepdims=True)
    heat = 255 * HEAT(strength[..., 0])[..., :3]
    share = 0.25 + 0.65 * strength
    return as_bytes((1 - share) * gray + share * heat)


def colored(image: np.ndarray) -> np.ndarray:
    """Returns an image with three channels."""
    return np.broadcast_to(image, (*image.shape[:2], 3))


def image_grid(
    images: Sequence[np.ndarray],
    below: Sequence[str],
    *,
    columns: int,
    above: Sequence[str] = (),
    aspect: float = 1.0,
) -> matplotlib.figure.Figure:
    """Draws images in rows, each with its text below, and a text above some columns; `aspect` is height to width."""
    lines = -(-len(images) // columns)
    text = max(label.count("\n") + 1 if label else 0 for label in below)
    figure = new_figure(WIDTH, lines * (aspect * WIDTH / columns + 0.19 * text) + (0.3 if above else 0))
    for i, (image, label) in enumerate(zip(images, below, strict=True)):
        axes = add_axes(figure, lines, columns, i + 1)
        show_image(axes, image)
        axes.set_xlabel(label, fontsize=10, color=INK, labelpad=3)
        if i < len(above):
            axes.set_title(above[i], fontsize=10, color=SOFT)
    return figure


def show_image(axes: matplotlib.axes.Axes, image: np.ndarray) -> None:
    """Draws one image, uint8 (H, W, C), in a thin frame, for it may be white at its edge."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=LINE)


def predict_probabilities(
    model: keras.Model, split: Split, *, mirrored: bool = False, batch_size: int = 256
) -> np.ndarray:
    """Returns the probability of each class for each row, float32 (n, classes).

    Args:
        model: Classifier with the output "label".
        split: Rows to classify, in their order.
        mirrored: Classify mirrored images.
        batch_size: Rows at a time.
    """
    batches = split.batches(batch_size)
    if mirrored:
        batches = batches.map(lambda inputs, targets: (inputs | {IMAGE: inputs[IMAGE][:, :, ::-1]}, targets))
    return model.predict(batches, verbose=0)[LABEL]


def predictions_table(files: Sequence[str], probabilities: np.ndarray, class_names: Sequence[str]) -> Table:
    """Lists the most probable classes of each image with their probabilities in percent."""
    rows = [
        [printable(file), *(cell for name, share in likeliest(row, class_names) for cell in (name, 100 * share))]
        for file, row in zip(files, probabilities, strict=True)
    ]
    return Table("Predictions", ["image", *(cell for rank in RANKS[: len(class_names)] for cell in (rank, "%"))], rows)


def tile(images: np.ndarray, *, columns: int = 8, gap: int = 1) -> np.ndarray:
    """Puts images, uint8 (n, H, W, C), side by side: uint8 (rows * H', columns * W', C)."""
    count, height, width, channels = images.shape
    lines = -(-count // columns)
    sheet = np.full((lines * (height + gap) + gap, columns * (width + gap) + gap, channels), PAPER, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        sheet[top : top + height, left : left + width] = image
    return sheet


def sheet_figure(images: np.ndarray, *, columns: int) -> matplotlib.figure.Figure:
    """Draws images, uint8 (n, H, W, C), side by side without any text."""
    figure = new_figure(WIDTH, WIDTH * -(-len(images) // columns) / columns)
    axes, sheet = add_axes(figure), tile(images, columns=columns)
    axes.imshow(
        sheet[..., 0] if sheet.shape[-1] == 1 else sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest"
    )
    axes.set_axis_off()
    return figure


def png(image: np.ndarray) -> bytes:
    """Returns an image, uint8 (H, W, C), as a PNG file, its pixels repeated until a person can see them."""
    times = max(1, -(-LEAST_SIDE // max(image.shape[:2])))
    return plain_png(image.repeat(times, 0).repeat(times, 1))


def plain_png(image: np.ndarray) -> bytes:
    """Returns an image, uint8 (H, W, C), as a PNG file with these pixels."""
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()
