"""Dropout that draws less randomness on TensorFlow."""

import keras


@keras.saving.register_keras_serializable(package="kerasapps")
class Dropout(keras.layers.Dropout):
    """Keras' dropout with the same arguments, faster on TensorFlow: a byte decides on a feature, not four.

    In a small network on a CPU the numbers that Keras draws take an eighth of the step. The rate is rounded to 256ths,
    and what is kept is scaled accordingly. Falls back to Keras on other backends and for a `noise_shape`.
    """

    def call(self, inputs, training=False):
        """Drops features; the shape stays."""
        dropped = min(round(256 * self.rate), 255)
        usual = keras.backend.backend() == "tensorflow" and self.noise_shape is None
        if not (training and dropped and usual):
            return super().call(inputs, training=training)
        import tensorflow as tf

        count = tf.size(inputs)
        seed = self.seed_generator.next()
        words = tf.random.stateless_uniform([(count + 3) // 4], seed, minval=None, maxval=None, dtype=tf.uint32)
        draws = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count]
        kept = tf.reshape(draws >= tf.constant(dropped, tf.uint8), tf.shape(inputs))
        return tf.where(kept, inputs * (256 / (256 - dropped)), tf.zeros([], inputs.dtype))
