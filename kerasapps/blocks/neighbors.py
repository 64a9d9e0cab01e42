"""How unexpected the neighbors of words are, measured against a few drawn words instead of a whole vocabulary."""

import keras
from keras import layers, ops

SMOOTHING = 0.75  # exponent of the frequencies that words are drawn by: common ones alone would teach little


@keras.saving.register_keras_serializable(package="kerasapps")
class DrawnWords(layers.Layer):
    """Draws words that a right one is told apart from, anew for each batch.

    In: ids int32 (B, T). Out: drawn ids int32 (K,); and what the score of a word gains for how much more often a text
    has it than it is drawn, up to a constant: of the drawn words (K,), and of those of the batch (B, T).

    Words are drawn by their frequency to the power of 0.75, evenly over all of it; after training always the same.

    Reference: Jean et al., "On Using Very Large Target Vocabulary for Neural Machine Translation", ACL 2015.

    Args:
        vocab_size: Number of ids V.
        count: Number of drawn words K.
        kwargs: Those of `keras.layers.Layer`. The one weight is the logarithm of each id's frequency, (V,).
    """

    def __init__(self, vocab_size: int, count: int, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size, self.count = vocab_size, count
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, ids_shape):
        self.log_frequency = self.add_weight(
            shape=(self.vocab_size,), initializer="zeros", trainable=False, dtype="float32", name="log_frequency"
        )

    def call(self, ids, training=False):
        reached = ops.cumsum(ops.softmax(SMOOTHING * self.log_frequency))  # (V,)
        shift = keras.random.uniform((), seed=self.seed_generator) if training else 0.5
        steps = (ops.arange(self.count, dtype="float32") + shift) / self.count  # (K,)
        drawn = ops.minimum(ops.searchsorted(reached, steps, side="right"), self.vocab_size - 1)
        drawn = ops.cast(drawn, "int32")
        gain = (1 - SMOOTHING) * self.log_frequency
        return drawn, ops.take(gain, drawn), ops.take(gain, ids)

    def compute_output_spec(self, ids, training=False):
        drawn = (self.count,)
        return (
            keras.KerasTensor(drawn, "int32"),
            keras.KerasTensor(drawn, "float32"),
            keras.KerasTensor(ids.shape, "float32"),
        )

    def get_config(self):
        return super().get_config() | {"vocab_size": self.vocab_size, "count": self.count}


@keras.saving.register_keras_serializable(package="kerasapps")
class Surprise(layers.Layer):
    """Measures how unexpected a word is among drawn ones, in nats.

    In: predicted vectors (..., D), the right words' vectors (..., D), ids (...) and gains (...); the drawn words'
    vectors (K, D), ids (K,) and gains (K,). Out: (...), minus the logarithm of the probability of the right word among
    it and the drawn ones; a drawn word that is the right one does not count.
    """

    def call(self, predicted, right, right_ids, right_gains, drawn, drawn_ids, drawn_gains):
        correct = ops.sum(predicted * right, axis=-1) + right_gains  # (...)
        scores = ops.matmul(predicted, ops.transpose(drawn)) + drawn_gains  # (..., K)
        same = ops.expand_dims(right_ids, -1) == drawn_ids
        others = ops.logsumexp(ops.where(same, -1e9, scores), axis=-1)  # (...)
        return ops.softplus(others - correct)

    def compute_output_shape(self, predicted_shape, *_):
        return predicted_shape[:-1]
