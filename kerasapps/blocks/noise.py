"""Dropout and noise that the replicas of a `tf.distribute` strategy draw as one device would.

Keras draws the same numbers on every replica, whose seeds are equal. Here each replica draws for the whole batch and
keeps the rows of its share.
"""

import keras
from keras import layers, ops

from kerasapps.blocks.plain import keras_layer


@keras.saving.register_keras_serializable(package="kerasapps")
class Dropout(layers.Dropout):
    """Keras' dropout with the same arguments and, on one device, the same results; at a rate of 0 it is Keras' own."""

    def __new__(cls, rate, *arguments, **options):
        """Returns Keras' layer where nothing is dropped, so that a saved network does not need this package for it."""
        if not rate:
            return layers.Dropout(rate, *arguments, **options)
        return super().__new__(cls, rate, *arguments, **options)

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, layers.Dropout)

    def call(self, inputs, training=False):
        if not (training and self.rate and replicas() > 1):
            return super().call(inputs, training=training)

        def draw(rows):
            ones = ops.ones((rows, *ops.shape(inputs)[1:]), inputs.dtype)
            return keras.random.dropout(ones, self.rate, noise_shape=self.noise_shape, seed=self.seed_generator)

        return inputs * own_rows(draw, ops.shape(inputs)[0])


@keras.saving.register_keras_serializable(package="kerasapps")
class ByteDropout(Dropout):
    """Dropout that draws fewer random numbers on TensorFlow: one byte for each feature instead of four.

    In a small network on a CPU drawing Keras' numbers takes an eighth of a training step. The rate is rounded to
    256ths, and the remaining features are scaled accordingly. Falls back to `Dropout` on other backends and for a
    `noise_shape`.
    """

    def call(self, inputs, training=False):
        dropped = min(round(256 * self.rate), 255)
        usual = keras.backend.backend() == "tensorflow" and self.noise_shape is None
        if not (training and dropped and usual):
            return super().call(inputs, training=training)
        import tensorflow as tf

        seed = self.seed_generator.next()

        def draw(rows):
            shape = tf.concat([[rows], tf.shape(inputs)[1:]], 0)
            count = tf.reduce_prod(shape)
            words = tf.random.stateless_uniform([(count + 3) // 4], seed, minval=None, maxval=None, dtype=tf.uint32)
            draws = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count]
            return tf.reshape(draws >= tf.constant(dropped, tf.uint8), shape)

        kept = own_rows(draw, tf.shape(inputs)[0])
        return tf.where(kept, inputs * (256 / (256 - dropped)), tf.zeros([], inputs.dtype))


@keras.saving.register_keras_serializable(package="kerasapps")
class GaussianNoise(layers.GaussianNoise):
    """Keras' layer with the same arguments and, on one device, the same results; without noise it is Keras' own."""

    def __new__(cls, stddev, *arguments, **options):
        """Returns Keras' layer where nothing is added, so that a saved network does not need this package for it."""
        if not stddev:
            return layers.GaussianNoise(stddev, *arguments, **options)
        return super().__new__(cls, stddev, *arguments, **options)

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, layers.GaussianNoise)

    def call(self, inputs, training=False):
        if not (training and self.stddev and replicas() > 1):
            return super().call(inputs, training=training)

        def draw(rows):
            shape = (rows, *ops.shape(inputs)[1:])
            return keras.random.normal(shape, stddev=self.stddev, dtype=self.compute_dtype, seed=self.seed_generator)

        return inputs + own_rows(draw, ops.shape(inputs)[0])


def replicas() -> int:
    """Returns the number of replicas that share the batch of this call; 1 on other backends than TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def own_rows(draw, count):
    """Returns the rows of random numbers that belong to this replica's share of the batch.

    Args:
        draw: Function from a number of rows to that many rows of random numbers, the same on every replica.
        count: Number of rows of this replica's share, int32 (); the other shares are as large.
    """
    if replicas() == 1:
        return draw(count)
    import tensorflow as tf

    first = tf.distribute.get_replica_context().replica_id_in_sync_group * count
    return draw(count * replicas())[first : first + count]


def sum_of_replicas(number):
    """Returns the sum of a number () over the replicas that share the batch of this call."""
    if replicas() == 1:
        return number
    import tensorflow as tf

    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, number)
