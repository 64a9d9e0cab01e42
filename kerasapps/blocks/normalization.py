"""Batch normalization that trains fast on TensorFlow, and spectral normalization as in its paper.

Keras writes batch normalization as a dozen operations in float32. In a residual network in bfloat16 on a CPU they take
a quarter of a training step; one fused operation that reads bfloat16 and sums in float32 takes a twentieth.

Reference: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
Shift", ICML 2015.
"""

import keras
from keras import ops

from kerasapps.blocks.arguments import refusal
from kerasapps.blocks.plain import keras_layer

EPSILON = 1e-12  # far below the singular values of a trained kernel


@keras.saving.register_keras_serializable(package="kerasapps")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalization with the same arguments, weights and results, faster on TensorFlow for images.

    Under a `tf.distribute` strategy it normalizes over the whole batch, not over each replica's share. Falls back to
    Keras on other backends and for options that the fused operation does not have.
    """

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, keras.layers.BatchNormalization)

    def call(self, inputs, training=None, mask=None):
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        usual = self.scale and self.center and not self.renorm and self.axis in (-1, 3)
        usual = usual and inputs.dtype in (tf.float32, tf.bfloat16, tf.float16)
        self.synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1
        if len(inputs.shape) != 4 or mask is not None or not usual:
            return super().call(inputs, training=training, mask=mask)
        training = bool(training and self.trainable)
        if training and self.synchronized:
            mean, variance = shared_moments(inputs)
            self._move(mean, variance)
            slope = self.gamma * tf.math.rsqrt(variance + self.epsilon)
            # The mean is subtracted before the cast: in bfloat16 a large mean would leave no digits for the rest.
            outputs = (tf.cast(inputs, tf.float32) - mean) * slope + self.beta
            return tf.cast(outputs, inputs.dtype)
        none = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, tf.float32),
            offset=tf.cast(self.beta, tf.float32),
            mean=none if training else tf.cast(self.moving_mean, tf.float32),
            variance=none if training else tf.cast(self.moving_variance, tf.float32),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The operation returns the unbiased variance, n / (n - 1) times the batch's; Keras keeps the batch's.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            self._move(mean, variance * (count - 1) / count)
        return outputs

    def _move(self, mean, variance) -> None:
        """Moves the statistics for inference toward those of a batch."""
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept = ops.cast(moving, "float32") * self.momentum + now * (1.0 - self.momentum)
            moving.assign(ops.cast(kept, moving.dtype))

    def get_config(self):
        # The strategy at hand sets it, and other backends refuse it.
        return super().get_config() | {"synchronized": False}


def shared_moments(x):
    """Returns mean and variance of each channel over the shares of all replicas: (b, H, W, C) -> float32 (C,) twice.

    Keras subtracts the square of the mean from the mean of the squares, which leaves no digits for a channel that
    hardly varies, and it communicates five times a step. Here the replicas exchange their moments once forwards and
    once backwards.

    Reference: Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983.
    """
    import tensorflow as tf

    mean, variance = tf.nn.moments(tf.cast(x, tf.float32), axes=[0, 1, 2])
    count = tf.fill(tf.shape(mean), tf.cast(tf.size(x) // x.shape[-1], tf.float32))
    own = tf.stack([count, mean, variance])[None]  # (1, 3, C)
    context = tf.distribute.get_replica_context()

    @tf.custom_gradient
    def gather(own):
        # TensorFlow's own gradient would communicate once more, to learn that each replica gave one row.
        def share(slopes):
            first = context.replica_id_in_sync_group
            return context.all_reduce(tf.distribute.ReduceOp.SUM, slopes)[first : first + 1]

        return context.all_gather(own, axis=0), share

    counts, means, variances = tf.unstack(gather(own), num=3, axis=1)  # each (replicas, C)
    shares = counts / tf.reduce_sum(counts, 0)  # (replicas, C)
    mean = tf.reduce_sum(shares * means, 0)
    return mean, tf.reduce_sum(shares * (variances + tf.square(means - mean)), 0)


@keras.saving.register_keras_serializable(package="kerasapps")
class SpectralNormalization(keras.layers.Wrapper):
    """Divides the output of a linear layer by the largest singular value of its kernel, then adds a bias.

    Keras' layer of this name is another algorithm: each training call overwrites the kernel with the normalized one, so
    that no gradient flows through the norm, a training call changes the weights even if no optimizer is to, and
    inference after an update uses a kernel that is not normalized. Here only the optimizer changes the kernel.

    Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.

    Args:
        layer: A layer with a `kernel` or `embeddings` whose last axis is that of its outputs, without bias and
            activation.
        use_bias: Whether to add a bias.
    """

    def __init__(self, layer: keras.layers.Layer, *, use_bias: bool = True, **kwargs):
        if getattr(layer, "use_bias", False):
            raise refusal("have no bias, which would be normalized", layer=layer.name)
        super().__init__(layer, **kwargs)
        self.use_bias = use_bias

    def build(self, input_shape):
        super().build(input_shape)
        shape = self._kernel().shape[-1:]
        self.vector = self.add_weight(shape=shape, initializer="random_normal", trainable=False, name="vector")
        if self.use_bias:
            self.bias = self.add_weight(shape=shape, initializer="zeros", name="bias")

    def plain(self):
        """Returns Keras' layer of this name around a layer whose kernel has been divided by its norm.

        In inference that does nothing more; in training it divides the kernel by its norm again and again.
        """
        if self.layer.quantization_mode:
            raise ValueError(f"`portable` must come before `quantize`. Received: {self.name}, which is quantized")
        inner = self.layer.plain() if hasattr(self.layer, "plain") else keras_layer(self.layer)
        embeds = isinstance(inner, keras.layers.Embedding)
        if not embeds:
            inner = type(inner).from_config(inner.get_config() | {"use_bias": self.use_bias})
        name = f"{self.name}_normalized" if embeds else self.name
        made = keras.layers.SpectralNormalization(inner, name=name, dtype=self.dtype_policy)
        made.build_from_config(self.get_build_config())
        largest, vector = self._norm(step=False)
        inner.set_weights([self._kernel() / largest, *([self.bias] if self.use_bias else [])])
        made.vector_u.assign(vector[None])
        made.trainable = self.trainable
        # Keras casts the outputs to the dtype of the inputs, which must not be that of ids.
        return (lambda ids: made(ops.cast(ids, "float32"))) if embeds else made

    def call(self, inputs, training=None):
        # Frozen layers do not change, in training neither.
        largest, vector = self._norm(step=bool(training and self.trainable))
        if training and self.trainable:
            self.vector.assign(vector)
        outputs = self.layer(inputs)
        outputs = outputs / ops.cast(largest, outputs.dtype)
        return outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs

    def _norm(self, *, step: bool):
        """Returns the largest singular value () and its vector (F,), if asked after a step of the power iteration."""
        kernel = self._kernel()
        kernel = ops.reshape(kernel, (-1, kernel.shape[-1]))  # (K, F)
        u = ops.cast(self.vector, "float32")
        v = _unit(ops.matmul(ops.stop_gradient(kernel), u))  # (K,)
        if step:
            u = _unit(ops.matmul(v, ops.stop_gradient(kernel)))  # (F,)
        largest = ops.sum(v * ops.matmul(kernel, _unit(u)))
        return ops.maximum(largest, EPSILON), u

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return super().get_config() | {"use_bias": self.use_bias}

    def _kernel(self):
        """Returns the kernel that the layer multiplies by, float32: quantized ones are integers and a scale."""
        name = "kernel" if hasattr(self.layer, "kernel") else "embeddings"
        kernel = ops.cast(getattr(self.layer, name), "float32")
        scale = getattr(self.layer, f"{name}_scale", None)  # of each filter, or of each embedded vector
        if scale is None:
            return kernel
        return kernel / (scale if name == "kernel" else scale[:, None])


def _unit(vector):
    return vector / ops.maximum(ops.norm(vector), EPSILON)
