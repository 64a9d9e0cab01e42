"""GANs of points from a ring of Gaussians: every mode counted, the discriminator beside the best one there is."""

import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np

from experiments.gan.network import Recipe, build_networks, compile_gan, draw
from kerasapps.applications.point_gan import build_point_discriminator, build_point_generator
from kerasapps.data.gaussians import Mixture, load_gaussians, ring
from kerasapps.gan.losses import CROSS_ENTROPY, Rules
from kerasapps.gan.model import GAN
from kerasapps.reports import Figure, Table, add_axes, new_figure
from kerasapps.runs import Run, write_atomically
from kerasapps.training import History, fit

SEEN = 2000  # points that a picture shows and a score counts
EXTENT = 3.0
CELLS = 60  # of a side of the map
NOTHING = 1e-4  # density below which nothing is said of a place
BANDWIDTH = 0.08  # of the kernels that a generator's density is estimated with


class CountModes(keras.callbacks.Callback):
    """Counts, after each epoch, the modes that the averaged generator draws, and the points that lie in none."""

    def __init__(self, gan_run: Run, mixture: Mixture):
        super().__init__()
        self.run = gan_run
        self.mixture = mixture

    def on_epoch_end(self, epoch, logs=None):
        """Adds to the logs, and keeps the points in the run folder, from where a resumed run takes them up."""
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


def train_points(
    run: Run, recipe: Recipe, params: dict, *, limit: int | None, patience: int | None = None
) -> tuple[GAN, History]:
    """Trains one game on the ring in a run folder, and keeps its epoch with the least missed."""
    mixture = ring()
    splits = load_gaussians(mixture, seed=run.options.seed, limit=limit)
    with run.strategy.scope():
        builders = {"generator": build_point_generator, "discriminator": build_point_discriminator}
        networks = build_networks(builders, params, {}, usual={}, what="points")
        model = GAN(*networks, rules=recipe.rules, seed=run.options.seed)
        compile_gan(model, recipe, jit_compile=run.jit_compile)
    rows = recipe.batch_size * recipe.discriminator_steps
    history = fit(
        model,
        splits,
        run,
        epochs=recipe.epochs,
        batch_size=rows,
        monitor="val_missed",
        patience=patience,
        callbacks=[CountModes(run, mixture)],
    )
    return model, history


