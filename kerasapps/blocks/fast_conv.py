"""Convolutions that train faster in bfloat16 on a CPU.

There oneDNN takes up to five times as long for the gradient of a wide layer's weights as for the layer itself. That
gradient is a convolution too: of the input by the gradient of the output, with the rows of the batch in the place of
channels. As such it is computed here, on TensorFlow, where it pays: measured with batches of 16 rows and more.
"""

import math

import keras

# What is narrower, or larger, is no faster: benchmarks/fast_conv.py.
NARROWEST, LARGEST = 64, 64  # channels, pixels of the smaller picture


@keras.saving.register_keras_serializable(package="kerasapps")
class Conv2D(keras.layers.Conv2D):
    """Keras' convolution: the same arguments, weights and results; see above."""

    def convolution_op(self, inputs, kernel):
        """Convolves: (B, H, W, C) -> (B, H', W', filters)."""
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
    """Keras' transposed convolution: the same arguments, weights and results; see above."""

    def call(self, inputs):
        """Convolves: (B, H, W, C) -> (B, H', W', filters)."""
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
    """Tells whether this way is the faster one."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    plain = layer.data_format == "channels_last" and set(layer.dilation_rate) == {1}
    plain = plain and getattr(layer, "groups", 1) == 1  # a transposed convolution has none
    if not plain or inputs.dtype != tf.bfloat16 or tf.config.list_physical_devices("GPU"):
        return False
    if None in inputs.shape[1:] or min(inputs.shape[-1], layer.filters) < NARROWEST:
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

    pads = []
    for side, steps, size, stride in zip(x.shape[1:3], g.shape[1:3], shape[:2], strides, strict=True):
        missing = max((steps - 1) * stride + size - side, 0) if padding == "SAME" else 0
        pads.append((missing // 2, missing - missing // 2))

    def convolve():
        pictures = tf.pad(tf.transpose(x, (3, 1, 2, 0)), [(0, 0), *pads, (0, 0)])  # (C, H, W, B)
        windows = tf.transpose(g, (1, 2, 0, 3))  # (H', W', B, F)
        # Strides of the layer are gaps between the elements of its gradient.
        gradient = tf.nn.conv2d(pictures, windows, 1, "VALID", dilations=strides)  # (C, K or more, K' or more, F)
        gradient = tf.transpose(gradient, (1, 2, 0, 3))[: shape[0], : shape[1]]
        return tf.ensure_shape(gradient, shape)

    # A replica may get nothing of the last batch, and there are no convolutions without channels.
    return tf.cond(tf.size(g) > 0, convolve, lambda: tf.zeros(shape, g.dtype))
