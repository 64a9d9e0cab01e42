"""Opening saved models, networks that open without this package, and networks in float32.

Keras must know every layer, loss and optimizer of this package before it reads a file that holds one.
"""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from kerasapps.blocks.plain import keras_layer

POLICIES = {"mixed_bfloat16", "mixed_float16", "bfloat16", "float16"}  # which compute in 16 bits
# Where classes are registered with Keras; packages are searched.
REGISTERED_IN = ("applications", "blocks", "gan", "losses", "optimizers")


def load_model(path: str | Path, *, compile: bool = False) -> keras.Model:
    """Opens a .keras file that holds layers of this package.

    Args:
        path: The file.
        compile: Whether to restore loss, optimizer and metrics as well, to continue the training.

    Raises:
        ValueError: If the file does not exist or is not a saved model.

    Example:
        >>> build_mnist_network(image_shape=(28, 28, 1)).save("digits.keras")
        >>> load_model("digits.keras").predict({"image": digits})["label"]  # digits float32 (n, 28, 28, 1)
    """
    for name in REGISTERED_IN:
        module = importlib.import_module(f"kerasapps.{name}")
        for inner in pkgutil.iter_modules(getattr(module, "__path__", []), f"{module.__name__}."):
            importlib.import_module(inner.name)
    return keras.models.load_model(path, compile=compile)


def portable(model: keras.Model) -> keras.Model:
    """Returns a copy of a network in Keras' own layers, whose file opens where this package is not installed.

    Outputs are the same up to rounding, and so are the names of inputs, outputs and layers; a layer that Keras does not
    have becomes several operations, the last of which has its name. Weights are copied, not shared. The copy is not
    compiled. It can be trained on, with dropout where it was; spectral normalization is then Keras' own, which
    overwrites the weights while it trains.

    Args:
        model: A functional or sequential model, which may hold others; or a GAN, whose averaged generator is meant.

    Returns:
        Functional model with the inputs and outputs of `model`.

    Raises:
        ValueError: If the model is of another kind, or a layer is neither Keras' nor this package's.

    Example:
        >>> model = build_mnist_network(image_shape=(28, 28, 1))
        >>> plain = portable(model)  # what `plain.save` writes opens without `import kerasapps`
        >>> plain.predict({"image": digits})["label"]  # digits float32 (n, 28, 28, 1)
    """
    made = _Porter().network(model)
    made(made.input)  # Keras exports to ONNX only what has been called
    return made


class _Porter:
    """Makes plain forms, one of each layer, however often and in however many networks it is used."""

    def __init__(self):
        self.forms: dict[int, Callable] = {}

    def network(self, model: keras.Model) -> keras.Model:
        model = model.plain() if hasattr(model, "plain") else model
        if not hasattr(model, "inputs"):
            kind = type(model).__name__
            raise ValueError(
                f"`model` must be functional, or sequential with an input. Received: {model.name}, a {kind}"
            )
        sequential = isinstance(model, keras.Sequential)
        tensors = (model.inputs[0], model.outputs[0]) if sequential else (model.input, model.output)
        # The copy of a compiled model would be compiled, with losses that Keras does not know. This one is not.
        view = keras.Model(*tensors, name=model.name)
        made = keras.models.clone_model(view, clone_function=self.form)
        if not model.trainable:
            made.trainable = False
        return made

    def form(self, layer: layers.Layer) -> Callable:
        """Returns a network's, layer's or operation's plain form, which is called as it is."""
        if id(layer) not in self.forms:
            self.forms[id(layer)] = self.network(layer) if isinstance(layer, keras.Model) else _form(layer)
        return self.forms[id(layer)]


def _form(layer: layers.Layer) -> Callable:
    made = layer.plain() if hasattr(layer, "plain") else keras_layer(layer)
    if callable(made) and not isinstance(made, layers.Layer) and isinstance(layer, layers.Layer):
        named = layers.Identity(dtype=layer.compute_dtype, name=layer.name)
        return lambda *arguments, **options: named(made(*arguments, **options))
    return made


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a network that computes in float32, whatever precision it was trained in.

    Args:
        model: A functional or sequential model, which may hold others.

    Raises:
        ValueError: If the model is of another kind.
    """
    if not getattr(model, "inputs", None):
        kind = type(model).__name__
        raise ValueError(f"`model` must be functional, or sequential with an input. Received: {model.name}, a {kind}")
    made = type(model).from_config(_config_in_float32(model.get_config()))
    made.set_weights(model.get_weights())
    for layer in normalizations(made):
        if layer.input_mean is None:  # adapted: what it computes with is made from its weights
            layer.finalize_state()
    return made


def normalizations(model: keras.Model) -> list[layers.Normalization]:
    """Returns the layers that normalize by fixed means and variances."""
    found = [layer for layer in model._flatten_layers() if isinstance(layer, layers.Normalization)]
    return [layer for layer in found if layer.built]


def _config_in_float32(config: Any) -> Any:
    """Returns a model's config with the precisions of all layers replaced."""
    if isinstance(config, list | tuple):
        return type(config)(_config_in_float32(value) for value in config)
    if not isinstance(config, dict):
        return config
    config = {name: _config_in_float32(value) for name, value in config.items()}
    if config.get("class_name") == "DTypePolicy" and config["config"].get("name") in POLICIES:
        config["config"] = {"name": "float32"}
    if isinstance(config.get("dtype"), str) and config["dtype"] in POLICIES:
        config["dtype"] = "float32"
    return config
