"""MobileNet v1 with the weights of a LiteRT file, whose batch normalization is folded into its convolutions.

Reference: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017.
"""

import math
from pathlib import Path

import keras
import numpy as np

from kerasapps.weights import WeightsError
from kerasapps.weights.litert import read_litert

FULL = 32  # filters of the first convolution at a width of 1
BLOCKS = 13


def read_mobilenet(path: Path, *, image_shape: tuple[int, int, int]) -> keras.Model:
    """Returns `keras.applications.MobileNet` without its head, with the weights of a LiteRT file, of 8 bits or not.

    Args:
        path: The file, such as mobilenet_v1_0.75_192_quant.tflite of google-coral's test data; it decides the width.
        image_shape: Height, width and channels of the images, values -1 to 1.

    Raises:
        WeightsError: If the file cannot be read, or is of another network.
    """
    convolutions = _convolutions(path, read_litert(path))
    width = len(convolutions["conv1"][1]) / FULL
    try:
        model = keras.applications.MobileNet(image_shape, alpha=width, include_top=False, weights=None)
        for name, (kernel, bias) in convolutions.items():
            model.get_layer(name).set_weights([kernel])
            # What its normalization leaves of the scale is 1, and its shift the bias.
            norm = model.get_layer(f"{name}_bn")
            scale = math.sqrt(1 + norm.epsilon)
            norm.set_weights([np.full_like(bias, scale), bias, np.zeros_like(bias), np.ones_like(bias)])
    except ValueError as error:
        raise WeightsError(f"{path} is of another network than MobileNet v1: {str(error).splitlines()[0]}") from None
    return model


def _convolutions(path: Path, tensors: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns kernel and bias of each convolution by the name that Keras gives it."""
    names = {"conv1": "Conv2d_0/"}
    for i in range(1, BLOCKS + 1):
        names |= {f"conv_dw_{i}": f"Conv2d_{i}_depthwise/", f"conv_pw_{i}": f"Conv2d_{i}_pointwise/"}
    found = {}
    for layer, part in names.items():
        of_layer = {array.ndim: array for name, array in tensors.items() if part in name}
        if {1, 4} - of_layer.keys():
            raise WeightsError(f"{path} is not MobileNet v1: it has no {part.rstrip('/')}.")
        # LiteRT keeps (filters, height, width, channels), of a depthwise convolution (1, height, width, channels).
        order = (1, 2, 3, 0)
        kernel, bias = of_layer[4].transpose(order), of_layer[1]
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{path} has weights of {layer} that are not finite numbers.")
        found[layer] = kernel, bias
    return found
