"""Masked convolutions: what they see, and that a PixelCNN of them sees nothing of its own pixel or of a later one."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.applications.pixelcnn import build_pixelcnn
from kerasapps.blocks.masked_conv import Gate, MaskedConv2D, window_mask


@pytest.mark.parametrize(
    ("mask", "rows"),
    [
        ("A", ["111", "100", "000"]),
        ("B", ["111", "110", "000"]),
        ("above", ["111", "000", "000"]),
        ("rows", ["111", "111", "000"]),
    ],
)
def test_what_a_window_sees(mask, rows):
    seen = window_mask(mask, (3, 3), 1, 1)[..., 0, 0]
    np.testing.assert_array_equal(seen, [[int(one) for one in row] for row in rows])


def test_what_a_channel_sees_of_the_others_at_its_own_pixel():
    """Red sees neither, green sees red, blue sees both; under B each also sees what is its own."""
    strictly, own = (window_mask(mask, (1, 1), 3, 6, channels=3)[0, 0].T for mask in "AB")  # (6, 3)
    np.testing.assert_array_equal(strictly, [[0, 0, 0], [1, 0, 0], [1, 1, 0]] * 2)
    np.testing.assert_array_equal(own, [[1, 0, 0], [1, 1, 0], [1, 1, 1]] * 2)


def test_a_masked_convolution_by_hand():
    layer = MaskedConv2D(1, 3, mask="A", use_bias=False)
    image = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    layer.build(image.shape)
    layer.set_weights([np.arange(1.0, 10).reshape(3, 3, 1, 1)])
    # At the center: 1 * 1 + 2 * 2 + 3 * 3 above, 4 * 4 to the left; at the first pixel nothing.
    found = np.asarray(layer(image))[0, ..., 0]
    assert (found[1, 1], found[0, 0]) == (30, 0)
    again = MaskedConv2D.from_config(layer.get_config())
    assert (again.mask, again.padding, again.kernel_size) == ("A", "same", (3, 3))


def test_the_gate_by_hand():
    found = np.asarray(Gate()(np.array([[0.5, -1.0, 0.0, 2.0]], np.float32)))
    np.testing.assert_allclose(found, [[np.tanh(0.5) / 2, np.tanh(-1) / (1 + np.exp(-2))]], rtol=1e-5)


def jacobian(model: keras.Model) -> np.ndarray:
    """How much each output, a pixel's channel, depends on each input, both in their order: (D, D)."""
    shape = model.inputs[0].shape[1:]
    images = tf.random.stateless_uniform((4, *shape), seed=(0, 1), maxval=2.0)
    with tf.GradientTape() as tape:
        tape.watch(images)
        squares = tf.reduce_sum(tf.square(model({"image": images})["level"]), -1)
        sums = tf.reduce_sum(tf.reshape(squares, (4, -1)), 0)  # (D,)
    found = tape.jacobian(sums, images).numpy()  # (D, 4, H, W, C)
    return np.abs(found).reshape(len(found), 4, -1).max(1)


@pytest.mark.parametrize("shape", [(4, 5, 1), (3, 3, 3)], ids=["gray", "colors"])
@pytest.mark.parametrize("gated", [True, False], ids=["gated", "plain"])
def test_no_output_depends_on_its_own_pixel_or_a_later_one(gated, shape):
    model = build_pixelcnn(image_shape=shape, levels=3, filters=24, depth=4, window=3, gated=gated)
    depends = jacobian(model)
    np.testing.assert_array_equal(np.triu(depends), 0)
    before = np.tri(len(depends), k=-1, dtype=bool)
    # Two stacks see all that comes before; a stack of square windows has a blind spot above and to the right.
    assert gated == bool((depends[before] > 0).all())
    if not gated and shape[-1] == 1:
        assert depends[7, 4] == 0  # of the pixel in row 1, column 2 the one in row 0, column 4
        assert depends[7, 3] > 0


@pytest.mark.parametrize("gated", [True, False], ids=["gated", "plain"])
def test_the_probabilities_of_all_images_add_up_to_one(gated):
    model = build_pixelcnn(image_shape=(2, 3, 1), levels=2, filters=4, depth=1, window=3, gated=gated)
    images = np.array(list(itertools.product((0, 1), repeat=6)), np.int32).reshape(-1, 2, 3, 1)
    logits = model({"image": images})["level"]
    losses = keras.losses.sparse_categorical_crossentropy(images, logits, from_logits=True)  # (64, 2, 3, 1)
    probabilities = np.exp(-np.asarray(losses).sum((1, 2, 3)))
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert probabilities.std() > 0
