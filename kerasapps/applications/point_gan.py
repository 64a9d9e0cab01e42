"""GAN of points in the plane, small enough to plot everything, and with a known optimal discriminator.

Reference: Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, section 3.1.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_point_generator(
    *,
    dimensions: int = 2,
    noise_dim: int = 16,
    units: int = 128,
    depth: int = 2,
    dropout: float = 0.0,
    name: str = "generator",
) -> keras.Model:
    """Builds a perceptron from noise to a point.

    Args:
        dimensions: Coordinates of a point.
        noise_dim: Length of the noise vector.
        units: Width of each hidden layer.
        depth: Number of hidden layers.
        dropout: Share of features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "noise" float32 (B, noise_dim), standard normal. Out: "point" float32 (B, dimensions).

    Train with: `kerasapps.gan.model.GAN`.

    Raises:
        ValueError: If a size is under 1, or `dropout` is outside [0, 1).

    Example:
        >>> generator, discriminator = build_point_generator(), build_point_discriminator()
        >>> gan = GAN(generator, discriminator)
        >>> gan.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.Adam(1e-3, beta_1=0.5))
        >>> gan.fit({"point": points}, epochs=2)  # points float32 (n, 2)
        >>> generator.predict({"noise": noise[:, :16]})["point"]  # noise float32 (n, 64)
    """
    check_at_least(1, dimensions=dimensions, noise_dim=noise_dim, units=units, depth=depth)
    check_share(dropout=dropout)

    # --- inputs
    noise = keras.Input((noise_dim,), name="noise")  # (B, Z)

    # --- trunk
    x = _hidden_layers(noise, units=units, depth=depth, dropout=dropout)  # (B, units)

    # --- heads
    point = layers.Dense(dimensions, dtype="float32", name="point")(x)
    return keras.Model([noise], {"point": point}, name=name)


@checked
def build_point_discriminator(
    *,
    dimensions: int = 2,
    units: int = 128,
    depth: int = 2,
    dropout: float = 0.0,
    name: str = "discriminator",
) -> keras.Model:
    """Builds a perceptron from a point to a logit.

    Args:
        dimensions: Coordinates of a point.
        units: Width of each hidden layer.
        depth: Number of hidden layers.
        dropout: Share of features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "point" float32 (B, dimensions). Out: "verdict" float32 (B, 1), the logit of the point
        being real.

    Train with: `kerasapps.gan.model.GAN`.

    Raises:
        ValueError: If a size is under 1, or `dropout` is outside [0, 1).

    Example:
        >>> model = build_point_discriminator()
        >>> model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        >>> model.fit({"point": points}, real, epochs=2)  # points float32 (n, 2), real float32 (n, 1): 1 or 0
        >>> model.predict({"point": points})["verdict"] > 0
    """
    check_at_least(1, dimensions=dimensions, units=units, depth=depth)
    check_share(dropout=dropout)

    # --- inputs
    point = keras.Input((dimensions,), name="point")  # (B, dimensions)

    # --- trunk
    x = _hidden_layers(point, units=units, depth=depth, dropout=dropout)  # (B, units)

    # --- heads
    verdict = layers.Dense(1, dtype="float32", name="verdict")(x)
    return keras.Model([point], {"verdict": verdict}, name=name)


def _hidden_layers(x, *, units: int, depth: int, dropout: float):
    for i in range(1, depth + 1):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"dense{i}")(x)
        x = Dropout(dropout, name=f"dropout{i}")(x)
    return x


def search_space_point_generator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_point_generator`; each default equals the builder's."""
    return {
        "units": hp.Int("generator_units", 32, 256, step=32, default=128),
        "depth": hp.Int("generator_depth", 1, 4, default=2),
    }


def search_space_point_discriminator(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_point_discriminator`; each default equals the builder's."""
    return {
        "units": hp.Int("discriminator_units", 32, 256, step=32, default=128),
        "depth": hp.Int("discriminator_depth", 1, 4, default=2),
    }
