"""What judges generated pictures: a classifier of ours, or Inception v3, and the scores that its features give."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from experiments.gan.figures import grid, write_frame
from experiments.gan.network import as_pixels, draw
from experiments.image_classification import network as image_network
from kerasapps.data.splits import Split
from kerasapps.errors import DataError
from kerasapps.gan import metrics as measures
from kerasapps.runs import Run, load_model
from kerasapps.taps import feature_taps

JUDGE = {"depth": 8, "filters": [16, 32, 64]}
JUDGE_EPOCHS = 12
NAME = "a residual network of 8 layers, trained on the same training part"
# The distance between pictures of a collapsed generator, as a share of that between real ones.
COLLAPSED = 0.2
DIVERGED = 5.0  # times the Fréchet distance of the best epoch
SEEN = 64  # pictures in a grid
SCORED = 512  # pictures that an epoch is judged by
PUPILS = 10_000  # pictures that the final scores are computed from, at most


@dataclass(frozen=True)
class Judge:
    """A classifier and its last features: uint8 (n, H, W, C) -> features (n, F), probabilities (n, classes)."""

    taps: keras.Model

    def __call__(self, images: np.ndarray, batch_size: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """Judges pictures, uint8."""
        outputs = self.taps.predict({"image": images.astype(np.float32)}, batch_size=batch_size, verbose=0)
        return np.asarray(outputs["features"], np.float32), np.asarray(outputs["label"], np.float32)


def train_judge(run: Run, data: str, *, side: int) -> Judge:
    """Trains the classifier in the folder judge/ of a run, or takes up the one that is there.

    Args:
        run: The run folder.
        data: As for `train`.
        side: Side of the pictures in pixels.
    """
    options = run.options
    # Targets of 1 and 0: with smoothed ones it would never be sure of anything.
    given = image_network.Recipe(size=side, epochs=JUDGE_EPOCHS, label_smoothing=0.0, batch_size=64, learning_rate=0.05)
    recipe = image_network.recipe_of("residual", data, given, options=options)
    part = run.part("judge", asdict(recipe))
    splits = image_network.load_pictures(data, recipe, options=options)
    print("The judge:", flush=True)
    model, history = image_network.train_network(part, splits, arch="residual", recipe=recipe, params=JUDGE)
    if history.interrupted:
        # What it judged now, it would judge otherwise once it has learned the rest.
        raise KeyboardInterrupt
    return as_judge(model)


def load_judge(folder: Path) -> Judge:
    """Loads the classifier that judged a run."""
    return as_judge(load_model(folder / "judge"))


def as_judge(model: keras.Model) -> Judge:
    """Returns a judge that is a classifier."""
    return Judge(feature_taps(model, ["features", "label"]))


def real_pictures(split: Split, limit: int = PUPILS) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures of a part, all or as many at random, uint8 (n, H, W, C), and their classes, int32 (n,)."""
    # At random, because folders are read class by class.
    chosen = np.random.default_rng(0).permutation(len(split))[:limit]
    rows = split.take(np.sort(chosen))
    images = [as_pixels(inputs["image"].numpy()) for inputs, _ in rows.batches(256)]
    return np.concatenate(images), np.asarray(rows.targets["label"])


def score(judge: Judge, real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Returns every score of generated beside real pictures, both uint8 (n, H, W, C)."""
    real_features, _ = judge(real)
    fake_features, probabilities = judge(fake)
    precision, recall = measures.precision_recall(real_features, fake_features)
    return {
        "fid": measures.frechet_distance(real_features, fake_features),
        "kid": measures.kernel_distance(real_features, fake_features),
        "precision": precision,
        "recall": recall,
        "diversity": measures.diversity(real_features, fake_features),
        **measures.class_coverage(probabilities),
    }


def inception_features() -> Callable[[np.ndarray], np.ndarray]:
    """Returns Inception v3's pooled features of pictures, with the weights that Keras downloads.

    Its FID is near that of the papers, not equal to it: they use another copy of the weights and another resize.

    Raises:
        DataError: If the weights cannot be had.
    """
    try:
        network = keras.applications.InceptionV3(include_top=False, weights="imagenet", pooling="avg")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise DataError(
            "The weights of Inception v3 are neither in ~/.keras/models nor can they be downloaded: put "
            "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5 of keras.applications there, or leave "
            "--inception out."
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
    """Scores the averaged generator after each epoch, keeps a grid of samples from fixed noise, raises the alarm."""

    def __init__(self, gan_run: Run, judge: Judge, validation: Split, *, seed: int):
        super().__init__()
        self.run = gan_run
        self.judge = judge
        self.features, _ = judge(real_pictures(validation)[0])
        self.seed = seed
        # Fréchet distance and diversity of each epoch, those before a resume included.
        self.seen: list[tuple[float, float]] = []
        if (gan_run.folder / "history.csv").exists():
            with (gan_run.folder / "history.csv").open() as file:
                self.seen = [(float(row["val_fid"]), float(row["val_diversity"])) for row in csv.DictReader(file)]

    def on_epoch_end(self, epoch, logs=None):
        """Adds the scores to the logs, of which `val_fid` decides which epoch is best."""
        images = as_pixels(draw(self.model, self.run.options.shrink(SCORED, SEEN), seed=self.seed))
        write_frame(self.run, epoch + 1, grid(images[:SEEN]))
        features, probabilities = self.judge(images)
        logs["val_fid"] = measures.frechet_distance(self.features, features)
        logs["val_diversity"] = measures.diversity(self.features, features)
        logs["val_classes_covered"] = measures.class_coverage(probabilities)["classes_covered"]
        self.seen.append((logs["val_fid"], logs["val_diversity"]))
        said = alarm(self.seen)
        # Said when it begins, and not of the first epoch, when all pictures are alike.
        if said and len(self.seen) > 1 and not alarm(self.seen[:-1]):
            print(f"Epoch {epoch + 1}: {said}", flush=True)


def alarm(seen: Sequence[tuple[float, float]]) -> str:
    """Returns a sentence if the last epoch's pictures are too alike, or far worse than the best epoch's, else nothing.

    Args:
        seen: Fréchet distance and diversity of each epoch.
    """
    distance, diversity = seen[-1]
    best = min(before for before, _ in seen)
    if diversity < COLLAPSED:
        wrong = f"collapsed: its pictures are {diversity:.0%} as different from one another as real ones"
    elif distance > DIVERGED * best:
        wrong = f"diverged: its Fréchet distance is {distance:.2f}, and that of its best epoch {best:.2f}"
    else:
        return ""
    return (
        f"The generator has {wrong}. The best epoch so far is kept; try another --seed, --loss hinge, --r1 1 or a "
        "lower --learning-rate."
    )
