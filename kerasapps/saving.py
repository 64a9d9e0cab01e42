"""Opening saved models: Keras must know every layer, loss and optimizer of this package before it reads a file."""

import importlib
import pkgutil
from pathlib import Path

import keras

# Where classes are registered with Keras; packages are searched.
REGISTERED_IN = ("applications", "blocks", "gan", "losses", "optimizers")


def load_model(path: str | Path, *, compile: bool = False) -> keras.Model:
    """Opens a .keras file that holds layers of this package.

    Args:
        path: The file.
        compile: Whether to restore loss, optimizer and metrics as well, to continue the training.

    Raises:
        ValueError: If the file does not exist or is not a saved model.
    """
    for name in REGISTERED_IN:
        module = importlib.import_module(f"kerasapps.{name}")
        for inner in pkgutil.iter_modules(getattr(module, "__path__", []), f"{module.__name__}."):
            importlib.import_module(inner.name)
    return keras.models.load_model(path, compile=compile)
