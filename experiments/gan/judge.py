"""How generated images are scored: by the features of a network of ours, the judge, or of Inception v3."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import layers

from kerasapps.applications.residual_classifier import build_residual_classifier
from kerasapps.applications.style_transfer import build_style_taps
from kerasapps.blocks.style import MEAN_BGR
from kerasapps.data.images import ImageSplits
from kerasapps.data.splits import Split
from kerasapps.errors import DataError
from kerasapps.formats import format_share
from kerasapps.gan import metrics as measures
from kerasapps.runs import Run, load_model
from kerasapps.taps import feature_taps

from ..shared import image_classifier
from ..shared.image_classifier import SGD, GivenRecipe, settle_recipe
from ..shared.images import tile
from .figures import write_frame
from .sampling import as_pixels, draw

JUDGE = {"depth": 8, "filters": [16, 32, 64]}
JUDGE_EPOCHS = 12
NAME = "a residual network of 8 layers, trained on the same training set"
PLAIN_NAME = "the compact VGG of style transfer, as these images have no classes"
# Colors and strokes, and what they form; each is averaged over the image.
PLAIN_LAYERS = ("block2_conv2", "block3_conv3")
STANDARD_IMAGES = 2000  # training images by which features are standardized
# The distance between images of a collapsed generator, as a share of that between real ones.
COLLAPSED = 0.2
DIVERGED = 5.0  # times the Fréchet distance of the best epoch
SEEN = 64  # images in a grid
EPOCH_IMAGES = 512  # images that an epoch is scored by
SCORED_IMAGES = 10_000  # images that the final scores are computed from, at most


@dataclass(frozen=True)
class Judge:
    """A network and its last features: uint8 (n, H, W, C) -> features (n, F), probabilities (n, classes).

    For images without classes there are no probabilities: (n, 0).
    """

    taps: keras.Model

    @property
    def has_classes(self) -> bool:
        """Whether it is a classifier."""
        return "label" in self.taps.output

    def __call__(self, images: np.ndarray, batch_size: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """Returns features and probabilities of images, uint8."""
        outputs = self.taps.predict({"image": images.astype(np.float32)}, batch_size=batch_size, verbose=0)
        features = np.asarray(outputs["features"], np.float32)
        return features, np.asarray(outputs["label"], np.float32) if self.has_classes else np.empty((len(features), 0))


def make_judge(run: Run, data: str, splits: ImageSplits) -> Judge:
    """Makes the judge in the folder judge/ of a run, or takes the one that is there.

    It is a classifier of these images, or where they have no classes a network that comes with this package.

    Args:
        run: The run folder.
        data: As for `train`.
        splits: The images, from -1 to 1.
    """
    if splits.class_names:
        return train_judge(run, data, side=splits.sizes["image_shape"][0])
    part = run.part("judge", {})
    if (part.folder / "model.keras").exists():
        return load_judge(run.folder)
    model = build_plain_judge(real_images(splits.train, STANDARD_IMAGES)[0])
    part.save(model)
    return as_judge(model)


def build_plain_judge(images: np.ndarray) -> keras.Model:
    """Builds a network that was not trained on these images: image (B, H, W, C), 0 to 255 -> "features" (B, 192).

    Args:
        images: Training images, uint8 (n, H, W, C): on them each feature has mean 0 and standard deviation 1.
    """
    image = keras.Input(images.shape[1:], name="image")  # (B, H, W, C)
    colors = layers.Concatenate(name="colors")([image] * 3) if images.shape[-1] == 1 else image  # (B, H, W, 3)
    centered = layers.Rescaling(1.0, [-mean for mean in reversed(MEAN_BGR)], name="centered")(colors)
    taps = build_style_taps(network="compact", weights="trained", pooling="max", layers=PLAIN_LAYERS)
    first = taps.get_layer("block1_conv1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])  # of red, green and blue; VGG takes blue first
    means = [
        layers.GlobalAveragePooling2D(dtype="float32", name=f"{name}_mean")(activation)
        for name, activation in taps({"image": centered}).items()
    ]
    raw = layers.Concatenate(dtype="float32", name="raw")(means)  # (B, F)
    seen = keras.Model(image, raw).predict(images.astype(np.float32), batch_size=256, verbose=0)
    variance = np.maximum(seen.var(0), 0.01 * seen.var(0).mean())  # of a feature that is the same in all images
    standard = layers.Normalization(mean=seen.mean(0), variance=variance, dtype="float32", name="features")(raw)
    return keras.Model({"image": image}, {"features": standard}, name="judge")


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
    trained = image_classifier.train(part, splits, partial(build_residual_classifier, **JUDGE, **splits.sizes), recipe)
    if trained.history.interrupted:
        # A judge that is trained further would score differently.
        raise KeyboardInterrupt
    return as_judge(trained.model)


def load_judge(folder: Path) -> Judge:
    """Loads the judge of a run."""
    return as_judge(load_model(folder / "judge"))


def as_judge(model: keras.Model) -> Judge:
    """Makes a network with "features", and with "label" if it is a classifier, a judge."""
    known = {layer.name for layer in model.layers}
    return Judge(feature_taps(model, [name for name in ("features", "label") if name in known]))


def real_images(split: Split, limit: int = SCORED_IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of a split, all or as many at random, uint8 (n, H, W, C), and their classes, int32 (n,)."""
    # At random, because folders are read class by class.
    chosen = np.random.default_rng(0).permutation(len(split))[:limit]
    rows = split.take(np.sort(chosen))
    images = [as_pixels(inputs["image"].numpy()) for inputs, _ in rows.batches(256)]
    return np.concatenate(images), np.asarray(rows.targets["label"])


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
    def of(cls, judge: Judge, split: Split, limit: int = SCORED_IMAGES) -> "Judged":
        """Judges a split, all of it or as many images at random."""
        images, labels = real_images(split, limit)
        return cls(images, labels, *judge(images))


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


