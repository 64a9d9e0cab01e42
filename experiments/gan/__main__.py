"""Generative adversarial networks: a textbook pair, DCGAN and residual pairs, on any images and on points.

python -m experiments.gan train
python -m experiments.gan train --data mnist --arch lectures --baseline
python -m experiments.gan train --data gaussians
python -m experiments.gan train --data mnist --labels 100 --draws 3
python -m experiments.gan search --tuner bayesian --max-trials 20
python -m experiments.gan evaluate --run runs/NAME
python -m experiments.gan sample --run runs/NAME --n 64 --seed 3 --out grid.png
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from kerasapps.errors import UserError
from kerasapps.formats import label_of
from kerasapps.gan.metrics import frechet_distance
from kerasapps.gan.model import GAN
from kerasapps.runs import Options, read_config, write_atomically
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, from_settings, option, or_none, ranged, settings_of

from ..shared.cli import main, print_metrics, print_table
from ..shared.image_classifier import keep_codec, options_of, warn_of_changes
from ..shared.images import png, tile
from ..shared.judging import load_judge
from ..shared.params import read_params
from ..shared.runs import SavedRun, load_run
from ..shared.searching import search_and_report, start_search
from .judge import inception_features, make_judge
from .labels import run_labels
from .network import (
    Arch,
    GivenRecipe,
    Recipe,
    build_pair,
    load,
    recipe_of,
    space_of,
)
from .points import POINTS, run_points
from .results import evaluate_model, report_images
from .sampling import as_pixels, draw
from .training import train_one, train_pair

# Options that would have no effect: the objective with few labels is fixed, and points are not images.
IDLE_WITH_LABELS = {
    *("loss", "real_labels", "fake_labels", "flip", "joint_batches", "gradient_penalty", "r1"),
    *("conditional", "baseline", "patience"),
}
IDLE_FOR_POINTS = {"arch", "size", "conditional", "flip_pictures", "baseline", "labels", "entropy"}


def train(
    *,
    data: Text = "digits",
    arch: Arch | None = None,
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    baseline: bool = False,
    labels: or_none(Count) = None,
    draws: Count = 1,
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a generator and a discriminator on DATA and writes a run folder.

    Args:
        data: "digits" (1,797 handwritten digits, embedded), "mnist", "fashion_mnist", "cifar10", "cifar100", a folder
            of images, with one sub-folder per class or without classes, an archive of one, or "gaussians", points in
            the plane.
        arch: Which pair of networks; dcgan by default, and mixed with --labels: the DCGAN generator against the
            discriminator of lectures, which has no batch normalization.
        params: Arguments of the builders: a best.json written by `search`, or JSON such as
            '{"generator": {"filters": 32}}'.
        recipe: How they are trained; by default as suits the architecture.
        baseline: Also train the textbook loop, for as many updates of its generator, and compare.
        labels: Learn to classify from so many labeled images and all others without labels, and compare with a network
            that is trained on the labeled ones alone.
        draws: With --labels, how many times to draw them anew.
        patience: Stop after so many epochs without a better score; never by default.
        options: Options that every experiment shares.
    """
    check_options(locals())
    arch = arch or ("dcgan" if labels is None else "mixed")
    recipe = recipe_of("points" if data == POINTS else arch, data, recipe, options=options)
    run = start("GAN", settings_of(locals()), experiment="gan", workload="matmul" if data == POINTS else "convolution")
    given = read_params(params)
    if data == POINTS:
        run_points(run, recipe, given, patience=patience)
        return
    splits = load(data, recipe, options=options)
    keep_codec(run, splits)
    if labels is not None:
        if not splits.class_names:
            raise UserError(f"--labels needs classes, and the images of {data} have none.")
        run_labels(run, splits, arch, recipe, given, labels=labels, draws=draws)
        return
    build_pair(arch, given, **splits.sizes)  # refuses what does not fit before a judge is trained for it
    judge = make_judge(run, data, splits)
    trained = train_pair(run, splits, judge, arch=arch, params=given, recipe=recipe, patience=patience)
    report_images(run, replace(trained, splits=splits), judge, arch=arch, data=data, baseline=baseline)


