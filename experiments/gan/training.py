"""How a pair is trained on images: scored by a judge after each epoch, the best epoch kept."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kerasapps.data.images import ImageSplits
from kerasapps.gan.judge import Judge
from kerasapps.runs import Run

from ..shared import training
from ..shared.judging import load_judge
from ..shared.training import Trained
from .judge import Watch
from .network import Arch, Recipe, load, make_model, repeated


def train_one(
    run: Run, *, data: str, arch: Arch, params: dict[str, Any], recipe: Recipe, judge: Path, patience: int | None = None
) -> Trained:
    """Trains one pair in a run folder; `judge` is the run folder whose judge scores it."""
    splits = load(data, recipe, options=run.options)
    scorer = load_judge(judge)
    return train_pair(run, splits, scorer, arch=arch, params=params, recipe=recipe, patience=patience)


def train_pair(
    run: Run,
    splits: ImageSplits,
    judge: Judge,
    *,
    arch: Arch,
    params: dict[str, Any],
    recipe: Recipe,
    patience: int | None = None,
) -> Trained:
    """Trains one pair on images that are loaded; the rest is as for `train_one`."""
    return training.train(
        run,
        replace(splits, train=repeated(splits.train, options=run.options)),
        partial(make_model, arch=arch, params=params, seed=run.options.seed, **splits.sizes),
        recipe,
        batch_size=recipe.batch_size * recipe.discriminator_steps,
        monitor="val_frechet_distance",
        patience=patience,
        callbacks=[Watch(run, judge, splits.validation, seed=run.options.seed)],
    )
