"""Style transfer: a frozen VGG whose inner activations describe the content and the style of an image.

Reference: Gatys et al., "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
from keras import ops

from kerasapps.blocks.arguments import check_at_least, checked, refusal
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.style import PADDINGS, POOLINGS, preprocess, standardize_pixels
from kerasapps.weights import SHIPPED, Weights, imagenet_weights, read_weights

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

# Number of convolutions and widths of the five blocks. The compact network is VGG-16 at half its width.
NETWORKS = {
    "vgg16": ((2, 2, 3, 3, 3), (64, 128, 256, 512, 512)),
    "vgg19": ((2, 2, 4, 4, 4), (64, 128, 256, 512, 512)),
    "compact": ((2, 2, 3, 3, 3), (32, 64, 128, 256, 256)),
}
STYLE_LAYERS = tuple(f"block{i}_conv1" for i in range(1, 6))
CONTENT_LAYERS = ("block4_conv2",)
CALIBRATION_SIDE = 128


@checked
def build_style_taps(
    *,
    network: Literal["vgg16", "vgg19", "compact"] = "vgg16",
    weights: str | Path = "random",
    pooling: Literal["max", "average", "l2"] = "average",
    padding: Literal["zeros", "mirror"] = "zeros",
    layers: Sequence[str] = (*STYLE_LAYERS, *CONTENT_LAYERS),
    seed: int = 0,
    name: str = "style_taps",
) -> keras.Model:
    """Builds the part of a VGG up to the deepest of some layers, frozen, with their activations as outputs.

    Under a mixed precision policy the weights are kept in its compute dtype: as they are frozen, nothing is lost.

    Args:
        network: "vgg16", "vgg19", or "compact", which is VGG-16 at half its width.
        weights: "random", drawn from `seed` and scaled so that activations have mean 0 and standard deviation 1 before
            the ReLU (He, Wang and Hopcroft, "A Powerful Generative Model Using Random Weights for the Deep Image
            Representation", NIPS 2016); "trained", those of "compact" that come with this package; "imagenet", those of
            `keras.applications`; or the path of an .h5 or .keras file in the layout of `keras.applications`, from which
            only numbers are read.
        pooling: "max" as in VGG, "average" as Gatys et al. prefer, or "l2", the root mean square.
        padding: What a convolution sees beyond the edge: "zeros" as in VGG, or "mirror", the reflected image. Zeros,
            which are gray, give images a dark or glaring frame.
        layers: Names of the activations, each a convolution with its ReLU: "block1_conv1", "block1_conv2",
            "block2_conv1" and so on to "block5_conv3", in "vgg19" to "block5_conv4".
        seed: Seed of random weights.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, 3), any sides that leave a pixel to the deepest layer, as
        `kerasapps.blocks.style.preprocess` gives it.
        Out: a dict, layer name to its activation (B, H / s, W / s, C), s = 1, 2, 4, 8, 16 by block, in the compute
        dtype.

    Train with: nothing; the image is optimized instead, see `kerasapps.styling.stylize`.

    Raises:
        ValueError: If `network`, `pooling`, `padding` or one of `layers` is unknown, or the weights are missing or do
            not fit.

    Example:
        >>> taps = build_style_taps(network="compact", weights="trained")
        >>> taps.predict({"image": preprocess(photos)})["block4_conv2"]  # photos float32 (n, H, W, 3), values 0 to 255
        >>> for step in stylize(photos[0], [photos[1]], taps=taps, size=64, steps=5):
        ...     image = step.image  # float32 (H, W, 3), values 0 to 255
    """
    check_at_least(0, seed=seed)
    if not layers or len(set(layers)) != len(layers):
        raise refusal("hold at least one name, none twice", layers=layers)
    shapes = convolution_shapes(network)
    for layer in layers:
        if layer not in shapes:
            raise refusal(f"be convolutions of {network}, {min(shapes)} to {max(shapes)}", layers=layers)
    deepest = max(layers)
    shapes = {layer: shape for layer, shape in shapes.items() if layer <= deepest}
    dtype = keras.config.dtype_policy().compute_dtype
    pool, convolution = POOLINGS[pooling], PADDINGS[padding]

    # --- inputs
    image = keras.Input((None, None, 3), name="image")  # (B, H, W, 3)

    # --- trunk
    x, outputs = image, {}
    for layer, (*_, filters) in shapes.items():
        if starts_block(layer):
            x = pool(2, dtype=dtype, name=f"block{block_of(layer) - 1}_pool")(x)  # (B, H / 2, W / 2, C)
        x = convolution(filters, 3, padding="same", activation="relu", dtype=dtype, name=layer)(x)
        if layer in layers:
            outputs[layer] = x

    # --- weights
    model = NamedHeads([image], outputs, name=name)
    model.trainable = False
    if weights == "random":
        values = random_weights(shapes, pool=pool, seed=seed)
    elif weights == "trained":
        if network != "compact":
            raise refusal('be "compact" where `weights` are "trained"', network=network)
        values = read_weights(SHIPPED, shapes)
    elif weights == "imagenet":
        values = imagenet_weights(network, shapes)
    else:
        values = read_weights(Path(weights), shapes)
    for layer, (kernel, bias) in values.items():
        model.get_layer(layer).set_weights([kernel, bias])
    return model


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_style_taps`; each default equals the builder's."""
    return {
        "network": hp.Choice("network", ["vgg16", "compact"], default="vgg16"),
        "pooling": hp.Choice("pooling", [*POOLINGS], default="average"),
    }


def convolution_shapes(network: str) -> dict[str, tuple[int, int, int, int]]:
    """Returns the shape of each kernel by the name of its layer, from the first on."""
    shapes, channels = {}, 3
    for block, (count, filters) in enumerate(zip(*NETWORKS[network], strict=True), start=1):
        for i in range(1, count + 1):
            shapes[f"block{block}_conv{i}"] = (3, 3, channels, filters)
            channels = filters
    return shapes


def block_of(layer: str) -> int:
    """Returns the number of a layer's block; its activations are 2 ** (number - 1) times smaller than the image."""
    return int(layer[len("block")])


def starts_block(layer: str) -> bool:
    """Whether a pool comes before this convolution."""
    return layer.endswith("_conv1") and block_of(layer) > 1


def random_weights(shapes: dict[str, tuple[int, ...]], *, pool, seed: int) -> Weights:
    """Draws kernels and scales them, layer by layer, by their response to noise with the spectrum of photographs."""
    rng, dtype = np.random.default_rng(seed), keras.config.floatx()
    x = preprocess(cloud_noise(CALIBRATION_SIDE, rng)[None])  # (1, H, W, 3)
    weights = {}
    for layer, shape in shapes.items():
        if starts_block(layer):
            x = pool(2, dtype=dtype)(x)
        kernel = (rng.standard_normal(shape, np.float32) / math.sqrt(math.prod(shape[:3]))).astype(dtype)
        x, mean, deviation = standardize_pixels(ops.conv(x, kernel, padding="same"))
        mean, deviation = (ops.convert_to_numpy(value).reshape(-1) for value in (mean, deviation))
        weights[layer] = kernel / deviation, -mean / deviation
        x = ops.relu(x)
    return weights


def cloud_noise(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draws an image whose amplitudes fall as 1 / frequency, as those of photographs do: float32 (side, side, 3)."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((3, side, side))) / frequency, (side, side))
    noise /= noise.std((1, 2), keepdims=True)
    return np.clip(127.5 + 50 * np.moveaxis(noise, 0, -1), 0, 255).astype(np.float32)
