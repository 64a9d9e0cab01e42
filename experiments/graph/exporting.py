"""How a graph convolutional network is deployed: with the graph that it was trained on."""

import io
from pathlib import Path

import numpy as np

from ..shared.deploying import Deployable, Part
from ..shared.runs import SavedRun
from .network import graph_of


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network with its graph, which is one row."""
    graph = graph_of(saved)
    inputs = saved.codec.encode(graph)
    known = [graph.class_names[label] if label >= 0 else None for label in graph.labels]
    return Deployable(
        parts={"model": Part(model=saved.model, rows=inputs)},
        script=Path(__file__).with_name("deployed.py"),
        codec=saved.codec.to_json() | {"nodes": list(graph.nodes), "labels": known},
        arguments=("--", graph.nodes[0], graph.nodes[-1]),
        files={"graph.npz": archive(inputs)},
        limits=(
            "A node is told by its neighbors: graph.npz holds the features and the normalized adjacency of the graph, "
            "and its nodes are in codec.json.",
        ),
    )


def archive(arrays: dict[str, np.ndarray]) -> bytes:
    """Returns the content of an .npz file."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()
