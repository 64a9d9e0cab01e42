"""Heads: what a network predicts from its features, each kind with its own output."""

import math
from collections.abc import Mapping

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import refusal
from kerasapps.blocks.plain import weight_form
from kerasapps.heads import Head

BEFORE = {"regression": "_standardised", "ordinal": "_score"}  # ends the name of the layer before such an output


@keras.saving.register_keras_serializable(package="kerasapps")
class NamedHeads(keras.Model):
    """A functional model with a dict of outputs that takes lists of targets in the order in which its heads were given.

    Keras by itself reads such a list in alphabetical order, so that a list of targets could train the wrong heads.
    """

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, **others):
        """Compiles as Keras does; of a list with an entry for each head, each goes to its head."""
        settings = {"loss": loss, "loss_weights": loss_weights}
        settings |= {"metrics": metrics, "weighted_metrics": weighted_metrics}
        super().compile(optimizer, **{name: self._by_head(value) for name, value in settings.items()}, **others)

    def compile_from_config(self, config):
        """Compiles as before saving: Keras leaves that to models with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss."""
        return super().compute_loss(x, self._targets(y), y_pred, self._by_head(sample_weight), training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Returns the metrics."""
        return super().compute_metrics(x, self._targets(y), y_pred, self._by_head(sample_weight))

    def _targets(self, y):
        if isinstance(y, list | tuple) and len(y) != len(self.output):
            heads = ", ".join(self.output)
            raise ValueError(f"A list of targets must hold one for each of {heads}. Received: {len(y)} targets")
        return self._by_head(y)

    def _by_head(self, value):
        """Returns a list with an entry for each head as a dict, and anything else as it is."""
        heads = list(self.output)  # in the order given, which a saved file keeps
        if not isinstance(value, list | tuple) or len(value) != len(heads):
            return value
        return dict(zip(heads, value, strict=True))


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


def with_heads(inputs, features, heads: Mapping[str, Head], *, name: str) -> keras.Model:
    """Joins a head for each target to the features of a trunk, under its own name.

    Raises:
        ValueError: If there is no head, or one has the name of another layer or one that no layer can have.
    """
    if not heads:
        raise refusal("name at least one output", heads=heads)
    taken = {layer.name for layer in keras.Model(inputs, features).layers}
    for output, head in heads.items():
        names = {output, output + BEFORE.get(head.kind, "")}
        if not output or "/" in output or names & taken:
            rule = f"have names without a slash that differ from the layers {', '.join(sorted(taken))}"
            raise refusal(rule, heads=list(heads))
        taken |= names
    return NamedHeads(inputs, {output: head_block(features, heads[output], name=output) for output in heads}, name=name)


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
        score = layers.Dense(1, use_bias=False, dtype="float32", name=name + BEFORE["ordinal"])(features)
        return OrderedProbabilities(head.num_classes, dtype="float32", name=name)(score)
    number = layers.Dense(1, dtype="float32", name=name + BEFORE["regression"])(features)
    return layers.Rescaling(head.scale, offset=head.mean, dtype="float32", name=name)(number)
