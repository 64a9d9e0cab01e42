"""The first convolution over a text, computed once for each distinct word of a batch.

A convolution is a sum of products, one for each place in its window, and what a word contributes at a place does not
depend on its neighbours. In a batch of texts most words come often (64,000 of them are 15,000 distinct ones, by Zipf's
law), so that multiplying the distinct ones and adding up what the windows ask for is most of the work saved. The
gradients of a word's places are added up before they are multiplied, and reach the embedding as one row a word.
"""

import keras
from keras import layers, ops

from kerasapps.blocks.backend import tensorflow_on_cpu


@keras.saving.register_keras_serializable(package="kerasapps")
class DistinctWords(layers.Layer):
    """Lists the ids of a batch, each once: ids int32 (B, T) -> ids (U,), and which of them each one is (B, T).

    On GPUs and on other backends than TensorFlow, where a convolution costs little or shapes must be known, every id is
    one of its own: U is B T.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # How many words there are is known only when they are counted.
        self.supports_jit = not tensorflow_on_cpu()

    def call(self, ids):
        """Lists them in the order of their first appearance."""
        flat = ops.reshape(ids, (-1,))
        if not tensorflow_on_cpu():
            return flat, ops.reshape(ops.arange(ops.size(ids), dtype="int32"), ops.shape(ids))
        import tensorflow as tf

        words, places = tf.unique(flat)
        return words, tf.reshape(places, tf.shape(ids))

    def compute_output_spec(self, ids):
        """Both are int32."""
        return keras.KerasTensor((None,), "int32"), keras.KerasTensor(ids.shape, "int32")


@keras.saving.register_keras_serializable(package="kerasapps")
class WordConv1D(layers.Conv1D):
    """Keras' Conv1D over words that are listed once: vectors (U, D), places (B, T) -> (B, T', F).

    The same arguments, weights and results, up to rounding, as of a convolution over `vectors[places]` (B, T, D). That
    is what it falls back to where listing words does not pay, and for causal padding, strides, dilation, groups and
    channels first.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.input_spec = None  # there are two inputs, none of rank 3

    def build(self, vectors_shape, places_shape):
        """Makes the weights of a convolution over (B, T, D)."""
        super().build((*places_shape, vectors_shape[-1]))
        self.input_spec = None

    def call(self, vectors, places):
        """Convolves."""
        usual = self.strides == self.dilation_rate == (1,) and self.groups == 1
        usual = usual and self.padding in ("valid", "same") and self.data_format == "channels_last"
        if not (usual and tensorflow_on_cpu()):
            return super().call(ops.take(vectors, places, axis=0))
        kernel = ops.cast(self.kernel, self.compute_dtype)  # (K, D, F)
        if self.padding == "same":
            # What is beyond the ends of a text is a word of its own, and zero.
            width = kernel.shape[0]
            beyond = (width - 1) // 2, width // 2
            places = ops.pad(places, ((0, 0), beyond), constant_values=ops.shape(vectors)[0])
            vectors = ops.pad(vectors, ((0, 1), (0, 0)))
        bias = ops.cast(self.bias, kernel.dtype) if self.use_bias else ops.zeros(kernel.shape[-1], kernel.dtype)
        return self.activation(convolve(vectors, kernel, bias, places))

    def compute_output_shape(self, vectors_shape, places_shape=None):
        """Is that of a convolution over (B, T, D), the one shape that Keras' own `build` asks for."""
        shape = vectors_shape if places_shape is None else (*places_shape, vectors_shape[-1])
        return super().compute_output_shape(shape)


def convolve(vectors, kernel, bias, places):
    """Convolves vectors (U, D) at places int32 (B, T) with a kernel (K, D, F) and a bias (F,) -> (B, T - K + 1, F)."""
    import tensorflow as tf

    width, depth, filters = kernel.shape
    steps = tf.shape(places)[1] - width + 1
    asked = [places[:, k : k + steps] for k in range(width)]  # (B, T') of each place in the window

    @tf.custom_gradient
    def sum_of_products(vectors, kernel, bias):
        factors = tf.reshape(tf.transpose(kernel, (1, 0, 2)), (depth, width * filters))
        products = tf.reshape(vectors @ factors, (-1, filters))  # (U K, F)

        def back(gradient):
            # In float32 at least: a frequent word comes thousands of times.
            wide = keras.backend.result_type(vectors.dtype.name, "float32")
            rows = tf.cast(tf.reshape(gradient, [-1, filters]), wide)  # (B T', F)
            sums = [add_up(rows, tf.reshape(k, [-1]), tf.shape(vectors)[0]) for k in asked]  # (U, F) each
            joined = tf.concat([tf.cast(one, vectors.dtype) for one in sums], 1)  # (U, K F)
            of_vectors = tf.matmul(joined, factors, transpose_b=True)
            of_kernel = tf.reshape(tf.matmul(vectors, joined, transpose_a=True), (depth, width, filters))
            of_bias = tf.cast(tf.reduce_sum(sums[0], 0), bias.dtype)
            return of_vectors, tf.transpose(of_kernel, (1, 0, 2)), of_bias

        return tf.add_n([tf.gather(products, k * width + i) for i, k in enumerate(asked)]) + bias, back

    return sum_of_products(vectors, kernel, bias)


def add_up(rows, places, count):
    """Returns for each of `count` places the sum of the rows (N, F) that belong to it, places int32 (N,)."""
    import tensorflow as tf

    # A product with a matrix of zeros and ones takes three quarters of the time of `tf.math.unsorted_segment_sum`.
    size = tf.size(places, tf.int64)
    indices = tf.stack([tf.cast(places, tf.int64), tf.range(size)], 1)
    shape = tf.stack([tf.cast(count, tf.int64), size])
    return tf.sparse.sparse_dense_matmul(tf.SparseTensor(indices, tf.ones_like(rows[:, 0]), shape), rows)
