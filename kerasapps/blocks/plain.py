"""Plain forms: how a layer of this package declares what it is in Keras' own layers and operations.

Such a layer has a method `plain`, without arguments, that returns one of two things. Where Keras has a layer with the
same arguments and weights, it is that layer, made by `keras_layer`. Otherwise it is a function with the arguments of
`call`, which `kerasapps.portable` calls with symbolic tensors: its operations become part of the graph, and its weights
those of Keras' layers, made by `keras_layer` and `weight_form`. Most layers have their mathematics in one place for
both, in operations that do not ask for a size that a symbolic tensor does not know.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops


def keras_layer(layer: layers.Layer, kind: type | None = None, *, shape: tuple | None = None, **changes):
    """Returns Keras' layer with the arguments, the weights and the trainability of another layer.

    Args:
        layer: The other layer, or an operation of a graph.
        kind: Class of Keras' layer; that of the other layer by default.
        shape: Shape of the input; that of the other layer by default.
        changes: Arguments that differ.

    Raises:
        ValueError: If the layer, or one of its arguments, is neither Keras' nor has a plain form.
    """
    kind = kind or type(layer)
    if not _is_keras(kind.__module__):
        raise refused(layer.name, kind.__name__)
    config = keras.saving.serialize_keras_object(layer.get_config() | changes)
    made = kind.from_config(plain_config(config, layer.name))
    if not isinstance(layer, layers.Layer):
        return made
    if layer.built:
        if shape is None:
            made.build_from_config(layer.get_build_config())
        else:
            made.build(shape)
        made.set_weights(layer.get_weights())
    made.trainable = layer.trainable
    return made


def plain_config(config: Any, name: str) -> Any:
    """Replaces what is ours in the arguments of a layer, such as an initializer or the layer that a wrapper holds."""
    if isinstance(config, list | tuple):
        return type(config)(plain_config(value, name) for value in config)
    if not isinstance(config, dict):
        return config
    if "class_name" in config and not _is_keras(config.get("module")):
        ours = keras.saving.deserialize_keras_object(config)
        made = ours.plain() if hasattr(ours, "plain") else None
        if made is None or not _is_keras(type(made).__module__):
            raise refused(name, config["class_name"])
        config = keras.saving.serialize_keras_object(made)
    return {key: plain_config(value, name) for key, value in config.items()}


def refused(name: str, kind: str) -> ValueError:
    """Returns the error for a layer that has no plain form."""
    return ValueError(f"`model` must have layers of Keras or kerasapps alone. Received: {name}, which holds a {kind}")


def _is_keras(module: str | None) -> bool:
    return str(module).partition(".")[0] == "keras"


def weight_form(layer: layers.Layer, weight: keras.Variable) -> Callable:
    """Returns a function from any tensor (B, ...) to a weight for each row: (B, *shape of the weight).

    Keras has no layer that is a bare weight; a dense layer whose input is 1 has it as its kernel.
    """
    size, shape = weight.numpy().size, tuple(weight.shape)
    if not size:
        return lambda x: ops.reshape(_first(x), (-1, 1))[:, :0]
    dense = layers.Dense(size, use_bias=False, dtype=layer.dtype_policy, name=f"{layer.name}_{weight.name}")
    dense.build((None, 1))
    dense.set_weights([ops.convert_to_numpy(weight).reshape(1, size)])
    dense.trainable = layer.trainable
    return lambda x: reshape(dense(ops.ones_like(ops.reshape(_first(x), (-1, 1)), dtype=weight.dtype)), shape)


def _first(x):
    """Returns the first number of each row: (B, ...) -> (B,)."""
    return x[(slice(None), *[0] * (len(x.shape) - 1))]


def reshape(x, shape: tuple[int, ...]):
    """Reshapes each row, one of whose sides may be -1: (B, ...) -> (B, *shape)."""
    if isinstance(x, keras.KerasTensor):
        return layers.Reshape(shape)(x)  # knows the rows from the other sides, also if one of those is unknown
    return ops.reshape(x, (ops.shape(x)[0], *shape))


def positions(x):
    """Numbers the steps of a batch without asking for their count: (B, T, ...) -> int32 (1, T)."""
    first = x[(slice(0, 1), slice(None), *[0] * (len(x.shape) - 2))]  # (1, T)
    return ops.cumsum(ops.ones_like(first, dtype="int32"), axis=1) - 1