def inception_features() -> Callable[[np.ndarray], np.ndarray]:
    """Returns Inception v3's pooled features of images, with the weights that Keras downloads.

    Its FID is near that of the papers, not equal to it: they use another copy of the weights and another resize.

    Raises:
        DataError: If the weights cannot be had.
    """
    try:
        network = keras.applications.InceptionV3(include_top=False, weights="imagenet", pooling="avg")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise DataError(
            "The weights of Inception v3 are not in ~/.keras/models and cannot be downloaded: put "
            "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5 of keras.applications there, or omit --inception."
        ) from error

    def features(images: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(images), 64):
            batch = images[start : start + 64].astype(np.float32)
            batch = np.repeat(batch, 3, -1) if batch.shape[-1] == 1 else batch
            batch = keras.ops.image.resize(batch, (299, 299), antialias=True)
            parts.append(keras.ops.convert_to_numpy(network(batch / 127.5 - 1, training=False)))
        return np.concatenate(parts)

    return features


class Watch(keras.callbacks.Callback):
    """Scores the averaged generator after each epoch, keeps a grid of samples from fixed noise, and warns."""

    def __init__(self, gan_run: Run, judge: Judge, validation: Split, *, seed: int):
        super().__init__()
        self.run = gan_run
        self.judge = judge
        self.features = Judged.of(judge, validation).features
        self.seed = seed
        self.seen: list[tuple[float, float]] = []  # Fréchet distance and diversity of each epoch

    def on_train_begin(self, logs=None):
        """Reads the epochs before a resume."""
        if (self.run.folder / "history.csv").exists():
            with (self.run.folder / "history.csv").open() as file:
                rows = list(csv.DictReader(file))
            self.seen = [(float(row["val_frechet_distance"]), float(row["val_diversity"])) for row in rows]

    def on_epoch_end(self, epoch, logs=None):
        """Adds the scores to the logs, of which `val_frechet_distance` decides which epoch is best."""
        images = as_pixels(draw(self.model, self.run.options.shrink(EPOCH_IMAGES, SEEN), seed=self.seed))
        write_frame(self.run, epoch + 1, tile(images[:SEEN]))
        features, probabilities = self.judge(images)
        logs["val_frechet_distance"] = measures.frechet_distance(self.features, features)
        logs["val_diversity"] = measures.diversity(self.features, features)
        if self.judge.has_classes:
            logs["val_classes_covered"] = measures.class_coverage(probabilities)["classes_covered"]
        self.seen.append((logs["val_frechet_distance"], logs["val_diversity"]))
        warning = alarm(self.seen)
        # Once, when it begins; not after the first epoch, when all images are alike.
        if warning and len(self.seen) > 1 and not alarm(self.seen[:-1]):
            print(f"Epoch {epoch + 1}: {warning}", flush=True)


def alarm(seen: Sequence[tuple[float, float]]) -> str:
    """Returns a warning if the last epoch's images are too alike, or far worse than the best epoch's, else nothing.

    Args:
        seen: Fréchet distance and diversity of each epoch.
    """
    distance, diversity = seen[-1]
    best = min(before for before, _ in seen)
    if diversity < COLLAPSED:
        wrong = f"collapsed: its images are {format_share(diversity, 0)} as different from one another as real ones"
    elif distance > DIVERGED * best:
        wrong = f"diverged: its Fréchet distance is {distance:.2f}, and that of its best epoch {best:.2f}"
    else:
        return ""
    return (
        f"The generator has {wrong}. The best epoch so far is kept; try another --seed, --loss hinge, --r1 1 or a "
        "lower --learning-rate."
    )
