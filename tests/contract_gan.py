"""Contract rows of generators and discriminators."""

import functools
from collections.abc import Callable

import numpy as np

from kerasapps.applications import dcgan, gan, point_gan, resnet_gan
from tests.contract_row import Contract, conv, dense, noise, normalization

SHAPE = (8, 12, 3)  # starts from 2 x 3, whose 2 * 3 * 8 features are 48
LABEL = {"label": np.array([0, 1, 2, 0], np.int32)}
IMAGE = {"image": np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE)).astype(np.float32)}
REFUSED = [
    ({"image_shape": (8, 10, 3)}, "both sides multiples of 4. Received: image_shape=(8, 10, 3)"),
    ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
    ({"filters": 0}, "`filters` must be at least 1. Received: filters=0"),
]


def generator(
    builder: Callable, variant: str = "", *, search_space: Callable, parameters: int, **arguments
) -> Contract:
    """A generator from 5 numbers of noise and, with `num_classes`, one of 3 classes."""
    return Contract(
        builder=builder,
        variant=variant,
        arguments={"image_shape": SHAPE, "noise_dim": 5, "filters": 4, "dropout": 0.5, **arguments},
        inputs={"noise": noise(5)} | (LABEL if "num_classes" in arguments else {}),
        outputs={"image": SHAPE},
        parameters=parameters,
        refused=[*REFUSED, ({"noise_dim": 0}, "`noise_dim` must be at least 1. Received: noise_dim=0")],
        search_space=search_space,
    )


def discriminator(
    builder: Callable, variant: str = "", *, search_space: Callable, parameters: int, features: int, **arguments
) -> Contract:
    """A discriminator that is given one of 3 classes, predicts them, or knows nothing of them."""
    classifies, classes = "classifies" in arguments, "num_classes" in arguments
    missing = {"classifies": True, "num_classes": None}
    return Contract(
        builder=builder,
        variant=variant,
        arguments={"image_shape": SHAPE, "filters": 4, "dropout": 0.5, **arguments},
        inputs=IMAGE | (LABEL if classes and not classifies else {}),
        outputs={"verdict": (1,)} | ({"label": (3,), "features": (features,)} if classifies else {}),
        parameters=parameters,
        refused=[*REFUSED, (missing, "`num_classes` must be at least 2. Received: num_classes=None")],
        search_space=search_space,
    )


# --- two dense layers, two convolutions

plain_generator = functools.partial(generator, gan.build_generator, search_space=gan.search_space_generator, units=6)
plain_discriminator = functools.partial(
    discriminator, gan.build_discriminator, search_space=gan.search_space_discriminator, units=6, features=6
)
UP = conv(5, 8, 4) + conv(5, 4, 3)
TRUNK = conv(5, 3, 4) + conv(5, 4, 8) + dense(48, 6)

PLAIN = [
    plain_generator(parameters=dense(5, 6, 48) + UP),
    plain_generator("classes", num_classes=3, parameters=3 * 5 + dense(10, 6, 48) + UP),
    plain_discriminator(parameters=TRUNK + dense(6, 1)),
    # A singular vector a layer.
    plain_discriminator("spectral", spectral=True, parameters=TRUNK + dense(6, 1) + 4 + 8 + 6 + 1),
    plain_discriminator("classes", num_classes=3, parameters=TRUNK + dense(6, 1) + 3 * 6),
    plain_discriminator("classifies", num_classes=3, classifies=True, parameters=TRUNK + dense(6, 3)),
]

# --- DCGAN

deep_discriminator = functools.partial(
    discriminator, dcgan.build_dcgan_discriminator, search_space=dcgan.search_space_dcgan_discriminator, features=48
)

