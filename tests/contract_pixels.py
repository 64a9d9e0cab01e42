"""Contract rows of PixelCNN."""

import numpy as np

from kerasapps.applications import pixelcnn
from tests.contract_row import Contract, conv

REFUSED = [
    ({"levels": 1}, "`levels` must be at least 2. Received: levels=1"),
    ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
    ({"window": 4}, "`window` must be odd and at least 3. Received: window=4"),
    ({"window": 1}, "`window` must be odd and at least 3. Received: window=1"),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
    ({"image_shape": (5, 4)}, "`image_shape` must be"),
    ({"image_shape": (5, 0, 1)}, "`image_shape` must be at least 1. Received: image_shape=(5, 0, 1)"),
    ({"image_shape": (5, 4, 5)}, "`filters` must be a multiple of the 5 channels of the image. Received: filters=6"),
]


def row(variant: str = "", *, channels: int = 1, parameters: int, **arguments) -> Contract:
    """A network for images of 4 levels, with one block of 6 filters."""
    shape = (5, 4, channels)
    return Contract(
        builder=pixelcnn.build_pixelcnn,
        variant=variant,
        arguments={
            **{"image_shape": shape, "levels": 4, "filters": 6, "depth": 1, "window": 5, "dropout": 0.5},
            **arguments,
        },
        inputs={"image": np.random.default_rng(0).integers(0, 4, (4, *shape)).astype(np.float32)},
        outputs={"level": (*shape, 4)},
        parameters=parameters,
        refused=REFUSED,
        search_space=pixelcnn.search_space,
    )


def gated(channels: int) -> int:
    """Two blocks: a window of all rows above, one of the row, and 1x1 from the first to the second and out of it."""
    first = conv(5, channels, 12) + (5 * channels + 1) * 12
    second = conv(3, 6, 12) + (3 * 6 + 1) * 12
    return first + second + 2 * (conv(1, 12, 12) + conv(1, 6, 6)) + conv(1, 6, 12) + conv(1, 12, 4 * channels)


PLAIN = conv(5, 1, 12) + conv(1, 12, 6) + conv(3, 6, 6) + conv(1, 6, 12) + conv(1, 12, 12) + conv(1, 12, 4)

CONTRACTS = [
    row(parameters=gated(1)),
    row("colors", channels=3, parameters=gated(3)),
    row("plain", gated=False, parameters=PLAIN),
]
