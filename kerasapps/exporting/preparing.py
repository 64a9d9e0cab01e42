"""What an exported network computes: the network in float32 and in inference, as one traced function."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kerasapps.saving import in_float32, normalizations


def inference_form(model: keras.Model) -> keras.Model:
    """Returns a copy of a network as converters take it: functional, in float32.

    Args:
        model: A functional or sequential model, which may hold others; or a GAN, whose averaged generator is meant.

    Raises:
        ValueError: If the model is of another kind.
    """
    made = in_float32(plain_form(model))
    for layer in normalizations(made):
        # As tensors of their own they would become further inputs of an ONNX graph.
        layer.mean, layer.variance = (keras.ops.convert_to_numpy(x) for x in (layer.mean, layer.variance))
    return made


def plain_form(model: keras.Model) -> keras.Model:
    """Returns the network that a model is exported as: of a GAN the averaged generator; a sequential one as a graph."""
    model = model.plain() if hasattr(model, "plain") else model
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs, model.outputs, name=model.name)
    return model


def computes_in_float32(model: keras.Model) -> bool:
    """Returns whether no layer of a network computes in fewer bits."""
    return not any("float16" in layer.dtype_policy.compute_dtype for layer in model._flatten_layers())


def output_names(model: keras.Model) -> list[str]:
    """Returns the names of a network's outputs, in the order of their names where they are a dict."""
    return sorted(model.output) if isinstance(model.output, dict) else list(model.output_names)


def serving_function(model: keras.Model, shapes: Sequence[tuple[int | None, ...]] | None = None) -> Callable:
    """Returns a `tf.function` from a network's inputs, in order, to its outputs by name.

    Args:
        model: What `inference_form` returned.
        shapes: Shapes of the inputs with the batch; as free as the network has them by default.
    """
    import tensorflow as tf

    names = [tensor.name for tensor in model.inputs]
    shapes = shapes or [(None, *tensor.shape[1:]) for tensor in model.inputs]
    specs = [
        tf.TensorSpec(shape, tensor.dtype, name=tensor.name) for shape, tensor in zip(shapes, model.inputs, strict=True)
    ]

    @tf.function(input_signature=specs, autograph=False)
    def serve(*given):
        outputs = model(_as_structured(model, dict(zip(names, given, strict=True))), training=False)
        return named(outputs, output_names(model))

    return serve


def named(outputs: Any, names: Sequence[str]) -> dict[str, Any]:
    """Returns outputs by name, whether a model gives them as a dict, a list or one tensor."""
    if isinstance(outputs, dict):
        return outputs
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    return dict(zip(names, outputs, strict=True))


def frozen(serve: Callable) -> Callable:
    """Returns a traced function with the weights as constants, which converters read more reliably than variables."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = serve.get_concrete_function()
    constant = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    names = sorted(concrete.structured_outputs)  # as TensorFlow orders them

    @tf.function(input_signature=serve.input_signature, autograph=False)
    def run(*given):
        return dict(zip(names, constant(*map(tf.convert_to_tensor, given)), strict=True))

    return run


def predictions(model: keras.Model, examples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the outputs of a network by name, in Keras."""
    outputs = named(model(_as_structured(model, examples), training=False), output_names(model))
    return {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}


def _as_structured(model: keras.Model, inputs: dict[str, Any]) -> Any:
    """Returns inputs as the model takes them: a dict, a list or one tensor."""
    if isinstance(model.input, dict):
        return inputs
    listed = [inputs[tensor.name] for tensor in model.inputs]
    return listed if isinstance(model.input, list | tuple) else listed[0]
