"""Networks that are no saved run: a .keras file, the compact VGG of this package, those of keras.applications."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasapps import saving
from kerasapps.applications.style_transfer import STYLE_LAYERS, build_style_taps
from kerasapps.blocks.style import preprocess
from kerasapps.data.pictures import read_picture
from kerasapps.errors import UserError

from ..shared.keras_applications import keras_application


def opened_file(path: Path) -> keras.Model:
    """Opens a .keras file; nothing that it holds is executed."""
    if not path.is_file():
        raise UserError(f"--run {path} does not exist.")
    try:
        model = saving.load_model(path)
    except Exception as error:  # Keras raises whatever the damage leads to; a Lambda layer is refused
        if "`Lambda`" in str(error):
            raise UserError(f"{path} holds a Lambda layer, whose code would be executed: it is not opened.") from None
        raise UserError(f"{path} is damaged or not a Keras model: {' '.join(str(error).split())[:120]}") from None
    return model


def compact() -> keras.Model:
    """Returns the compact VGG, taking images as they are."""
    taps = build_style_taps(network="compact", weights="trained", layers=STYLE_LAYERS)
    image = keras.Input((None, None, 3), name="image")
    return keras.Model([image], taps({"image": preprocess(image)}), name="compact")


def of_keras(name: str, weights: Path | None) -> keras.Model:
    """Returns a network of keras.applications, taking images as they are."""
    if not callable(getattr(keras.applications, name, None)):
        raise UserError(
            f"--run takes a run folder, a .keras file, compact, or a network of keras.applications. Received: {name}"
        )
    model, preprocess_input = keras_application(name, weights, option="--run")
    # Inside the network: black, and the range of pixels, are then the same for every network.
    image = keras.Input(model.input_shape[1:], name="image")
    return keras.Model([image], model(preprocess_input(image)), name=name)


def read_with(codec, files: Sequence[Path]) -> np.ndarray:
    """Reads image files as a run does, float32 (n, H, W, C)."""
    return codec.encode(files)["image"].astype(np.float32)


def read_scaled(shape: tuple[int, int, int], files: Sequence[Path]) -> np.ndarray:
    """Reads image files at a size, float32 (n, H, W, C)."""
    height, width, channels = shape
    images = [read_picture(file, size=max(height, width), channels=channels) for file in files]
    return tf.image.resize(np.stack(images), (height, width)).numpy()
