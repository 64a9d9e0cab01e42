"""How generated images are scored while a pair is trained, and by the features of Inception v3."""

import csv
from collections.abc import Callable, Sequence

import keras
import numpy as np

from kerasapps.data.images import ImageSplits
from kerasapps.data.splits import Split
from kerasapps.errors import DataError
from kerasapps.formats import format_share
from kerasapps.gan import metrics as measures
from kerasapps.gan.judge import Judge
from kerasapps.runs import Run

from ..shared import judging
from ..shared.images import tile
from ..shared.judging import SCORED_IMAGES, STANDARD_IMAGES, Judged, rows_at_random
from .figures import write_frame
from .sampling import as_pixels, draw

# The distance between images of a collapsed generator, as a share of that between real ones.
COLLAPSED = 0.2
DIVERGED = 5.0  # times the Fréchet distance of the best epoch
SEEN = 64  # images in a grid
EPOCH_IMAGES = 512  # images that an epoch is scored by


def make_judge(run: Run, data: str, splits: ImageSplits) -> Judge:
    """Makes the judge of images from -1 to 1 in the folder judge/ of a run, or takes the one that is there."""
    plain = None if splits.class_names else real_images(splits.train, STANDARD_IMAGES)[0]
    return judging.make_judge(run, data, side=splits.sizes["image_shape"][0], plain=plain)


def real_images(split: Split, limit: int = SCORED_IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of a split, all or as many at random, uint8 (n, H, W, C), and their classes, int32 (n,)."""
    rows = split.take(rows_at_random(len(split), limit))
    images = [as_pixels(inputs["image"].numpy()) for inputs, _ in rows.batches(256)]
    return np.concatenate(images), np.asarray(rows.targets["label"])


def judged(judge: Judge, split: Split, limit: int = SCORED_IMAGES) -> Judged:
    """Judges a split, all of it or as many images at random."""
    return Judged.of(judge, *real_images(split, limit))


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
        self.features = judged(judge, validation).features
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
