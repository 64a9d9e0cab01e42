"""GANs of points from a ring of Gaussians: every mode counted, the discriminator compared with the optimal one."""

import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasapps.applications.point_gan import build_point_discriminator, build_point_generator
from kerasapps.data.gaussians import Mixture, load_gaussians, ring
from kerasapps.formats import format_share
from kerasapps.gan.losses import CROSS_ENTROPY, Rules
from kerasapps.gan.model import GAN
from kerasapps.networks import Network
from kerasapps.reports import Figure, Table, add_axes, curves, new_figure
from kerasapps.runs import Run, write_atomically
from kerasapps.training import History

from ..shared import training
from ..shared.training import Trained, report
from .network import Recipe, build_networks, compile_gan
from .saddle import saddle_figure
from .sampling import draw, noise_of

POINTS = "gaussians"  # their name as a data set
EXTRAS = ("real_labels", "fake_labels", "flip", "clip", "gradient_penalty", "r1", "instance_noise")
SEEN = 2000  # points that a figure shows and a score counts
EXTENT = 3.0
CELLS = 60  # of a side of the map
NOTHING = 1e-4  # density below which the optimum is not computed
BANDWIDTH = 0.08  # of the kernels that a generator's density is estimated with


class CountModes(keras.callbacks.Callback):
    """Counts, after each epoch, the modes that the averaged generator draws, and the points that lie in none."""

    def __init__(self, gan_run: Run, mixture: Mixture):
        super().__init__()
        self.run = gan_run
        self.mixture = mixture

    def on_epoch_end(self, epoch, logs=None):
        """Adds to the logs, and keeps the points in the run folder, where a resumed run finds them."""
        points = draw(self.model, SEEN, seed=self.run.options.seed)
        buffer = io.BytesIO()
        np.save(buffer, points)
        write_atomically(points_path(self.run, epoch + 1), buffer.getvalue())
        logs |= {f"val_{name}": value for name, value in mode_scores(self.mixture, points).items()}


def points_path(run: Run, epoch: int) -> Path:
    """Returns where the points of an epoch are kept."""
    return run.path("samples", f"epoch{epoch:05d}.npy")


def mode_scores(mixture: Mixture, points: np.ndarray) -> dict[str, float]:
    """Counts modes and points in them.

    Returns:
        `modes`: those with at least a fifth of an even share of the points. `good_share`: share of the points in any
        mode. `missed`: share of the points that would have to move for all modes to have as many, and for none to be
        outside.
    """
    modes = mixture.modes_of(points)
    counts = np.bincount(modes[modes >= 0], minlength=len(mixture.centers))
    missing = np.maximum(len(points) / len(counts) - counts, 0).sum() / len(points)
    return {
        "modes": int((counts >= 0.2 * len(points) / len(counts)).sum()),
        "good_share": float((modes >= 0).mean()),
        "missed": float(missing),
    }


def train_points(run: Run, recipe: Recipe, params: dict, *, patience: int | None = None) -> Trained:
    """Trains one pair on the ring in a run folder, and keeps the epoch with the lowest `missed`."""
    mixture = ring()
    return training.train(
        run,
        load_gaussians(mixture, seed=run.options.seed, limit=run.options.rows),
        partial(make_model, params=params, seed=run.options.seed),
        recipe,
        batch_size=recipe.batch_size * recipe.discriminator_steps,
        monitor="val_missed",
        patience=patience,
        callbacks=[CountModes(run, mixture)],
    )


def make_model(
    *, params: dict[str, Any], recipe: Recipe, seed: int, jit_compile: bool, steps: int | None = None
) -> GAN:
    """Builds and compiles; the learning rate does not depend on the number of `steps`."""
    builders = {"generator": (build_point_generator, {}), "discriminator": (build_point_discriminator, {})}
    networks = build_networks(builders, params, usual={}, what="points")
    return compile_gan(GAN(*networks, rules=recipe.rules, seed=seed), recipe, jit_compile=jit_compile)


