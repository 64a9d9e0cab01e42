"""Adam in one pass over each weight on TensorFlow, lazy and layer-wise Adam, Muon, and the one-cycle learning rate.

Keras writes Adam as a dozen operations, each of which reads and writes the whole table of a large embedding. TensorFlow
has the same update as one operation.

Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Literal

import keras
from keras import ops

from kerasapps.blocks.noise import replicas, sum_of_replicas


def one_cycle(peak: float, *, steps: int, warmup: float) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a learning rate that rises to its peak and falls along a cosine to a hundredth of it.

    Args:
        peak: The highest rate.
        steps: Number of steps of the whole training.
        warmup: Share of the steps during which it rises.
    """
    rising = max(1, int(warmup * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - rising), alpha=0.01, warmup_target=peak, warmup_steps=rising
    )


@keras.saving.register_keras_serializable(package="kerasapps")
class Adam(keras.optimizers.Adam):
    """Keras' Adam with the same arguments and variables, faster on TensorFlow.

    Results are equal except for embeddings: if a batch looks a row up twice, Keras on TensorFlow adds the squares of
    both gradients; here, as on its other backends, their sum is squared. So it is where gradients are clipped, which
    moreover happens after those of all replicas were added up, as with one device: Keras clips the share of each.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(Adam(1e-2, global_clipnorm=1.0), "mse")
        >>> model.fit(points, ages, epochs=1)  # points float32 (n, 2), ages float32 (n, 1)
    """

    def _clip_gradients(self, grads):
        if keras.backend.backend() != "tensorflow" or not any((self.clipnorm, self.global_clipnorm, self.clipvalue)):
            return super()._clip_gradients(grads)
        import tensorflow as tf

        whole = [sum_of_replicas(tf.convert_to_tensor(gradient)) for gradient in grads]
        # Keras will add up those of all replicas, which are equal now.
        return [gradient / replicas() for gradient in super()._clip_gradients(whole)]

    def update_step(self, gradient, variable, learning_rate):
        if keras.backend.backend() != "tensorflow":
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        gradient = tf.convert_to_tensor(gradient)  # dense, also where rows were looked up
        if self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        index, dtype = self._get_variable_index(variable), variable.dtype
        beta_1, beta_2 = tf.constant(self.beta_1, dtype), tf.constant(self.beta_2, dtype)
        step = tf.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=tf.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.constant(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


@keras.saving.register_keras_serializable(package="kerasapps")
class LazyAdam(Adam):
    """Adam that updates only the rows of an embedding that the batch looked up.

    Worth it if each batch holds only a few of the words. It is another algorithm: Adam continues to move a row by its
    momentum, and lets its moments fade, after the row was last looked up; here both wait until it is looked up again. A
    rare word therefore moves as often as it occurs, in steps that follow from its own last gradients. The two are equal
    if every batch looks up every row, for weights other than embeddings, and on other backends. Weight decay and
    averaged weights, if asked for, are Keras' own and apply to every row, and gradients that are clipped are those of
    every row.

    Reference: `LazyAdamOptimizer` of TensorFlow 1's contrib, and `torch.optim.SparseAdam`.
    """

    def update_step(self, gradient, variable, learning_rate):
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        if not isinstance(gradient, tf.IndexedSlices):
            return super().update_step(gradient, variable, learning_rate)
        index, dtype = self._get_variable_index(variable), variable.dtype
        rows, places = tf.unique(gradient.indices)  # (R,), (looked up,)
        g = tf.math.unsorted_segment_sum(tf.cast(gradient.values, dtype), places, tf.size(rows))  # (R, D)
        m, v = self._momentums[index].value, self._velocities[index].value
        step = tf.cast(self.iterations + 1, dtype)
        corrected = tf.sqrt(1 - tf.pow(tf.cast(self.beta_2, dtype), step)) / (
            1 - tf.pow(tf.cast(self.beta_1, dtype), step)
        )
        first = tf.gather(m, rows) * self.beta_1 + g * (1 - self.beta_1)
        second = tf.gather(v, rows) * self.beta_2 + tf.square(g) * (1 - self.beta_2)
        change = tf.cast(learning_rate, dtype) * corrected * first / (tf.sqrt(second) + self.epsilon)
        for table, values in ((m, first), (v, second), (variable, tf.gather(variable, rows) - change)):
            tf.raw_ops.ResourceScatterUpdate(resource=table.handle, indices=rows, updates=values)


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers of a model: its `optimizers` where it has several, otherwise its only one."""
    return getattr(model, "optimizers", [model.optimizer])


def scale_learning_rate(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Multiplies the learning rate, which may be constant or a schedule."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        optimizer._learning_rate = Scaled(rate, factor)
    else:
        rate.assign(rate * factor)


@keras.saving.register_keras_serializable(package="kerasapps")
class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a factor."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: float):
        self.schedule = schedule
        self.factor = factor

    def __call__(self, step):
        return self.factor * self.schedule(step)

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "factor": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["factor"])


@keras.saving.register_keras_serializable(package="kerasapps")
class LayerwiseAdam(Adam):
    """Adam whose learning rate differs from weight to weight, as for fine-tuning: small near the image.

    Reference: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018.

    Args:
        learning_rate: The rate, or a schedule.
        factors: By the path of a weight, such as "block1_conv1/kernel", what the rate is multiplied by; 1 for others.
        **options: As for Keras' Adam.
    """

    def __init__(self, learning_rate=1e-3, *, factors: Mapping[str, float], **options):
        super().__init__(learning_rate, **options)
        self.factors = dict(factors)

    def update_step(self, gradient, variable, learning_rate):
        # TensorFlow's own variable, which has no path.
        path = self._trainable_variables[self._get_variable_index(variable)].path
        super().update_step(gradient, variable, learning_rate * self.factors.get(path, 1.0))

    def get_config(self):
        return super().get_config() | {"factors": self.factors}


@keras.saving.register_keras_serializable(package="kerasapps")
class Muon(Adam):
    """Steps of one length in all directions of a matrix, and Adam for biases, scales and the vectors of words.

    The gradients of a matrix point in few directions most of the time, and Adam follows those. Here the momentum is
    replaced by the nearest matrix whose rows or columns are orthonormal, so that rare directions are learned as fast.
    Steps are as long as those of Adam are typically, so that the same learning rate suits both. Matrices are weights
    with two axes, and the kernels of two-dimensional convolutions, by which they multiply the pixels under a window.

    References: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is
    Scalable for LLM Training", 2025 (the length of the steps).

    Args:
        learning_rate: The rate, or a schedule.
        vectors: Names of further layers that have a vector for each word, class or place, which Adam learns although
            they are a matrix, such as the one that predicts; embeddings are known. A network within a network gives its
            layers no other names.
        momentum: Share of the momentum that is left after a step, in [0, 1).
        dtype: In which orthonormal matrices are computed, which need few digits; by default as the layers compute.
        **options: As for Keras' Adam.

    Example:
        >>> model = build_transformer_language_model(vocab_size=1000, units=16, heads=2, depth=1)
        >>> model.compile(Muon(1e-3), TokenCrossentropy())
        >>> model.fit(questions[:, :-1], questions[:, 1:], epochs=1)  # int32 (n, t)
    """

    def __init__(
        self,
        learning_rate=1e-3,
        *,
        vectors: Sequence[str] = (),
        momentum: float = 0.95,
        dtype: str | None = None,
        **options,
    ):
        super().__init__(learning_rate, **options)
        self.vectors = list(vectors)
        self.momentum = momentum
        self.dtype = dtype or keras.config.dtype_policy().compute_dtype

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        if not self._is_matrix(self._trainable_variables[index]):  # TensorFlow's own variable has no path
            super().update_step(gradient, variable, learning_rate)
            return
        momentum, gradient = self._momentums[index], ops.cast(gradient, variable.dtype)
        self.assign(momentum, self.momentum * momentum + gradient)
        shape = (prod(variable.shape[:-1]), variable.shape[-1])
        direction = ops.reshape(gradient + self.momentum * momentum, shape)
        step = ops.cast(ops.reshape(orthonormal(direction, dtype=self.dtype), variable.shape), variable.dtype)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * RMS * max(shape) ** 0.5 * step)

    def _is_matrix(self, variable) -> bool:
        path = getattr(variable, "path", variable.name).split("/")
        if path[-1] in NO_MATRICES or not {*path}.isdisjoint(self.vectors):
            return False
        return len(variable.shape) in (2, 4) and min(prod(variable.shape[:-1]), variable.shape[-1]) > 1

    def get_config(self):
        own = {"vectors": self.vectors, "momentum": self.momentum, "dtype": self.dtype}
        return super().get_config() | own


Method = Literal["muon", "adam"]


def optimizer_of(method: Method, learning_rate, *, vectors: Sequence[str] = (), **options) -> Adam:
    """Returns Muon or Adam; `vectors` are what Muon needs to know and Adam does not."""
    return Muon(learning_rate, vectors=vectors, **options) if method == "muon" else Adam(learning_rate, **options)


NO_MATRICES = {"embeddings", "reverse_embeddings", "bias", "peepholes"}  # names of weights, whatever their shape
RMS = 0.2  # of the steps of Adam at a learning rate of 1, typically
# x (a + b x^2 + c x^4) pulls singular values in (0, 1] to about 1, the small ones as fast as it can.
QUINTIC, ROUNDS = (3.4445, -4.7750, 2.0315), 5


def orthonormal(x, *, dtype: str = "float32"):
    """Returns about the nearest matrix with orthonormal rows or columns, of which there are fewer: (m, n) -> (m, n).

    Its singular values are between 0.68 and 1.2, but for those that were under a 600th of the norm of all together.

    Args:
        x: Matrix, float32 or float64.
        dtype: In which it is multiplied, and returned.
    """
    tall = x.shape[0] > x.shape[1]
    x = ops.transpose(x) if tall else x
    x = ops.cast(x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7), dtype)
    first, third, fifth = QUINTIC
    for _ in range(ROUNDS):
        square = ops.matmul(x, ops.transpose(x))
        x = first * x + ops.matmul(third * square + fifth * ops.matmul(square, square), x)
    return ops.transpose(x) if tall else x
