"""The random numbers of one training step of a GAN."""

import tensorflow as tf

from kerasapps.blocks.noise import own_rows


class Noise:
    """Draws rows of random numbers that follow from one seed, however many replicas share the batch.

    Args:
        root: The seed of a step, two int32, from which each draw derives its own.
    """

    def __init__(self, root: tf.Tensor):
        self.root = root
        self.draws = 0

    def normal(self, count, shape) -> tf.Tensor:
        """Draws standard normal numbers, float32 (count, *shape)."""
        return self._draw(tf.random.stateless_normal, count, shape)

    def uniform(self, count, shape, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """Draws numbers in [low, high), float32 (count, *shape)."""
        return self._draw(tf.random.stateless_uniform, count, shape, minval=low, maxval=high)

    def _draw(self, distribution, count, shape, **limits) -> tf.Tensor:
        self.draws += 1
        seed = tf.random.fold_in(self.root, self.draws)
        return own_rows(lambda rows: distribution(tf.concat([[rows], shape], 0), seed, **limits), count)
