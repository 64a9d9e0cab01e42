"""Generative adversarial networks: the lectures', DCGAN and residual pairs, on any pictures and on points.

python -m experiments.gan train
python -m experiments.gan train --data mnist --arch lectures --baseline
python -m experiments.gan train --data gaussians
python -m experiments.gan train --data mnist --labels 100 --draws 3
python -m experiments.gan search --tuner bayesian --max-trials 20
python -m experiments.gan evaluate --run runs/NAME
python -m experiments.gan sample --run runs/NAME --n 64 --seed 3 --out grid.png
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from experiments.gan.figures import grid, png
from experiments.gan.judge import Judge, Watch, alarm, inception_features, load_judge, real_pictures, score, train_judge
from experiments.gan.labels import run_labels
from experiments.gan.network import (
    Arch,
    Recipe,
    as_pixels,
    build_pair,
    draw,
    load_pictures,
    recipe_of,
    space_of,
    train_network,
)
from experiments.gan.points import run_points
from experiments.gan.results import headline_of, result_blocks, score_table, train_lectures_loop
from experiments.image_classification.__main__ import read_classes, write_classes
from experiments.shared.cli import main, print_table
from experiments.shared.params import read_params
from experiments.shared.searching import finish_trial, options_of, search_and_report, start_search, trial_options
from kerasapps.errors import UserError
from kerasapps.gan.metrics import frechet_distance
from kerasapps.gan.model import GAN
from kerasapps.runs import Options, load_model, read_config, write_atomically
from kerasapps.search.options import Trials
from kerasapps.session import start

if TYPE_CHECKING:  # loaded before `experiments.cli`, it would chatter
    from kerasapps.data.images import ImageSplits

POINTS = "gaussians"
# Options that would be passed over: the game of few labels is a fixed one, and points are no pictures.
IDLE_WITH_LABELS = {
    *("loss", "real_labels", "fake_labels", "flip", "joint_batches", "gradient_penalty", "r1"),
    *("conditional", "baseline", "patience"),
}
IDLE_FOR_POINTS = {"arch", "size", "conditional", "flip_pictures", "baseline", "labels", "entropy"}


def train(
    *,
    data: str = "digits",
    arch: Arch | None = None,
    params: str | None = None,
    recipe: Recipe = Recipe(),
    baseline: bool = False,
    labels: int | None = None,
    draws: int = 1,
    patience: int | None = None,
    options: Options = Options(),
) -> None:
    """Trains a generator and a discriminator on DATA and writes a run folder.

    Args:
        data: "digits" (1,797 handwritten digits, needs no download), "mnist", "fashion_mnist", "cifar10", "cifar100", a
            folder with one sub-folder of pictures a class, a tar archive of one, or "gaussians", points in the plane.
        arch: Which pair of networks; by default dcgan, and with --labels mixed, the generator of DCGAN against the
            lectures' discriminator, which is not normalised by batches.
        params: Arguments of the builders: a best.json written by `search`, or JSON such as
            '{"generator": {"filters": 32}}'.
        recipe: How they are trained, where that is not to follow from the architecture.
        baseline: Train the lectures' loop as well, for as many updates of its generator, and show it beside.
        labels: Learn to classify from so many labelled pictures and all the others, beside a network that has only
            the labelled ones.
        draws: With --labels, how many different draws of them.
        patience: Stop after so many epochs without a better score; by default never.
        options: Options that every experiment shares.
    """
    check_options(dict(locals()))
    arch = arch or ("dcgan" if labels is None else "mixed")
    settings = dict(locals())
    recipe = recipe_of("points" if data == POINTS else arch, data, settings.pop("recipe"), options=options)
    network = "matmul" if data == POINTS else "convolution"
    run = start("GAN", settings | asdict(recipe), network=network)
    given = read_params(params)
    if data == POINTS:
        run_points(run, recipe, given, patience=patience)
        return
    splits = load_and_tell(data, recipe, options=options)
    write_classes(run, splits)
    if labels is not None:
        run_labels(run, splits, arch, recipe, given, labels=labels, draws=draws)
        return
    build_pair(arch, given, **splits.sizes)  # refuses what does not fit before a judge is trained for it
    judge = train_judge(run, data, side=splits.sizes["image_shape"][0])
    watch = Watch(run, judge, splits.validation, seed=options.seed)
    model, history = train_network(
        run, splits, arch=arch, recipe=recipe, params=given, patience=patience, callbacks=[watch]
    )
    interrupted = history.interrupted
    if interrupted:
        print("Interrupted: what there is was evaluated and is saved.")
    metrics, table = evaluate_model(model, judge, splits, options=options)
    metrics |= {"seconds": history.seconds, "epochs": len(history.rows), "generator_updates": updates(model)}
    blocks, share = result_blocks(run, model, splits, history)
    metrics["neighbour_distance"] = share
    if baseline and not interrupted:
        try:
            rival, figure = train_lectures_loop(run, splits, judge, updates=updates(model), seed=options.seed)
        except KeyboardInterrupt:
            interrupted = True
            print("Interrupted: the report is without the lectures' loop, which --resume starts again.")
        else:
            metrics |= {f"{name}_baseline": value for name, value in rival.items()}
            table = score_table({arch: metrics, "the lectures' loop": rival}, metrics["fid_floor"])
            blocks.insert(1, figure)
    summary = (
        f"{arch} on {data}: {metrics['classes_covered']:.0f} of {len(splits.class_names)} classes, the judge sure "
    )
    summary += f"of {metrics['confident_share']:.0%} of the samples; weights of epoch {history.best_epoch}."
    summary += " Interrupted." if interrupted else ""
    said = alarm([(row["val_fid"], row["val_diversity"]) for row in history.rows]) if history.rows else ""
    if said:
        print(said)
    summary = " ".join([summary, *([said] if said else []), *splits.notes])
    run.finish(
        metrics, model=model, summary=summary, headline=headline_of(metrics), blocks=[blocks[0], table, *blocks[1:]]
    )
    print_table(table)
    print(f"Report: {run.folder / 'report.html'}")


def search(
    *,
    data: str = "digits",
    arch: Arch = "dcgan",
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches both networks' hyperparameters for the lowest Fréchet distance on the validation part.

    Args:
        data: As for `train`, but for "gaussians".
        arch: Pair to search in.
        trials: How configurations are tried.
        recipe: How each is trained, where that is not to follow from the architecture.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    if data == POINTS:
        raise UserError("`search` is for pictures: --data must be one of them. Received: gaussians")
    space = space_of(arch)
    recipe = recipe_of(arch, data, settings.pop("recipe"), options=options)
    run, trials = start_search("GAN search", settings | asdict(recipe), workload="convolution")
    splits = load_and_tell(data, recipe, options=options)
    write_classes(run, splits)
    judge = train_judge(run, data, side=splits.sizes["image_shape"][0])

    def test(folder: Path):
        model = load_model(folder)
        metrics, table = evaluate_model(model, judge, splits, options=options)
        return model, metrics, [table]

    search_and_report(
        run,
        trial,
        space,
        what=arch,
        # One judge for all: distances by different ones cannot be compared.
        arguments={
            "data": data,
            "arch": arch,
            "recipe": asdict(recipe),
            "judge": str(run.folder),
            "shared": trial_options(run) | {"smoke": options.smoke},
        },
        trials=trials,
        epochs=recipe.epochs,
        test=test,
        objective="fid",
        direction="min",
        notes=splits.notes,
    )


def evaluate(*, run: Path, inception: bool = False, limit: int | None = None) -> None:
    """Prints the scores of a trained generator beside the test part.

    Args:
        run: A run folder.
        inception: Also the FID with the features of Inception v3, whose weights are downloaded.
        limit: Pictures at most; by default as many as the run was limited to.
    """
    model, settings = load_gan(run), read_config(run)["settings"]
    if settings.get("labels") is not None:
        raise UserError(f"{run} was trained with --labels: its report has the test errors, and no judge of pictures.")
    recipe = Recipe(**{name: settings[name] for name in asdict(Recipe())})
    options = Options(seed=settings["seed"], limit=limit or settings["limit"], smoke=settings["smoke"] and not limit)
    splits = load_and_tell(settings["data"], recipe, options=options)
    if splits.digest != read_classes(run)["digest"]:
        print("The pictures are not those of the training: some that are tested on here may have been trained on.")
    metrics, table = evaluate_model(model, load_judge(run), splits, options=options)
    if inception:
        features = inception_features()
        real, _ = real_pictures(splits.test)
        fake = as_pixels(draw(model, len(real), seed=options.seed + 1))
        metrics["inception_fid"] = frechet_distance(features(real), features(fake))
    print_table(table)
    for name, value in metrics.items():
        print(f"{name:<18}{value:.4f}")


def sample(*, run: Path, n: int = 64, seed: int = 0, label: str | None = None, out: Path = Path("samples.png")) -> None:
    """Draws new pictures from a trained generator and writes them into one PNG file.

    Args:
        run: A run folder; nothing else is needed.
        n: How many pictures.
        seed: Decides which.
        label: Name of a class, for networks that were trained with --conditional.
        out: The file.
    """
    model = load_gan(run)
    for name, value, least in (("n", n, 1), ("seed", seed, 0)):
        if value < least:
            raise UserError(f"--{name} must be at least {least}. Received: {value}")
    number = None
    if label is not None:
        names = list(read_classes(run)["class_names"])
        if not model.conditional:
            raise UserError(f"{run} knows no classes: train with --conditional to choose a --label.")
        if label not in names:
            raise UserError(f"--label must be one of {', '.join(names[:20])}. Received: {label}")
        number = names.index(label)
    images = as_pixels(draw(model, n, seed=seed, label=number))
    write_atomically(out, png(grid(images, columns=max(1, round(np.sqrt(n))))))
    print(out)


def trial(
    *, params: dict, folder: str, epochs: int, data: str, arch: Arch, recipe: dict, judge: str, shared: dict
) -> dict:
    """Trains one configuration for the search, in a process of its own; the test part is not touched."""
    options = options_of(folder, shared)
    recipe = recipe | {"epochs": epochs}
    settings = recipe | {"params": params, "data": data, "arch": arch, "options": options}
    run = start("GAN trial", settings, workload="convolution")
    settled = Recipe(**recipe)
    splits = load_pictures(data, settled, options=options)
    watch = Watch(run, load_judge(Path(judge)), splits.validation, seed=options.seed)
    _, history = train_network(run, splits, arch=arch, recipe=settled, params=params, callbacks=[watch])
    return finish_trial(run, history, objective="fid")


def check_options(settings: dict) -> None:
    """Refuses options that make no sense together; `settings` are the arguments of `train`."""
    given = {name for name, value in (asdict(settings["recipe"]) | settings).items() if value not in (None, False)}
    data, labels, draws = settings["data"], settings["labels"], settings["draws"]
    idle = IDLE_FOR_POINTS if data == POINTS else IDLE_WITH_LABELS if labels is not None else set()
    if given & idle:
        what = "with --labels" if data != POINTS else f"with --data {POINTS}"
        raise UserError(f"--{min(given & idle).replace('_', '-')} means nothing {what}.")
    if "entropy" in given and labels is None:
        raise UserError("--entropy needs --labels: only then are there pictures without.")
    if draws < 1 or (draws > 1 and labels is None):
        raise UserError(f"--draws must be at least 1, and above that needs --labels. Received: {draws}")


def load_and_tell(data: str, recipe: Recipe, *, options: Options) -> "ImageSplits":
    """Loads pictures and prints what a person should know about them."""
    splits = load_pictures(data, recipe, options=options)
    for note in splits.notes:
        print(note, flush=True)
    return splits


def load_gan(folder: Path) -> GAN:
    """Loads both networks of a run folder.

    Raises:
        UserError: If it holds no generator, or one of points.
    """
    model = load_model(folder)
    if not isinstance(model, GAN):
        raise UserError(f"{folder} holds no generator: its model.keras is another network. Train one with `train`.")
    if model.sample_name != "image":
        raise UserError(f"{folder} was trained on points, not on pictures: its report shows them.")
    return model


def evaluate_model(model: GAN, judge: Judge, splits: "ImageSplits", *, options: Options):
    """Returns scores on the test part, and their table.

    `fid_floor` is the distance between test and training pictures, as many of these as there are samples, or all: less
    can hardly be expected of a generator.
    """
    real, labels = real_pictures(splits.test)
    fake = as_pixels(draw(model, max(len(real), options.shrink(2000, 64)), seed=options.seed + 1))
    metrics = score(judge, real, fake)
    train_features, _ = judge(real_pictures(splits.train, len(fake))[0])
    real_features, probabilities = judge(real)
    metrics["fid_floor"] = frechet_distance(real_features, train_features)
    metrics["judge_accuracy"] = float((probabilities.argmax(1) == labels).mean())
    return metrics, score_table({"this run": metrics}, metrics["fid_floor"])


def updates(model: GAN) -> int:
    """Returns how often the generator was updated."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


if __name__ == "__main__":
    main("experiments.gan", train, search, evaluate, sample)
