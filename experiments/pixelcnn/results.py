"""What the PixelCNN experiment measures and shows: exact likelihoods, samples, completions, surprise, what is seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf

from kerasapps.applications.pixelcnn import build_pixelcnn
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.pixels import PixelCodec, histogram
from kerasapps.data.splits import Splits
from kerasapps.errors import UserError
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure
from kerasapps.runs import Options, read_config, read_json
from kerasapps.training import History

from ..shared.classification import WIDTH
from ..shared.images import HEAT, as_bytes, image_grid, show_image, tile
from ..shared.runs import read_codec
from ..shared.training import Trained
from .network import Arch, surprise
from .sampling import blank, draw

SAMPLES = 36
COMPLETED, WAYS = 4, 4  # images completed from their upper half, and ways of each
HIDDEN = 128
SURPRISED = 6
# The pixel itself, seen, in the blind spot, out of reach, after it.
COLORS = np.array([(28, 36, 48), (37, 99, 168), (181, 72, 93), (154, 161, 171), (230, 232, 236)], np.uint8)
# Nats an image of binarized MNIST, on its official 10,000 test images after training on 50,000 or 60,000.
PUBLISHED = {
    "mnist": {
        "VAE, one layer, bound by 5,000 samples (Burda et al. 2016)": 86.76,
        "PixelCNN (van den Oord et al. 2016)": 81.30,
        "PixelRNN, diagonal BiLSTM (van den Oord et al. 2016)": 79.20,
    }
}


def likelihoods(
    model: keras.Model, splits: Splits, *, data: str, bound: float | None = None
) -> tuple[dict[str, float], Table, np.ndarray]:
    """Returns exact likelihoods of the test set, a table of them next to others, and the nats of each pixel.

    Args:
        model: The network.
        splits: Training and test set.
        data: Name of the data set, for published figures.
        bound: Of a variational autoencoder, in nats an image.
    """
    images, levels = splits.test.inputs["image"], splits.sizes["levels"]
    chances = histogram(splits.train.inputs["image"], levels)
    apart = -np.log(np.take_along_axis(chances[None], images[..., None].astype(int), -1)[..., 0])  # (n, H, W, C)
    own = surprise(model, images)
    size = int(np.prod(images.shape[1:]))
    metrics = {}
    for name, nats in (("", own), ("_histogram", apart)):
        mean = float(nats.sum((1, 2, 3), dtype=np.float64).mean())
        metrics |= {f"bits_per_pixel{name}": mean / size / np.log(2), f"nats{name}": mean}
    return metrics, likelihood_table(metrics, size=size, levels=levels, data=data, bound=bound), own


def bound_of(folder: Path | None, splits: Splits, *, data: str, options: Options) -> float | None:
    """Returns the nats an image of the bound of a variational autoencoder's run, None without one.

    Args:
        folder: Its run folder.
        splits: The images of this run.
        data: What they are.
        options: How they were drawn.

    Raises:
        UserError: If it has none, or not of the same images.
    """
    if folder is None:
        return None
    metrics = read_json(folder / "metrics.json")
    elbo = metrics.get("elbo") if isinstance(metrics, dict) else None
    if not isinstance(elbo, int | float):
        raise UserError(f"--compare takes a run with a bound, and {folder / 'metrics.json'} has no number elbo.")
    settings, shape = read_config(folder)["settings"], splits.sizes["image_shape"]
    if settings.get("binary") is not True or splits.sizes["levels"] != 2:
        raise UserError(f"--compare is for pixels of two levels: {folder} needs --binary, and this run --levels 2.")
    codec = read_codec(folder, ImageCodec)
    if settings.get("data") != data or codec.image_shape != shape or codec.digest != splits.digest:
        raise UserError(f"--compare {folder} is a run on other images than {data} of {shape[1]} x {shape[0]} pixels.")
    if any(settings.get(name) != getattr(options, name) for name in ("seed", "limit", "smoke")):
        raise UserError(f"--compare {folder} was tested on other images: it needs the same --seed and --limit.")
    return -elbo


def likelihood_table(metrics: Mapping[str, float], *, size: int, levels: int, data: str, bound: float | None) -> Table:
    """Returns what images of `size` pixels cost under the network and other densities."""
    nats = {
        "all levels equally likely": size * np.log(levels),
        "histogram of each pixel": metrics["nats_histogram"],
        "variational autoencoder, at most": bound,
        "PixelCNN": metrics["nats"],
    }
    rows = [[name, value / size / np.log(2), value] for name, value in nats.items() if value is not None]
    caption = "Mean negative log-likelihood of the test images."
    if data in PUBLISHED and levels == 2:
        caption += " Published figures are for the official test set, after training on 50,000 or 60,000 images."
        rows += [[f"published: {name}", value / size / np.log(2), value] for name, value in PUBLISHED[data].items()]
    return Table("Test set", ["", "bits a pixel", "nats an image"], rows, caption, digits=3)


def result_blocks(
    trained: Trained,
    metrics: Mapping[str, float],
    table: Table,
    nats: np.ndarray,
    *,
    params: Mapping[str, Any],
    options: Options,
) -> list[Block | None]:
    """Returns what the report shows.

    Args:
        trained: The network, its history and its images.
        metrics: What `likelihoods` found,
        table: its table,
        nats: and what each pixel of the test set costs, (n, H, W, C).
        params: Builder arguments besides those that the data fix.
        options: Seed, and whether little is drawn.
    """
    model, history, codec = trained.model, trained.history, trained.splits.codec
    images, sizes, seed = trained.splits.test.inputs["image"], trained.splits.sizes, options.seed
    samples = codec.decode(draw(model, blank(model, options.shrink(SAMPLES, 4)), seed=seed))
    rows = np.random.default_rng(seed).permutation(len(images))  # folders are read class by class
    images, nats = images[rows], nats[rows]
    return [
        bits_figure(history, reference=metrics["bits_per_pixel_histogram"]) if history.rows else None,
        table,
        samples_figure(samples, codec.decode(images[: len(samples)])),
        completion_figure(model, codec, images[: options.shrink(COMPLETED, 1)], seed=seed),
        surprise_figure(codec.decode(images), nats / np.log(2)),
        seen_figure({arch: build_pixelcnn(**sizes, **params, gated=arch == "gated") for arch in get_args(Arch)}),
    ]


def bits_figure(history: History, *, reference: float) -> Figure:
    """Draws bits a pixel over the epochs, and those of the histogram."""
    figure = new_figure()
    axes = add_axes(figure, xlabel="epoch", ylabel="bits a pixel")
    rows, best_epoch = history.rows, history.best_epoch
    epochs = np.arange(1, len(rows) + 1)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        axes.plot(epochs, [row[name] / np.log(2) for row in rows], label=label)
    axes.axhline(reference, color="#9aa1ab", linestyle="--", label="histogram of each pixel")
    axes.axvline(best_epoch, color="#9aa1ab", linewidth=1, linestyle=":", label="kept")
    if rows[-1]["val_loss"] < reference * np.log(2):
        axes.set_ylim(top=1.25 * reference)  # the first epochs would hide the others
    axes.legend(frameon=False)
    caption = (
        "The loss is the mean negative log-probability of a pixel given those before it. In bits, that is what a pixel "
        f"takes in a file that is compressed with this network. The weights of epoch {best_epoch} are kept."
    )
    return Figure("curves", caption, figure, "Learning curves")


def samples_figure(samples: np.ndarray, real: np.ndarray) -> Figure:
    """Shows drawn images next to test images, both uint8 (n, H, W, C)."""
    figure = new_figure(WIDTH, WIDTH / 2)
    columns = int(np.sqrt(len(samples)))
    for i, (title, images) in enumerate({"drawn by the network": samples, "test images": real}.items(), start=1):
        axes = add_axes(figure, 1, 2, i, title=title)
        show_image(axes, tile(images, columns=columns))
    caption = "Each drawn image began empty; its pixels were drawn one by one, each given all before it."
    return Figure("samples", caption, figure, wraps=True)


def completion_figure(model: keras.Model, codec: PixelCodec, images: np.ndarray, *, seed: int) -> Figure:
    """Shows images completed from their upper half: levels (n, H, W, C)."""
    half = images.shape[1] // 2
    drawn = draw(model, images.repeat(WAYS, 0), first=half * int(np.prod(images.shape[2:])), seed=seed + 1)
    whole = codec.decode(images)
    upper = whole.copy()
    upper[:, half:] = HIDDEN
    columns = [whole, upper, *(codec.decode(drawn[way::WAYS]) for way in range(WAYS))]
    shown = [column[i] for i in range(len(images)) for column in columns]
    above = ["test image", "what is given", "completed"]
    figure = image_grid(shown, [""] * len(shown), columns=len(columns), above=above)
    caption = f"The lower half drawn {WAYS} times, given the upper half: one beginning, several likely ends."
    return Figure("completions", caption, figure)


def surprise_figure(images: np.ndarray, bits: np.ndarray) -> Figure:
    """Shows how little the network expected each pixel of the first images, and of all in the mean.

    Args:
        images: The test set, uint8 (n, H, W, C).
        bits: Of each pixel, (n, H, W, C).
    """
    shown = [*images[:SURPRISED], as_bytes(images.mean(0))]
    maps = [one.sum(-1) for one in (*bits[:SURPRISED], bits.mean(0))]  # (H, W)
    top = float(np.quantile(np.stack(maps), 0.995))
    heat = [as_bytes(255 * HEAT(np.minimum(one / top, 1))[..., :3]) for one in maps]
    below = [f"{one.sum():.0f} bits" for one in maps]
    above = [*[""] * (len(shown) - 1), "mean of all"]
    figure = image_grid([*shown, *heat], [*[""] * len(shown), *below], columns=len(shown), above=above)
    caption = (
        "Test images, and below each how surprising its pixels were: black was expected, bright was not. What the "
        f"network cannot know is where strokes begin, turn and end. White is {top:.1f} bits; the sum is below."
    )
    return Figure("surprise", caption, figure)


def seen_figure(networks: Mapping[str, keras.Model]) -> Figure:
    """Shows which pixels one pixel's prediction can depend on, in networks of one size with different masks."""
    fields = {name: field_of(model) for name, model in networks.items()}
    (height, width), both = fields["gated"].shape, np.logical_or.reduce(list(fields.values()))
    row, column = example_pixel((height, width))
    before = np.arange(height * width).reshape(height, width) < row * width + column
    figure = new_figure(WIDTH * 0.75, WIDTH * 0.4)
    for i, (name, seen) in enumerate(fields.items(), start=1):
        kinds = np.where(seen, 1, np.where(before & both, 2, np.where(before, 3, 4)))
        kinds[row, column] = 0
        axes = add_axes(figure, 1, len(fields), i, title=f"--arch {name}: {seen.sum()} of {before.sum()}")
        show_image(axes, COLORS[kinds])
    caption = (
        "Which pixels the prediction of the black one can depend on, by the gradient: blue ones are seen; red ones are "
        "in reach of the windows, yet in the blind spot of square masks; dark gray ones are before it but out of reach "
        "at this depth; light gray ones come after it and are never seen."
    )
    return Figure("receptive_field", caption, figure, "Receptive field", wraps=True)


def field_of(model: keras.Model) -> np.ndarray:
    """Returns which pixels the prediction of one pixel depends on, bool (H, W)."""
    shape = model.inputs[0].shape[1:]
    row, column = example_pixel(shape)
    levels = model.output["level"].shape[-1]
    images = tf.random.stateless_uniform((8, *shape), seed=(0, 0), maxval=levels - 1.0)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model({"image": images}, training=False)["level"][:, row, column]
        total = tf.reduce_sum(tf.square(logits))
    return (np.abs(tape.gradient(total, images)) > 0).any((0, 3))


def example_pixel(shape: Sequence[int]) -> tuple[int, int]:
    """Returns row and column of the pixel that `seen_figure` looks at."""
    return 3 * shape[0] // 4, shape[1] // 4
