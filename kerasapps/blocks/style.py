"""What style transfer measures: colors as VGG expects them, Gram matrices, content, style and smoothness."""

import math

import keras
from keras import layers, ops

from kerasapps.blocks.plain import keras_layer

# Mean blue, green and red of ImageNet, which the networks of Simonyan and Zisserman 2015 expect to be subtracted.
MEAN_BGR = (103.939, 116.779, 123.68)
# bfloat16 has eight binary digits, so Gram matrices are computed in parts that are summed in float32: then only the
# parts are rounded. All parts together have this many rows; the smaller the matrix, the more of them cost little time.
PART_ROWS = 1024
EPSILON = 1e-12


def preprocess(image):
    """Converts RGB from 0 to 255 to what VGG expects: (..., 3) -> float32 (..., 3)."""
    dtype = keras.config.floatx()
    return ops.flip(ops.cast(image, dtype), -1) - ops.convert_to_tensor(MEAN_BGR, dtype)


def deprocess(image):
    """Undoes `preprocess`, exactly for the 256 values of a byte: (..., 3) -> float32 (..., 3)."""
    dtype = keras.config.floatx()
    return ops.flip(ops.cast(image, dtype) + ops.convert_to_tensor(MEAN_BGR, dtype), -1)


def gram_sum(features):
    """Sums the products of each two channels over all pixels: (B, H, W, C) -> float32 (B, C, C).

    The sums over parts of an image add up to that over the image. They are float32 for features of any dtype; products
    of bfloat16 features are computed in bfloat16, several times faster on accelerators.
    """
    shape = ops.shape(features)
    x = ops.reshape(features, (shape[0], shape[1] * shape[2], shape[3]))  # (B, H * W, C)
    return _sum_of_products(x)


@ops.custom_gradient
def _sum_of_products(x):
    """Sums the products of each two channels: (B, P, C) -> float32 (B, C, C)."""

    def back(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream  # (B, C, C)
        # Both factors are the same features, so one multiplication does, where the chain rule takes two.
        both = upstream + ops.transpose(upstream, (0, 2, 1))
        if short:
            return ops.matmul(x, ops.cast(both, x.dtype))
        # float16 has enough digits but too small a range.
        return ops.cast(ops.matmul(_full(x), both), x.dtype)

    short = keras.backend.standardize_dtype(x.dtype) == "bfloat16"
    if not short:
        return _products(_full(x)), back
    batch, pixels, channels = ops.shape(x)
    count = max(1, PART_ROWS // channels)
    rows = pixels // count
    parts = ops.reshape(x[:, : rows * count], (batch, count, rows, channels))
    rest = ops.cast(_products(x[:, rows * count :]), "float32")  # fewer pixels than parts
    return ops.sum(ops.cast(_products(parts), "float32"), 1) + rest, back


def gram_matrix(features):
    """Returns the mean product of each two channels: (B, H, W, C) -> float32 (B, C, C).

    Reference: Gatys et al., "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.
    """
    # Deviation: the paper uses the sum, which depends on the size of the image.
    sums = gram_sum(features)
    _, height, width = ops.shape(features)[:3]
    return sums / ops.cast(height * width, sums.dtype)


def squared_error(features, target):
    """Returns the sum of squared differences, float32 ()."""
    return ops.sum(ops.square(_full(features) - _full(target)))


def total_variation(image):
    """Returns the mean squared difference of adjacent pixels; black to white is 1: (B, H, W, 3) -> float32 ()."""
    image = _full(image) / 255.0
    return _mean_squared_step(image, 2) + _mean_squared_step(image, 1)


def _mean_squared_step(x, axis: int):
    """Returns the mean squared difference of neighbors along an axis, 0 without neighbors: (B, H, W, C) -> ()."""
    before, after = [[slice(None)] * axis + [side] for side in (slice(None, -1), slice(1, None))]
    first, last = [[list(margin) if i == axis else [0, 0] for i in range(4)] for margin in ((1, 0), (0, 1))]

    @ops.custom_gradient
    def mean_square(x):
        steps = x[tuple(after)] - x[tuple(before)]
        count = ops.cast(ops.maximum(ops.size(steps), 1), x.dtype)

        def back(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            # TensorFlow's gradient of a slice takes ten times as long.
            return 2 * upstream / count * (ops.pad(steps, first) - ops.pad(steps, last))

        return ops.sum(ops.square(steps)) / count, back

    return mean_square(x)


@keras.saving.register_keras_serializable(package="kerasapps")
class L2Pooling2D(layers.AveragePooling2D):
    """Root mean square of each window, between average and maximum: (B, H, W, C) -> (B, H', W', C)."""

    def plain(self):
        """Returns the same with Keras' average."""
        average = keras_layer(self, layers.AveragePooling2D, dtype="float32", name=f"{self.name}_average")
        return lambda inputs: _root_mean_square(inputs, average)

    def call(self, inputs):
        return _root_mean_square(inputs, super().call)


def _root_mean_square(inputs, average):
    # In float32: float16 cannot hold the square of a large activation, nor the epsilon that keeps the slope finite.
    return ops.cast(ops.sqrt(average(ops.square(_full(inputs))) + EPSILON), inputs.dtype)


@keras.saving.register_keras_serializable(package="kerasapps")
class MirrorConv2D(layers.Conv2D):
    """A convolution that pads with the reflected image instead of zeros: (B, H, W, C) -> (B, H, W, F)."""

    def plain(self):
        """Returns Keras' convolution of the padded image."""
        conv = keras_layer(self, layers.Conv2D, padding="valid", name=f"{self.name}_conv")
        return lambda inputs: conv(self._padded(inputs))

    def call(self, inputs):
        x = ops.conv(self._padded(inputs), self.kernel, strides=list(self.strides), padding="valid")
        x = x + self.bias if self.use_bias else x
        return self.activation(x)

    def _padded(self, inputs):
        margins = [[(size - 1) // 2, size // 2] for size in self.kernel_size]
        return ops.pad(inputs, [[0, 0], *margins, [0, 0]], mode="symmetric")


PADDINGS = {"zeros": layers.Conv2D, "mirror": MirrorConv2D}
POOLINGS = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D, "l2": L2Pooling2D}


def standardize_pixels(x):
    """Returns channels with mean 0 and deviation 1 over batch and pixels, and both: (B, H, W, C) -> 3 of it."""
    mean, variance = ops.moments(x, axes=(0, 1, 2), keepdims=True)
    deviation = ops.sqrt(variance) + math.sqrt(EPSILON)
    return (x - mean) / deviation, mean, deviation


def _full(x):
    """Casts half precision to float32."""
    return ops.cast(x, "float32") if keras.backend.standardize_dtype(x.dtype) in ("bfloat16", "float16") else x


def _products(x):
    """Sums the products of each two channels over the second to last axis: (..., P, C) -> (..., C, C)."""
    axes = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
    return ops.matmul(ops.transpose(x, axes), x)
