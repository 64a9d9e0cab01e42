"""Trained networks to build on: that of this package, runs, files, and those of `keras.applications`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from kerasapps.applications.style_transfer import build_style_taps
from kerasapps.applications.transfer_classifier import Pooling
from kerasapps.blocks.pixels import Pixels
from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.errors import UserError
from kerasapps.files import user_path
from kerasapps.runs import load_model
from kerasapps.saving import load_model as open_model
from kerasapps.weights import WeightsError
from kerasapps.weights.mobilenet import read_mobilenet

MOBILENET = "mobilenet_v1_0.75_192_quant.tflite"
MOBILENET_URL = f"https://github.com/google-coral/test_data/raw/master/{MOBILENET}"
MOBILENET_CHECKSUM = "sha256:41daeb22fdcf947e0e5ec32373aa9df7c31f3ef45dbd0ef7b5940fbce3c20f6a"


@dataclass(frozen=True)
class Base:
    """A trained network, and how it is best used.

    Args:
        network: The network, without a head for classes of its own where it is none of this package.
        layer: The layer whose output is taken; None for the last one.
        pooling: How it becomes a vector.
        pixels: What the network expects; see `build_transfer_classifier`.
        channels: Channels of the images.
        layers: Layers that a search chooses from; none for all those that `ends_of_stages` finds.
    """

    network: keras.Model
    layer: str | None
    pooling: Pooling
    pixels: Pixels
    channels: int = 3
    layers: tuple[str, ...] = ()


# Name in `keras.applications`, what it expects, the layer, the pooling and the side of its images. Of VGG the course
# notes take all 7 * 7 * 512 = 25,088 features, of DenseNet-121 the mean of 1,024.
APPLICATIONS: dict[str, tuple[str, Pixels, str, Pooling, int]] = {
    "vgg16": ("VGG16", "caffe", "block5_pool", "flat", 224),
    "vgg19": ("VGG19", "caffe", "block5_pool", "flat", 224),
    "resnet50": ("ResNet50", "caffe", "conv5_block3_out", "average", 224),
    "densenet121": ("DenseNet121", "torch", "relu", "average", 224),
    "densenet169": ("DenseNet169", "torch", "relu", "average", 224),
    "densenet201": ("DenseNet201", "torch", "relu", "average", 224),
    "xception": ("Xception", "tf", "block14_sepconv2_act", "average", 299),
    "inception_v3": ("InceptionV3", "tf", "mixed10", "average", 299),
    "mobilenet_v2": ("MobileNetV2", "tf", "out_relu", "average", 224),
    "efficientnet_b0": ("EfficientNetB0", "bytes", "top_activation", "average", 224),
    "convnext_tiny": ("ConvNeXtTiny", "bytes", "layer_normalization", "average", 224),
}
SIZES = {"compact": 64, "mobilenet": 192} | {name: of[-1] for name, of in APPLICATIONS.items()}
NAMES = tuple(SIZES)
# Of the compact network the layers in the middle are best, and three of them together better than any alone.
COMPACT = "block2_conv2+block3_conv3+block4_conv1"


def load_base(base: str, *, weights: Path | None, size: int) -> Base:
    """Loads a trained network.

    Args:
        base: One of `NAMES`, a run folder, or a .keras file.
        weights: A file of weights for a network of `keras.applications`, which otherwise downloads those of ImageNet;
            for "mobilenet" a LiteRT file.
        size: Side of the images in pixels.

    Raises:
        UserError: If there is no such network, or its weights are missing or those of another one.
    """
    if weights is not None and base not in (*APPLICATIONS, "mobilenet"):
        raise UserError(f"--weights are for mobilenet and networks of keras.applications, not for --base {base}.")
    try:
        if base == "compact":
            return _compact(size)
        if base == "mobilenet":
            return _mobilenet(weights, size)
    except WeightsError as error:
        raise UserError(str(error)) from None
    if base in APPLICATIONS:
        return _application(base, weights, size)
    return _own(base)


def _compact(size: int) -> Base:
    """The network of style transfer, VGG-16 at half its width, trained on CIFAR-10."""
    # In full precision, as its weights are to be trained on.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        network = build_style_taps(network="compact", weights="trained", pooling="max", layers=("block5_conv3",))
    finally:
        keras.config.set_dtype_policy(policy)
    layers = (COMPACT, "block3_conv3", "block4_conv1", "block4_conv2", "block4_conv3", "block5_conv3")
    return Base(network, COMPACT, "grid", "caffe", layers=layers)


def _mobilenet(weights: Path | None, size: int) -> Base:
    network = read_mobilenet(weights or find_mobilenet(), image_shape=(size, size, 3))
    layers = tuple(f"conv_pw_{i}_relu" for i in (5, 7, 9, 11, 12, 13))
    return Base(network, "conv_pw_13_relu", "average", "tf", layers=layers)


def find_mobilenet() -> Path:
    """Returns the LiteRT file of MobileNet, which is downloaded where it is not on this machine.

    Raises:
        DataError: If it cannot be downloaded.
    """
    for folder in data_folders("mobilenet"):
        if (folder / MOBILENET).is_file():
            return folder / MOBILENET
    cache = cache_folder("mobilenet")
    advice = "put that file into a folder DIR/mobilenet and set KERASAPPS_DATA=DIR, or use `--base compact`"
    with downloading("MobileNet", MOBILENET_URL, cache=cache, advice=advice):
        cache.mkdir(parents=True, exist_ok=True)
        return fetch(MOBILENET_URL, cache, checksum=MOBILENET_CHECKSUM)


def _application(base: str, weights: Path | None, size: int) -> Base:
    """A network of `keras.applications` without its head."""
    name, pixels, layer, pooling, _ = APPLICATIONS[base]
    build = partial(getattr(keras.applications, name), include_top=False, input_shape=(size, size, 3))
    path = None if weights is None else user_path(weights)
    if path is not None and not path.is_file():
        raise UserError(f"--weights {path} is {'a folder' if path.is_dir() else 'not there'}.")
    try:
        network = build(weights="imagenet" if path is None else None)
    except Exception as error:  # `keras.utils.get_file` raises a bare Exception for whatever fails
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        if reason.startswith("Input size"):
            raise UserError(f"--size {size} does not suit --base {base}: {reason}.") from None
        raise UserError(
            f"The weights of {base} could not be downloaded ({reason}): give a file with --weights, or use "
            "--base compact, which needs none."
        ) from None
    if path is None:
        return Base(network, layer, pooling, pixels)
    try:
        network.load_weights(path)
    except Exception as error:  # of HDF5, of shapes, of the number of layers
        reason = " ".join(str(error).split())[:160].rstrip(".")
        raise UserError(f"--weights {path} are not those of {base} without its head: {reason}.") from None
    return Base(network, layer, pooling, pixels)


def _own(base: str) -> Base:
    """A run of this project, or a .keras file."""
    path = user_path(base)
    if path.is_dir():
        network = load_model(path)
    elif path.is_file():
        try:
            network = open_model(path)
        except Exception as error:  # whatever the damage leads to
            raise UserError(f"--base {path} is damaged or not a model: {' '.join(str(error).split())[:160]}.") from None
    else:
        raise UserError(f"--base {base} is neither one of {', '.join(NAMES)} nor a run folder or a .keras file.")
    inputs = getattr(network, "inputs", None) or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UserError(f"--base {base} does not take images: its inputs are {[tuple(one.shape) for one in inputs]}.")
    return Base(network, None, "average", "bytes", inputs[0].shape[-1] or 3)


def ends_of_stages(base: Base) -> tuple[str, ...]:
    """Returns the layers that a search chooses from: the last one at each of the smaller sizes of features."""
    if base.layers:
        return base.layers
    last: dict[int, str] = {}
    for layer in base.network.layers:
        shape = getattr(getattr(layer, "output", None), "shape", ())
        if len(shape) == 4 and shape[1] and layer.weights:
            last[shape[1]] = layer.name
    return tuple(last.values())[-5:]