def compare_with_optimum(model: GAN, mixture: Mixture, *, seed: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Puts the discriminator beside D* = p_r / (p_r + p_g), and returns how far apart they are, and both maps.

    The generator's density is estimated from its points with Gaussian kernels; the mixture, whose density is known, is
    blurred alike, so that the estimate's own error cancels.

    Returns:
        `optimum_gap`, the mean absolute difference over points of both kinds, and the maps "D" and "D*" (CELLS, CELLS).
    """
    drawn = model.generator.predict(
        {"noise": np.random.default_rng(seed).standard_normal((SEEN, model.noise_dim), dtype=np.float32)},
        batch_size=SEEN,
        verbose=0,
    )["point"]
    estimate = Mixture(drawn, BANDWIDTH)

    def best(points: np.ndarray) -> np.ndarray:
        real, fake = mixture.density(points, blur=BANDWIDTH), estimate.density(points)
        return np.where(real + fake > NOTHING, real / np.maximum(real + fake, NOTHING), np.nan)

    def said(points: np.ndarray) -> np.ndarray:
        verdict = model.judge(points.astype(np.float32), training=False)["verdict"]
        return keras.ops.convert_to_numpy(keras.ops.sigmoid(verdict))[:, 0]

    points = np.concatenate([mixture.sample(SEEN, seed=seed + 200), drawn])
    axis = np.linspace(-EXTENT, EXTENT, CELLS)
    cells = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    maps = {"D": said(cells).reshape(CELLS, CELLS), "D*": best(cells).reshape(CELLS, CELLS)}
    return {"optimum_gap": float(np.nanmean(np.abs(said(points) - best(points))))}, maps


def points_figure(points: np.ndarray, mixture: Mixture, maps: dict[str, np.ndarray], *, what: str, name: str) -> Figure:
    """Draws generated over real points, and what the discriminator says of the plane beside what it should say."""
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
    caption += f"{scores['good_share']:.0%} of the points in one."
    if maps:
        caption += " D is what the discriminator says, D* = p_r / (p_r + p_g) what would be best against this "
        caption += "generator, blank where neither density reaches: of such places nobody has told it."
    return Figure(name, caption, figure)


def time_figure(kept: Sequence[np.ndarray], mixture: Mixture, *, what: str, name: str, count: int = 6) -> Figure:
    """Draws the points of some epochs, from the first to the last."""
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(count, len(kept))).astype(int))
    figure = new_figure(9.0, 9.0 / count + 0.4)
    for i, epoch in enumerate(chosen, start=1):
        axes = add_axes(figure, 1, len(chosen), i, title=f"epoch {epoch + 1}")
        axes.scatter(*mixture.centers.T, s=60, color="#e6e8ec")
        axes.scatter(*kept[epoch].T, s=1, color="#2563a8", linewidths=0)
        axes.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), aspect="equal", xticks=[], yticks=[])
    return Figure(name, f"{what}, over time; grey: the modes.", figure)


def run_points(run: Run, recipe: Recipe, params: dict, *, patience: int | None) -> None:
    """Trains the chosen game and the original minimax game on the ring, and reports both."""
    limit, mixture = run.options.rows, ring()
    extras = ("real_labels", "fake_labels", "flip", "clip", "gradient_penalty", "r1", "instance_noise")
    original = replace(recipe, loss="minimax", **{name: getattr(Rules(), name) for name in extras})
    games = {recipe.loss: recipe} | ({"original minimax": original} if recipe != original else {})
    metrics, blocks, rows, interrupted = {}, [], [], False
    for i, (what, one) in enumerate(games.items()):
        if interrupted:
            break
        print(f"Game: {what}", flush=True)
        part = run if i == 0 else run.part("minimax", asdict(one))
        model, history = train_points(part, one, params, limit=limit, patience=patience)
        interrupted = history.interrupted
        kept = [np.load(points_path(part, epoch)) for epoch in range(1, len(history.rows) + 1)]
        points = draw(model, SEEN, seed=run.options.seed)
        scores = mode_scores(mixture, points)
        maps: dict[str, np.ndarray] = {}
        if one.loss in CROSS_ENTROPY:
            gap, maps = compare_with_optimum(model, mixture, seed=run.options.seed)
            scores |= gap
        suffix = "" if i == 0 else "_minimax"
        metrics |= {f"{name}{suffix}": value for name, value in scores.items()}
        metrics.setdefault("seconds", history.seconds)
        rows.append([what, *(scores.get(name) for name in ("modes", "good_share", "optimum_gap"))])
        blocks.append(points_figure(points, mixture, maps, what=what, name=f"points{suffix}"))
        if len(kept) > 1:
            blocks.append(time_figure(kept, mixture, what=what, name=f"over_time{suffix}"))
        if kept:  # what the game came to, where the best epoch is another
            metrics |= {f"last_{name}{suffix}": value for name, value in mode_scores(mixture, kept[-1]).items()}
        if i == 0:
            first = model
    columns = ["game", "modes", "share of points in a mode", "mean |D - D*|"]
    blocks.insert(0, Table("What each game came to", columns, rows, digits=3))
    summary = f"Games on a ring of {len(mixture.centers)} Gaussians: {', '.join(games)}."
    if interrupted:
        summary += " Interrupted: what there was is shown."
    headline = [name for name in ("modes", "good_share", "optimum_gap", "modes_minimax") if name in metrics]
    run.finish(metrics, model=first, summary=summary, headline=headline, blocks=blocks)
    print(f"{metrics['modes']:.0f} of {len(mixture.centers)} modes. Report: {run.folder / 'report.html'}")
