"""Networks of `keras.applications`, with weights from a file."""

import importlib
from collections.abc import Callable
from pathlib import Path

import keras

from kerasapps.errors import UserError


def keras_application(name: str, weights: Path | None, *, option: str, **arguments) -> tuple[keras.Model, Callable]:
    """Builds a network and gives it weights.

    Args:
        name: A function of `keras.applications`, such as "MobileNetV2".
        weights: The file with its weights.
        option: What names the network on the command line, such as "--network".
        **arguments: Further arguments of that function.

    Returns:
        The network, and what its images go through, `preprocess_input`, which may change the array that it gets.

    Raises:
        UserError: If there is no file, or its weights are those of another network.
    """
    if weights is None or not weights.is_file():
        raise UserError(f"{option} {name} needs the file of its weights: --weights FILE. Received: {weights}")
    build = getattr(keras.applications, name)
    module = importlib.import_module(build.__module__.replace("keras.src.applications", "keras.applications"))
    try:
        model = build(weights=str(weights), **arguments)
    except (ValueError, OSError) as error:
        raise UserError(f"--weights {weights} does not fit {name}: {' '.join(str(error).split())[:160]}") from None
    return model, module.preprocess_input
