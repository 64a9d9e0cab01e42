"""Image classification: separable, inception and residual networks, Xception and the classics, on any pictures.

python -m experiments.image_classification train
python -m experiments.image_classification train --data cifar10 --arch residual
python -m experiments.image_classification train --data my_pictures/ --arch separable --size 64
python -m experiments.image_classification search --tuner bayesian --max-trials 20
python -m experiments.image_classification evaluate --run runs/NAME
python -m experiments.image_classification predict --run runs/NAME cat.jpg dog.png
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from experiments.image_classification.figures import (
    PREDICTIONS,
    augmentation_figure,
    confusion_figure,
    mistakes_figure,
    predictions_figure,
)
from experiments.image_classification.network import (
    Arch,
    Recipe,
    load_pictures,
    params_of,
    recipe_of,
    space_of,
    train_network,
)
from experiments.image_classification.results import (
    class_table,
    classification_metrics,
    complexity_table,
    confusions_table,
    predict_probabilities,
    predictions_table,
    published_table,
)
from experiments.shared.cli import main, print_table
from experiments.shared.searching import finish_trial, options_of, search_and_report, start_search, trial_options
from kerasapps.complexity import count_flops, measure_speed
from kerasapps.data.images import CHANNELS, ImageSplits, resizer
from kerasapps.data.pictures import read_picture
from kerasapps.errors import DataError, UserError
from kerasapps.reports import Block, curves
from kerasapps.runs import Options, Run, load_model, read_config, read_json, write_atomically, write_json
from kerasapps.search.options import Trials
from kerasapps.session import start

if TYPE_CHECKING:  # loaded before `experiments.cli`, it would chatter
    import keras


def train(
    *,
    data: str = "digits",
    arch: Arch = "separable",
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: int | None = None,
    options: Options = Options(),
) -> None:
    """Trains a classifier on DATA and writes a run folder.

    Args:
        data: "digits" (1,797 handwritten digits, needs no download), "mnist", "fashion_mnist", "cifar10", "cifar100", a
            folder with one sub-folder of pictures a class, or a tar archive of one.
        arch: Which network.
        params: Arguments of its builder in place of those that suit the digits: a best.json written by `search`, or
            JSON such as '{"width": 2.0}'; '{}' is the network as the builder makes it.
        recipe: How it is trained, where that is not to follow from the architecture.
        patience: Stop after so many passes without a better one; by default never.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    recipe = recipe_of(arch, data, settings.pop("recipe"), options=options)
    run = start("Image classification", settings | asdict(recipe), workload="convolution")
    if run.resumed and run.resumed["epochs"] != recipe.epochs:
        print(
            f"The run was begun with --epochs {run.resumed['epochs']}: its learning rate goes on where it is with "
            f"--epochs {recipe.epochs}."
        )
    splits = load_and_tell(data, recipe, options=options)
    write_classes(run, splits)
    model, history = train_network(
        run, splits, arch=arch, recipe=recipe, params=params_of(arch, data, params), patience=patience
    )
    if history.interrupted:
        print("Interrupted: what there is was evaluated and is saved.")
    metrics, probabilities = evaluate_model(model, splits, flip=recipe.flip)
    metrics |= {"seconds": history.seconds, "parameters": model.count_params(), "epochs": len(history.rows)}
    training = len(splits.train) * len(history.rows) / history.seconds if history.rows else None
    blocks = [
        *result_blocks(splits, probabilities, data=data, network=arch, whole=options.rows is None),
        *([curves(history.rows, best_epoch=history.best_epoch)] if history.rows else []),
        augmentation_figure(splits.train, options.seed),
        cost_table(run, model, splits, arch=arch, training=training),
    ]
    accuracy = metrics["accuracy"]
    summary = f"{arch} on {data}: right on {accuracy:.2%} of {len(splits.test):,} test pictures of "
    summary += f"{len(splits.class_names)} classes after {len(history.rows)} passes over {len(splits.train):,}."
    if history.interrupted:
        summary += f" Interrupted: the weights are those of epoch {history.best_epoch}."
    headline = [name for name in ("accuracy", "top5_accuracy", "parameters", "seconds") if name in metrics]
    run.finish(metrics, summary=" ".join([summary, *splits.notes]), headline=headline, blocks=[b for b in blocks if b])
    print_table(class_table(probabilities, splits.test.targets["label"], splits.class_names))
    flipped = f" ({metrics['accuracy_flip']:.2%} with the mirror images)" if recipe.flip else ""
    print(f"Right on {accuracy:.2%} of the test pictures{flipped}. Report: {run.folder / 'report.html'}")


