"""Capsules: features in vectors, whose length says whether something is there and whose direction says in what state.

Reference: Sabour, Frosst and Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017.
"""

import keras
from keras import layers, ops

from kerasapps.blocks.plain import reshape, weight_form

TINY = 1e-7  # keeps the gradient of the length of a vector of zeros finite


def squash(vectors):
    """Shortens vectors to lengths under 1, short ones to almost 0; their directions stay: (..., D) -> (..., D)."""
    squared = ops.sum(ops.square(vectors), axis=-1, keepdims=True)  # (..., 1)
    return vectors * squared / ((1 + squared) * ops.sqrt(squared + TINY))


def route(votes, iterations: int):
    """Routes capsules by agreement: each sends more to the parent whose output agrees with its vote.

    Args:
        votes: What each capsule predicts each parent to be, (B, N, K, E).
        iterations: Rounds, at least 1; in the first all parents get the same.

    Returns:
        The parents (B, K, E), and the coupling coefficients (B, N, K) by which votes were weighed at last; those of a
        capsule add up to 1.
    """
    agreement = ops.zeros_like(votes[..., 0])  # (B, N, K)
    for i in range(iterations):
        couplings = ops.softmax(agreement, axis=-1)
        parents = squash(ops.sum(couplings[..., None] * votes, axis=1))  # (B, K, E)
        if i < iterations - 1:
            agreement = agreement + ops.sum(votes * parents[:, None], axis=-1)
    return parents, couplings


@keras.saving.register_keras_serializable(package="kerasapps")
class Squash(layers.Layer):
    """Shortens vectors to lengths under 1; see `squash`: (..., D) -> (..., D)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, vectors):
        return squash(vectors)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="kerasapps")
class Capsules(layers.Layer):
    """Capsules of which each is routed to by all capsules below: (B, N, D) -> (B, count, dim).

    Args:
        count: Number of capsules K.
        dim: Length E of their vectors.
        iterations: Rounds of routing, at least 1.
    """

    def __init__(self, count: int, dim: int, *, iterations: int = 3, **options):
        super().__init__(**options)
        self.count = count
        self.dim = dim
        self.iterations = iterations

    def build(self, input_shape):
        _, below, size = input_shape
        # A matrix for each pair of a capsule below and one here.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(below, size, self.count * self.dim),
            initializer=keras.initializers.RandomNormal(0.0, 0.1),
        )

    def plain(self):
        """Returns the same with the weights of a dense layer."""
        kernel = weight_form(self, self.kernel)
        return lambda capsules: self._routed(ops.matmul(capsules[:, :, None], kernel(capsules)))

    def call(self, capsules):
        by_capsule = ops.transpose(capsules, (1, 0, 2))  # (N, B, D)
        votes = ops.matmul(by_capsule, ops.cast(self.kernel, capsules.dtype))  # (N, B, K * E)
        return self._routed(ops.transpose(votes, (1, 0, 2)))

    def _routed(self, votes):
        return route(reshape(votes, (self.kernel.shape[0], self.count, self.dim)), self.iterations)[0]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.count, self.dim)

    def get_config(self):
        return super().get_config() | {"count": self.count, "dim": self.dim, "iterations": self.iterations}


@keras.saving.register_keras_serializable(package="kerasapps")
class Lengths(layers.Layer):
    """Returns the length of each vector: (B, K, E) -> (B, K)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, capsules):
        return ops.sqrt(ops.sum(ops.square(capsules), axis=-1) + TINY)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]


@keras.saving.register_keras_serializable(package="kerasapps")
class LongestCapsule(layers.Layer):
    """Replaces all vectors but the longest with zeros: (B, K, E) -> (B, K, E)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, capsules):
        longest = ops.argmax(ops.sum(ops.square(capsules), axis=-1), axis=-1)  # (B,)
        return capsules * ops.one_hot(longest, capsules.shape[1], dtype=capsules.dtype)[..., None]

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="kerasapps")
class ReconstructionLoss(layers.Layer):
    """Passes its first input on, and adds to the loss of the model how far an image is from its reconstruction.

    Call with: anything (B, ...), an image and its reconstruction, both (B, H, W, C).

    Args:
        weight: What the sum of squared differences of an image is multiplied by; the loss is the mean over images.
    """

    def __init__(self, weight: float = 5e-4, **options):
        super().__init__(**options)
        self.weight = weight

    def plain(self):
        """Returns the identity, for there is no loss in use."""
        return lambda x, image, reconstruction: x

    def call(self, x, image, reconstruction):
        error = ops.cast(ops.square(image - reconstruction), "float32")
        self.add_loss(self.weight * ops.mean(ops.sum(error, axis=(1, 2, 3))))
        return x

    def compute_output_spec(self, x, image, reconstruction):
        return keras.KerasTensor(x.shape, self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"weight": self.weight}
