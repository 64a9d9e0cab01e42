"""Few labels: the GAN's discriminator as a classifier, beside the same network trained on the labels alone."""

from dataclasses import replace

import keras
import numpy as np

from experiments.gan.network import Arch, Recipe, build_pair, compile_gan, repeated
from kerasapps.data.images import ImageSplits
from kerasapps.data.splits import Split, Splits
from kerasapps.errors import UserError
from kerasapps.gan.classifier import SemiSupervisedGAN
from kerasapps.optimizers import Adam
from kerasapps.reports import Block, Table, curves
from kerasapps.runs import Run
from kerasapps.training import fit


def choose_labelled(split: Split, count: int, seed: int) -> np.ndarray:
    """Returns the numbers of `count` rows, ascending, as evenly from all classes as can be.

    Raises:
        UserError: If there are fewer rows, or fewer labels than classes.
    """
    labels = np.asarray(split.targets["label"])
    classes = len(np.unique(labels))
    if not classes <= count < len(labels):
        raise UserError(f"--labels must be from {classes}, one a class, to under {len(labels):,}. Received: {count}")
    order = np.random.default_rng(seed).permutation(len(labels))
    rank = np.empty(len(labels), np.int64)  # of a row among those of its class
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        rank[rows] = np.arange(len(rows))
    return np.sort(np.argsort(rank, kind="stable")[:count])


def with_labelled(split: Split, rows: np.ndarray) -> Split:
    """Returns the training part of a semi-supervised network: beside each picture a labelled one, and its class.

    The classes of the pictures themselves are gone.
    """
    few = np.resize(rows, len(split))
    inputs = {"image": split.inputs["image"], "labelled_image": split.inputs["image"][few]}
    prepare, augment, read = split.prepare, split.augment, split.read

    def both(change):
        """Has a change of "image" change the labelled pictures as well."""
        if change is None:
            return None
        return lambda pictures: {name: change({"image": picture})["image"] for name, picture in pictures.items()}

    def augmented(pictures, targets, seed):
        return {
            name: augment({"image": picture}, targets, seed)[0]["image"] for name, picture in pictures.items()
        }, targets

    targets = {"label": np.asarray(split.targets["label"])[few]}
    change = augmented if augment is not None else None
    return replace(split, inputs=inputs, targets=targets, prepare=both(prepare), read=both(read), augment=change)


def train_semi_supervised(run: Run, splits: ImageSplits, arch: Arch, recipe: Recipe, params: dict, rows: np.ndarray):
    """Trains on labelled and unlabelled pictures; returns the test accuracy, the model and the history."""
    with run.strategy.scope():
        networks = build_pair(arch, params, classifies=True, **splits.sizes)
        model = SemiSupervisedGAN(*networks, rules=recipe.rules, seed=run.options.seed)
        compile_gan(model, recipe, jit_compile=run.jit_compile)
    train = repeated(with_labelled(splits.train, rows), options=run.options)
    parts = Splits(train, splits.validation, splits.test, sizes=splits.sizes)
    batch_size = recipe.batch_size * recipe.discriminator_steps
    history = fit(model, parts, run, epochs=recipe.epochs, batch_size=batch_size, monitor="val_accuracy")
    result = model.evaluate(splits.test.batches(256), verbose=0, return_dict=True)
    return result["accuracy"], model, history


def train_supervised(run: Run, splits: ImageSplits, arch: Arch, recipe: Recipe, params: dict, rows: np.ndarray):
    """Trains the same discriminator on the labelled pictures alone; returns the test accuracy and the history."""
    with run.strategy.scope():
        _, network = build_pair(arch, params, classifies=True, **splits.sizes)
        model = keras.Model(network.input, {"label": network.output["label"]}, name="supervised")
        loss = {"label": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
        model.compile(Adam(1e-3), loss, metrics={"label": ["accuracy"]}, jit_compile=run.jit_compile)
    few = repeated(splits.train.take(rows), options=run.options)
    parts = Splits(few, splits.validation, splits.test, sizes=splits.sizes)
    history = fit(model, parts, run, epochs=recipe.epochs, batch_size=recipe.batch_size, monitor="val_accuracy")
    result = model.evaluate(splits.test.batches(256), verbose=0, return_dict=True)
    return result["accuracy"], history


def run_labels(
    run: Run, splits: ImageSplits, arch: Arch, recipe: Recipe, params: dict, *, labels: int, draws: int
) -> None:
    """Trains both networks on several draws of the labels and reports their test errors."""
    errors: dict[str, list[float]] = {"semi-supervised": [], "supervised": []}
    blocks: list[Block] = []
    for number in range(draws):
        rows = choose_labelled(splits.train, labels, run.options.seed + number)
        print(f"Draw {number + 1} of {draws}: {labels} labels", flush=True)
        part = run.part(f"semi_supervised{number + 1}", {})
        accuracy, model, history = train_semi_supervised(part, splits, arch, recipe, params, rows)
        errors["semi-supervised"].append(100 * (1 - accuracy))
        if number == 0 and history.rows:
            blocks.append(curves(history.rows, best_epoch=history.best_epoch, network="Semi-supervised"))
        if history.interrupted:
            break
        part = run.part(f"supervised{number + 1}", {})
        accuracy, history = train_supervised(part, splits, arch, recipe, params, rows)
        errors["supervised"].append(100 * (1 - accuracy))
        if history.interrupted:
            break
    table = [
        [name, *(values + [None] * (draws - len(values))), np.mean(values)] for name, values in errors.items() if values
    ]
    columns = ["network", *(f"draw {i + 1}" for i in range(draws)), "mean"]
    caption = (
        f"The same discriminator, the same {labels} labels a draw. Semi-supervised, it also sees the other "
        f"{len(splits.train) - labels:,} training pictures without their classes, and generated ones. Its best "
        "epoch is chosen on the validation part, whose labels are therefore used as well, by both."
    )
    blocks.insert(0, Table("Test error in percent", columns, table, caption, digits=2))
    metrics = {f"error_{name.replace('-', '_')}": float(np.mean(values)) for name, values in errors.items() if values}
    summary = (
        f"Classes from {labels} labels, by feature matching, {arch}: mean over {len(errors['semi-supervised'])} draws."
    )
    if history.interrupted:
        summary += " Interrupted: the last network was not trained to its end, and --resume goes on with it."
    run.finish(metrics, model=model, summary=summary, headline=list(metrics), blocks=blocks)
    shown = ", ".join(f"{name} {np.mean(values):.2f} %" for name, values in errors.items() if values)
    print(f"Test error: {shown}. Report: {run.folder / 'report.html'}")
