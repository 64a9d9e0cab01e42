"""Grids of features of a frozen base, computed once and kept on disk, for a decoder that is trained by itself."""

import hashlib
import json
from dataclasses import replace

import keras
import numpy as np

from kerasapps.data.captions import CaptionSplits
from kerasapps.data.download import cache_folder
from kerasapps.data.splits import Splits
from kerasapps.errors import DataError
from kerasapps.files import atomic_file

AT_ONCE = 64  # images that a network gets at a time


def cached_grids(model: keras.Model, splits: CaptionSplits) -> Splits:
    """Computes the features of the training and validation images once, or takes them from disk.

    They are kept in half precision in the cache, under a digest of the base's weights and of the images.

    Args:
        model: The captioner, whose base is frozen.
        splits: The images.

    Returns:
        The splits with "grid" float16 (n, H', W', F) in place of the image.
    """
    body = keras.Model(model.inputs[0], model.get_layer("grid").output, name="body")
    base = digest_of(body)
    parts = {}
    for name in ("train", "validation"):
        split = getattr(splits, name)
        digest = base.copy()
        digest.update(np.ascontiguousarray(split.inputs["image"]))
        grids = _kept(body, split.inputs["image"], digest.hexdigest())
        parts[name] = replace(split, inputs={"grid": grids, "target": split.inputs["target"]})
    return Splits(**parts, codec=splits.codec)


def digest_of(body: keras.Model):
    """Returns a digest, of `hashlib`, of a network: its layers, how they are connected, and their weights."""
    digest = hashlib.blake2b(json.dumps(json.loads(body.to_json()), sort_keys=True).encode(), digest_size=16)
    for weight in body.get_weights():
        digest.update(np.ascontiguousarray(weight))
    return digest


def _kept(body: keras.Model, images: np.ndarray, digest: str) -> np.ndarray:
    """Returns the features of images from the cache, or computes and writes them."""
    path = cache_folder("features") / f"{digest}.npy"
    try:
        found = np.load(path, allow_pickle=False)
        if len(found) == len(images):
            return found
    except (OSError, ValueError, EOFError):  # not there, or damaged: computed anew
        pass
    grids = np.concatenate(  # a few at a time, for all of them in single precision may not fit into memory
        [
            body.predict_on_batch(images[first : first + AT_ONCE].astype(np.float32)).astype(np.float16)
            for first in range(0, len(images), AT_ONCE)
        ]
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.save(file, grids)
    except OSError as error:
        raise DataError(f"Features cannot be kept in {path.parent}: {error.strerror or error}.") from None
    return grids
