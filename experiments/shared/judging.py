"""How generated images are scored: by the features of a network of ours, the judge."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from kerasapps.gan import metrics as measures
from kerasapps.gan.judge import Judge, as_judge, build_judge, build_plain_judge
from kerasapps.reports import Table
from kerasapps.runs import Options, Run, load_model

from . import image_classifier
from .image_classifier import SGD, GivenRecipe, settle_recipe

JUDGE_EPOCHS = 12
STANDARD_IMAGES = 2000  # training images by which features are standardized
SCORED_IMAGES = 10_000  # images that scores are computed from, at most
NAME = "a residual network of 8 layers, trained on the same training set"
PLAIN_NAME = "the compact VGG of style transfer, as these images have no classes"
SCORES = {"frechet_distance": "Fréchet distance", "kernel_distance": "kernel distance"}
SCORES |= {
    "precision": "precision",
    "recall": "recall",
    "classes_covered": "classes",
    "confident_share": "confident",
    "diversity": "spread",
}
OF_CLASSES = ("classes_covered", "confident_share")


def make_judge(run: Run, data: str, *, side: int, plain: np.ndarray | None) -> Judge:
    """Makes the judge in the folder judge/ of a run, or takes the one that is there.

    It is a classifier of these images, or where they have no classes a network that comes with this package.

    Args:
        run: The run folder.
        data: As for `train`.
        side: Side of the images in pixels.
        plain: Training images, uint8 (n, H, W, C), where they have no classes.
    """
    if plain is None:
        return train_judge(run, data, side=side)
    part = run.part("judge", {})
    if (part.folder / "model.keras").exists():
        return load_judge(run.folder)
    model = build_plain_judge(plain)
    part.save(model)
    return as_judge(model)


def train_judge(run: Run, data: str, *, side: int) -> Judge:
    """Trains the classifier in the folder judge/ of a run, or takes the one that is there.

    Args:
        run: The run folder.
        data: As for `train`.
        side: Side of the images in pixels.
    """
    # Without label smoothing, which keeps probabilities below the 90 % that count as confident.
    recipe = replace(SGD, size=side, epochs=JUDGE_EPOCHS, label_smoothing=0.0, batch_size=64, learning_rate=0.05)
    recipe = settle_recipe(recipe, GivenRecipe(), data=data, options=run.options)
    part = run.part("judge", asdict(recipe))
    splits = image_classifier.load(data, recipe, options=run.options)
    print("Training the judge, a classifier whose features the scores are computed from:", flush=True)
    trained = image_classifier.train(part, splits, partial(build_judge, **splits.sizes), recipe)
    if trained.history.interrupted:
        # A judge that is trained further would score differently.
        raise KeyboardInterrupt
    return as_judge(trained.model)


def load_judge(folder: Path) -> Judge:
    """Loads the judge of a run."""
    return as_judge(load_model(folder / "judge"))


@dataclass(frozen=True)
class Judged:
    """Images and the judge's outputs for them, computed once.

    Args:
        images: uint8 (n, H, W, C).
        labels: Classes, int32 (n,).
        features: float32 (n, F).
        probabilities: float32 (n, classes).
    """

    images: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of(cls, judge: Judge, images: np.ndarray, labels: np.ndarray) -> "Judged":
        """Judges images."""
        return cls(images, labels, *judge(images))


def rows_at_random(count: int, limit: int = SCORED_IMAGES) -> np.ndarray:
    """Returns the numbers of all rows of a set or as many at random, because folders are read class by class."""
    return np.sort(np.random.default_rng(0).permutation(count)[:limit])


def samples_scored(real: Judged, options: Options) -> int:
    """Returns how many samples of a generator are scored."""
    return max(len(real.images), options.shrink(2000, 64))


def score(judge: Judge, real: Judged, fake: np.ndarray) -> dict[str, float]:
    """Returns every score of generated images, uint8 (n, H, W, C), against real ones."""
    fake_features, probabilities = judge(fake)
    precision, recall = measures.precision_recall(real.features, fake_features)
    return {
        "frechet_distance": measures.frechet_distance(real.features, fake_features),
        "kernel_distance": measures.kernel_distance(real.features, fake_features),
        "precision": precision,
        "recall": recall,
        "diversity": measures.diversity(real.features, fake_features),
        **(measures.class_coverage(probabilities) if judge.has_classes else {}),
    }


def score_with_floor(judge: Judge, real: Judged, fake: np.ndarray, train: np.ndarray) -> tuple[dict[str, float], Table]:
    """Returns the scores of generated images and their table, with `frechet_distance_floor`.

    That is the distance between real images and as many training images as there are samples, or all: a generator can
    hardly get below it.

    Args:
        judge: The judge.
        real: Images of the test set.
        fake: Generated images, uint8 (n, H, W, C).
        train: Images of the training set, uint8 (n, H, W, C).
    """
    floor = measures.frechet_distance(real.features, judge(train)[0])
    metrics = score(judge, real, fake) | {"frechet_distance_floor": floor}
    return metrics, score_table({"this run": metrics}, floor)


def score_table(scores: Mapping[str, Mapping[str, float]], floor: float) -> Table:
    """Lists the scores of generators against the test set."""
    has_classes = all("classes_covered" in values for values in scores.values())
    judge = NAME if has_classes else PLAIN_NAME
    shown = {score: title for score, title in SCORES.items() if has_classes or score not in OF_CLASSES}
    rows = [[name, *(values[score] for score in shown)] for name, values in scores.items()]
    caption = (
        f"Computed from features of the judge, {judge}: this is not the Inception FID, and comparable only under the "
        f"same judge. Training images have a Fréchet distance of {floor:.2f}. Precision: share of the samples among "
        "real images. Recall: share of the real images among samples. "
        + "Confident: share of the samples whose class has a probability of at least 90 %. " * has_classes
        + "Spread: diversity of the features, relative to real images."
    )
    return Table("Scores on the test set", ["", *shown.values()], rows, caption, digits=3)
