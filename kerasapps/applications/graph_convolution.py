"""Graph convolutional network: classes of nodes from their features and their neighbors, with few labels.

Reference: Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017.
"""

from typing import TYPE_CHECKING, Any

import keras

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.graph import graph_convolution
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_graph_convolution(
    *,
    num_features: int,
    num_classes: int,
    units: int = 16,
    depth: int = 2,
    dropout: float = 0.5,
    name: str = "graph_convolution",
) -> keras.Model:
    """Builds a classifier of all nodes of a graph, each of whose layers lets a node see its neighbors.

    A row is a whole graph. Where labels are known of a few nodes only, sample weights of 0 leave out the others, whose
    features and edges count all the same. `embedding_of` gives the last hidden features of the nodes.

    Args:
        num_features: Features of a node. Of nodes without any, each has one of its own: the identity matrix.
        num_classes: Number of classes, at least 2.
        units: Features of a node in a hidden layer.
        depth: Graph convolutions, the output included: a node sees others so many edges away.
        dropout: Share of the features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In, as a dict or as a list in this order: "features" float32 (B, N, num_features); "adjacency"
        float32 (B, N, N), normalized with the nodes themselves: D^(-1/2) (A + I) D^(-1/2).
        Out, a dict: "label" float32 probabilities (B, N, num_classes).

    Train with: sparse_categorical_crossentropy on class ids int (B, N), with sample weights (B, N); accuracy.

    Raises:
        ValueError: If a size is under 1, `num_classes` under 2, or `dropout` outside [0, 1).

    Example:
        >>> model = build_graph_convolution(num_features=2, num_classes=4)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> graph = {"features": points[None], "adjacency": adjacency[None]}  # float32 (1, n, 2) and (1, n, n)
        >>> model.fit(graph, labels[None], epochs=2)  # int32 (1, n)
        >>> model.predict(graph)["label"].argmax(-1)
    """
    check_at_least(1, num_features=num_features, units=units, depth=depth)
    check_at_least(2, num_classes=num_classes)
    check_share(dropout=dropout)

    # --- inputs
    features = keras.Input((None, num_features), name="features")  # (B, N, F)
    adjacency = keras.Input((None, None), name="adjacency")  # (B, N, N)

    # --- trunk
    x = features
    for i in range(1, depth):
        x = Dropout(dropout, name=f"dropout{i}")(x)
        x = graph_convolution(x, adjacency, units=units, activation="relu", name=f"hidden{i}")  # (B, N, units)

    # --- heads
    x = Dropout(dropout, name=f"dropout{depth}")(x)
    label = graph_convolution(x, adjacency, units=num_classes, activation="softmax", name="label")  # (B, N, C)
    return keras.Model([features, adjacency], {"label": label}, name=name)


def embedding_of(model: keras.Model) -> keras.Model:
    """Returns a model on the same tensors that gives the features of the nodes in front of the last convolution.

    Returns:
        Model with the same inputs. Out: "embedding" float32 (B, N, units).
    """
    last = [layer for layer in model.layers if layer.name.startswith("dropout")][-1]
    return keras.Model(model.input, {"embedding": last.input}, name=f"{model.name}_embedding")


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_graph_convolution`; each default equals the builder's."""
    return {
        "units": hp.Int("units", 4, 64, step=4, default=16),
        "depth": hp.Int("depth", 1, 4, default=2),
        "dropout": hp.Float("dropout", 0.0, 0.8, step=0.1, default=0.5),
    }