DCGAN = [
    generator(
        dcgan.build_dcgan_generator,
        search_space=dcgan.search_space_dcgan_generator,
        parameters=5 * 48 + normalization(8) + conv(4, 8, 4, bias=False) + normalization(4) + conv(4, 4, 3),
    ),
    deep_discriminator(parameters=conv(4, 3, 4) + conv(4, 4, 8, bias=False) + normalization(8) + dense(48, 1)),
    deep_discriminator(
        "spectral",
        normalization="spectral",
        num_classes=3,
        classifies=True,
        parameters=conv(4, 3, 4) + conv(4, 4, 8) + dense(48, 3) + 4 + 8 + 3,
    ),
]

# --- residual

residual_discriminator = functools.partial(
    discriminator,
    resnet_gan.build_resnet_discriminator,
    search_space=resnet_gan.search_space_resnet_discriminator,
    features=4,
)
UP_BLOCK = 2 * normalization(4) + conv(3, 4, 4, bias=False) + conv(3, 4, 4) + conv(1, 4, 4)
DOWN_BLOCKS = conv(3, 3, 4) + conv(3, 4, 4) + conv(1, 3, 4) + 2 * conv(3, 4, 4) + conv(1, 4, 4)
# Dense layer and singular vectors.
HEAD = dense(4, 1) + 6 * 4 + 1

RESIDUAL = [
    generator(
        resnet_gan.build_resnet_generator,
        search_space=resnet_gan.search_space_resnet_generator,
        parameters=dense(5, 24) + 2 * UP_BLOCK + normalization(4) + conv(3, 4, 3),
    ),
    residual_discriminator(parameters=DOWN_BLOCKS + HEAD),
    # The classes' vectors are normalized as well.
    residual_discriminator("classes", num_classes=3, parameters=DOWN_BLOCKS + HEAD + 3 * 4 + 4),
]

# --- points

POINT_SIZES = {"units": 6, "depth": 2, "dropout": 0.5}
POINT_REFUSED = [
    ({"units": 0}, "`units` must be at least 1. Received: units=0"),
    ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
]

POINTS = [
    Contract(
        builder=point_gan.build_point_generator,
        arguments={"noise_dim": 5, **POINT_SIZES},
        inputs={"noise": noise(5)},
        outputs={"point": (2,)},
        parameters=dense(5, 6, 6, 2),
        refused=POINT_REFUSED,
        search_space=point_gan.search_space_point_generator,
    ),
    Contract(
        builder=point_gan.build_point_discriminator,
        arguments=POINT_SIZES,
        inputs={"point": noise(2)},
        outputs={"verdict": (1,)},
        parameters=dense(2, 6, 6, 1),
        refused=POINT_REFUSED,
        search_space=point_gan.search_space_point_discriminator,
    ),
]

# --- both in one graph

SMALL = {"image_shape": (8, 8, 1), "units": 6, "filters": 4}


@functools.wraps(gan.build_gan)
def build_gan(*, generator, discriminator, name="gan"):
    """Builds the networks as well, so that each build has its own."""
    return gan.build_gan(
        generator=gan.build_generator(**generator), discriminator=gan.build_discriminator(**discriminator), name=name
    )


COMBINED = Contract(
    builder=build_gan,
    arguments={"generator": {"noise_dim": 5, **SMALL}, "discriminator": SMALL},
    inputs={"noise": noise(5)},
    outputs={"verdict": (1,)},
    parameters=dense(5, 6, 32) + conv(5, 8, 4) + conv(5, 4, 1) + conv(5, 1, 4) + conv(5, 4, 8) + dense(32, 6, 1),
    refused=[
        (
            {"discriminator": SMALL | {"image_shape": (8, 12, 1)}},
            "`discriminator` must take the outputs of",
        ),
        ({"discriminator": SMALL | {"num_classes": 3}}, "`discriminator` must take the outputs of"),
        ({"discriminator": SMALL | {"name": "generator"}}, "must differ in name. Received: 'generator'"),
    ],
)

CONTRACTS = [*PLAIN, *DCGAN, *RESIDUAL, *POINTS, COMBINED]
