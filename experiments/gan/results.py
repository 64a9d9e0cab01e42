"""What the GAN experiment reports: scores and their table, samples, and the textbook loop for comparison."""

from collections.abc import Mapping

import keras
import numpy as np

from kerasapps.applications.gan import build_discriminator, build_generator
from kerasapps.data.images import ImageSplits
from kerasapps.formats import format_share
from kerasapps.gan.judge import Judge
from kerasapps.gan.model import GAN
from kerasapps.gan.textbook import train_alternately
from kerasapps.reports import Block, Figure, Table
from kerasapps.runs import Options, Run, load_model
from kerasapps.training import History

from ..shared.judging import Judged, samples_scored, score, score_table, score_with_floor
from ..shared.training import Trained, finish
from .figures import (
    curves_figure,
    interpolation_figure,
    neighbors_figure,
    over_time,
    samples_figure,
)
from .judge import alarm, judged, real_images
from .sampling import as_pixels, between, draw, generate, noise_of

SHOWN = 96
COMPARED = 20_000  # training images that samples are compared with, at most
ROWS, STEPS = 6, 12  # of interpolations


def result_blocks(run: Run, model: GAN, splits: ImageSplits, history: History) -> tuple[list[Block], float]:
    """Returns the figures of a trained pair, samples first, and the distance of samples from training images."""
    seed = run.options.seed
    images = as_pixels(draw(model, SHOWN, seed=seed + 1))
    ends = noise_of(model, 2 * ROWS, seed + 2)
    paths = [
        generate(model, between(ends[i], ends[i + ROWS], STEPS), label=i % max(1, len(splits.class_names)))
        for i in range(ROWS)
    ]
    train, test = real_images(splits.train, COMPARED)[0], real_images(splits.test, 500)[0]
    neighbors, share = neighbors_figure(images, train, test)
    return [
        samples_figure(images, what=f"The averaged generator of epoch {history.best_epoch}"),
        *over_time(run, len(history.rows)),
        interpolation_figure([as_pixels(path) for path in paths]),
        neighbors,
    ], share


def train_baseline(
    run: Run, splits: ImageSplits, judge: Judge, real: Judged, *, updates: int, seed: int
) -> tuple[dict[str, float], Figure]:
    """Trains the networks of the course notes by the textbook loop, in the folder baseline/; scores and shows samples.

    Args:
        run: The run folder.
        splits: Images from -1 to 1.
        judge: Judge of the other generator.
        real: Test images.
        updates: Updates of the generator.
        seed: Decides noise, labels and order.
    """
    part = run.part(f"baseline/{updates}", {})
    if (part.folder / "model.keras").exists():
        generator = load_model(part.folder)
    else:
        shape = splits.sizes["image_shape"]
        generator, discriminator = build_generator(image_shape=shape), build_discriminator(image_shape=shape)
        images = np.concatenate([inputs["image"].numpy() for inputs, _ in splits.train.batches(256)])
        steps = max(1, updates // 2)
        for step, losses in enumerate(train_alternately(generator, discriminator, images, steps=steps, seed=seed), 1):
            if step % 100 == 0 or step == steps:
                shown = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
                print(f"Baseline: step {step}/{steps}  {shown}", flush=True)
        part.save(generator)
    shape = samples_scored(real, run.options), generator.inputs[0].shape[-1]
    noise = np.random.default_rng(seed + 1).standard_normal(shape, dtype=np.float32)
    fake = as_pixels(generator.predict({"noise": noise}, batch_size=256, verbose=0)["image"])
    figure = samples_figure(fake[:SHOWN], what=f"The textbook loop after {updates:,} updates", name="baseline")
    return score(judge, real, fake), figure


def evaluate_model(
    model: GAN, judge: Judge, splits: ImageSplits, *, options: Options
) -> tuple[dict[str, float], Table, Judged]:
    """Returns scores on the test set, their table, and the test images."""
    real = judged(judge, splits.test)
    fake = as_pixels(draw(model, samples_scored(real, options), seed=options.seed + 1))
    metrics, table = score_with_floor(judge, real, fake, real_images(splits.train, len(fake))[0])
    if judge.has_classes:
        metrics["judge_accuracy"] = float((real.probabilities.argmax(1) == real.labels).mean())
    return metrics, table, real


def outcome(metrics: Mapping[str, float], classes: int) -> str:
    """Returns what a pair reached, in a few words."""
    if not classes:
        return f"Fréchet distance {metrics['frechet_distance']:.2f}, without classes"
    return (
        f"{metrics['classes_covered']:.0f} of {classes} classes, the judge confident of "
        f"{format_share(metrics['confident_share'])} of the samples"
    )


def report_images(run: Run, trained: Trained, judge: Judge, *, arch: str, data: str, baseline: bool) -> None:
    """Evaluates and reports a pair, with `baseline` next to the course notes' loop."""
    model, history, splits = trained.model, trained.history, trained.splits
    interrupted, seed = history.interrupted, run.options.seed
    metrics, table, real = evaluate_model(model, judge, splits, options=run.options)
    metrics["generator_updates"] = updates = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    blocks, metrics["neighbor_distance"] = result_blocks(run, model, splits, history)
    if baseline and not interrupted:
        try:
            rival, figure = train_baseline(run, splits, judge, real, updates=updates, seed=seed)
        except KeyboardInterrupt:
            interrupted = True
            print("Interrupted: the report is without the baseline, which --resume starts again.")
        else:
            table = score_table({arch: metrics, "textbook loop": rival}, metrics["frechet_distance_floor"])
            metrics |= {f"{name}_baseline": value for name, value in rival.items()}
            blocks.insert(1, figure)
    curves = curves_figure(history.rows, model.rules, best_epoch=history.best_epoch) if history.rows else None
    scores = [(row["val_frechet_distance"], row["val_diversity"]) for row in history.rows]
    warning = alarm(scores) if scores else ""
    finish(
        run,
        trained,
        metrics,
        [curves, blocks[0], table, *blocks[1:]],
        summary=f"{arch} on {data}: {outcome(metrics, len(splits.class_names))}; weights of epoch "
        f"{history.best_epoch}.{' ' * bool(warning)}{warning}",
        headline=("frechet_distance", "frechet_distance_baseline", "classes_covered", "confident_share"),
        table=table,
        conclusion=warning,
        interrupted=interrupted,
        draw_curves=False,
        networks={"Generator": model.generator, "Discriminator": model.discriminator},
        following={
            "Draw images": "sample --run RUN --n 64 --seed 3 --out grid.png",
            "Score it again": "evaluate --run RUN",
        },
    )
