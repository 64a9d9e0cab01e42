"""Which words of a text speak for a class.

References: Denil, Demiraj and de Freitas, "Extraction of Salient Sentences from Labelled Documents", 2014 (gradient
times vector); Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016 (attention).
"""

import keras
import numpy as np

from kerasapps.applications.attention_classifier import attention_of


def word_weights(model: keras.Model, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns how much each word of a text speaks for a class, to the network.

    Where the network attends to words it is their share of the attention, the same for every class. Elsewhere it is the
    vector of the word times the gradient of the class's score, which is the logit of the class less the mean of the
    others': what the score would lose, to first order, without the word. A word may speak against the class.

    Args:
        model: A text classifier of this package.
        ids: Token ids int32 (n, T), by sentences (n, S, T), 0 for padding.
        labels: A class for each text, int (n,).

    Returns:
        float32, in the shape of `ids`, 0 in padding.

    Example:
        >>> model = build_text_cnn(vocab_size=1000, num_classes=4)
        >>> word_weights(model, texts, model.predict(texts)["label"].argmax(-1))  # texts int32 (n, t)
    """
    if attends_to_words(model):
        attention = attention_of(model).predict(ids, verbose=0)
        weights = attention["word_weights"]
        if ids.ndim == 3:
            weights = weights * attention["sentence_weights"][..., None]
    else:
        weights = np.sum([_by_word(one, ids.shape[1]) for one in _contributions(model, ids, labels)], 0)
    return np.where(ids != 0, weights, 0).astype(np.float32)


def word_drops(model: keras.Model, ids: np.ndarray, labels: np.ndarray, *, unknown: int = 1) -> np.ndarray:
    """Returns how much of a class's probability is lost when a word is one that the network does not know.

    Args:
        model: A text classifier of this package.
        ids: Token ids int32 (n, T), by sentences (n, S, T), 0 for padding.
        labels: A class for each text, int (n,).
        unknown: The id of words that are not known.

    Returns:
        float32, in the shape of `ids`, 0 in padding; below 0 for a word against the class.

    Example:
        >>> model = build_text_cnn(vocab_size=1000, num_classes=4)
        >>> word_drops(model, texts, model.predict(texts)["label"].argmax(-1))  # texts int32 (n, t)
    """
    drops = np.zeros(ids.shape, np.float32)
    for row, label, drop in zip(ids, labels, drops, strict=True):
        places = np.argwhere(row != 0)
        covered = np.repeat(row[None], len(places) + 1, 0)
        for one, place in zip(covered[1:], places, strict=True):
            one[tuple(place)] = unknown
        shares = model.predict({"text": covered}, verbose=0)["label"][:, label]
        drop[tuple(places.T)] = shares[0] - shares[1:]
    return drops


def attends_to_words(model: keras.Model) -> bool:
    """Returns whether a text classifier has an attention, which `word_weights` then gives."""
    return any(layer.name == "word_attention" for layer in model.layers)


def _contributions(model: keras.Model, ids: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Returns vector times gradient of everything that is looked up, float32 (n, looked up) for each embedding."""
    import tensorflow as tf

    # The weights of n-grams are looked up as well, but are no vectors.
    embeddings = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Embedding) and layer.name != "weights"
    ]
    head = model.get_layer("label")
    taps = keras.Model(model.input, [head.input, *(layer.output for layer in embeddings)])

    # As a graph of its own: then every word is looked up at its place, and not once for all places (`DistinctWords`).
    @tf.function(autograph=False)
    def contributions(ids, labels):
        with tf.GradientTape() as tape:
            for layer in embeddings:
                tape.watch(layer.embeddings.value)  # one that is not trained would not be
            features, *vectors = taps(ids)
            # Logits, since the gradient of a probability near 1 vanishes.
            logits = tf.cast(features, tf.float32) @ head.kernel + head.bias  # (n, classes)
            of_label = tf.gather(logits, labels, batch_dims=1)
            others = (tf.reduce_sum(logits, 1) - of_label) / (logits.shape[1] - 1)
            score = tf.reduce_sum(of_label - others)
        gradients = tape.gradient(score, vectors)
        return [
            tf.reshape(
                tf.reduce_sum(tf.cast(gradient, tf.float32) * tf.cast(vector, tf.float32), -1), (tf.shape(ids)[0], -1)
            )
            for gradient, vector in zip(gradients, vectors, strict=True)
        ]

    return [one.numpy() for one in contributions(tf.constant(ids), tf.constant(labels))]


def _by_word(contributions: np.ndarray, length: int) -> np.ndarray:
    """Gives each word its share of its n-grams: contributions (n, T), with pairs (n, 2 T - 1) and so on, -> (n, T)."""
    words = np.zeros((len(contributions), length), np.float32)
    start = 0
    for n in range(1, length + 1):
        of_ngrams = contributions[:, start : start + length - n + 1]
        if not of_ngrams.shape[1]:
            break
        for k in range(n):
            words[:, k : k + of_ngrams.shape[1]] += of_ngrams / n
        start += of_ngrams.shape[1]
    return words
