"""What the GAN experiment draws: grids of samples, interpolations, neighbors among the training images, curves."""

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib.axes
import numpy as np
from PIL import Image

from kerasapps.gan.losses import CROSS_ENTROPY, Rules, rest
from kerasapps.gan.metrics import nearest_rows
from kerasapps.reports import STYLE, Animation, Figure, add_axes, new_figure
from kerasapps.runs import Run, write_atomically

from ..shared.classification import WIDTH
from ..shared.images import png, sheet_figure

OPTIMUM = "#9aa1ab"
COLORS = STYLE["axes.prop_cycle"].by_key()["color"]


def write_frame(run: Run, epoch: int, image: np.ndarray) -> None:
    """Keeps the grid of an epoch in the run folder, where a resumed run finds it."""
    write_atomically(run.path("samples", f"epoch{epoch:05d}.png"), png(image))


def read_frames(run: Run, epochs: int) -> list[np.ndarray]:
    """Reads the grids of the first epochs, uint8 (H, W, C), those that there are."""
    frames = []
    for path in sorted(Path(run.folder, "samples").glob("epoch*.png")):
        if int(re.sub(r"\D", "", path.stem)) <= epochs:
            with Image.open(path) as frame:
                frames.append(np.atleast_3d(np.asarray(frame)))
    return frames


def over_time(run: Run, epochs: int) -> list[Animation]:
    """Shows the images of the same noise epoch by epoch; nothing before the second epoch."""
    frames = read_frames(run, epochs)
    caption = f"The same noise after each of {len(frames)} epochs, through the averaged generator."
    return [Animation("over_time", caption, frames)] if len(frames) > 1 else []


def samples_figure(images: np.ndarray, *, what: str, name: str = "samples") -> Figure:
    """Shows random samples, uint8 (n, H, W, C)."""
    figure = sheet_figure(images, columns=12)
    return Figure(name, f"{what}; {len(images)} random samples.", figure)


def interpolation_figure(rows: Sequence[np.ndarray]) -> Figure:
    """Shows images between images: the rows, uint8 (n, H, W, C), turn noise evenly from one sample to another."""
    figure = sheet_figure(np.concatenate(rows), columns=len(rows[0]))
    caption = (
        "Interpolation: from left to right the noise turns evenly from one sample's to another's. A generator that had "
        "memorized single images would jump."
    )
    return Figure("interpolation", caption, figure)


def neighbors_figure(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[Figure, float]:
    """Shows samples above their nearest training images, all uint8 (n, H, W, C).

    Returns:
        The figure, and how far a sample is from its nearest training image as a share of how far a test image is:
        near 0 where training images are copied.
    """
    rows, distances = nearest_rows(samples, train)
    share = float(np.median(distances) / np.median(nearest_rows(test, train)[1]))
    columns = 12
    lines = []
    for i in range(0, 2 * columns, columns):
        lines += [samples[i : i + columns], train[rows[i : i + columns]]]
    figure = sheet_figure(np.concatenate(lines), columns=columns)
    caption = (
        f"Rows 1 and 3: samples. Below each: the nearest of {len(train):,} training images, by pixel distance. The "
        f"median sample is {share:.2f} times as far from them as the median test image; copies would be near 0."
    )
    return Figure("neighbors", caption, figure), share


def curves_figure(rows: Sequence[dict[str, float]], rules: Rules, *, best_epoch: int) -> Figure:
    """Draws losses, logits and the score over the epochs, with their equilibrium values."""
    optimum = rest(rules)
    epochs = np.arange(1, len(rows) + 1)
    figure = new_figure(WIDTH + 2, 3.6)

    def draw(position: int, title: str, names: dict[str, str], *levels: float | None) -> matplotlib.axes.Axes:
        axes = add_axes(figure, 1, 3, position, xlabel="epoch", title=title)
        for i, (name, label) in enumerate(names.items()):
            axes.plot(epochs, [row.get(name, np.nan) for row in rows], label=label, color=COLORS[i])
        for i, level in enumerate(levels):
            if level is not None:  # in the color of its curve, where each has its own
                axes.axhline(level, color=COLORS[i] if len(levels) > 1 else OPTIMUM, linestyle="--", linewidth=1)
        axes.axvline(best_epoch, color=OPTIMUM, linewidth=1, linestyle=":")
        axes.legend(frameon=False, fontsize=8)
        return axes

    names = {"discriminator_loss": "discriminator", "generator_loss": "generator"}
    draw(1, "losses", names, optimum.discriminator_loss, optimum.generator_loss)
    what = "D(x)" if rules.loss in CROSS_ENTROPY else "logit"
    names = {"real_verdict": "real", "fake_verdict": "generated", "val_real_verdict": "held out"}
    draw(2, what, names, optimum.verdict)
    # Logarithmic, because the first epochs are hundreds of times worse than the last ones.
    draw(3, "score", {"val_frechet_distance": "Fréchet distance"}).set_yscale("log")
    caption = (
        "Dashed: equilibrium values, for a generator that samples the data distribution; trained pairs rarely get "
        "there. A held-out curve that falls below the real one shows a discriminator that memorizes its training "
        f"images. Dotted: epoch {best_epoch}, whose weights are kept."
    )
    return Figure("curves", caption, figure, "Learning curves", wraps=True)