def search(
    *,
    data: str = "digits",
    arch: Arch = "separable",
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation part, and tests the winner once.

    Args:
        data: As for `train`.
        arch: Network to search in.
        trials: How configurations are tried.
        recipe: How each is trained, where that is not to follow from the architecture.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    recipe = recipe_of(arch, data, settings.pop("recipe"), options=options)
    run, trials = start_search("Image classification search", settings | asdict(recipe), workload="convolution")

    # Before the trials, which would each fail by what is wrong with the data.
    splits = load_and_tell(data, recipe, options=options)
    write_classes(run, splits)

    def test(folder: Path):
        model = load_model(folder)
        metrics, probabilities = evaluate_model(model, splits, flip=recipe.flip)
        whole = options.rows is None
        return model, metrics, result_blocks(splits, probabilities, data=data, network=arch, whole=whole)

    search_and_report(
        run,
        trial,
        space_of(arch, data, recipe.size),
        what=arch,
        arguments={"data": data, "arch": arch, "recipe": asdict(recipe), "shared": trial_options(run)},
        trials=trials,
        epochs=recipe.epochs,
        test=test,
        notes=splits.notes,
    )


def evaluate(*, run: Path, data: str | None = None, limit: int | None = None) -> None:
    """Prints how a trained network does on the test part, class by class.

    Args:
        run: A run folder.
        data: As for `train`; its test part is used. By default what the network was trained on.
        limit: Pictures at most; by default as many as the run was limited to.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit must be at least 1. Received: {limit}")
    model, classes = load_model(run), read_classes(run)
    settings = read_config(run)["settings"]
    same = data is None or os.path.realpath(data) == os.path.realpath(settings["data"])
    data = data or settings["data"]
    recipe = Recipe(**{name: settings[name] for name in asdict(Recipe())})
    # The test part that the run itself was tested on, unless another number of pictures is asked for.
    options = Options(seed=settings["seed"], limit=limit or settings["limit"], smoke=settings["smoke"] and not limit)
    channels = classes["image_shape"][-1]
    splits = load_and_tell(data, recipe, options=options, channels=channels)
    difference = other_classes(splits.class_names, classes["class_names"])
    if difference:
        raise DataError(f"{data} has other classes than the network: {difference}.")
    if splits.sizes["image_shape"][-1] != channels:
        raise DataError(f"{data} has grey pictures, and the network was trained on coloured ones.")
    if same and splits.digest != classes["digest"]:
        print("The pictures are not those of the training: some that are tested on here may have been trained on.")
    metrics, probabilities = evaluate_model(model, splits, flip=recipe.flip)
    print_table(class_table(probabilities, splits.test.targets["label"], splits.class_names))
    for name, value in metrics.items():
        print(f"{name:<16}{value:.4f}")


def predict(pictures: tyro.conf.Positional[tuple[Path, ...]], /, *, run: Path, figure: Path | None = None) -> None:
    """Tells the likeliest classes of pictures.

    Args:
        pictures: Files.
        run: A run folder.
        figure: A PNG file to show pictures and answers in.
    """
    if not pictures:
        raise UserError("No picture was given: predict --run DIR PICTURE ...")
    model, classes = load_model(run), read_classes(run)
    height, _, channels = classes["image_shape"]
    files, images = [], []
    for file in pictures:
        try:
            images.append(read_picture(file, size=classes["stored_size"], channels=channels))
            files.append(file)
        except DataError as error:
            if len(pictures) == 1:
                raise
            print(error, file=sys.stderr)
    if not files:
        raise DataError("None of the pictures could be read.")
    inputs = {"image": np.stack(images)}
    # Scaled as those that the network was trained on: in two steps where these are stored in another size.
    scale = resizer(classes["stored_size"], height)
    probabilities = model.predict(scale(inputs) if scale else inputs, verbose=0)["label"]
    print_table(predictions_table(files, probabilities, classes["class_names"]))
    if figure:
        write_atomically(figure, predictions_figure(files, images, probabilities, classes["class_names"]).png)
        print(figure if len(files) <= PREDICTIONS else f"{figure} (the first {PREDICTIONS} of {len(files)} pictures)")


def trial(*, params: dict, folder: str, epochs: int, data: str, arch: Arch, recipe: dict, shared: dict) -> dict:
    """Trains one configuration for the search, in a process of its own; the test part is not touched."""
    options = options_of(folder, shared)
    recipe = recipe | {"epochs": epochs}
    settings = recipe | {"params": params, "data": data, "arch": arch, "options": options}
    run = start("Image classification trial", settings, workload="convolution")
    splits = load_pictures(data, Recipe(**recipe), options=options)
    _, history = train_network(run, splits, arch=arch, recipe=Recipe(**recipe), params=params)
    return finish_trial(run, history)


def load_and_tell(data: str, recipe: Recipe, *, options: Options, channels: int = CHANNELS) -> ImageSplits:
    """Loads pictures and prints what a person should know about them."""
    splits = load_pictures(data, recipe, options=options, channels=channels)
    for note in splits.notes:
        print(note, flush=True)
    return splits


def write_classes(run: Run, splits: ImageSplits) -> None:
    """Writes what a model file does not hold and `predict` needs.

    Raises:
        UserError: If a run is resumed that was begun on other pictures.
    """
    path = run.path("classes.json")
    if run.resumed and path.exists():
        before = read_json(path)
        difference = other_classes(splits.class_names, before["class_names"])
        if difference or splits.digest != before["digest"]:
            raise UserError(
                f"{run.config['settings']['data']} has changed since {run.folder} was begun: "
                f"{difference or 'pictures were added or removed'}. Change it back, or choose another --out."
            )
    kept = {"class_names": splits.class_names, "stored_size": splits.stored_size, "digest": splits.digest}
    write_json(path, kept | splits.sizes)
    if splits.skipped:
        skipped = run.path("skipped.txt")
        write_atomically(skipped, "".join(f"{reason}\n" for reason in splits.skipped).encode())
        print(f"All that is skipped is listed in {skipped}.")


def other_classes(now: Sequence[str], before: Sequence[str]) -> str:
    """Returns how two lists of classes differ, for people; nothing where they do not."""
    for names, others, what in ((now, before, "new"), (before, now, "missing")):
        odd = sorted(set(names) - set(others))
        if odd:
            return f"{odd[0]} is {what}"
    return "" if list(now) == list(before) else "they are in another order"


def read_classes(folder: Path) -> dict:
    """Reads what `write_classes` wrote."""
    return read_json(folder / "classes.json")


def evaluate_model(model: "keras.Model", splits: ImageSplits, *, flip: bool) -> tuple[dict[str, float], np.ndarray]:
    """Returns metrics on the test part, those with mirror images beside, and the probabilities (n, classes)."""
    labels = splits.test.targets["label"]
    probabilities = predict_probabilities(model, splits.test)
    metrics = classification_metrics(probabilities, labels)
    if flip:
        both = (probabilities + predict_probabilities(model, splits.test, mirrored=True)) / 2
        metrics["accuracy_flip"] = classification_metrics(both, labels)["accuracy"]
    return metrics, probabilities


def result_blocks(
    splits: ImageSplits, probabilities: np.ndarray, *, data: str, network: str, whole: bool
) -> list[Block]:
    """Returns what the report shows of the answers on the test part, which is beside published ones if it is whole."""
    labels, names = splits.test.targets["label"], splits.class_names
    accuracy = float((probabilities.argmax(-1) == labels).mean())
    blocks = [
        published_table(data, accuracy, network=network, note=" ".join(splits.notes)) if whole else None,
        confusion_figure(probabilities, labels, names),
        confusions_table(probabilities, labels, names),
        class_table(probabilities, labels, names),
        mistakes_figure(probabilities, splits.test, names),
    ]
    return [block for block in blocks if block]


def cost_table(run: Run, model: "keras.Model", splits: ImageSplits, *, arch: Arch, training: float | None) -> Block:
    """Returns parameters, FLOPs, size and speed of a network."""
    inputs, _ = next(iter(splits.test.batches(64)))
    return complexity_table(
        arch,
        parameters=model.count_params(),
        flops=count_flops(model),
        file_bytes=run.path("model.keras").stat().st_size,
        training=training,
        inference=measure_speed(model, {name: value.numpy() for name, value in inputs.items()}),
        caption="The training speed counts loading, augmentation and validation in.",
    )


if __name__ == "__main__":
    main("experiments.image_classification", train, search, evaluate, predict)
