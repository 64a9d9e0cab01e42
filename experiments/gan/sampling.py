"""Images and points from the averaged generator of a GAN, and the noise that they are made of."""

import numpy as np
from keras.layers import Embedding

from kerasapps.gan.model import GAN


def draw(model: GAN, count: int, *, seed: int, label: int | None = None, batch_size: int = 256) -> np.ndarray:
    """Draws samples from the averaged generator, float32 (count, ...), images with values from -1 to 1.

    Args:
        model: The GAN.
        count: How many.
        seed: Decides which; the first ones are the same whatever `count` is.
        label: Their class, for networks with classes; by default all in turn.
        batch_size: How many at a time.
    """
    return generate(model, noise_of(model, count, seed), label=label, batch_size=batch_size)


def noise_of(model: GAN, count: int, seed: int) -> np.ndarray:
    """Draws noise, float32 (count, noise_dim) for networks of this package."""
    return np.random.default_rng(seed).standard_normal((count, *model.noise_shape), dtype=np.float32)


def generate(model: GAN, noise: np.ndarray, *, label: int | None = None, batch_size: int = 256) -> np.ndarray:
    """Returns the samples that the averaged generator makes of noise (n, noise_dim); see `draw`."""
    inputs = {"noise": noise}
    if model.conditional:
        # By kind: in networks of older runs the layer has another name.
        classes = next(layer.input_dim for layer in model.averaged.layers if isinstance(layer, Embedding))
        labels = np.arange(len(noise)) % classes if label is None else np.full(len(noise), label)
        inputs["label"] = labels.astype(np.int32)
    return model.averaged.predict(inputs, batch_size=batch_size, verbose=0)[model.sample_name]


def between(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Turns one vector of noise into another along the sphere: (Z,), (Z,) -> (count, Z).

    On a straight line the noise in the middle would be shorter than any that the generator was trained on.
    """
    cosine = first @ second / (np.linalg.norm(first) * np.linalg.norm(second))
    angle = np.arccos(np.clip(cosine, -1, 1))
    shares = np.linspace(0, 1, count)[:, None]
    return (np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * second) / np.sin(angle)


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Returns images from -1 to 1 as uint8."""
    return np.clip(np.round((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)
