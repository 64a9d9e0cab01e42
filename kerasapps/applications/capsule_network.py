"""Capsule network: vectors instead of features, and routing by agreement instead of pooling.

Reference: Sabour, Frosst and Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, checked
from kerasapps.blocks.capsules import Capsules, Lengths, LongestCapsule, ReconstructionLoss, Squash
from kerasapps.blocks.fast_conv import Conv2D
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.perceptron import perceptron_block

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

SMALLEST = 17  # pixels of a side of which two windows of 9 leave something
RECONSTRUCTION = "reconstruction"  # the layer whose output is the image as the longest capsule describes it, 0 to 1


@checked
def build_capsule_network(
    *,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    filters: int = 256,
    primary_capsules: int = 32,
    primary_dim: int = 8,
    capsule_dim: int = 16,
    iterations: int = 3,
    decoder_units: Sequence[int] = (),
    dropout: float = 0.0,
    name: str = "capsule_network",
) -> keras.Model:
    """Builds a classifier of one convolution, primary capsules, and a capsule for each class.

    The length of a class's capsule is the probability that the class is in the image. Several classes may be: lengths
    do not add up to 1, and the predicted class is that of the longest.

    Args:
        image_shape: Height, width and channels of the images; sides at least 17.
        num_classes: Number of classes, at least 2.
        filters: Width of the first convolution.
        primary_capsules: Primary capsules at each place.
        primary_dim: Length of their vectors.
        capsule_dim: Length of the vectors of the classes.
        iterations: Rounds of routing.
        decoder_units: Widths of hidden layers that draw the image from the longest capsule; its error joins the loss.
            The paper has 512 and 1024. Without any there is no decoder.
        dropout: Share of the first convolution's features dropped in training, in [0, 1); the paper has none.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 lengths in [0, 1) (B, num_classes). With a decoder, the layer "reconstruction" has
        the image, values 0 to 1.

    Train with: `kerasapps.MarginLoss` on class ids; accuracy.

    Raises:
        ValueError: If a side is under 17, `num_classes` under 2, another size or `iterations` under 1, or `dropout`
            outside [0, 1).

    Example:
        >>> model = build_capsule_network(image_shape=(28, 28, 1), num_classes=10, filters=32, primary_capsules=4)
        >>> model.compile("adam", MarginLoss(), metrics=["accuracy"])
        >>> model.fit({"image": digits}, labels, epochs=2)  # digits float32 (n, 28, 28, 1), labels int32 (n,)
        >>> model.predict({"image": digits})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=SMALLEST)
    check_at_least(1, filters=filters, primary_capsules=primary_capsules, primary_dim=primary_dim)
    check_at_least(1, capsule_dim=capsule_dim, iterations=iterations, decoder_units=decoder_units)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, 28, 28, 1) by default
    pixels = layers.Rescaling(1 / 255, name="scaled_pixels")(image)

    # --- trunk
    x = Conv2D(filters, 9, activation="relu", name="conv")(pixels)  # (B, 20, 20, 256)
    x = Dropout(dropout, name="conv_dropout")(x)
    x = Conv2D(primary_capsules * primary_dim, 9, strides=2, name="primary_conv")(x)  # (B, 6, 6, 256)
    # Routing sums up many small numbers, in float32 whatever the precision.
    x = layers.Reshape((-1, primary_dim), dtype="float32", name="primary_vectors")(x)  # (B, 1152, 8)
    x = Squash(dtype="float32", name="primary_capsules")(x)
    capsules = Capsules(num_classes, capsule_dim, iterations=iterations, dtype="float32", name="capsules")(x)

    # --- heads
    label = Lengths(dtype="float32", name="lengths" if decoder_units else "label")(capsules)  # (B, num_classes)
    if decoder_units:
        # Deviation: the paper draws from the capsule of the true class in training, which is not among the inputs here.
        x = layers.Flatten(name="longest_flat")(LongestCapsule(dtype="float32", name="longest")(capsules))
        x = perceptron_block(x, units=decoder_units, dropout=0.0, name="decoder")  # (B, decoder_units[-1])
        x = layers.Dense(math.prod(image_shape), activation="sigmoid", name="decoder_pixels")(x)
        x = layers.Reshape(image_shape, name=RECONSTRUCTION)(x)  # (B, H, W, C)
        label = ReconstructionLoss(dtype="float32", name="label")(label, pixels, x)
    return keras.Model([image], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_capsule_network`; each default equals the builder's."""
    return {
        "primary_dim": hp.Int("primary_dim", 4, 16, step=4, default=8),
        "capsule_dim": hp.Int("capsule_dim", 8, 32, step=8, default=16),
        "iterations": hp.Int("iterations", 1, 5, default=3),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
