"""Attention: which steps of a sequence matter, as weights that add up to 1."""

import keras
from keras import layers, ops

from kerasapps.blocks.plain import weight_form

HIDDEN = -1e9  # score of padding: finite, so that a text without words gives zeros instead of NaN


@keras.saving.register_keras_serializable(package="kerasapps")
class Present(layers.Layer):
    """Marks what is not padding: ids (..., T) -> bool (..., T), or of sentences (B, S, T) -> bool (B, S).

    Args:
        sentences: Whether to mark sentences, those with a word, instead of words.
    """

    def __init__(self, *, sentences: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.sentences = sentences

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, ids):
        return ops.any(ids != 0, axis=-1) if self.sentences else ids != 0

    def compute_output_spec(self, ids):
        return keras.KerasTensor(ids.shape[:-1] if self.sentences else ids.shape, "bool")

    def get_config(self):
        return super().get_config() | {"sentences": self.sentences}


@keras.saving.register_keras_serializable(package="kerasapps")
class Unmasked(layers.Layer):
    """Passes features on without Keras' implicit mask, where what reads them has a mask among its arguments."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def compute_mask(self, features, mask=None):
        return None

    def call(self, features):
        return ops.copy(features)  # the tensor itself would take its mask along

    def compute_output_spec(self, features):
        return keras.KerasTensor(features.shape, features.dtype)


@keras.saving.register_keras_serializable(package="kerasapps")
class ContextAttention(layers.Layer):
    """Averages over steps, weighed by their importance: the softmax over t of w_t . c, where c is learned.

    Call with: features (B, T, D) and `present` bool (B, T), False for padding, which has no weight.
    Returns: their weighted average (B, D) and the weights float32 (B, T).

    Args:
        project: Whether importance is tanh(W w_t + b) . c, as in Yang et al. 2016, instead of w_t . c.
    """

    def __init__(self, *, project: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.project = project
        self.supports_masking = True  # that of a recurrent layer, which says the same

    def build(self, features_shape, present_shape):
        width = features_shape[-1]
        if self.project:
            self.kernel = self.add_weight(name="kernel", shape=(width, width))
            self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")
        # With zeros, all words would weigh the same and their vectors could not tell which way to go.
        self.context = self.add_weight(name="context", shape=(width,), initializer="random_normal")

    def compute_mask(self, features, mask=None):
        return None, None  # of one vector nothing is padding

    def plain(self):
        """Returns the same with the weights of dense layers."""
        project = None
        if self.project:
            width = self.kernel.shape[0]
            project = layers.Dense(width, activation="tanh", dtype=self.dtype_policy, name=f"{self.name}_keys")
            project.build((None, None, width))
            project.set_weights([self.kernel, self.bias])
            project.trainable = self.trainable
        context = weight_form(self, self.context)
        return lambda features, present: _attend(features, present, project=project, context=context(features))

    def call(self, features, present):
        return _attend(features, present, project=self._keys if self.project else None, context=self.context[None])

    def _keys(self, features):
        kernel, bias = (ops.cast(weight, features.dtype) for weight in (self.kernel, self.bias))
        return ops.tanh(ops.matmul(features, kernel) + bias)

    def compute_output_spec(self, features, present):
        rows, steps, width = features.shape
        return keras.KerasTensor((rows, width), self.compute_dtype), keras.KerasTensor((rows, steps), "float32")

    def get_config(self):
        return super().get_config() | {"project": self.project}


def _attend(features, present, *, project, context):
    """Weighs features (B, T, D) by a context vector (B, D), or (1, D) for all rows: -> (B, D), weights (B, T)."""
    keys = features if project is None else project(features)
    scores = ops.cast(ops.sum(keys * ops.expand_dims(ops.cast(context, keys.dtype), 1), axis=-1), "float32")  # (B, T)
    weights = ops.softmax(ops.where(present, scores, HIDDEN), axis=-1) * ops.cast(present, "float32")
    return ops.sum(ops.expand_dims(ops.cast(weights, features.dtype), -1) * features, axis=1), weights


@keras.saving.register_keras_serializable(package="kerasapps")
class FoldSentences(layers.Layer):
    """Makes every sentence of a text a row: (B, S, T) -> (B S, T)."""

    def call(self, texts):
        return ops.reshape(texts, (-1, ops.shape(texts)[-1]))

    def compute_output_spec(self, texts):
        return keras.KerasTensor((None, texts.shape[-1]), texts.dtype)


@keras.saving.register_keras_serializable(package="kerasapps")
class UnfoldSentences(layers.Layer):
    """Puts rows that are sentences back into their texts: features (B S, ...), texts (B, S, T) -> (B, S, ...)."""

    def call(self, features, texts):
        rows, sentences = ops.shape(texts)[:2]
        return ops.reshape(features, (rows, sentences, *ops.shape(features)[1:]))

    def compute_output_spec(self, features, texts):
        return keras.KerasTensor((*texts.shape[:2], *features.shape[1:]), features.dtype)
