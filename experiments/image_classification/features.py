"""Features of images that are computed once, for a head that is trained on them by itself."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from kerasapps.applications.transfer_classifier import FEATURES, STANDARDIZED
from kerasapps.data.images import ImageSplits
from kerasapps.data.splits import Split, Splits

CACHED_AT_ONCE = 64  # images
LEAST_VARIANCE = 1e-2  # of a feature, as a share of the mean of all


def cached_features(model: keras.Model, splits: ImageSplits, *, versions: int, seed: int) -> Splits:
    """Computes the input of the head for all images once.

    Args:
        model: The classifier, whose base is frozen.
        splits: The images.
        versions: Augmented versions of each training image, of which each epoch takes one; 0 for the images as they
            are.
        seed: Seed of the augmentation.

    Returns:
        Training and validation set with the input "features" float32 (n, versions, F), of which batches have (B, F).
    """
    body = keras.Model(model.input, model.get_layer(FEATURES).output)

    def of(split: Split, version: int | None) -> np.ndarray:
        """Returns the features of all rows of a set, (n, F)."""

        def ready(i, batch):
            inputs, targets = batch
            if version is not None:
                inputs, _ = split.augment(inputs, targets, tf.stack([seed + version, tf.cast(i, tf.int32)]))
            return inputs if split.prepare is None else split.prepare(inputs)

        batches = replace(split, augment=None, prepare=None).batches(CACHED_AT_ONCE)
        return body.predict(batches.enumerate().map(ready), verbose=0)

    augmented = range(versions) if splits.train.augment is not None else ()
    train = [of(splits.train, version) for version in augmented or [None]]
    return Splits(
        Split({"features": np.stack(train, 1)}, splits.train.targets, augment=one_version),
        Split({"features": of(splits.validation, None)}, splits.validation.targets),
    )


def one_version(inputs: dict, targets: dict, seed: tf.Tensor) -> tuple[dict, dict]:
    """Draws a version of each row: "features" (B, versions, F) -> (B, F)."""
    features = inputs["features"]
    count = tf.shape(features)
    drawn = tf.random.stateless_uniform(count[:1], seed, maxval=count[1], dtype=tf.int32)
    return inputs | {"features": tf.gather(features, drawn, axis=1, batch_dims=1)}, targets


def standardize(model: keras.Model, features: Splits) -> None:
    """Sets mean and variance of the features of the training set, so that the head learns from all of them alike."""
    values = features.train.inputs["features"].astype(np.float64)
    values = values.reshape(-1, values.shape[-1])
    # A feature that hardly varies among the few training images would be blown up where it does in others.
    variance = values.var(0)
    variance = np.maximum(variance, LEAST_VARIANCE * variance.mean())
    layer = model.get_layer(STANDARDIZED)
    layer.set_weights([values.mean(0).astype(np.float32), variance.astype(np.float32)])
