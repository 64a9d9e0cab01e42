"""Grids of features of a frozen base, computed once and kept on disk, for a decoder that is trained by itself."""

import hashlib
from dataclasses import replace

import keras
import numpy as np

from kerasapps.data.captions import SETS, CaptionSplits
from kerasapps.data.download import cache_folder
from kerasapps.data.splits import Splits
from kerasapps.errors import DataError
from kerasapps.files import atomic_file

AT_ONCE = 64  # images


def cached_grids(model: keras.Model, splits: CaptionSplits) -> Splits:
    """Computes the features of all images once, or takes them from disk where they were computed before.

    They are kept in half precision in the cache, under a digest of the base's weights and of the images.

    Args:
        model: The captioner, whose base is frozen.
        splits: The images.

    Returns:
        The splits with "grid" float16 (n, H', W', F) in place of the image.
    """
    body = keras.Model(model.inputs[0], model.get_layer("grid").output)
    base = hashlib.blake2b(digest_size=16)
    for layer in body.layers:
        base.update(repr(sorted(layer.get_config().items(), key=str)).encode())
        for weight in layer.get_weights():
            base.update(np.ascontiguousarray(weight))
    parts = {}
    for name in SETS:
        split = getattr(splits, name)
        digest = base.copy()
        digest.update(np.ascontiguousarray(split.inputs["image"]))
        grids = _kept(body, split.inputs["image"], digest.hexdigest())
        parts[name] = replace(split, inputs={"grid": grids, "target": split.inputs["target"]})
    return Splits(**parts, codec=splits.codec)


def _kept(body: keras.Model, images: np.ndarray, digest: str) -> np.ndarray:
    """Returns the features of images from the cache, or computes and writes them."""
    path = cache_folder("features") / f"{digest}.npy"
    try:
        found = np.load(path, allow_pickle=False)
        if len(found) == len(images):
            return found
    except (OSError, ValueError):  # not there, or damaged: computed anew
        pass
    grids = body.predict(images.astype(np.float32), batch_size=AT_ONCE, verbose=0).astype(np.float16)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.save(file, grids)
    except OSError as error:
        raise DataError(f"Features cannot be kept in {path.parent}: {error.strerror or error}.") from None
    return grids