def compare_with_optimum(model: GAN, mixture: Mixture, *, seed: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Compares the discriminator with D* = p_r / (p_r + p_g), and returns how far apart they are, and both maps.

    The generator's density is estimated from its points with Gaussian kernels; the mixture, whose density is known, is
    blurred alike, so that the estimate's own error cancels.

    Returns:
        `optimum_gap`, the mean absolute difference over points of both kinds, and the maps "D" and "D*" (CELLS, CELLS).
    """
    drawn = model.generator.predict({"noise": noise_of(model, SEEN, seed)}, batch_size=SEEN, verbose=0)["point"]
    estimate = Mixture(drawn, BANDWIDTH)

    def best(points: np.ndarray) -> np.ndarray:
        real, fake = mixture.density(points, blur=BANDWIDTH), estimate.density(points)
        return np.where(real + fake > NOTHING, real / np.maximum(real + fake, NOTHING), np.nan)

    def predicted(points: np.ndarray) -> np.ndarray:
        logits = model.judge(points.astype(np.float32), training=False)["verdict"]
        return keras.ops.convert_to_numpy(keras.ops.sigmoid(logits))[:, 0]

    points = np.concatenate([mixture.sample(SEEN, seed=seed + 200), drawn])
    axis = np.linspace(-EXTENT, EXTENT, CELLS)
    cells = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    maps = {"D": predicted(cells).reshape(CELLS, CELLS), "D*": best(cells).reshape(CELLS, CELLS)}
    return {"optimum_gap": float(np.nanmean(np.abs(predicted(points) - best(points))))}, maps


def points_figure(points: np.ndarray, mixture: Mixture, maps: dict[str, np.ndarray], *, what: str, name: str) -> Figure:
    """Draws generated over real points, and the map of the discriminator next to the optimal one."""
    figure = new_figure(9.0, 3.3)
    axes = add_axes(figure, 1, 1 + len(maps), 1, title=f"points: {what}")
    real = mixture.sample(len(points), seed=7)
    axes.scatter(*real.T, s=2, color="#c9ced6", label="real", linewidths=0)
    axes.scatter(*points.T, s=2, color="#2563a8", label="generated", linewidths=0)
    axes.legend(frameon=False, markerscale=4, fontsize=8, loc="upper left", ncols=2, borderpad=0)
    axes.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), aspect="equal")
    for i, (title, values) in enumerate(maps.items(), start=2):
        axes = add_axes(figure, 1, 1 + len(maps), i, title=title)
        extent = (-EXTENT, EXTENT, -EXTENT, EXTENT)
        shown = axes.imshow(values, origin="lower", extent=extent, vmin=0, vmax=1, cmap="RdBu")
        axes.grid(visible=False)
    if maps:
        figure.colorbar(shown, ax=figure.axes[1:], shrink=0.8)
    scores = mode_scores(mixture, points)
    caption = f"{what}: {scores['modes']:.0f} of {len(mixture.centers)} modes, "
    caption += f"{format_share(scores['good_share'], 0)} of the points in one."
    if maps:
        caption += " D is the discriminator, D* = p_r / (p_r + p_g) the optimal one against this generator, blank "
        caption += "where both densities are nearly 0: nothing trains D there."
    return Figure(name, caption, figure, f"Points: {what.replace('_', ' ')}")


def time_figure(kept: Sequence[np.ndarray], mixture: Mixture, *, what: str, name: str, count: int = 6) -> Figure:
    """Draws the points of some epochs, from the first to the last."""
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(count, len(kept))).astype(int))
    figure = new_figure(9.0, 9.0 / count + 0.4)
    for i, epoch in enumerate(chosen, start=1):
        axes = add_axes(figure, 1, len(chosen), i, title=f"epoch {epoch + 1}")
        axes.scatter(*mixture.centers.T, s=60, color="#e6e8ec")
        axes.scatter(*kept[epoch].T, s=1, color="#2563a8", linewidths=0)
        axes.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), aspect="equal", xticks=[], yticks=[])
    return Figure(name, f"{what}, over time; gray: the modes.", figure, f"Over time: {what.replace('_', ' ')}")


def loss_curves(history: History, *, what: str, name: str) -> list[Figure]:
    """Draws the losses of both networks over the epochs, where there are any."""
    names = ("discriminator_loss", "generator_loss")
    kept = [{key: row[key] for one in names for key in (one, f"val_{one}")} for row in history.rows]
    return [curves(kept, best_epoch=history.best_epoch, name=name, network=what)] if kept else []


def run_points(run: Run, recipe: Recipe, params: dict, *, patience: int | None) -> None:
    """Trains with the chosen objective and with the original minimax objective on the ring, and reports both."""
    original = replace(recipe, loss="minimax", **{name: getattr(Rules(), name) for name in EXTRAS})
    objectives = {recipe.loss: recipe} | ({"original minimax": original} if recipe != original else {})
    metrics, drawn, blocks, rows, interrupted = {}, [], [], [], False
    for i, (what, one) in enumerate(objectives.items()):
        if interrupted:
            break
        print(f"Objective: {what}", flush=True)
        part, suffix = (run, "") if i == 0 else (run.part("minimax", asdict(one)), "_minimax")
        trained = train_points(part, one, params, patience=patience)
        interrupted = trained.history.interrupted
        scores, figures = evaluate_points(part, trained, one, what=what, suffix=suffix)
        metrics |= {f"{name}{suffix}": value for name, value in scores.items()}
        metrics.setdefault("seconds", trained.history.seconds)
        rows.append([what, scores["modes"], format_share(scores["good_share"]), scores.get("optimum_gap")])
        drawn += loss_curves(trained.history, what=what, name=f"curves{suffix}")
        blocks += figures
        if i == 0:
            first = trained.model
    columns = ["objective", "modes", "share of points in a mode", "mean |D - D*|"]
    modes = len(ring().centers)
    report(
        run,
        metrics,
        [
            *drawn,
            Table("Modes found by each objective", columns, rows, digits=3),
            *blocks,
            saddle_figure(),
            Network("Generator", first.generator),
            Network("Discriminator", first.discriminator),
        ],
        summary=f"Objectives on a ring of {modes} Gaussians: {', '.join(objectives)}."
        + (" Interrupted: this is what was trained." if interrupted else ""),
        headline=("modes", "good_share", "optimum_gap", "modes_minimax"),
        conclusion=f"{metrics['modes']:.0f} of {modes} modes.",
    )


def evaluate_points(
    run: Run, trained: Trained, recipe: Recipe, *, what: str, suffix: str
) -> tuple[dict[str, float], list[Figure]]:
    """Returns the scores of a pair, those of its last epoch as `last_*`, and its figures."""
    model, mixture, seed = trained.model, ring(), run.options.seed
    kept = [np.load(points_path(run, epoch)) for epoch in range(1, len(trained.history.rows) + 1)]
    points = draw(model, SEEN, seed=seed)
    scores = mode_scores(mixture, points)
    maps: dict[str, np.ndarray] = {}
    if recipe.loss in CROSS_ENTROPY:
        gap, maps = compare_with_optimum(model, mixture, seed=seed)
        scores |= gap
    figures = [points_figure(points, mixture, maps, what=what, name=f"points{suffix}")]
    if len(kept) > 1:
        figures.append(time_figure(kept, mixture, what=what, name=f"over_time{suffix}"))
    if kept:  # the last epoch may not be the best
        scores |= {f"last_{name}": value for name, value in mode_scores(mixture, kept[-1]).items()}
    return scores, figures
