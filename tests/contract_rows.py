"""Contract rows of the networks that read rows of numbers."""

from kerasapps.applications import deep_perceptron
from tests.contract_row import Contract, dense, noise, normalization


def perceptron(variant: str, *, parameters: int, **arguments) -> Contract:
    """Three hidden layers of 6 units on 5 numbers."""
    return Contract(
        builder=deep_perceptron.build_deep_perceptron,
        variant=variant,
        arguments={"features": 5, "num_classes": 3, "depth": 3, "units": 6, "dropout": 0.5, **arguments},
        inputs={"features": noise(5)},
        outputs={"label": (3,)},
        parameters=parameters,
        refused=[
            ({"features": 0}, "`features` must be at least 1. Received: features=0"),
            ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
            ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
            ({"units": 0}, "`units` must be at least 1. Received: units=0"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
            ({"l1": -0.1}, "`l1` must be at least 0. Received: l1=-0.1"),
            ({"l2": -0.1}, "`l2` must be at least 0. Received: l2=-0.1"),
            ({"activation": "gelu"}, "`activation` must be one of relu, tanh, sigmoid. Received: activation='gelu'"),
            ({"initializer": "zeros"}, "`initializer` must be one of he_normal, glorot_uniform, random_normal"),
        ],
        search_space=deep_perceptron.search_space,
    )


CONTRACTS = [
    perceptron("penalties", l1=0.01, l2=0.01, activation="sigmoid", parameters=dense(5, 6, 6, 6, 3)),
    perceptron(
        "residual",
        batch_norm=True,
        residual=True,
        activation="tanh",
        parameters=5 * 6 + 2 * 6 * 6 + 3 * normalization(6) + dense(6, 3),
    ),
]
