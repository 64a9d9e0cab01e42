"""The first convolution over a text, computed once for each distinct word of a batch.

A convolution is a sum of products, one for each position in its window, and the product of a word at a position does
not depend on the words around it. By Zipf's law most words of a batch repeat (64,000 words are 15,000 distinct ones),
so multiplying only the distinct ones and summing the products for each window saves most of the work. The gradients
of a word are summed before they are multiplied, and reach the embedding as one row a word. Where only the maximum over
time is wanted, most of the gradient is zero: `StrongestWindow` computes the rest alone.
"""

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import refusal
from kerasapps.blocks.backend import kernels_run
from kerasapps.blocks.plain import keras_layer
from kerasapps.blocks.text import zero_padded

# oneDNN prepares a product anew for each shape, which takes about as long as the product of some thousand words.
LIST_MULTIPLE = 128


@keras.saving.register_keras_serializable(package="kerasapps")
class DistinctWords(layers.Layer):
    """Lists the distinct ids of a batch: ids int32 (B, T) -> ids (U,), and the index of each id in them (B, T).

    The distinct ids are followed by zeros, to which no index points, up to a multiple of 128: most batches then share a
    shape.

    On GPUs, where a convolution costs little, and on other backends than TensorFlow and under XLA, where shapes must be
    known, every id counts as distinct: U is B T.
    """

    def plain(self):
        """Returns the ids twice: the convolution then reads the vector of every id at its place."""
        return lambda ids: (ids, ids)

    def call(self, ids, training=False):
        if not kernels_run(training=bool(training)):
            return every_word(ids)
        import tensorflow as tf

        words, places = tf.unique(ops.reshape(ids, (-1,)))
        return tf.pad(words, [[0, -tf.size(words) % LIST_MULTIPLE]]), tf.reshape(places, tf.shape(ids))

    def compute_output_spec(self, ids, training=False):
        return keras.KerasTensor((None,), "int32"), keras.KerasTensor(ids.shape, "int32")


def every_word(ids):
    """Lists the ids of a batch as they are: ids (B, T) -> (B T,), and the index of each in them, int32 (B, T)."""
    return ops.reshape(ids, (-1,)), ops.reshape(ops.arange(ops.size(ids), dtype="int32"), ops.shape(ids))


@keras.saving.register_keras_serializable(package="kerasapps")
class EveryWord(DistinctWords):
    """Lists every id of a batch, for words that differ by what stands around them: B T instead of U."""

    def call(self, ids, training=False):
        return every_word(ids)


