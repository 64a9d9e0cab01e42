"""Images from a PixelCNN: drawn pixel by pixel, many images at once, in one loop on the device."""

import keras
import numpy as np
import tensorflow as tf

CHUNK = 256  # images at a time


def draw(
    model: keras.Model, images: np.ndarray, *, first: int = 0, seed: int = 0, temperature: float = 1.0
) -> np.ndarray:
    """Draws the pixels of images from some position on, each given those before it.

    Args:
        model: The network.
        images: What they begin with, levels uint8 (n, H, W, C); from the first position on their values do not count.
        first: Position of the first pixel that is drawn, as they come: 0 to H * W * C - 1.
        seed: Decides what is drawn.
        temperature: What logits are divided by: 1 draws from the model's own distribution, less draws likelier images.

    Returns:
        The images, uint8 (n, H, W, C).
    """
    shape, levels = model.output["level"].shape[1:-1], model.output["level"].shape[-1]
    size = int(np.prod(shape))
    given = np.asarray(images).reshape(-1, size)
    chances = np.random.default_rng(seed).random((len(given), size), np.float32)

    @tf.function(autograph=False, reduce_retracing=True)
    def draw_on(pixels, chances):
        def next_pixel(position, pixels):
            logits = model({"image": tf.reshape(pixels, (-1, *shape))}, training=False)["level"]
            logits = tf.reshape(logits, (-1, size, levels))[:, position] / temperature  # (n, levels)
            shares = tf.cumsum(tf.nn.softmax(tf.cast(logits, tf.float32)), -1)
            # The first level whose share, with those of all before it, is above the chance.
            level = tf.reduce_sum(tf.cast(shares <= chances[:, position, None], tf.int32), -1, keepdims=True)
            drawn = tf.minimum(level, levels - 1)  # (n, 1)
            here = tf.range(size) == position
            return position + 1, tf.where(here, tf.cast(drawn, pixels.dtype), pixels)

        return tf.while_loop(lambda position, _: position < size, next_pixel, (first, pixels), parallel_iterations=1)[1]

    chunks = [
        draw_on(tf.constant(given[i : i + CHUNK], tf.float32), tf.constant(chances[i : i + CHUNK])).numpy()
        for i in range(0, len(given), CHUNK)
    ]
    return np.concatenate(chunks).astype(np.uint8).reshape(-1, *shape)


def blank(model: keras.Model, count: int) -> np.ndarray:
    """Returns images of nothing, from which `draw` begins: uint8 (count, H, W, C)."""
    return np.zeros((count, *model.output["level"].shape[1:-1]), np.uint8)
