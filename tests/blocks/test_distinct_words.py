import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps import build_multi_head_text
from kerasapps.blocks import distinct_words
from kerasapps.blocks.distinct_words import DistinctWords, StrongestWindow, WordConv1D
from kerasapps.heads import Head

WORDS, DEPTH, FILTERS = 6, 3, 4


def ids_and_table(rows: int = 2, steps: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Texts in which all words come more than once, and a vector for each."""
    rng = np.random.default_rng(0)
    return rng.integers(0, WORDS, (rows, steps)).astype(np.int32), rng.normal(size=(WORDS, DEPTH)).astype(np.float32)


def listed(ids, table, layer) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Output of a convolution over words that are listed once, and its gradients."""

    def convolve(table):
        words, places = DistinctWords()(ids)
        return layer(tf.gather(table, words), places)

    return output_and_gradients(convolve, table, layer)


def usual(ids, table, layer) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The same of Keras' own over all words."""
    return output_and_gradients(lambda table: layer(tf.gather(table, ids)), table, layer)


def output_and_gradients(convolve, table, layer) -> tuple[tf.Tensor, list[tf.Tensor]]:
    table = tf.Variable(table)
    with tf.GradientTape() as tape:
        output = convolve(table)
        loss = tf.reduce_sum(tf.square(tf.cast(output, tf.float64)))
    return output, [tf.convert_to_tensor(g) for g in tape.gradient(loss, [table, *layer.trainable_weights])]


def test_words_are_listed_in_their_order_and_filled_up():
    words, places = DistinctWords()(np.array([[7, 3, 7], [0, 3, 9]], np.int32))
    assert words.numpy().tolist() == [7, 3, 0, 9] + [0] * (distinct_words.LIST_MULTIPLE - 4)
    assert places.numpy().tolist() == [[0, 1, 0], [2, 1, 3]]
    words, _ = DistinctWords()(np.arange(2 * distinct_words.LIST_MULTIPLE, dtype=np.int32)[None])
    assert words.numpy().tolist() == list(range(2 * distinct_words.LIST_MULTIPLE))


@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 3},
        {"kernel_size": 5, "activation": "relu"},
        {"kernel_size": 2, "padding": "same"},
        {"kernel_size": 3, "padding": "same", "use_bias": False},
        {"kernel_size": 3, "strides": 2},
        {"kernel_size": 3, "padding": "causal"},
    ],
    ids=str,
)
def test_it_is_a_convolution(monkeypatch, settings, pays):
    monkeypatch.setattr(distinct_words, "kernels_run", lambda training: pays)
    ids, table = ids_and_table()
    ours, keras_own = WordConv1D(FILTERS, **settings), keras.layers.Conv1D(FILTERS, **settings)
    keras_own.build((None, None, DEPTH))
    ours.build((None, DEPTH), (None, None))
    ours.set_weights(keras_own.get_weights())
    output, gradients = listed(ids, table, ours)
    expected, expected_gradients = usual(ids, table, keras_own)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    assert ours.compute_output_shape((None, DEPTH), ids.shape) == expected.shape
    for one, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_in_float64_no_digits_are_lost():
    ids, table = ids_and_table()
    ours, keras_own = WordConv1D(FILTERS, 3, dtype="float64"), keras.layers.Conv1D(FILTERS, 3, dtype="float64")
    keras_own.build((None, None, DEPTH))
    ours.build((None, DEPTH), (None, None))
    ours.set_weights(keras_own.get_weights())
    table = table.astype(np.float64)
    _, gradients = listed(ids, table, ours)
    _, expected = usual(ids, table, keras_own)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_in_bfloat16_it_is_nearly_what_it_is_in_float32():
    ids, table = ids_and_table(rows=20, steps=50)
    narrow, wide = (
        WordConv1D(FILTERS, 3, padding="same", activation="relu", dtype=dtype)
        for dtype in ("mixed_bfloat16", "float32")
    )
    for layer in (narrow, wide):
        layer.build((None, DEPTH), (None, None))
    narrow.set_weights(wide.get_weights())
    output, gradients = listed(ids, table, narrow)
    expected, expected_gradients = listed(ids, table, wide)
    assert output.dtype == tf.bfloat16
    for one, other in zip([output, *gradients], [expected, *expected_gradients], strict=True):
        np.testing.assert_allclose(tf.cast(one, tf.float32), other, atol=0.02 * np.abs(other).max())


def test_each_word_is_multiplied_once():
    words = []

    class Counting(WordConv1D):
        def call(self, vectors, places):
            words.append(len(vectors))
            return super().call(vectors, places)

    listed(*ids_and_table(rows=50, steps=20), Counting(FILTERS, 3))
    assert words == [distinct_words.LIST_MULTIPLE]  # of 1,000 places


