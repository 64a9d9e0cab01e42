"""Losses: of several heads in comparable units, with given or learned weights; of classes, tokens and pixels."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from kerasapps.blocks.arguments import check_share
from kerasapps.blocks.noise import sum_of_replicas
from kerasapps.heads import Head

Deviation = Literal["squared", "absolute"]


@keras.saving.register_keras_serializable(package="kerasapps")
class HeadLoss(keras.losses.Loss):
    """The loss of one head: cross-entropy with class ids, or the deviation of a number in units of the head's scale.

    A row without a label has sample weight 0; `kerasapps.heads.label_weights` scales the weights of the others so that
    the loss of a head does not fall if fewer rows are labeled.

    Args:
        head: What the output is.
        deviation: For "regression": the best prediction is the mean of the target under "squared", its median under
            "absolute".
        uncertainty: A scalar weight, the logarithm of a variance that the head learns; by default there is none.
    """

    def __init__(self, head: Head, *, deviation: Deviation = "squared", uncertainty: Any = None, name: str = "loss"):
        # Over the whole batch: in a mean over the labeled rows each would count more the fewer there are.
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.head = head
        self.deviation = deviation
        self.uncertainty = uncertainty

    def call(self, y_true, y_pred):  # -> (B,)
        loss = self._plain(y_true, y_pred)
        if self.uncertainty is None:
            return loss
        # The negative log-likelihood of a Gaussian, of a Laplacian and, in the paper's approximation, of a softmax.
        regression = self.head.kind == "regression"
        of_loss = 0.5 if regression and self.deviation == "squared" else 1.0
        of_width = 1.0 if regression and self.deviation == "absolute" else 0.5
        return of_loss * ops.exp(-self.uncertainty) * loss + of_width * self.uncertainty

    def _plain(self, y_true, y_pred):
        if self.head.has_classes:
            return keras.losses.sparse_categorical_crossentropy(ops.reshape(y_true, (-1,)), y_pred)
        y_true = ops.cast(ops.reshape(y_true, (-1, 1)), y_pred.dtype)
        if self.head.kind == "binary":
            return keras.losses.binary_crossentropy(y_true, y_pred)
        error = ops.squeeze(y_true - y_pred, -1) / self.head.scale  # (B,)
        return ops.square(error) if self.deviation == "squared" else ops.abs(error)

    def get_config(self):
        # Without the uncertainty, which is a weight of the model.
        return {"head": asdict(self.head), "deviation": self.deviation, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"head": Head(**config["head"])})


@keras.saving.register_keras_serializable(package="kerasapps")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with class ids (B,) or (B, 1) whose target spreads some probability over all classes.

    Reference: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7.

    Args:
        smoothing: Share of the probability that is spread, in [0, 1).

    Example:
        >>> model = build_mnist_network(image_shape=(28, 28, 1))
        >>> model.compile("adam", SmoothedCrossentropy(0.1), metrics=["accuracy"])
        >>> model.fit({"image": digits}, labels, epochs=1)  # digits float32 (n, 28, 28, 1), labels int32 (n,)
    """

    def __init__(self, smoothing: float = 0.1, name: str = "smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        check_share(smoothing=smoothing)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):  # -> (B,)
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        targets = ops.one_hot(labels, y_pred.shape[-1])  # (B, num_classes)
        return keras.losses.categorical_crossentropy(targets, y_pred, label_smoothing=self.smoothing)

    def get_config(self):
        return super().get_config() | {"smoothing": self.smoothing}


@keras.saving.register_keras_serializable(package="kerasapps")
class MarginLoss(keras.losses.Loss):
    """Wants the score of the true class high and each other one low, with class ids (B,) or (B, 1).

    Scores in [0, 1] need not add up to 1, as the lengths of capsules do not. Beyond its margin a score costs nothing.

    Reference: Sabour, Frosst and Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 3.

    Args:
        present: Score of the true class from which on it costs nothing.
        absent: Score of another class up to which it costs nothing.
        weight: What a class that is absent counts; at 1, a network at first learns to make all scores low.

    Example:
        >>> model = build_capsule_network(image_shape=(28, 28, 1), num_classes=10, filters=8, primary_capsules=2)
        >>> model.compile("adam", MarginLoss(), metrics=["accuracy"])
    """

    def __init__(
        self, present: float = 0.9, absent: float = 0.1, weight: float = 0.5, name: str = "margin_loss", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.present = present
        self.absent = absent
        self.weight = weight

    def call(self, y_true, y_pred):  # -> (B,)
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        true = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)  # (B, num_classes)
        missed = ops.square(ops.relu(self.present - y_pred))
        claimed = ops.square(ops.relu(y_pred - self.absent))
        return ops.sum(true * missed + self.weight * (1 - true) * claimed, axis=-1)

    def get_config(self):
        return super().get_config() | {"present": self.present, "absent": self.absent, "weight": self.weight}


@keras.saving.register_keras_serializable(package="kerasapps")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of the next token, in nats, averaged over the real tokens of a batch, of all its replicas together.

    Targets are ids (B, T), 0 for padding, and predictions logits (B, T, V) in any format; both may have further axes,
    such as several captions of an image, (B, N, T) and (B, N, T, V). With smoothing, the target spreads some of its
    probability over the whole vocabulary.

    Reference: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7
    (smoothing).

    Args:
        smoothing: Share of the probability that is spread, in [0, 1).

    Example:
        >>> logits = keras.ops.zeros((1, 2, 4))
        >>> TokenCrossentropy()([[2, 0]], logits)  # log 4, from one token
    """

    def __init__(self, smoothing: float = 0.0, name: str = "token_crossentropy", **kwargs):
        # Padding is left out of sum and count alike, in `call`; of several replicas Keras adds up the gradients.
        super().__init__(name=name, **{"reduction": "sum", **kwargs})
        check_share(smoothing=smoothing)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):  # -> (B, T), which add up to the average
        y_true = ops.cast(y_true, "int32")
        real = ops.cast(y_true != 0, "float32")
        count = ops.maximum(sum_of_replicas(ops.sum(real)), 1.0)
        losses = token_losses if keras.backend.backend() != "tensorflow" else _fused_token_losses
        return losses(y_true, y_pred, smoothing=self.smoothing) * real / count

    def get_config(self):
        return super().get_config() | {"smoothing": self.smoothing}


class OverSteps:
    """Averages a loss of Keras over the steps of a batch that count, of all its replicas together.

    Sample weights (B, T) are 0 in padding, which Keras' own would count as steps without a loss.
    """

    def __init__(self, *, name: str, **kwargs):
        # A share of each step; of several replicas Keras adds up the gradients.
        super().__init__(name=name, **{"reduction": "sum", **kwargs})

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Returns the average."""
        counts = ops.ones(ops.shape(y_true)) if sample_weight is None else ops.cast(sample_weight, "float32")
        return super().__call__(y_true, y_pred, counts / ops.maximum(sum_of_replicas(ops.sum(counts)), 1.0))


@keras.saving.register_keras_serializable(package="kerasapps")
class StepCrossentropy(OverSteps, keras.losses.SparseCategoricalCrossentropy):
    """Cross-entropy with a class id a step, in nats, averaged over the steps of a batch that count.

    Targets are ids (B, T), predictions probabilities (B, T, classes).

    Example:
        >>> probabilities = keras.ops.ones((1, 2, 4)) / 4
        >>> StepCrossentropy()([[2, 0]], probabilities, [[1.0, 0.0]])  # log 4, from one step
    """

    def __init__(self, name: str = "step_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)


@keras.saving.register_keras_serializable(package="kerasapps")
class BitCrossentropy(OverSteps, keras.losses.BinaryCrossentropy):
    """Cross-entropy with the bits of a step, in nats a bit, averaged over the steps of a batch that count.

    Targets are bits (B, T, D), predictions probabilities of the same shape.

    Example:
        >>> BitCrossentropy()([[[1.0], [0.0]]], [[[0.5], [0.9]]], [[1.0, 0.0]])  # log 2, from one step
    """

    def __init__(self, name: str = "bit_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)


@keras.saving.register_keras_serializable(package="kerasapps")
class PixelCrossentropy(keras.losses.Loss):
    """Nats that describing an image takes whose pixels are 1 with the given probabilities: the sum over all pixels.

    Targets are images (B, H, W, C), values 0 to 1, and predictions probabilities of the same shape. The loss is the
    negative log-likelihood where all values are 0 or 1; for those between it is a cross-entropy, which is never 0.

    Example:
        >>> PixelCrossentropy()([[[[1.0], [0.0]]]], [[[[0.5], [0.5]]]])  # 2 log 2
    """

    def __init__(self, name: str = "pixel_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):  # -> (B,)
        y_pred = ops.cast(y_pred, "float32")
        nats = ops.binary_crossentropy(ops.cast(y_true, "float32"), y_pred)  # (B, H, W, C)
        return ops.sum(nats, axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="kerasapps")
class CoverageLoss(keras.losses.Loss):
    """Asks a network to look at every place of an image about once while it writes: doubly stochastic attention.

    Targets are the ids that are written (B, N, T), 0 for padding, and predictions the weights of the places at each of
    them, (B, N, T, S). The loss is the sum over places of (1 - sum over words of the weight)^2, averaged over the real
    captions of a batch, of all its replicas together.

    Reference: Xu et al., "Show, Attend and Tell", ICML 2015, section 4.2.1.
    """

    def __init__(self, name: str = "coverage_loss", **kwargs):
        super().__init__(name=name, **{"reduction": "sum", **kwargs})

    def call(self, y_true, y_pred):  # -> (B, N), which add up to the average
        real = ops.cast(y_true != 0, y_pred.dtype)  # (B, N, T)
        captions = ops.max(real, axis=-1)  # (B, N)
        count = ops.maximum(sum_of_replicas(ops.sum(captions)), 1.0)
        looked = ops.sum(real[..., None] * y_pred, axis=-2)  # (B, N, S)
        return ops.sum(ops.square(1 - looked), axis=-1) * captions / count


def token_losses(ids, logits, *, smoothing: float = 0.0):
    """Returns the cross-entropy of each token: ids (..., T) and logits (..., T, V) -> float32 (..., T)."""
    logits = ops.cast(logits, "float32")
    whole = ops.logsumexp(logits, axis=-1)
    picked = ops.take_along_axis(logits, ids[..., None], axis=-1)[..., 0]
    return whole - (1 - smoothing) * picked - smoothing * ops.mean(logits, axis=-1)


def _fused_token_losses(ids, logits, *, smoothing: float):
    """Does the same on TensorFlow in fewer passes over the logits, which are most of a small network's step.

    The probabilities are computed once, in the format of the logits, for the loss and for its gradient.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def losses(logits):
        probabilities = tf.nn.softmax(logits)
        picked, likely = (
            tf.cast(tf.gather(one, ids, batch_dims=ids.shape.rank), tf.float32) for one in (logits, probabilities)
        )
        # The logarithm of the softmax's sum: from the probability of the right token, or where that is 0 from itself.
        tiny = tf.constant(np.finfo(np.float32).tiny)
        whole = picked - tf.math.log(tf.maximum(likely, tiny))
        lost = whole - (1 - smoothing) * picked
        if smoothing:
            lost -= smoothing * tf.cast(tf.reduce_mean(logits, -1), tf.float32)

        def back(gradient):
            gradient = tf.cast(gradient, logits.dtype)[..., None]
            size = logits.shape[-1]
            off = tf.constant(smoothing / size, logits.dtype)
            on = tf.constant(1 - smoothing + smoothing / size, logits.dtype)
            wanted = tf.one_hot(ids, size, on_value=on, off_value=off, dtype=logits.dtype)
            return (probabilities - wanted) * gradient

        return lost, back

    return losses(logits)


@keras.saving.register_keras_serializable(package="kerasapps")
class TaskUncertainty(layers.Layer):
    """Passes a dict of outputs on unchanged and keeps a learned log-variance for each of them.

    With these, `HeadLoss` gives heads whose labels are hard to predict less weight, and no weight has to be chosen.

    Reference: Kendall et al., "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR 2018.

    Args:
        tasks: Names of the outputs.
    """

    def plain(self):
        """Returns the identity: the log-variances belong to the loss."""
        return self.call

    def __init__(self, tasks: tuple[str, ...], **kwargs):
        super().__init__(**kwargs)
        self.tasks = tuple(tasks)

    def build(self, input_shape):
        # All 0: at first every loss counts once.
        self.log_variances = {
            task: self.add_weight(shape=(), initializer="zeros", name=f"{task}_log_variance") for task in self.tasks
        }

    def call(self, outputs):
        return outputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"tasks": self.tasks}


def with_learned_weights(model: keras.Model) -> tuple[keras.Model, dict[str, Any]]:
    """Returns a model on the same tensors that learns the weights of its losses, and its log-variances by output."""
    uncertainty = TaskUncertainty(tuple(model.output_names), dtype="float32", name="uncertainty")
    weighted = type(model)(model.input, uncertainty(model.output), name=model.name)
    return weighted, uncertainty.log_variances


def compile_heads(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    heads: Mapping[str, Head],
    *,
    loss_weights: Mapping[str, float] | Literal["learnt"] | None = None,
    deviation: Deviation = "squared",
    jit_compile: bool = False,
) -> keras.Model:
    """Compiles a network with several heads; rows without a label have sample weight 0.

    Args:
        model: The network, whose outputs are named as the heads.
        optimizer: The optimizer.
        heads: What each output is.
        loss_weights: Weight of each loss in the total, by default 1; "learnt" learns them by uncertainty.
        deviation: Of regression heads; see `HeadLoss`.
        jit_compile: Whether XLA compiles the step.

    Returns:
        The compiled model: the one given or, with learned weights, one on the same tensors.

    Raises:
        ValueError: If `heads` or `loss_weights` names something that is not an output, or an output has no head.

    Example:
        >>> heads = {"age": Head("regression", mean=40, scale=15), "genre": Head("classes", num_classes=4)}
        >>> model = build_multi_head_text(vocab_size=1000, heads=heads, padding="same")
        >>> model = compile_heads(model, Adam(1e-3), heads, loss_weights="learnt")
        >>> model.fit({"text": texts}, {"age": ages, "genre": genres}, epochs=2)  # texts int32 (n, t)
    """
    if set(model.output_names) != set(heads):
        outputs = ", ".join(sorted(model.output_names))
        raise ValueError(f"`heads` must name the outputs: {outputs}. Received: {', '.join(heads)}")
    if isinstance(loss_weights, str) and loss_weights != "learnt":
        raise ValueError(f'`loss_weights` must be numbers by head, or "learnt". Received: {loss_weights!r}')
    variances = {}
    if loss_weights == "learnt":
        model, variances = with_learned_weights(model)
        loss_weights = None
    unknown = sorted((loss_weights or {}).keys() - heads.keys())
    if unknown:
        raise ValueError(f"`loss_weights` must name heads: {', '.join(heads)}. Received: {', '.join(unknown)}")
    model.compile(
        optimizer,
        {
            name: HeadLoss(head, deviation=deviation, uncertainty=variances.get(name), name=f"{name}_loss")
            for name, head in heads.items()
        },
        loss_weights=None if loss_weights is None else {name: loss_weights.get(name, 1.0) for name in heads},
        weighted_metrics={name: ["mae" if head.kind == "regression" else "accuracy"] for name, head in heads.items()},
        jit_compile=jit_compile,
    )
    return model
