"""Options of what paints or changes an image: where it is written, how much memory it may take, weights of layers."""

import math
import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasapps.data.image_files import SUFFIXES
from kerasapps.data.pictures import Photo, encode_picture
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.settings import memory_of


def check_folder(options: Options) -> None:
    """Refuses an --out that names an image, where a folder is written."""
    if options.out is not None and options.out.suffix.lower() in SUFFIXES:
        raise UserError(f"--out must name a folder here, not an image. Received: {options.out}")


def split_out(options: Options, *, side: int) -> tuple[Options, Path | None]:
    """Returns the options with a folder as --out, and the image that it named, if it did.

    Raises:
        UserError: If there is such an image already, or it cannot have that longer side in pixels.
    """
    if options.out is None or options.out.suffix.lower() not in SUFFIXES:
        return options, None
    # Refuses what the format cannot hold before anything is painted.
    encode_picture(Photo(np.zeros((1, side, 3))), options.out.suffix.lower())
    folder = options.out.with_suffix("")
    if options.out.exists() and not (options.resume and (folder / "config.json").exists()):
        raise UserError(f"{options.out} exists already. Choose another --out.")
    return replace(options, out=folder), options.out


def read_layers(layers: tuple[str, ...]) -> dict[str, float]:
    """Reads NAME or NAME=WEIGHT.

    Raises:
        UserError: If a weight is no number above 0.
    """
    result = {}
    for layer in layers:
        name, _, weight = layer.partition("=")
        try:
            result[name] = float(weight or 1)
        except ValueError:
            result[name] = math.nan
        if not 0 < result[name] < math.inf:
            raise UserError(f"A layer is NAME or NAME=WEIGHT, with a weight above 0. Received: {layer}")
    return result


def memory_left(text: str | None, shape: tuple[int, int], *, images: int, remedy: str) -> int | None:
    """Returns what --max-memory leaves for a network's activations; None without a limit.

    Args:
        text: The value of --max-memory.
        shape: Height and width of the image.
        images: How many copies of it are kept, each of three float32 a pixel.
        remedy: What to do if that is too much already.

    Raises:
        UserError: If nothing is left.
    """
    most = memory_of(text)
    if most is None:
        return None
    taken = memory_held() + images * 12 * math.prod(shape)  # bytes
    if most - taken <= 0:
        raise UserError(
            f"--max-memory {text} is less than the {taken / 1e9:.1f} GB that the program and the optimizer's images "
            f"take: {remedy}."
        )
    return most - taken


def memory_held() -> int:
    """Returns the bytes that the process holds now, on a GPU those of the GPU."""
    if tf.config.get_visible_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["current"]
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the most so far: there is no simple way to more
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
