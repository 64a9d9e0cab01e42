"""Convolution on a graph."""

from keras import layers


def graph_convolution(x, adjacency, *, units: int, name: str, activation: str | None = None):
    """Mixes the features of each node with those of its neighbors: A X W, (B, N, F) and (B, N, N) -> (B, N, units).

    Args:
        x: Features of the nodes.
        adjacency: Weights of their neighbors, themselves included; D^(-1/2) (A + I) D^(-1/2) in the paper below.
        units: Features of a node afterwards.
        name: Prefix of the layers' names.
        activation: What is applied to the result.

    Reference: Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017.
    """
    x = layers.Dense(units, use_bias=False, name=f"{name}_weights")(x)  # (B, N, units)
    x = layers.Dot((2, 1), dtype="float32", name=f"{name}_neighbors")([adjacency, x])
    return layers.Activation(activation, dtype="float32", name=name)(x)
