"""Weights that others trained: the files in this folder, those of `keras.applications`, and files as people have them.

Of a file only numbers are read: nothing in it is executed, and no other file is opened.
"""

import io
import re
import stat
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

SHIPPED = Path(__file__).with_name("compact.h5")
LARGEST = 2**30  # bytes that the weights inside a .keras file may take; VGG-19 with its dense layers has 575 MB

Weights = dict[str, tuple[np.ndarray, np.ndarray]]  # kernel and bias by layer


class WeightsError(ValueError):
    """Weights that are missing, unreadable or those of another network."""


def imagenet_weights(network: str, shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Takes the weights from `keras.applications`, which downloads them once.

    Raises:
        WeightsError: If it has no such network, or they cannot be downloaded.
    """
    builders = {"vgg16": "VGG16", "vgg19": "VGG19"}
    if network not in builders:
        raise WeightsError(f'`weights` "imagenet" are for {" and ".join(builders)}. Received: network={network!r}')
    try:
        source = getattr(keras.applications, builders[network])(include_top=False, weights="imagenet")
    except Exception as error:  # `keras.utils.get_file` raises a bare Exception for whatever fails
        raise WeightsError(
            f'The "imagenet" weights of {network} could not be downloaded ({_reason(error)}). Use "random", which '
            "need no download and transfer color and brushwork, or the path of a file that holds them."
        ) from None
    return {layer: tuple(source.get_layer(layer).get_weights()) for layer in shapes}


def read_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Reads kernels and biases from an .h5 or .keras file in the layout of `keras.applications`.

    Args:
        path: The file.
        shapes: Shape of the kernel of each convolution, by the name of its layer, such as "block1_conv1".

    Raises:
        WeightsError: If the file is missing, cannot be read, is damaged, is of another network, or holds numbers that
            are not finite.
    """
    rule = f'`weights` must be "random", "trained", "imagenet", or an .h5 or .keras file. Received: {str(path)!r}'
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise WeightsError(rule)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for its writer
            raise WeightsError(f"{path} is {'a folder' if path.is_dir() else 'not a regular file'}.")
        with path.open("rb") as opened, h5py.File(_unpacked(path, opened), "r") as file:
            datasets = _datasets(file)
            return {layer: _checked(path, layer, datasets.get(layer, {}), shape) for layer, shape in shapes.items()}
    except (WeightsError, MemoryError):
        raise
    except FileNotFoundError:
        raise WeightsError(f"{rule}, which does not exist") from None
    except OSError as error:
        # HDF5's own errors have no file name: they concern the content.
        what = "cannot be read" if error.filename else "is not a file of weights"
        raise WeightsError(f"{path} {what}: {_reason(error)}.") from None
    except Exception as error:  # damaged archives end in errors of every kind: of zip, zlib, lzma, bz2, struct, HDF5
        raise WeightsError(f"{path} is not a file of weights: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    """Returns what an error says, on one line and without its full stop."""
    text = error.strerror if isinstance(error, OSError) and error.filename else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def _unpacked(path: Path, opened: io.BufferedReader) -> io.BufferedIOBase:
    """Returns what h5py can read: a .keras file is a zip archive with one such file in it."""
    if path.suffix != ".keras":
        return opened
    with zipfile.ZipFile(opened) as archive:
        entry = archive.getinfo("model.weights.h5")
        if entry.file_size > LARGEST:
            raise WeightsError(f"{path} claims to hold {entry.file_size:,} bytes of weights and is refused.")
        return io.BytesIO(archive.read(entry))


def _datasets(file: h5py.File) -> dict[str, dict[int, h5py.Dataset]]:
    """Returns the arrays of each convolution by their rank: a kernel has 4 axes, a bias 1."""
    found: dict[str, dict[int, h5py.Dataset]] = {}

    def collect(address: str, item) -> None:
        # An optimizer's moments of a kernel have the kernel's name and shape.
        if not isinstance(item, h5py.Dataset) or address.startswith("optimizer"):
            return
        # Keras 2 writes the layer's name into the address, Keras 3 into an attribute of the group.
        layer = re.search(r"(?:^|/)(block\d_conv\d)(?:/|$)", f"{address}/{item.parent.attrs.get('name', '')}")
        if layer:
            found.setdefault(layer[1], {})[item.ndim] = item

    file.visititems(collect)
    return found


def _checked(path: Path, layer: str, found: dict, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel and bias of a layer in float32, if they have the right shapes and are finite."""
    if {1, 4} - found.keys():
        raise WeightsError(f"{path} has no kernel and bias of {layer}: it is not in the layout of keras.applications.")
    datasets = found[4], found[1]
    shapes = tuple(dataset.shape for dataset in datasets)
    if shapes != (shape, shape[-1:]):
        raise WeightsError(
            f"{path} is of another network: {layer} has the shapes {shapes[0]} and {shapes[1]}, "
            f"not {shape} and {shape[-1:]}."
        )
    if any(dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual for dataset in datasets):
        raise WeightsError(f"{path} does not itself hold floating-point numbers for {layer}.")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        kernel, bias = (dataset[()].astype(np.float32) for dataset in datasets)
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise WeightsError(f"{path} has weights of {layer} that are not finite numbers.")
    return kernel, bias
