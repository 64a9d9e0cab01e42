"""One description of a network, several graphs on the same weights: layers are made once and then taken by name."""

from typing import Any

import keras
from keras import layers


class Layers:
    """Makes layers, or takes those of the same name that a model has.

    A block that gets its layers from here builds the graph of a training the first time, and on the layers of a trained
    model another graph, such as that of a single step.

    Args:
        model: Functional model whose layers are taken; by default all are made.

    Example:
        >>> make = Layers()
        >>> make(keras.layers.Dense, 3, name="a") is make(keras.layers.Dense, 3, name="a")
        True
    """

    def __init__(self, model: keras.Model | None = None):
        self.known = {} if model is None else {layer.name: layer for layer in model.layers}

    def __call__(self, kind: type[layers.Layer], *arguments: Any, name: str, **options: Any) -> layers.Layer:
        """Returns the layer of a name, made of the arguments where there is none yet."""
        if name not in self.known:
            self.known[name] = kind(*arguments, name=name, **options)
        return self.known[name]

    def __contains__(self, name: str) -> bool:
        return name in self.known