@keras.saving.register_keras_serializable(package="kerasapps")
class WordRows(layers.Layer):
    """Lists what every word of a batch has, in the order of `EveryWord`: features (B, T, C) -> (B T, C)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # that of a recurrent layer, which the convolution knows by the ids

    def compute_mask(self, features, mask=None):
        return None

    def plain(self):
        """Returns the features as they are: the convolution then reads them at each place."""
        return lambda features: features

    def call(self, features):
        return ops.reshape(features, (-1, features.shape[-1]))

    def compute_output_shape(self, features_shape):
        return (None, features_shape[-1])


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
        if not (self._multiplies_words() and kernels_run(training=bool(training))):
            return super().call(ops.take(vectors, places, axis=0))
        return self.activation(convolve(*self._operands(vectors, places)))

    def _multiplies_words(self) -> bool:
        """Whether the products of single words can be summed for these arguments."""
        usual = self.strides == self.dilation_rate == (1,) and self.groups == 1
        return usual and self.padding in ("valid", "same") and self.data_format == "channels_last"

    def _operands(self, vectors, places):
        """Returns vectors (U, D), kernel (K, D, F), bias (F,) and places (B, T' + K - 1) of a convolution."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        if self.padding == "same":
            # A vector of zeros stands for what is beyond the ends of a text.
            width = kernel.shape[0]
            beyond = (width - 1) // 2, width // 2
            places = ops.pad(places, ((0, 0), beyond), constant_values=ops.shape(vectors)[0])
            vectors = ops.pad(vectors, ((0, 1), (0, 0)))
        bias = ops.cast(self.bias, kernel.dtype) if self.use_bias else ops.zeros(kernel.shape[-1], kernel.dtype)
        return vectors, kernel, bias, places

    def compute_output_shape(self, vectors_shape, places_shape=None):
        # Keras' own `build` asks with the one shape (B, T, D).
        shape = vectors_shape if places_shape is None else (*places_shape, vectors_shape[-1])
        return super().compute_output_shape(shape)


@keras.saving.register_keras_serializable(package="kerasapps")
class StrongestWindow(WordConv1D):
    """A convolution over distinct words, ReLU, and the maximum over time of the windows around a word.

    In: vectors (U, D), places (B, T), ids (B, T), 0 for padding. Out: (B, F), 0 for a text without words. Windows
    extend past the ends of a text. Of several windows with the maximum each gets an equal share of the gradient, as in
    `keras.ops.max`.

    Args:
        filters: Number of filters F.
        kernel_size: Words in a window.
        kwargs: Those of `keras.layers.Conv1D` but padding, activation, strides, dilation, groups and data format.

    Raises:
        ValueError: If one of these is given and another than "same", "relu", 1 and "channels_last".

    Example:
        >>> words, places = DistinctWords()(ids)
        >>> matches = StrongestWindow(100, 3)(layers.Embedding(1000, 50)(words), places, ids)
    """

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(filters, kernel_size, **({"padding": "same", "activation": "relu"} | kwargs))
        if not (self._multiplies_words() and self.padding == "same" and self.activation is keras.activations.relu):
            fixed = "padding", "activation", "strides", "dilation_rate", "groups", "data_format"
            given = {name: value for name, value in kwargs.items() if name in fixed}
            raise refusal("be left as given by this layer", **given)

    def plain(self):
        """Returns a convolution, its activation, and the maximum, of vectors (B, T, D)."""
        conv = super().plain()
        return lambda vectors, places, ids: _maximum(conv(vectors, places), ids)

    def call(self, vectors, places, ids, training=False):
        if not kernels_run(training=bool(training)):
            return _maximum(super().call(vectors, places, training=training), ids)
        return strongest(*self._operands(vectors, places), ids)

    def compute_output_shape(self, vectors_shape, places_shape=None, ids_shape=None):
        shape = super().compute_output_shape(vectors_shape, places_shape)
        return shape if ids_shape is None else (shape[0], shape[-1])


def _maximum(windows, ids):
    """Takes the maximum over time: outputs of a ReLU (B, T, F), ids (B, T) -> (B, F)."""
    # Zero is the minimum of a ReLU, so padding cannot be the maximum.
    return ops.max(zero_padded(windows, ids), axis=1)


def convolve(vectors, kernel, bias, places):
    """Convolves vectors (U, D) at places int32 (B, T) with a kernel (K, D, F) and a bias (F,) -> (B, T - K + 1, F)."""
    import tensorflow as tf

    wanted = _places_in_windows(places, kernel.shape[0])

    @tf.custom_gradient
    def sum_of_products(vectors, kernel, bias):
        windows, factors = _sums_of_products(vectors, kernel, wanted)

        def back(gradient):
            # In float32 at least: a frequent word comes thousands of times.
            wide = keras.backend.result_type(vectors.dtype.name, "float32")
            rows = tf.cast(tf.reshape(gradient, [-1, gradient.shape[-1]]), wide)  # (B T', F)
            sums = [add_up(rows, tf.reshape(k, [-1]), tf.shape(vectors)[0]) for k in wanted]  # (U, F) each
            of_bias = tf.cast(tf.reduce_sum(sums[0], 0), bias.dtype)
            return *_back_through_products(tf.concat(sums, 1), vectors, kernel, factors), of_bias

        return windows + bias, back

    return sum_of_products(vectors, kernel, bias)


def strongest(vectors, kernel, bias, places, ids):
    """Takes the maximum over time of ReLUs of windows around words.

    Args:
        vectors: Of distinct words, (U, D).
        kernel: Filters, (K, D, F).
        bias: Of the filters, (F,).
        places: Which vectors the windows hold, int32 (B, T + K - 1).
        ids: Of the words in the middle of the windows, 0 for padding, (B, T).

    Returns:
        Maxima (B, F), 0 for a text without words.
    """
    import tensorflow as tf

    width, _, filters = kernel.shape
    wanted = _places_in_windows(places, width)
    dtype = vectors.dtype
    padding = tf.where(ids != 0, tf.zeros((), dtype), tf.constant(-float("inf"), dtype))[..., None]  # (B, T, 1)

    @tf.custom_gradient
    def maximum(vectors, kernel, bias):
        windows, factors = _sums_of_products(vectors, kernel, wanted)
        windows = windows + padding
        highest = tf.reduce_max(windows, 1)  # (B, F)
        output = tf.nn.relu(highest + bias)

        def back(gradient):
            wide = keras.backend.result_type(dtype.name, "float32")
            gradient = tf.cast(tf.where(output > 0, gradient, tf.zeros((), dtype)), wide)
            # Not a number equals nothing: a filter without a match has no gradient.
            found = tf.where(windows == tf.where(output > 0, highest, float("nan"))[:, None])  # (N, 3), int64
            text, step, column = tf.unstack(found, axis=1)
            match = tf.cast(text * filters + column, tf.int32)
            equal = tf.math.bincount(match, minlength=tf.size(gradient), dtype=tf.int32)
            share = tf.gather(tf.reshape(gradient, [-1]) / tf.cast(tf.maximum(equal, 1), wide), match)
            first = text * tf.shape(places, tf.int64)[1] + step
            words = [tf.gather(tf.reshape(places, [-1]), first + k) for k in range(width)]
            columns = [tf.cast(column + k * filters, tf.int32) for k in range(width)]
            indices = tf.stack([tf.concat(words, 0), tf.concat(columns, 0)], 1)
            sums = tf.scatter_nd(indices, tf.tile(share, [width]), tf.stack([tf.shape(vectors)[0], width * filters]))
            return *_back_through_products(sums, vectors, kernel, factors), tf.cast(tf.reduce_sum(gradient, 0), dtype)

        return output, back

    return maximum(vectors, kernel, bias)


def _places_in_windows(places, width: int) -> list:
    """Returns the places of the words at each position of the windows: (B, T + K - 1) -> K times (B, T)."""
    steps = ops.shape(places)[1] - width + 1
    return [places[:, k : k + steps] for k in range(width)]


def _sums_of_products(vectors, kernel, wanted):
    """Returns the sum of each window's products (B, T, F), and the kernel as factors (D, K F)."""
    import tensorflow as tf

    width, depth, filters = kernel.shape
    factors = tf.reshape(tf.transpose(kernel, (1, 0, 2)), (depth, width * filters))
    products = tf.reshape(vectors @ factors, (-1, filters))  # (U K, F)
    return tf.add_n([tf.gather(products, k * width + i) for i, k in enumerate(wanted)]), factors


def _back_through_products(sums, vectors, kernel, factors):
    """Returns gradients of vectors and kernel from those of the products, summed for each word: (U, K F)."""
    import tensorflow as tf

    width, depth, filters = kernel.shape
    sums = tf.cast(sums, vectors.dtype)
    of_kernel = tf.reshape(tf.matmul(vectors, sums, transpose_a=True), (depth, width, filters))
    return tf.matmul(sums, factors, transpose_b=True), tf.transpose(of_kernel, (1, 0, 2))


def add_up(rows, places, count):
    """Sums the rows (N, F) that have the same place, int32 (N,): -> (count, F)."""
    import tensorflow as tf

    # A product with a matrix of zeros and ones takes three quarters of the time of `tf.math.unsorted_segment_sum`.
    size = tf.size(places, tf.int64)
    indices = tf.stack([tf.cast(places, tf.int64), tf.range(size)], 1)
    shape = tf.stack([tf.cast(count, tf.int64), size])
    return tf.sparse.sparse_dense_matmul(tf.SparseTensor(indices, tf.ones_like(rows[:, 0]), shape), rows)
