"""Heads: what a network predicts from its features, each kind with its own output."""

import math

import keras
from keras import layers, ops

from kerasapps.blocks.plain import weight_form
from kerasapps.heads import Head


@keras.saving.register_keras_serializable(package="kerasapps")
class OrderedProbabilities(layers.Layer):
    """Turns a score into probabilities of ordered classes: (B, 1) -> (B, num_classes).

    The classes are the sections of a line between learned, ordered thresholds; a logistic variable around the score
    falls into one of them. As the output holds probabilities, loss and metrics are those of any classes.

    Reference: McCullagh, "Regression Models for Ordinal Data", JRSS B 1980 (the proportional-odds model).
    """

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape):
        count = self.num_classes - 1
        # Thresholds from about -2 to 2 for any number of classes: further out a class would get no gradient.
        step = 4 / self.num_classes
        first = keras.initializers.Constant(-step * (count - 1) / 2)
        self.first = self.add_weight(shape=(1,), initializer=first, name="first")
        steps = keras.initializers.Constant(math.log(math.expm1(step)))  # before the softplus
        self.steps = self.add_weight(shape=(count - 1,), initializer=steps, name="steps")

    def plain(self):
        """Returns the same with the thresholds of two dense layers."""
        first, steps = (weight_form(self, weight) for weight in (self.first, self.steps))
        return lambda score: _sections(score, first(score), steps(score))

    def call(self, score):
        return _sections(score, self.first, self.steps)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes)

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes}


def _sections(score, first, steps):
    """Returns the probability of each section of a line: score (B, 1), first (.., 1), steps (.., K - 2) -> (B, K)."""
    thresholds = ops.cumsum(ops.concatenate([first, ops.softplus(steps)], axis=-1), axis=-1)  # (.., K - 1)
    below = ops.sigmoid(thresholds - score)  # (B, K - 1)
    ends = ops.zeros_like(below[:, :1])
    below = ops.concatenate([ends, below, ends + 1], axis=-1)  # (B, K + 1)
    return below[:, 1:] - below[:, :-1]


def head_block(features, head: Head, *, name: str):
    """Predicts the target of a head: features (B, F) -> the output `name`, float32.

    "regression": the number in its own unit (B, 1). "binary": the probability of yes (B, 1). "classes" and "ordinal":
    probabilities (B, num_classes).
    """
    if head.kind == "classes":
        return layers.Dense(head.num_classes, activation="softmax", dtype="float32", name=name)(features)
    if head.kind == "binary":
        return layers.Dense(1, activation="sigmoid", dtype="float32", name=name)(features)
    if head.kind == "ordinal":
        score = layers.Dense(1, use_bias=False, dtype="float32", name=f"{name}_score")(features)
        return OrderedProbabilities(head.num_classes, dtype="float32", name=name)(score)
    number = layers.Dense(1, dtype="float32", name=f"{name}_standardised")(features)
    return layers.Rescaling(head.scale, offset=head.mean, dtype="float32", name=name)(number)
