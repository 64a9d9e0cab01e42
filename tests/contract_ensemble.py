"""Contract rows of ensembles."""

import functools
from collections.abc import Mapping

import keras
import numpy as np

from kerasapps.applications import classic, ensemble
from tests.contract_row import Contract, dense, images

SHAPE = (4, 5, 1)
SIZES = {"image_shape": SHAPE, "num_classes": 3, "dropout": 0.5}


@functools.wraps(ensemble.build_ensemble)
def build_ensemble(*, members, **arguments):
    """Builds the members as well, so that each build has its own."""
    if isinstance(members, Mapping):
        members = {name: members_of(one) for name, one in members.items()}
    return ensemble.build_ensemble(members=members, **arguments)


def members_of(one) -> keras.Model:
    """Returns a perceptron of these widths, all by one name; what is none already stays."""
    return classic.build_perceptron(**SIZES, dense_units=one) if isinstance(one, tuple | np.ndarray) else one


SUBCLASS = type("Subclass", (keras.Model,), {})
WIDER = {**SIZES, "num_classes": 4}
SHARP = Contract(
    builder=build_ensemble,
    variant="sharp",
    arguments={"members": {"small": (6,), "deep": (5, 4)}, "sharpness": 1.5},
    inputs={"image": images(*SHAPE)},
    outputs={"label": (3,)},
    parameters=dense(20, 6, 3) + dense(20, 5, 4, 3) + 2,
    refused=[({"sharpness": 0.0}, "`sharpness` must be above 0. Received: sharpness=0.0")],
)
CONTRACTS = [
    Contract(
        builder=build_ensemble,
        arguments={"members": {"small": (6,), "deep": (5, 4)}, "weights": {"small": 1.0, "deep": 3.0}},
        inputs={"image": images(*SHAPE)},
        outputs={"label": (3,)},
        parameters=dense(20, 6, 3) + dense(20, 5, 4, 3) + 2,
        refused=[
            ({"members": {}}, "`members` must hold at least one network"),
            ({"members": {"a/b": (6,)}}, "without slashes. Received: members=['a/b']"),
            ({"weights": {"small": 1.0}}, "`weights` must have a number for each of small, deep. Received: weights="),
            ({"weights": {"small": 1.0, "deep": -1.0}}, "`weights` must be at least 0, and above 0 for one member"),
            ({"weights": {"small": 0.0, "deep": 0.0}}, "`weights` must be at least 0, and above 0 for one member"),
            (
                {"members": {"small": (6,), "deep": classic.build_perceptron(**WIDER)}},
                "`members` must have the same outputs. Received: small with {'label': (3,)}, deep with {'label': (4,)}",
            ),
            (
                {"members": {"small": (6,), "deep": classic.build_perceptron(**SIZES | {"image_shape": (6, 6, 1)})}},
                "`members` must have the same inputs. Received: small with {'image': (4, 5, 1, 'float32')}, deep with",
            ),
            (
                {"members": {"label": (6,)}, "weights": None},
                "`members` must not be called like an input, output or layer. Received: label",
            ),
            ({"members": {"small": (6,), "deep": SUBCLASS()}}, "`members` must be functional. Received: deep, a Subc"),
        ],
    ),
    SHARP,
]
