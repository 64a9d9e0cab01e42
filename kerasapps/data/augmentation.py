"""Augmentation of images by Keras' own layers, as a pure function of a seed."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers

from kerasapps.data.splits import Augment


class FoldedSeeds(keras.random.SeedGenerator):
    """Seeds that follow from one seed, where Keras' generator would count on from its last call.

    A layer's own generator is a variable, so an epoch would depend on how often it was drawn from, and `tf.data` draws
    from several threads.
    """

    def __init__(self, seed: tf.Tensor):
        # Not Keras' own, which makes the variable.
        self.root = seed
        self.drawn = 0

    def next(self, ordered=True):
        """Returns the next seed, two int32."""
        self.drawn += 1
        return tf.random.fold_in(self.root, self.drawn)


def make_augment(steps: Sequence[layers.Layer]) -> Augment | None:
    """Returns a function for `Split.augment` that applies Keras' random image layers to the input "image".

    Args:
        steps: Layers such as `keras.layers.RandomFlip`, float32; None is returned without any.

    Returns:
        A function: "image" (B, H, W, C) from 0 to 255 -> float32 of the same shape and range.
    """

    def augment(inputs: dict, targets: dict, seed: tf.Tensor) -> tuple[dict, dict]:
        seeds = FoldedSeeds(seed)
        images = tf.cast(inputs["image"], tf.float32)  # (B, H, W, C)
        for step in steps:
            change = step.get_random_transformation(images, training=True, seed=seeds)
            images = step.transform_images(images, change, training=True)
        return inputs | {"image": images}, targets

    return augment if steps else None


def picture_augment(*, flip: bool = False, shift: float = 0.0, erase: float = 0.0) -> Augment | None:
    """Returns the usual light augmentation.

    Args:
        flip: Mirror half of the images left to right. Not for digits, whose mirror images are not digits.
        shift: Maximum shift as a share of the image's sides; the gap is filled by reflection at the edge.
        erase: Maximum share of the area of an image that is grayed out.

    Raises:
        ValueError: If `shift` or `erase` is outside [0, 1).
    """
    for name, value in {"shift": shift, "erase": erase}.items():
        if not 0 <= value < 1:
            raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value}")
    steps = []
    if flip:
        steps.append(layers.RandomFlip("horizontal", dtype="float32"))
    if shift:
        # Whole pixels: interpolation between them would blur every image a little.
        steps.append(layers.RandomTranslation(shift, shift, "reflect", "nearest", dtype="float32"))
    if erase:
        steps.append(
            layers.RandomErasing(
                (1.0,) * 2, scale=(0.0, erase), fill_value=127.5, value_range=(0, 255), dtype="float32"
            )
        )
    return make_augment(steps)
