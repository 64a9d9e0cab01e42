"""Few labels: the GAN's discriminator as a classifier, and the same network trained on the labels alone."""

from dataclasses import replace

import keras
import numpy as np

from kerasapps.data.images import ImageSplits
from kerasapps.data.splits import Split, Splits
from kerasapps.errors import UserError
from kerasapps.gan.classifier import SemiSupervisedGAN
from kerasapps.optimizers import Adam
from kerasapps.reports import Block, Table, curves
from kerasapps.runs import Run

from ..shared import training
from ..shared.training import Trained, report
from .network import Arch, Recipe, build_pair, compile_gan, repeated


def choose_labeled(split: Split, count: int, seed: int) -> np.ndarray:
    """Returns the numbers of `count` rows in ascending order, as evenly from all classes as possible.

    Raises:
        UserError: If there are fewer rows, or fewer labels than classes.
    """
    labels = np.asarray(split.targets["label"])
    classes = len(np.unique(labels))
    if not classes <= count < len(labels):
        raise UserError(f"--labels must be in [{classes}, {len(labels):,}), one per class or more. Received: {count}")
    order = np.random.default_rng(seed).permutation(len(labels))
    rank = np.empty(len(labels), np.int64)  # of a row among those of its class
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        rank[rows] = np.arange(len(rows))
    return np.sort(np.argsort(rank, kind="stable")[:count])


def with_labeled(split: Split, rows: np.ndarray) -> Split:
    """Returns the training set of a semi-supervised network: with each image a labeled one, and the class of that.

    The classes of the images themselves are gone.
    """
    few = np.resize(rows, len(split))
    inputs = {"image": split.inputs["image"], "labelled_image": split.inputs["image"][few]}
    prepare, augment, read = split.prepare, split.augment, split.read

    def both(change):
        """Applies a change of "image" to the labeled images as well."""
        if change is None:
            return None
        return lambda images: {name: change({"image": image})["image"] for name, image in images.items()}

    def augmented(images, targets, seed):
        return {name: augment({"image": image}, targets, seed)[0]["image"] for name, image in images.items()}, targets

    targets = {"label": np.asarray(split.targets["label"])[few]}
    change = augmented if augment is not None else None
    return replace(split, inputs=inputs, targets=targets, prepare=both(prepare), read=both(read), augment=change)


def train_semi_supervised(run: Run, splits: ImageSplits, arch: Arch, recipe: Recipe, params: dict, rows: np.ndarray):
    """Trains on labeled and unlabeled images; returns the test accuracy and what was trained."""

    def make_model(*, jit_compile: bool, **_) -> SemiSupervisedGAN:
        networks = build_pair(arch, params, classifies=True, **splits.sizes)
        model = SemiSupervisedGAN(*networks, rules=recipe.rules, seed=run.options.seed)
        return compile_gan(model, recipe, jit_compile=jit_compile)

    train = with_labeled(splits.train, rows)
    batch_size = recipe.batch_size * recipe.discriminator_steps
    return train_labels(run, splits, train, make_model, recipe, batch_size=batch_size)


def train_supervised(run: Run, splits: ImageSplits, arch: Arch, recipe: Recipe, params: dict, rows: np.ndarray):
    """Trains the same discriminator on the labeled images alone; returns the test accuracy and what was trained."""

    def make_model(*, jit_compile: bool, **_) -> keras.Model:
        _, network = build_pair(arch, params, classifies=True, **splits.sizes)
        model = keras.Model(network.input, {"label": network.output["label"]}, name="supervised")
        loss = {"label": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
        model.compile(Adam(1e-3), loss, metrics={"label": ["accuracy"]}, jit_compile=jit_compile)
        return model

    return train_labels(run, splits, splits.train.take(rows), make_model, recipe)


def train_labels(
    run: Run, splits: ImageSplits, train: Split, make_model, recipe: Recipe, *, batch_size: int | None = None
) -> tuple[float, Trained]:
    """Trains on rows in the place of the training set; the best epoch has the highest validation accuracy."""
    sets = Splits(repeated(train, options=run.options), splits.validation, splits.test, sizes=splits.sizes)
    best = {"monitor": "val_accuracy", "maximize": True}
    trained = training.train(run, sets, make_model, recipe, batch_size=batch_size, **best)
    batches = splits.test.batches(256, replicas=run.strategy.num_replicas_in_sync)
    return trained.model.evaluate(batches, verbose=0, return_dict=True)["accuracy"], trained


def run_labels(
    run: Run, splits: ImageSplits, arch: Arch, recipe: Recipe, params: dict, *, labels: int, draws: int
) -> None:
    """Trains both networks on several draws of the labels and reports their test errors."""
    networks = {"semi-supervised": train_semi_supervised, "supervised": train_supervised}
    errors: dict[str, list[float]] = {name: [] for name in networks}
    blocks: list[Block] = []
    jobs = [(number, name) for number in range(draws) for name in networks]
    for number, name in jobs:
        rows = choose_labeled(splits.train, labels, run.options.seed + number)
        print(f"Draw {number + 1} of {draws}, {name}: {labels} labels", flush=True)
        part = run.part(f"{name.replace('-', '_')}{number + 1}", {})
        accuracy, trained = networks[name](part, splits, arch, recipe, params, rows)
        history = trained.history
        errors[name].append(100 * (1 - accuracy))
        if name == "semi-supervised":
            model = trained.model
            if number == 0 and history.rows:
                blocks.append(curves(history.rows, best_epoch=history.best_epoch, network="Semi-supervised"))
        if history.interrupted:
            break
    run.save(model)
    table = [
        [name, *(values + [None] * (draws - len(values))), np.mean(values)] for name, values in errors.items() if values
    ]
    columns = ["network", *(f"draw {i + 1}" for i in range(draws)), "mean"]
    caption = (
        f"Both are the same discriminator with the same {labels} labels in each draw. The semi-supervised one is also "
        f"trained on the other {len(splits.train) - labels:,} training images without their labels, and on generated "
        "images. For both, the best epoch is chosen on the validation set, with its labels."
    )
    means = {name: float(np.mean(values)) for name, values in errors.items() if values}
    metrics = {f"error_{name.replace('-', '_')}": value for name, value in means.items()}
    done = len(errors["semi-supervised"])
    summary = f"Classes from {labels} labels, by feature matching, {arch}: "
    summary += f"mean over {done} draws." if done > 1 else "one draw."
    if history.interrupted:
        summary += " Interrupted: the last network was not trained to its end; --resume continues it."
    report(
        run,
        metrics,
        [Table("Test error in percent", columns, table, caption, digits=2), *blocks],
        summary=summary,
        headline=list(metrics),
        conclusion=f"Test error: {', '.join(f'{name} {value:.2f} %' for name, value in means.items())}.",
    )
