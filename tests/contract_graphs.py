"""Contract rows of the graph convolution."""

import numpy as np

import kerasapps
from kerasapps.applications import graph_convolution as application
from kerasapps.data.graphs import normalized_adjacency
from tests.contract_row import Contract

EDGES = [(0, 1), (1, 2), (3, 4)], [(0, 4), (1, 4), (2, 4)], [(0, 1)], [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]
GRAPHS = {
    "features": np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32),
    "adjacency": np.stack([normalized_adjacency(np.array(edges), 5) for edges in EDGES]),
}


def graph_convolution(variant: str, *, depth: int, parameters: int) -> Contract:
    """The network for graphs of five nodes with three features, and four classes."""
    return Contract(
        builder=kerasapps.build_graph_convolution,
        variant=variant,
        arguments={"num_features": 3, "num_classes": 4, "units": 6, "depth": depth, "dropout": 0.5},
        inputs=GRAPHS,
        outputs={"label": (5, 4)},
        parameters=parameters,
        refused=[
            ({"num_features": 0}, "`num_features` must be at least 1. Received: num_features=0"),
            ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
            ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
        ],
        search_space=application.search_space,
    )


CONTRACTS = [  # no layer has a bias, as in the paper
    graph_convolution("", depth=2, parameters=3 * 6 + 6 * 4),
    graph_convolution("deep", depth=3, parameters=3 * 6 + 6 * 6 + 6 * 4),
]
