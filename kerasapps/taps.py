"""Inner activations of a network, through a second model on the same tensors."""

import difflib
from collections.abc import Sequence

import keras


def feature_taps(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Returns a model that shares all of `model` and gives the outputs of some of its layers.

    Args:
        model: A functional model.
        names: Names of its layers, none twice, each used once in the graph.

    Returns:
        Uncompiled model. In: as `model`. Out: a dict, layer name to its output.

    Raises:
        ValueError: If a name is not a layer of the model, or none is given.
    """
    if not names or len(set(names)) != len(names):
        raise ValueError(f"`names` must hold at least one layer, none twice. Received: names={list(names)}")
    known = [layer.name for layer in model.layers]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
            raise ValueError(f"`names` must be layers of {model.name}, such as {', '.join(near)}. Received: {name!r}")
    outputs = {name: model.get_layer(name).output for name in names}
    return keras.Model(model.input, outputs, name=f"{model.name}_taps")
