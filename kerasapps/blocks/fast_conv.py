"""Convolutions that train faster in bfloat16 on a CPU.

There oneDNN takes up to five times as long for the gradient of a wide layer's weights as for the layer itself. Here,
on TensorFlow, that gradient is one matrix product for each element of the window: of the pixels that the element reads
and the gradient of the output. That is faster for many channels and few pixels, measured with 16 rows and more.
"""

import itertools
import math

import keras

from kerasapps.blocks.backend import tensorflow_on_cpu
from kerasapps.blocks.plain import keras_layer

# With fewer weights for each element of the window, or more pixels, there is no gain: benchmarks/fast_conv.py.
FEWEST = 64 * 128  # channels by filters
LARGEST = 64  # pixels of the smaller of input and output


@keras.saving.register_keras_serializable(package="kerasapps")
class Conv2D(keras.layers.Conv2D):
    """Keras' convolution with the same arguments, weights and results; see the module."""

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, keras.layers.Conv2D)

    def convolution_op(self, inputs, kernel):
        if not pays(self, inputs):
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        form = (self.strides, self.padding.upper())

        @tf.custom_gradient
        def convolve(x, kernel):
            def gradients(g):
                x_gradient = tf.nn.conv2d_transpose(g, kernel, tf.shape(x), *form)
                return x_gradient, kernel_gradient(x, g, kernel.shape, *form)

            return tf.nn.conv2d(x, kernel, *form), gradients

        return convolve(inputs, tf.convert_to_tensor(kernel))


@keras.saving.register_keras_serializable(package="kerasapps")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Keras' transposed convolution with the same arguments, weights and results; see the module."""

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, keras.layers.Conv2DTranspose)

    def call(self, inputs):
        if not pays(self, inputs):
            return super().call(inputs)
        import tensorflow as tf

        form = (self.strides, self.padding.upper())
        shape = (tf.shape(inputs)[0], *self.compute_output_shape(inputs.shape)[1:])

        @tf.custom_gradient
        def convolve(x, kernel):
            def gradients(g):
                return tf.nn.conv2d(g, kernel, *form), kernel_gradient(g, x, kernel.shape, *form)

            return tf.nn.conv2d_transpose(x, kernel, shape, *form), gradients

        outputs = convolve(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs += self.bias
        return outputs if self.activation is None else self.activation(outputs)


def pays(layer: keras.layers.Layer, inputs) -> bool:
    """Whether the matrix products are faster for this layer and these inputs."""
    plain = layer.data_format == "channels_last" and set(layer.dilation_rate) == {1}
    plain = plain and getattr(layer, "groups", 1) == 1  # a transposed convolution has none
    if not (tensorflow_on_cpu() and plain and inputs.dtype == "bfloat16"):
        return False
    if None in inputs.shape[1:] or inputs.shape[-1] * layer.filters < FEWEST:
        return False
    return min(math.prod(shape[1:3]) for shape in (inputs.shape, layer.compute_output_shape(inputs.shape))) <= LARGEST


def kernel_gradient(x, g, shape: tuple[int, ...], strides: tuple[int, int], padding: str):
    """Returns the gradient of the weights of a convolution.

    Args:
        x: Its input (B, H, W, C).
        g: The gradient of its output (B, H', W', F).
        shape: Of the weights (K, K', C, F).
        strides: Its strides.
        padding: "SAME" or "VALID".
    """
    import tensorflow as tf

    pads, folds, views = [], [], []
    for side, steps, size, stride in zip(x.shape[1:3], g.shape[1:3], shape[:2], strides, strict=True):
        missing = max((steps - 1) * stride + size - side, 0) if padding == "SAME" else 0
        rest = -(side + missing) % stride
        pads.append((missing // 2, missing - missing // 2 + rest))
        folds += [(side + missing + rest) // stride, stride]
        # For each element of the window the slice of a folded side that it reads: of whole strides, and within one.
        views.append([(slice(at // stride, at // stride + steps), at % stride) for at in range(size)])
    folded = tf.reshape(tf.pad(x, [(0, 0), *pads, (0, 0)]), (-1, *folds, shape[2]))  # (B, H / S, S, W / S', S', C)
    rows = tf.reshape(g, (-1, shape[3]))  # (B * H' * W', F)
    read = [tf.reshape(folded[:, *row, *column], (-1, shape[2])) for row, column in itertools.product(*views)]
    return tf.reshape(tf.stack([tf.matmul(one, rows, transpose_a=True) for one in read]), shape)
