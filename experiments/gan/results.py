"""What the GAN experiment reports: scores and their table, pictures of a trained pair, the lectures' loop beside it."""

from collections.abc import Mapping

import keras
import numpy as np

from experiments.gan.figures import (
    between,
    curves_figure,
    interpolation_figure,
    neighbours_figure,
    over_time,
    samples_figure,
)
from experiments.gan.judge import NAME, Judge, real_pictures, score
from experiments.gan.network import as_pixels, draw, generate, noise_of
from kerasapps.applications.gan import build_discriminator, build_generator
from kerasapps.data.images import ImageSplits
from kerasapps.gan.model import GAN, train_alternately
from kerasapps.reports import Block, Figure, Table
from kerasapps.runs import Run, save_model
from kerasapps.training import History

SHOWN = 96
COMPARED = 20_000  # training pictures that samples are compared with, at most
ROWS, STEPS = 6, 12  # of interpolations
SCORES = ("fid", "kid", "precision", "recall", "classes_covered", "confident_share", "diversity")


def headline_of(metrics: Mapping[str, float]) -> list[str]:
    """Names the metrics that a report shows large."""
    return [name for name in ("fid", "fid_baseline", "classes_covered", "confident_share") if name in metrics]


def score_table(scores: Mapping[str, Mapping[str, float]], floor: float) -> Table:
    """Lists the scores of generators beside the test part."""
    rows = [[name, *(values[score] for score in SCORES)] for name, values in scores.items()]
    caption = (
        f"Features of {NAME}: this is not the Inception FID, and comparable only under the same judge. Training "
        f"pictures themselves have a Fréchet distance of {floor:.2f}. Precision: share of the samples among real "
        "pictures; recall: share of the real pictures among samples. Sure: share of the samples of whose class the "
        "judge is at least 90 % sure. Spread: of their features, as a share of that of real pictures."
    )
    columns = ["", "Fréchet", "KID", "precision", "recall", "classes", "sure", "spread"]
    return Table("Scores on the test part", columns, rows, caption, digits=3)


def result_blocks(run: Run, model: GAN, splits: ImageSplits, history: History) -> tuple[list[Block], float]:
    """Returns what the report shows of a trained pair, the samples first, and how far samples are from copies."""
    seed = run.options.seed
    images = as_pixels(draw(model, SHOWN, seed=seed + 1))
    ends = noise_of(model, 2 * ROWS, seed + 2)
    paths = [
        generate(model, between(ends[i], ends[i + ROWS], STEPS), label=i % splits.sizes["num_classes"])
        for i in range(ROWS)
    ]
    neighbours, share = neighbours_figure(
        images, real_pictures(splits.train, COMPARED)[0], real_pictures(splits.test, 500)[0]
    )
    return [
        samples_figure(images, what=f"The averaged generator of epoch {history.best_epoch}"),
        *over_time(run, len(history.rows)),
        interpolation_figure([as_pixels(path) for path in paths]),
        neighbours,
        *([curves_figure(history.rows, model.rules, best_epoch=history.best_epoch)] if history.rows else []),
    ], share


def train_lectures_loop(
    run: Run, splits: ImageSplits, judge: Judge, *, updates: int, seed: int
) -> tuple[dict[str, float], Figure]:
    """Trains the lectures' networks by the lectures' loop, in the folder baseline/; returns scores and samples.

    Args:
        run: The run folder.
        splits: Pictures from -1 to 1.
        judge: What judged the other generator.
        updates: Updates of the generator.
        seed: Decides noise, labels and order.
    """
    path = run.path("baseline", f"generator{updates}.keras")
    if path.exists():
        generator = keras.models.load_model(path, compile=False)
    else:
        shape = splits.sizes["image_shape"]
        generator, discriminator = build_generator(image_shape=shape), build_discriminator(image_shape=shape)
        images = np.concatenate([inputs["image"].numpy() for inputs, _ in splits.train.batches(256)])
        steps = max(1, updates // 2)
        for step, losses in enumerate(train_alternately(generator, discriminator, images, steps=steps, seed=seed), 1):
            if step % 100 == 0 or step == steps:
                shown = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
                print(f"The lectures' loop: step {step}/{steps}  {shown}", flush=True)
        save_model(generator, path)
    real, _ = real_pictures(splits.test)
    shape = (max(len(real), run.options.shrink(2000, 64)), generator.inputs[0].shape[-1])  # as of the other generator
    noise = np.random.default_rng(seed + 1).standard_normal(shape, dtype=np.float32)
    fake = as_pixels(generator.predict({"noise": noise}, batch_size=256, verbose=0)["image"])
    figure = samples_figure(fake[:SHOWN], what=f"The lectures' loop after {updates:,} updates", name="baseline")
    return score(judge, real, fake), figure
