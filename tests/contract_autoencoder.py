"""Contract rows of the autoencoders."""

from collections.abc import Callable

import numpy as np

from kerasapps.applications import autoencoder
from tests.contract_row import Contract, conv, dense

SHAPE = (8, 12, 3)  # 288 numbers; convolved twice 2 x 3, whose 2 * 3 * 8 features are 48
IMAGE = {"image": np.random.default_rng(0).uniform(0, 1, (4, *SHAPE)).astype(np.float32)}
REFUSED = [
    (
        {"convolutional": False, "image_shape": (8, 0, 3)},
        "be (height, width, channels), each at least 1.",
    ),
    ({"latent_dim": 0}, "`latent_dim` must be at least 1. Received: latent_dim=0"),
    ({"units": 0}, "`units` must be at least 1. Received: units=0"),
    ({"depth": -1}, "`depth` must be at least 0. Received: depth=-1"),
    ({"filters": 0}, "`filters` must be at least 1. Received: filters=0"),
    (
        {"convolutional": True, "image_shape": (8, 10, 3)},
        "both sides multiples of 4. Received: image_shape=(8, 10, 3)",
    ),
]
DOWN, UP = conv(4, 3, 4) + conv(4, 4, 8), conv(4, 8, 4) + conv(4, 4, 3)


def row(builder: Callable, variant: str = "", *, search_space: Callable, outputs: dict, refused=(), **rest) -> Contract:
    """An autoencoder whose codes have 3 numbers."""
    parameters = rest.pop("parameters")
    return Contract(
        builder=builder,
        variant=variant,
        arguments={"image_shape": SHAPE, "latent_dim": 3, "units": 6, "depth": 1, "filters": 4, **rest},
        inputs=IMAGE,
        outputs={"reconstruction": SHAPE, **outputs},
        parameters=parameters,
        refused=[*REFUSED, *refused],
        search_space=search_space,
    )


def plain(variant: str = "", **rest) -> Contract:
    """One without a distribution, whose only chance is noise."""
    return row(
        autoencoder.build_autoencoder,
        variant,
        search_space=autoencoder.search_space_autoencoder,
        outputs={},
        refused=[({"noise": -0.1}, "`noise` must be at least 0. Received: noise=-0.1")],
        noise=0.3,
        **rest,
    )


def variational(variant: str = "", **rest) -> Contract:
    """One with a distribution."""
    outputs = {"divergence": (1,)}
    space = autoencoder.search_space_vae
    return row(autoencoder.build_vae, variant, search_space=space, outputs=outputs, **rest)


CONTRACTS = [
    plain(parameters=dense(288, 6, 3, 6, 288)),
    plain("linear", linear=True, depth=0, parameters=dense(288, 3, 288)),
    plain("convolutional", convolutional=True, parameters=DOWN + dense(48, 3, 48) + UP),
    variational(parameters=dense(288, 6, 3, 6, 288) + dense(6, 3)),
    variational("convolutional", convolutional=True, parameters=DOWN + dense(48, 3, 48) + dense(48, 3) + UP),
]
