"""The parts of a network by name: layers, those of networks inside it as well, inputs, outputs, and the head."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from kerasapps.blocks.arguments import refusal


def inputs_of(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the inputs of a network by name.

    Raises:
        ValueError: If it is not a graph of layers.
    """
    # What is subclassed, or was never built, has none; so has a sequential model without an input.
    tensors = getattr(model, "inputs", None)
    if not tensors:
        raise ValueError(f"`model` must be functional, or sequential with an input. Received: {model.name}")
    return {tensor.name: tensor for tensor in tensors}


def outputs_of(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the outputs of a network by name; those without one are called after their layers."""
    inputs_of(model)
    if isinstance(model.output, dict):
        return dict(model.output)
    return dict(zip(model.output_names, model.outputs, strict=True))


def image_input(model: keras.Model) -> str:
    """Returns the name of the only input that takes images.

    Raises:
        ValueError: If there is none, or there are several.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in inputs_of(model).items()}
    found = [name for name, shape in shapes.items() if len(shape) == 4 and shape[-1]]
    if len(found) != 1:
        raise ValueError(f"`model` must have one input of images, (B, H, W, C). Received: {shapes}")
    return found[0]


def called(model: keras.Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Calls a network in inference with inputs by name, whatever its inputs and outputs are packed in."""
    packed = keras.tree.pack_sequence_as(model._inputs_struct, [inputs[name] for name in inputs_of(model)])
    outputs = model(packed, training=False)
    return dict(outputs) if isinstance(outputs, dict) else dict(zip(outputs_of(model), flat(outputs), strict=True))


def flat(tensors: Any) -> list[Any]:
    """Returns tensors of any structure as a list."""
    return keras.tree.flatten(tensors)


def layers_of(model: keras.Model) -> dict[str, Any]:
    """Returns layers and operations by name, in order; those of a network inside are called "network/layer"."""
    inputs_of(model)
    found: dict[str, Any] = {}
    inner = model._functional if isinstance(model, keras.Sequential) else model
    for one in inner.operations:
        if isinstance(one, keras.Model) and getattr(one, "inputs", None):
            found |= {f"{one.name}/{name}": layer for name, layer in layers_of(one).items()}
        elif not isinstance(one, keras.layers.InputLayer):
            found[one.name] = one
    return found


def layer_at(model: keras.Model, name: str) -> Any:
    """Returns a layer by name.

    Raises:
        ValueError: If there is none of that name.
    """
    layers = layers_of(model)
    if name not in layers:
        near = difflib.get_close_matches(name, layers, n=3, cutoff=0.0)
        raise ValueError(f"`layer` must be one of {model.name}, such as {', '.join(near)}. Received: layer={name!r}")
    return layers[name]


def shape_of(layer: Any) -> tuple[int | None, ...]:
    """Returns the shape of what a layer returns, in the first place where it is used."""
    return tuple(flat(layer._inbound_nodes[0].output_tensors)[0].shape)


def spatial_layers(model: keras.Model) -> list[str]:
    """Returns the names of the layers whose output has a height and a width of more than one."""
    return [
        name
        for name, layer in layers_of(model).items()
        if len(shape := shape_of(layer)) == 4 and min(side or 2 for side in shape[1:3]) > 1
    ]


def convolutions(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the kernel of each convolution by name, float32 (H, W, C, F); one of depth has a filter a channel."""
    kernels = {}
    for name, layer in layers_of(model).items():
        for attribute in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            kernel = getattr(layer, attribute, None)
            if kernel is not None and len(kernel.shape) == 4:
                kernels[name] = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(kernel, "float32")))
                break
    return kernels


def head_weights(model: keras.Model, output: str) -> list[keras.Variable]:
    """Returns the weights of the last layer before an output that has any."""
    waiting = [outputs_of(model)[output]]
    while waiting:
        operation, node, position = waiting.pop(0)._keras_history
        if isinstance(operation, keras.Model) and operation.weights:
            inner = flat(operation.output)[position]
            return head_weights(keras.Model(operation.inputs, {"output": inner}), "output")
        if getattr(operation, "weights", None):
            return list(operation.weights)
        waiting += operation._inbound_nodes[node].input_tensors
    raise ValueError(f"`model` must have weights. Received: {model.name}")


@contextmanager
def drawn_anew(weights: list[keras.Variable], *, seed: int) -> Iterator[None]:
    """Gives weights new values for a while: normal ones as large as the old for kernels, shuffled ones for vectors."""
    # Not the states of random generators, which are whole numbers.
    weights = [weight for weight in weights if keras.backend.is_float_dtype(weight.dtype)]
    rng, before = np.random.default_rng(seed), [weight.numpy() for weight in weights]
    try:
        for weight, old in zip(weights, before, strict=True):
            old = old.astype(np.float32)
            weight.assign(rng.permutation(old) if old.ndim < 2 else rng.normal(0, old.std(), old.shape))
        yield
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.assign(old)


@contextmanager
def recorded(layers: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Keeps what layers return while a network is called, whichever network they are in; of a shared one the last."""
    seen: dict[str, Any] = {}

    def keep(name: str, call):
        def recording(*arguments, **options):
            result = call(*arguments, **options)
            seen[name] = flat(result)[0]
            return result

        return recording

    with ExitStack() as undo:
        for name, layer in layers.items():
            # On the instance, past the bookkeeping of Keras: a class keeps its own `call`.
            object.__setattr__(layer, "call", keep(name, layer.call))
            undo.callback(object.__delattr__, layer, "call")
        yield seen


def check_unit(unit: int, width: int, **where: str) -> None:
    """Raises ValueError for a unit that is not there."""
    if not 0 <= unit < width:
        name, value = next(iter(where.items()))
        raise refusal(f"be from 0 to {width - 1}, of {name} {value}", unit=unit)