def search(
    *,
    data: Text = "digits",
    arch: Arch = "dcgan",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches both networks' hyperparameters for the lowest Fréchet distance on the validation set.

    Args:
        data: As for `train`, except "gaussians".
        arch: Pair to search in.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the architecture.
        options: Options that every experiment shares.
    """
    if data == POINTS:
        raise UserError(f"`search` is for images: --data must be one of those data sets. Received: {data}")
    recipe = recipe_of(arch, data, recipe, options=options)
    settings = settings_of(locals())
    space = space_of(arch)
    run, trials = start_search("GAN search", settings, experiment="gan", workload="convolution")
    splits = load(data, recipe, options=options)
    keep_codec(run, splits)
    judge = make_judge(run, data, splits)

    def test(model):
        metrics, table, _ = evaluate_model(model, judge, splits, options=options)
        return metrics, [table]

    search_and_report(
        run,
        trials,
        train_one,
        space,
        what=arch,
        test=test,
        objective="frechet_distance",
        maximize=False,
        notes=splits.notes,
        judge=str(run.folder),  # one judge for all: distances by different ones cannot be compared
    )


def evaluate(*, run: Path, inception: bool = False, limit: or_none(Count) = None) -> None:
    """Prints the scores of a trained generator against the test set.

    Args:
        run: A run folder.
        inception: Also the FID with the features of Inception v3, whose weights are downloaded.
        limit: Images at most; by default as many as the run was limited to.
    """
    saved = load_gan(run)
    if saved.settings.get("labels") is not None:
        raise UserError(f"{run} was trained with --labels: see its report for the test errors.")
    recipe, options = from_settings(Recipe, saved.settings), options_of(saved, limit)
    splits = load(saved.settings["data"], recipe, options=options, values=saved.codec.values)
    warn_of_changes(saved, splits)
    metrics, table, real = evaluate_model(saved.model, load_judge(run), splits, options=options)
    if inception:
        features = inception_features()
        fake = as_pixels(draw(saved.model, len(real.images), seed=options.seed + 1))
        metrics["inception_fid"] = frechet_distance(features(real.images), features(fake))
    print_table(table)
    print_metrics({label_of(name): value for name, value in metrics.items()})


def sample(
    *,
    run: Path,
    n: ranged(int, least=1, most=10_000) = 64,
    seed: ranged(int, least=0, most=2**31 - 1) = 0,
    label: or_none(Text) = None,
    out: Path = Path("samples.png"),
) -> None:
    """Draws new images from a trained generator and writes them into one PNG file.

    Args:
        run: A run folder; nothing else is needed.
        n: How many images.
        seed: Seed of the noise.
        label: Name of a class, for networks that were trained with --conditional True.
        out: The PNG file.
    """
    saved = load_gan(run)
    number = None
    if label is not None:
        names = list(saved.codec.class_names)
        if not saved.model.conditional:
            raise UserError(
                f"{run} was trained without classes: --label needs a network trained with --conditional True."
            )
        if label not in names:
            raise UserError(f"--label must be one of {', '.join(names[:20])}. Received: {label}")
        number = names.index(label)
    images = as_pixels(draw(saved.model, n, seed=seed, label=number))
    write_atomically(out, png(tile(images, columns=max(1, round(np.sqrt(n))))))
    print(out)


def check_options(settings: dict) -> None:
    """Refuses options that make no sense together; `settings` are the arguments of `train`."""
    data, labels, draws = settings["data"], settings["labels"], settings["draws"]
    arch = "dcgan" if labels is None else "mixed"
    kind = "points" if data == POINTS else settings["arch"] or arch
    usual = vars(recipe_of(kind, data, GivenRecipe(), options=settings["options"])) | {"arch": arch}
    # --config gives all options of an earlier run, also those that it did not choose.
    chosen = (vars(settings["recipe"]) | settings).items()
    given = {name for name, value in chosen if value not in (None, False, usual.get(name))}
    idle = IDLE_FOR_POINTS if data == POINTS else IDLE_WITH_LABELS if labels is not None else set()
    if given & idle:
        what = "with --labels" if data != POINTS else f"with --data {POINTS}"
        raise UserError(f"{option(min(given & idle))} has no effect {what}.")
    if "entropy" in given and labels is None:
        raise UserError("--entropy needs --labels: only then are there unlabeled images.")
    if draws > 1 and labels is None:
        raise UserError(f"--draws above 1 needs --labels. Received: {draws}")


def load_gan(folder: Path) -> SavedRun:
    """Loads both networks of a run folder.

    Raises:
        UserError: If it holds none, or those of points.
    """
    if read_config(folder)["settings"].get("data") == POINTS:
        raise UserError(f"{folder} was trained on points, not on images: its report shows them.")
    saved = load_run(folder, "gan")
    if not isinstance(saved.model, GAN):
        raise UserError(f"{folder} holds no generator: --run takes the folder that `train` wrote.")
    return saved


COMMANDS = (train, search, evaluate, sample)

if __name__ == "__main__":
    main("experiments.gan", *COMMANDS)
