"""Inner activations of a network as outputs of a second model on the same tensors."""

import difflib
from collections.abc import Sequence

import keras


def feature_taps(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Returns a model on the same tensors whose outputs are those of some layers.

    Args:
        model: A functional model.
        names: Names of layers, none twice, each used once in the graph.

    Returns:
        Uncompiled model. In: as `model`. Out: a dict from the name of each layer to its output.

    Raises:
        ValueError: If a name is not a layer of the model, a name comes twice, or there is none.

    Example:
        >>> model = build_residual_classifier(image_shape=(32, 32, 3), num_classes=10, depth=8)
        >>> taps = feature_taps(model, ["stage1_block1_relu", "features"])
        >>> taps.predict({"image": images})["features"]  # images float32 (n, 32, 32, 3)
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