def texts_with_padding(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """Two texts that end in padding, one without a word, and one of two words in turn that have the same vector."""
    ids, table = ids_and_table(rows=4, steps=12)
    ids = np.where(ids == 0, 1, ids)
    ids[0, 9:] = ids[1, 5:] = ids[2] = 0
    ids[3] = [2, 3] * 6
    table[0], table[3] = 0, table[2]
    return ids, table.astype(dtype)


def strongest_and_usual(ids, table, *, dtype: str = "float32", **settings):
    """What the layer gives, with its gradients, and what Keras' own layers give."""
    wide = "float64" if dtype == "float64" else "float32"
    ours = StrongestWindow(FILTERS, **settings, dtype=dtype)
    conv = keras.layers.Conv1D(FILTERS, **settings, padding="same", activation="relu", dtype=wide)
    conv.build((None, None, DEPTH))
    if conv.use_bias:
        conv.bias.assign(np.linspace(-1, 1, FILTERS))
    ours.build((None, DEPTH), (None, None))
    ours.set_weights(conv.get_weights())

    def convolve(table):
        words, places = DistinctWords()(ids, training=True)
        return ours(tf.gather(table, words), places, ids, training=True)

    def compose(table):
        windows = conv(tf.gather(table, ids))
        return tf.reduce_max(tf.where((ids != 0)[..., None], windows, 0.0), 1)

    assert ours.compute_output_shape((None, DEPTH), ids.shape, ids.shape) == (len(ids), FILTERS)
    return output_and_gradients(convolve, table, ours), output_and_gradients(compose, table, conv)


@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize(
    "settings",
    [{"kernel_size": 3}, {"kernel_size": 4, "use_bias": False}, {"kernel_size": 1}, {"kernel_size": 20}],
    ids=str,
)
def test_the_strongest_window_is_a_convolution_and_its_maximum(monkeypatch, settings, pays):
    monkeypatch.setattr(distinct_words, "kernels_run", lambda training: pays)
    (output, gradients), (expected, expected_gradients) = strongest_and_usual(*texts_with_padding(), **settings)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    assert not output[2].numpy().any()  # no word
    for one, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(("dtype", "share"), [("float64", 1e-12), ("mixed_bfloat16", 0.05)])
def test_the_strongest_window_computes_in_other_precisions(dtype, share):
    ids, table = texts_with_padding("float64" if dtype == "float64" else "float32")
    (output, gradients), (expected, others) = strongest_and_usual(ids, table, dtype=dtype, kernel_size=3)
    assert output.dtype == dtype.removeprefix("mixed_")
    for one, other in zip([output, *gradients], [expected, *others], strict=True):
        np.testing.assert_allclose(tf.cast(one, other.dtype), other, atol=share * np.abs(other).max())


def test_the_strongest_window_of_no_text():
    layer = StrongestWindow(FILTERS, 3)
    layer.build((None, DEPTH), (None, None))
    ids, table = texts_with_padding()
    output, gradients = output_and_gradients(
        lambda table: layer(tf.gather(table, [0]), ids[:0], ids[:0], training=True), table, layer
    )
    assert output.shape == (0, FILTERS)
    assert not any(np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize(
    "settings", [{"padding": "valid"}, {"activation": "tanh"}, {"strides": 2}, {"dilation_rate": 2}], ids=str
)
def test_the_strongest_window_refuses_other_convolutions(settings):
    with pytest.raises(ValueError, match=f"`{next(iter(settings))}` must be left as given by this layer"):
        StrongestWindow(FILTERS, 3, **settings)


def test_the_strongest_window_comes_back_from_its_config():
    layer = StrongestWindow(FILTERS, 3)
    assert StrongestWindow.from_config(layer.get_config()).get_config() == layer.get_config()


def test_gradients_of_a_frequent_word_are_added_up_in_float32():
    # 1000 times 1 + 1/128; in bfloat16 the sum would stay at 256.
    rows = np.full((1000, 2), 1 + 1 / 128, np.float32)
    sums = distinct_words.add_up(tf.cast(tf.cast(rows, tf.bfloat16), tf.float32), tf.zeros(1000, tf.int32), 2)
    np.testing.assert_allclose(sums, [[1007.8125] * 2, [0.0] * 2])


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_network_gives_what_the_words_of_every_place_give(padding):
    ids, _ = ids_and_table(rows=3, steps=40)
    ids[1, 30:] = 0
    settings = {"embedding_dim": DEPTH, "filters": [4, 5], "convolutions": [1, 1], "kernel_size": 3, "padding": padding}
    heads = {"topic": Head("classes", num_classes=3)}
    once = build_multi_head_text(vocab_size=WORDS, heads=heads, **settings)
    everywhere = build_multi_head_text(vocab_size=WORDS, heads=heads, **settings, word_dropout=0.1)
    assert "distinct_words" in [layer.name for layer in once.layers]
    assert "distinct_words" not in [layer.name for layer in everywhere.layers]
    everywhere.set_weights(once.get_weights())
    np.testing.assert_allclose(once({"text": ids})["topic"], everywhere({"text": ids})["topic"], atol=1e-6)


def test_it_compiles_without_xla_by_default():
    model = build_multi_head_text(
        vocab_size=WORDS, heads={"yes": Head("binary")}, filters=[4], convolutions=[1], padding="same"
    )
    model.compile("adam", {"yes": "binary_crossentropy"})
    ids, _ = ids_and_table()
    assert np.isfinite(model.fit({"text": ids}, {"yes": np.ones((2, 1))}, verbose=0).history["loss"]).all()
