"""Image classification: networks from the perceptron to ResNet-152 and Inception v3, on any images.

python -m experiments.image_classification train
python -m experiments.image_classification train --data cifar10 --arch residual
python -m experiments.image_classification train --data my_images/ --arch separable --size 64
python -m experiments.image_classification finetune --data my_images/ --shots 20
python -m experiments.image_classification search --tuner bayesian --max-trials 20
python -m experiments.image_classification evaluate --run runs/NAME
python -m experiments.image_classification predict --run runs/NAME cat.jpg dog.png
python -m experiments.image_classification networks
"""

import os
from pathlib import Path

import tyro

from kerasapps.data.image_reading import files_in
from kerasapps.errors import DataError, UserError
from kerasapps.formats import format_share
from kerasapps.runs import Options, write_atomically
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, settings_of

from ..shared import image_classifier
from ..shared.classification import class_table
from ..shared.cli import main, print_metrics, print_table
from ..shared.image_classifier import GivenRecipe, Recipe, options_of, other_classes, warn_of_changes
from ..shared.images import PREDICTIONS, augmentation_figure, predictions_figure, predictions_table, read_inputs
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .finetune import finetune, finetune_search
from .imagenet import networks_table
from .network import Arch, params_of, recipe_of, space_of, train_one
from .results import cost_table, evaluate_model, result_blocks

EXPERIMENT = "image_classification"
FOLLOWING = {
    "Evaluate it on the test set": "evaluate --run RUN",
    "Classify images of your own": "predict --run RUN cat.jpg dog.png",
}


def train(
    *,
    data: str = "digits",
    arch: Arch = "separable",
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a classifier on DATA and writes a run folder.

    Args:
        data: "digits" (1,797 handwritten digits, embedded), "mnist", "fashion_mnist", "cifar10", "cifar100", a folder
            with one sub-folder of images a class, or a tar or ZIP archive of one.
        arch: Which network.
        params: Arguments of its builder in place of those that suit the digits: a best.json written by `search`, or
            JSON such as '{"width": 2.0}'; '{}' takes the builder's defaults.
        recipe: How it is trained; by default as suits the architecture.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(arch, data, recipe, options=options)
    run = start("Image classification", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    params = params_of(arch, data, params)
    trained = train_one(run, data=data, arch=arch, params=params, recipe=recipe, patience=patience)
    model, history, splits = trained.model, trained.history, trained.splits
    metrics, probabilities = evaluate_model(model, splits, flip=recipe.flip)
    speed = len(splits.train) * len(history.rows) / history.seconds if history.rows else None
    flipped = f" ({format_share(metrics['accuracy_flip'])} with mirrored images)" if recipe.flip else ""
    finish(
        run,
        trained,
        metrics,
        [
            *result_blocks(splits, probabilities, data=data, network=arch, whole=options.rows is None),
            augmentation_figure(splits.train, options.seed),
            cost_table(run, model, splits, arch=arch, training=speed),
        ],
        summary=f"{arch} on {data}: {format_share(metrics['accuracy'])} test accuracy ({len(splits.test):,} images, "
        f"{len(splits.class_names)} classes) after {len(history.rows)} epochs over {len(splits.train):,} images.",
        headline=("accuracy", "top5_accuracy", "parameters", "seconds"),
        table=class_table(probabilities, splits.test.targets["label"], splits.class_names),
        conclusion=f"{format_share(metrics['accuracy'])} test accuracy{flipped}.",
        following=FOLLOWING,
    )


def search(
    *,
    data: str = "digits",
    arch: Arch = "separable",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation set, and tests the winner once.

    Args:
        data: As for `train`.
        arch: Network to search in.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the architecture.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(arch, data, recipe, options=options)
    run, trials = start_search(
        "Image classification search", settings_of(locals()), experiment=EXPERIMENT, workload="convolution"
    )
    splits = image_classifier.load(data, recipe, options=options)  # before the trials, to report its errors once

    def test(model):
        metrics, probabilities = evaluate_model(model, splits, flip=recipe.flip)
        return metrics, result_blocks(splits, probabilities, data=data, network=arch, whole=options.rows is None)

    search_and_report(
        run,
        trials,
        train_one,
        space_of(arch, data, recipe.size),
        what=arch,
        test=test,
        notes=splits.notes,
    )


def evaluate(*, run: Path, data: str | None = None, limit: or_none(Count) = None) -> None:
    """Prints test metrics of a trained network, class by class.

    Args:
        run: A run folder.
        data: As for `train`; its test set is used. By default what the network was trained on.
        limit: Images at most; by default as many as the run was limited to.
    """
    saved = load_run(run, EXPERIMENT)
    trained_on, codec = saved.settings.of("data", str), saved.codec
    data = trained_on if data is None else data
    same = os.path.realpath(data) == os.path.realpath(trained_on)
    splits = image_classifier.load_as_trained(saved, data, options=options_of(saved, limit), same=same)
    difference = other_classes(splits.class_names, codec.class_names)
    if difference:
        raise DataError(f"{data} has other classes than the network: {difference}.")
    if splits.sizes["image_shape"][-1] != codec.image_shape[-1]:
        raise DataError(f"{data} has gray images, and the network was trained on color images.")
    if same:
        warn_of_changes(saved, splits)
    metrics, probabilities = evaluate_model(saved.model, splits, flip=from_settings(Recipe, saved.settings).flip)
    print_table(class_table(probabilities, splits.test.targets["label"], splits.class_names))
    print_metrics(metrics)


def predict(images: tyro.conf.Positional[tuple[Path, ...]], /, *, run: Path, figure: Path | None = None) -> None:
    """Prints the most probable classes of images.

    Args:
        images: Image files, or folders of them.
        run: A run folder.
        figure: A PNG file to show images and predictions in.
    """
    if not images:
        raise UserError("No image was given: predict --run DIR IMAGE ...")
    saved = load_run(run, EXPERIMENT).in_float32()
    files, stacked = read_inputs(saved.codec, files_in(images))
    names = saved.codec.class_names
    probabilities = saved.outputs({"image": stacked})["label"]
    print_table(predictions_table(files, probabilities, names))
    if figure:
        shown = predictions_figure(files, stacked, probabilities, names)
        write_atomically(figure, shown.png)
        first = f" (the first {PREDICTIONS} of {len(files)} images)" if len(files) > PREDICTIONS else ""
        print(f"{figure}{first}")
        if shown.key:
            print(shown.key)


def networks() -> None:
    """Prints the course notes' networks for ImageNet: their parameters, counted, and their published errors."""
    print_table(networks_table())
    print("Images of 224 pixels (Inception v3: 299), 1,000 classes. The errors are those of torchvision's weights.")


COMMANDS = (train, finetune, search, finetune_search, evaluate, predict, networks)

if __name__ == "__main__":
    main("experiments.image_classification", *COMMANDS)
