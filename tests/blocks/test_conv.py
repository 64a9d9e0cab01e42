"""Convolution blocks: shapes, numbers worked out by hand, and merges that refuse what does not fit."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasapps.blocks import conv

rng = np.random.default_rng(0)


def build(block, shape, **arguments):
    """A model of one block."""
    image = keras.Input(shape, name="image")
    return keras.Model(image, block(image, name="b", **arguments))


def names(model):
    return [layer.name for layer in model.layers]


def has_bias(model):
    return {layer.name for layer in model.layers if getattr(layer, "use_bias", False)}


def fill(model, **weights):
    """Sets kernels of 3x3 to zero but for their middle, which makes numbers of single pixels."""
    for name, (weight, *bias) in weights.items():
        layer = model.get_layer(name)
        kernel = np.zeros(layer.kernel.shape)
        kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = weight
        layer.set_weights([kernel, *(np.reshape(b, (-1,)) for b in bias)])


# --- shapes


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize(
    ("block", "arguments", "height", "width", "channels"),
    [
        (conv.conv_block, {"filters": 5}, 7, 10, 5),
        (conv.conv_block, {"filters": 5, "strides": 2}, 4, 5, 5),
        (conv.conv_block, {"filters": 5, "padding": "valid"}, 5, 8, 5),
        (conv.separable_block, {"filters": 5}, 7, 10, 5),
        (conv.separable_block, {"filters": 5, "padding": "valid"}, 5, 8, 5),
        (conv.residual_block, {"filters": 3}, 7, 10, 3),
        (conv.residual_block, {"filters": 5, "strides": 2}, 4, 5, 5),
        (conv.residual_block, {"filters": 5, "strides": 2, "preactivation": True}, 4, 5, 5),
        (conv.bottleneck_block, {"filters": 3, "strides": 2}, 4, 5, 4 * 3),
        (conv.bottleneck_block, {"filters": 3, "dilation": 2}, 7, 10, 4 * 3),
        (conv.stem_block, {"filters": 3}, 2, 3, 3),
        (conv.inception_block, {"filters": 5}, 4, 5, 4 * 5),
        (conv.googlenet_block, {"filters": (1, 2, 3, 4, 5, 6)}, 7, 10, 1 + 3 + 5 + 6),
        (conv.dense_block, {"num_layers": 3, "growth_rate": 2}, 7, 10, 3 + 3 * 2),
        (conv.dense_block, {"num_layers": 2, "growth_rate": 4, "bottleneck": 0, "dropout": 0.5}, 7, 10, 3 + 2 * 4),
    ],
)
def test_shapes_for_odd_and_even_sides(block, arguments, height, width, channels, batch_norm):
    model = build(block, (7, 10, 3), batch_norm=batch_norm, **arguments)
    assert model.output_shape == (None, height, width, channels)
    assert model(rng.normal(size=(2, 7, 10, 3))).shape == (2, height, width, channels)
    assert all(name.startswith("b_") for name in names(model)[1:])
    assert any(isinstance(layer, layers.BatchNormalization) for layer in model.layers) == batch_norm


@pytest.mark.parametrize(
    ("block", "arguments"),
    [
        (conv.conv_block, {"filters": 4}),
        (conv.separable_block, {"filters": 4}),
        (conv.residual_block, {"filters": 4, "strides": 2}),
        (conv.residual_block, {"filters": 4, "strides": 2, "preactivation": True}),
        (conv.bottleneck_block, {"filters": 4, "strides": 2}),
        (conv.inception_block, {"filters": 4}),
        (conv.googlenet_block, {"filters": (1, 1, 1, 1, 1, 1)}),
        (conv.dense_block, {"num_layers": 2, "growth_rate": 4}),
    ],
)
def test_a_bias_only_where_nothing_is_normalized(block, arguments):
    assert not has_bias(build(block, (8, 8, 3), **arguments))
    plain = build(block, (8, 8, 3), batch_norm=False, **arguments)
    assert has_bias(plain) == {layer.name for layer in plain.layers if hasattr(layer, "use_bias")} != set()


def test_the_bias_of_a_convolution_can_be_chosen():
    assert has_bias(build(conv.conv_block, (8, 8, 3), filters=2, use_bias=True)) == {"b_conv"}
    assert not has_bias(build(conv.conv_block, (8, 8, 3), filters=2, batch_norm=False, use_bias=False))


def test_without_an_activation_negative_values_stay():
    x = rng.normal(size=(4, 8, 8, 3))
    assert np.min(build(conv.conv_block, (8, 8, 3), filters=2, activation=None)(x)) < 0
    assert np.min(build(conv.conv_block, (8, 8, 3), filters=2)(x)) == 0


# --- residual


@pytest.mark.parametrize("preactivation", [True, False])
@pytest.mark.parametrize(
    ("filters", "strides", "projected"), [(3, 1, False), (4, 1, True), (3, 2, True), (4, 2, True), (1, 1, True)]
)
def test_the_shortcut_is_the_image_itself_exactly_where_shapes_agree(filters, strides, projected, preactivation):
    model = build(conv.residual_block, (8, 8, 3), filters=filters, strides=strides, preactivation=preactivation)
    assert ("b_shortcut_conv" in names(model)) == projected
    assert not any(name.startswith("b_shortcut") and "relu" in name for name in names(model))
    shortcut = model.get_layer("b_add").input[0]
    if not projected:
        assert shortcut is model.input
    elif preactivation:
        # What follows a block normalizes, as ECCV 2016 has it.
        assert "b_shortcut_bn" not in names(model)


def test_a_block_whose_last_convolution_gives_nothing_passes_the_image_on():
    x = np.abs(rng.normal(size=(2, 6, 6, 3))).astype("float32")
    for preactivation in (True, False):
        model = build(conv.residual_block, (6, 6, 3), filters=3, preactivation=preactivation, batch_norm=False)
        kernel, bias = model.get_layer("b_2_conv").get_weights()
        model.get_layer("b_2_conv").set_weights([0 * kernel, bias])
        np.testing.assert_array_equal(model(x), x)


def test_post_activation_by_hand():
    model = build(conv.residual_block, (1, 1, 1), filters=1, batch_norm=False)
    fill(model, b_1_conv=(2, -1), b_2_conv=(-3, 4))
    # x = 1: relu(2 - 1) = 1, -3 + 4 = 1, relu(1 + 1) = 2.   x = 3: 5, -11, relu(-8) = 0.   x = -1: 0, 4, relu(3) = 3.
    np.testing.assert_allclose(np.ravel(model(np.reshape([1.0, 3.0, -1.0], (3, 1, 1, 1)))), [2, 0, 3])


def test_pre_activation_by_hand():
    model = build(conv.residual_block, (1, 1, 1), filters=1, preactivation=True, batch_norm=False)
    fill(model, b_1_conv=(2, -1), b_2_conv=(-3, 4))
    # x = 1: relu(1), relu(2 - 1) = 1, -3 + 4 = 1, 1 + 1 = 2.   x = 3: 5, -11, -8.   x = -2: relu = 0, relu(-1) = 0, 4,
    # and the image as it was, -2, makes 2.
    np.testing.assert_allclose(np.ravel(model(np.reshape([1.0, 3.0, -2.0], (3, 1, 1, 1)))), [2, -8, 2])


@pytest.mark.parametrize(
    ("preactivation", "expected"),
    [
        # Projected: (5 * -1 + 1, -2 * -1) = (-4, 2), linear although x is negative. Branch: relu(-1 * 1) = 0, then the
        # biases (2, 3). Sums (-2, 5), activated: (0, 5).
        (False, [0, 5]),
        # The projection sees relu(x) = 0 and gives its bias (1, 0); the branch gives (2, 3).
        (True, [3, 3]),
    ],
)
def test_projection_by_hand(preactivation, expected):
    model = build(conv.residual_block, (1, 1, 1), filters=2, preactivation=preactivation, batch_norm=False)
    fill(model, b_1_conv=([[1, 1]], [0, 0]), b_2_conv=(np.eye(2), [2, 3]), b_shortcut_conv=([[5, -2]], [1, 0]))
    np.testing.assert_allclose(np.ravel(model(np.full((1, 1, 1, 1), -1.0))), expected)


def test_bottleneck_by_hand():
    model = build(conv.bottleneck_block, (1, 1, 4), filters=1, batch_norm=False)
    fill(model, b_1_conv=([[1], [0], [0], [2]], -1), b_2_conv=(2, 1), b_3_conv=([[1, -1, 0, -4]], [0, 0, 3, 0]))
    # x = (1, 2, 3, 4): relu(1 + 8 - 1) = 8, relu(16 + 1) = 17, (17, -17, 3, -68), added to x and activated.
    np.testing.assert_allclose(np.ravel(model(np.reshape([1.0, 2.0, 3.0, 4.0], (1, 1, 1, 4)))), [18, 0, 6, 0])


@pytest.mark.parametrize("sides", [(7, 8), (8, 7)])
@pytest.mark.parametrize("kernel_size", [3, 7])
def test_with_centered_padding_a_stride_takes_every_second_pixel(sides, kernel_size):
    arguments = {"filters": 2, "kernel_size": kernel_size, "padding": "centered"}
    every, second = (build(conv.conv_block, (*sides, 3), strides=strides, **arguments) for strides in (1, 2))
    second.set_weights(every.get_weights())
    x = rng.normal(size=(2, *sides, 3))
    np.testing.assert_allclose(second(x), every(x)[:, ::2, ::2], atol=1e-5)


def test_a_projection_with_stride_takes_every_second_pixel():
    model = build(conv.residual_block, (4, 4, 1), filters=1, strides=2, batch_norm=False)
    fill(model, b_1_conv=(0, 0), b_2_conv=(0, 0), b_shortcut_conv=(1, 0))
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(np.squeeze(model(x)), [[0, 2], [8, 10]])


# --- inception, dense


def test_the_four_branches_of_inception():
    model = build(conv.inception_block, (8, 8, 3), filters=4, batch_norm=False)
    joined = model.get_layer("b_joined")
    assert [tuple(branch.shape) for branch in joined.input] == [(None, 4, 4, 4)] * 4
    kernels = {
        layer.name: (layer.kernel_size[0], layer.strides[0]) for layer in model.layers if hasattr(layer, "kernel")
    }
    assert kernels == {
        "b_a_conv": (1, 2),
        "b_b1_conv": (1, 1),
        "b_b2_conv": (3, 2),
        "b_c_conv": (3, 1),
        "b_d1_conv": (1, 1),
        "b_d2_conv": (3, 1),
        "b_d3_conv": (3, 2),
    }
    assert isinstance(model.get_layer("b_c_pool"), layers.AveragePooling2D)
    # 1x1: 3 -> 4, three times; 3x3: 4 -> 4 three times and 3 -> 4 once.
    assert model.count_params() == 3 * (3 + 1) * 4 + 3 * (9 * 4 + 1) * 4 + (9 * 3 + 1) * 4


def test_inception_without_padding_names_both_shapes():
    with pytest.raises(ValueError, match="Branches must agree in height and width") as error:
        build(conv.inception_block, (9, 9, 3), filters=4, padding="valid")
    assert "(None, 5, 5, 4)" in str(error.value)  # a 1x1 with stride 2 of 9
    assert "(None, 4, 4, 4)" in str(error.value)  # a 3x3 with stride 2 of 9


def test_parameters_of_googlenet_block_3a():
    model = build(conv.googlenet_block, (28, 28, 192), filters=(64, 96, 128, 16, 32, 32), batch_norm=False)
    assert model.output_shape == (None, 28, 28, 256)
    reductions = 193 * (64 + 96 + 16 + 32)
    assert model.count_params() == reductions + (9 * 96 + 1) * 128 + (25 * 16 + 1) * 32


def test_googlenet_block_refuses_another_number_of_filters():
    with pytest.raises(ValueError, match=r"`filters` must hold 6 widths\. Received: filters=\(1, 2, 3\)"):
        build(conv.googlenet_block, (8, 8, 3), filters=(1, 2, 3))


def test_each_dense_layer_sees_all_before_it():
    model = build(conv.dense_block, (8, 8, 3), num_layers=3, growth_rate=2, bottleneck=4)
    for i, seen in enumerate((3, 5, 7), start=1):
        assert model.get_layer(f"b_layer{i}_1_conv").kernel.shape == (1, 1, seen, 8)
        assert model.get_layer(f"b_layer{i}_2_conv").kernel.shape == (3, 3, 8, 2)
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(model(x))[..., :3], x)


def test_dense_layers_without_bottleneck():
    model = build(conv.dense_block, (8, 8, 3), num_layers=2, growth_rate=2, bottleneck=0)
    assert model.get_layer("b_layer2_1_conv").kernel.shape == (3, 3, 5, 2)
    assert "b_layer1_2_conv" not in names(model)
    assert not any("dropout" in name for name in names(model))


# --- merging


@pytest.mark.parametrize(
    ("merge", "shapes", "what"),
    [
        (conv.concatenate, [(8, 8, 3), (8, 7, 3)], "height and width"),
        (conv.concatenate, [(8, 8, 3), (8, 8, 1), (4, 8, 3)], "height and width"),
        (conv.add, [(8, 8, 3), (8, 8, 1)], "height, width and channels"),  # Keras would stretch the second
        (conv.add, [(8, 8, 3), (1, 8, 3)], "height, width and channels"),
    ],
)
def test_merging_names_both_branches_and_shapes(merge, shapes, what):
    branches = [keras.Input(shape, name=f"branch{i}") for i, shape in enumerate(shapes)]
    with pytest.raises(ValueError, match=f"Branches must agree in {what} to be merged") as error:
        merge(branches, name="merged")
    for i in (0, len(shapes) - 1):
        assert f"branch{i} {(None, *shapes[i])}" in str(error.value)


def test_merging_what_fits():
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 2))
    assert conv.concatenate([a, b], name="joined").shape == (None, 8, 8, 5)
    assert conv.add([a, a], name="sum").shape == (None, 8, 8, 3)
    c, d = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    assert conv.add([c, d], name="sum").shape == (None, None, None, 3)


# --- initial weights


def keras_separable(x, *, filters, batch_norm, name):
    return layers.SeparableConv2D(filters, 3, padding="same", activation="relu", name=name)(x)


@pytest.mark.parametrize(("block", "kept"), [(conv.separable_block, True), (keras_separable, False)])
def test_six_separable_layers_keep_the_variance_of_their_input(block, kept):
    image = x = keras.Input((24, 24, 32))
    for i in range(6):
        x = block(x, filters=32, batch_norm=False, name=f"layer{i}")
    x = np.asarray(keras.Model(image, x)(rng.normal(size=(8, 24, 24, 32))))[:, 6:-6, 6:-6]  # no padding seen
    mean_square = np.square(x).mean()  # 1 in the input
    assert (0.1 < mean_square < 10) if kept else mean_square < 1e-6


@pytest.mark.parametrize("block", [conv.conv_block, conv.separable_block])
def test_initial_weights_of_one_layer(block):
    model = build(block, (20, 20, 48), filters=64, batch_norm=False, activation=None)
    y = np.asarray(model(rng.normal(size=(8, 20, 20, 48))))[:, 1:-1, 1:-1]
    assert np.var(y) == pytest.approx(2, rel=0.15)  # He et al. make up for the half that ReLU takes
