"""The first convolution over a text, computed once for each distinct word of a batch.

A convolution is a sum of products, one for each position in its window, and the product of a word at a position does
not depend on the words around it. By Zipf's law most words of a batch repeat (64,000 words are 15,000 distinct ones),
so multiplying only the distinct ones and summing the products for each window saves most of the work. The gradients
of a word are summed before they are multiplied, and reach the embedding as one row a word.
"""

import keras
from keras import layers, ops

from kerasapps.blocks.backend import kernels_run
from kerasapps.blocks.plain import keras_layer


@keras.saving.register_keras_serializable(package="kerasapps")
class DistinctWords(layers.Layer):
    """Lists the distinct ids of a batch: ids int32 (B, T) -> distinct ids (U,) and the index of each id in them (B, T).

    On GPUs, where a convolution costs little, and on other backends than TensorFlow and under XLA, where shapes must be
    known, every id counts as distinct: U is B T.
    """

    def plain(self):
        """Returns the ids twice: the convolution then reads the vector of every id at its place."""
        return lambda ids: (ids, ids)

    def call(self, ids, training=False):
        flat = ops.reshape(ids, (-1,))
        if not kernels_run(training=bool(training)):
            return flat, ops.reshape(ops.arange(ops.size(ids), dtype="int32"), ops.shape(ids))
        import tensorflow as tf

        words, places = tf.unique(flat)
        return words, tf.reshape(places, tf.shape(ids))

    def compute_output_spec(self, ids, training=False):
        return keras.KerasTensor((None,), "int32"), keras.KerasTensor(ids.shape, "int32")


@keras.saving.register_keras_serializable(package="kerasapps")
class WordConv1D(layers.Conv1D):
    """Keras' Conv1D over distinct words: vectors (U, D), places (B, T) -> (B, T', F).

    Arguments, weights and results, up to rounding, are those of a convolution over `vectors[places]` (B, T, D). It
    falls back to that where distinct words bring no gain, and for causal padding, strides, dilation, groups and
    channels first.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.input_spec = None  # there are two inputs, neither of rank 3

    def build(self, vectors_shape, places_shape):
        super().build((*places_shape, vectors_shape[-1]))
        self.input_spec = None

    def plain(self):
        """Returns a convolution of vectors (B, T, D), as the plain form of `DistinctWords` leads to them."""
        shape = (None, None, self.kernel.shape[1])
        conv = keras_layer(self, layers.Conv1D, shape=shape, name=f"{self.name}_conv")
        return lambda vectors, places: conv(vectors)

    def call(self, vectors, places, training=False):
        usual = self.strides == self.dilation_rate == (1,) and self.groups == 1
        usual = usual and self.padding in ("valid", "same") and self.data_format == "channels_last"
        if not (usual and kernels_run(training=bool(training))):
            return super().call(ops.take(vectors, places, axis=0))
        kernel = ops.cast(self.kernel, self.compute_dtype)  # (K, D, F)
        if self.padding == "same":
            # A vector of zeros stands for what is beyond the ends of a text.
            width = kernel.shape[0]
            beyond = (width - 1) // 2, width // 2
            places = ops.pad(places, ((0, 0), beyond), constant_values=ops.shape(vectors)[0])
            vectors = ops.pad(vectors, ((0, 1), (0, 0)))
        bias = ops.cast(self.bias, kernel.dtype) if self.use_bias else ops.zeros(kernel.shape[-1], kernel.dtype)
        return self.activation(convolve(vectors, kernel, bias, places))

    def compute_output_shape(self, vectors_shape, places_shape=None):
        # Keras' own `build` asks with the one shape (B, T, D).
        shape = vectors_shape if places_shape is None else (*places_shape, vectors_shape[-1])
        return super().compute_output_shape(shape)


def convolve(vectors, kernel, bias, places):
    """Convolves vectors (U, D) at places int32 (B, T) with a kernel (K, D, F) and a bias (F,) -> (B, T - K + 1, F)."""
    import tensorflow as tf

    width, depth, filters = kernel.shape
    steps = tf.shape(places)[1] - width + 1
    wanted = [places[:, k : k + steps] for k in range(width)]  # (B, T') for each position in the window

    @tf.custom_gradient
    def sum_of_products(vectors, kernel, bias):
        factors = tf.reshape(tf.transpose(kernel, (1, 0, 2)), (depth, width * filters))
        products = tf.reshape(vectors @ factors, (-1, filters))  # (U K, F)

        def back(gradient):
            # In float32 at least: a frequent word comes thousands of times.
            wide = keras.backend.result_type(vectors.dtype.name, "float32")
            rows = tf.cast(tf.reshape(gradient, [-1, filters]), wide)  # (B T', F)
            sums = [add_up(rows, tf.reshape(k, [-1]), tf.shape(vectors)[0]) for k in wanted]  # (U, F) each
            joined = tf.concat([tf.cast(one, vectors.dtype) for one in sums], 1)  # (U, K F)
            of_vectors = tf.matmul(joined, factors, transpose_b=True)
            of_kernel = tf.reshape(tf.matmul(vectors, joined, transpose_a=True), (depth, width, filters))
            of_bias = tf.cast(tf.reduce_sum(sums[0], 0), bias.dtype)
            return of_vectors, tf.transpose(of_kernel, (1, 0, 2)), of_bias

        return tf.add_n([tf.gather(products, k * width + i) for i, k in enumerate(wanted)]) + bias, back

    return sum_of_products(vectors, kernel, bias)


def add_up(rows, places, count):
    """Sums the rows (N, F) that have the same place, int32 (N,): -> (count, F)."""
    import tensorflow as tf

    # A product with a matrix of zeros and ones takes three quarters of the time of `tf.math.unsorted_segment_sum`.
    size = tf.size(places, tf.int64)
    indices = tf.stack([tf.cast(places, tf.int64), tf.range(size)], 1)
    shape = tf.stack([tf.cast(count, tf.int64), size])
    return tf.sparse.sparse_dense_matmul(tf.SparseTensor(indices, tf.ones_like(rows[:, 0]), shape), rows)
