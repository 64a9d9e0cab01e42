"""Blocks of convolutional networks: plain, separable, residual, inception, dense. All take (B, H, W, C)."""

import math
from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import check_length
from kerasapps.blocks.fast_conv import Conv2D
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.normalization import BatchNormalization
from kerasapps.blocks.plain import keras_layer

# As in He et al. 2016. With Keras' own momentum of 0.99 a network cannot be evaluated for hundreds of steps.
MOMENTUM, EPSILON = 0.9, 1e-5
Padding = Literal["valid", "same"]


def normalize(x, *, name: str):
    """Normalizes each channel over the batch; the shape stays."""
    return BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=name)(x)


def activation_block(x, *, activation: str | None = "relu", batch_norm: bool, name: str):
    """Normalizes and activates, if so asked; the shape stays."""
    if batch_norm:
        x = normalize(x, name=f"{name}_bn")
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def conv_block(
    x,
    *,
    filters: int,
    kernel_size: int | tuple[int, int] = 3,
    strides: int = 1,
    dilation: int = 1,
    pool: int = 1,
    padding: Padding | Literal["centered"] = "same",
    activation: str | None = "relu",
    batch_norm: bool = True,
    use_bias: bool | None = None,
    kernel_initializer: str | keras.initializers.Initializer = "he_normal",
    name: str,
):
    """Convolves, pools, normalizes and activates: (B, H, W, C) -> (B, H / strides / pool, W / strides / pool, filters).

    There is a bias unless the output is normalized; `use_bias` overrides that. The padding "centered" is equal on both
    sides, as in PyTorch; Keras' "same" puts more at the end where the stride is 2.
    """
    if padding == "centered" and strides > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_padding")(x)
        padding = "valid"
    x = Conv2D(
        filters,
        kernel_size,
        strides=strides,
        dilation_rate=dilation,
        padding="same" if padding == "centered" else padding,
        use_bias=not batch_norm if use_bias is None else use_bias,
        kernel_initializer=kernel_initializer,
        name=f"{name}_conv",
    )(x)
    if pool > 1:
        x = layers.MaxPooling2D(pool, padding="same", name=f"{name}_pool")(x)
    return activation_block(x, activation=activation, batch_norm=batch_norm, name=name)


def stem_block(x, *, filters: int, batch_norm: bool, name: str):
    """Convolves 7x7 and pools, each halving the sides: (B, H, W, C) -> (B, H / 4, W / 4, filters)."""
    x = conv_block(
        x, filters=filters, kernel_size=7, strides=2, padding="centered", batch_norm=batch_norm, name=name
    )  # (B, H / 2, W / 2, filters)
    # After a ReLU zeros change no maximum.
    x = layers.ZeroPadding2D(1, name=f"{name}_pool_padding")(x)
    return layers.MaxPooling2D(3, strides=2, name=f"{name}_pool")(x)  # (B, H / 4, W / 4, filters)


def separable_block(
    x,
    *,
    filters: int,
    kernel_size: int = 3,
    padding: Padding = "same",
    activation: str | None = "relu",
    batch_norm: bool = True,
    name: str,
):
    """Convolves each channel separately, then mixes the channels: (B, H, W, C) -> (B, H', W', filters).

    Reference: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017.
    """
    # Deviation: Keras, and the course notes with it, count all channels as inputs of a depthwise filter, which reads
    # one. Such weights, at 32 channels a fifth of what they should be, keep a deep network without normalization from
    # ever starting to learn.
    one_channel = keras.initializers.VarianceScaling(float(x.shape[-1]), "fan_in", "truncated_normal")
    x = layers.SeparableConv2D(
        filters,
        kernel_size,
        padding=padding,
        use_bias=not batch_norm,
        depthwise_initializer=one_channel,
        pointwise_initializer="he_normal",
        name=f"{name}_sepconv",
    )(x)
    return activation_block(x, activation=activation, batch_norm=batch_norm, name=name)


def residual_block(
    x,
    *,
    filters: int,
    strides: int = 1,
    dilation: tuple[int, int] = (1, 1),
    padding: Literal["same", "centered"] = "same",
    preactivation: bool = False,
    batch_norm: bool = True,
    name: str,
):
    """Adds the output of two 3x3 convolutions to their input: (B, H, W, C) -> (B, H / strides, W / strides, filters).

    The input is added unchanged if the shapes agree, otherwise after a linear 1x1 projection. `dilation` is that of the
    first and of the second convolution.

    References: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; with `preactivation`, which
    normalizes and activates before each convolution, "Identity Mappings in Deep Residual Networks", ECCV 2016.
    """
    # Normalization makes a bias superfluous whether it follows at once or later.
    shared = {"batch_norm": batch_norm and not preactivation, "use_bias": not batch_norm, "activation": None}
    entry = activation_block(x, batch_norm=batch_norm, name=f"{name}_pre") if preactivation else x
    y = conv_block(
        entry, filters=filters, strides=strides, dilation=dilation[0], padding=padding, name=f"{name}_1", **shared
    )  # (B, H', W', F)
    if preactivation:
        y = activation_block(y, batch_norm=batch_norm, name=f"{name}_mid")
    else:
        y = layers.ReLU(name=f"{name}_1_relu")(y)
    y = conv_block(y, filters=filters, dilation=dilation[1], name=f"{name}_2", **shared)
    if strides == 1 and x.shape[-1] == filters:
        shortcut = x
    else:
        shortcut = conv_block(entry, filters=filters, kernel_size=1, strides=strides, name=f"{name}_shortcut", **shared)
    y = add([shortcut, y], name=f"{name}_add")
    return y if preactivation else layers.ReLU(name=f"{name}_relu")(y)


def bottleneck_block(x, *, filters: int, strides: int = 1, dilation: int = 1, batch_norm: bool = True, name: str):
    """Adds to its input what 1x1, 3x3 and 1x1 convolutions give: (B, H, W, C) -> (B, H', W', 4 * filters).

    Only the 3x3 one, of `filters` like the first, reads neighbors, so that the block may be wide at little cost.

    Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, figure 5.
    """
    # Deviation: the paper has the stride in the first convolution, which then ignores three pixels of four.
    narrow = {"filters": filters, "batch_norm": batch_norm}
    y = conv_block(x, kernel_size=1, name=f"{name}_1", **narrow)  # (B, H, W, F)
    y = conv_block(
        y, strides=strides, dilation=dilation, padding="centered", name=f"{name}_2", **narrow
    )  # (B, H', W', F)
    linear = {"filters": 4 * filters, "kernel_size": 1, "activation": None, "batch_norm": batch_norm}
    y = conv_block(y, name=f"{name}_3", **linear)  # (B, H', W', 4F)
    if strides > 1 or x.shape[-1] != 4 * filters:
        x = conv_block(x, strides=strides, name=f"{name}_shortcut", **linear)
    return layers.ReLU(name=f"{name}_relu")(add([x, y], name=f"{name}_add"))


@keras.saving.register_keras_serializable(package="kerasapps")
class AveragePooling2D(layers.AveragePooling2D):
    """Keras' layer with the same arguments and results, on PyTorch too.

    There Keras repeats the edge if the two sides need unequal padding, and counts what it repeats.
    """

    def plain(self):
        """Returns Keras' layer."""
        return keras_layer(self, layers.AveragePooling2D)

    def call(self, inputs):
        if keras.backend.backend() != "torch" or self.padding == "valid":
            return super().call(inputs)
        margins = []
        for side, size, stride in zip(inputs.shape[1:3], self.pool_size, self.strides, strict=True):
            missing = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
            margins.append([missing // 2, missing - missing // 2])

        def pool(x):
            return ops.average_pool(ops.pad(x, [[0, 0], *margins, [0, 0]]), self.pool_size, self.strides, "valid")

        return pool(inputs) / pool(ops.ones_like(inputs))


def inception_block(x, *, filters: int, padding: Padding = "same", batch_norm: bool = True, name: str):
    """Joins four branches that halve the sides: (B, H, W, C) -> (B, H / 2, W / 2, 4 * filters).

    The branches: 1x1; 1x1 and 3x3; average pool and 3x3; 1x1, 3x3 and 3x3. The last layer of each has stride 2; in
    the third branch it is the pool.

    Raises:
        ValueError: If `padding` is "valid", under which the branches have unequal sizes.
    """
    # Deviation: the course notes leave the padding at "valid", under which the branches cannot be joined.
    shared = {"filters": filters, "padding": padding, "batch_norm": batch_norm}
    a = conv_block(x, kernel_size=1, strides=2, name=f"{name}_a", **shared)
    b = conv_block(x, kernel_size=1, name=f"{name}_b1", **shared)
    b = conv_block(b, strides=2, name=f"{name}_b2", **shared)
    c = AveragePooling2D(3, strides=2, padding=padding, name=f"{name}_c_pool")(x)
    c = conv_block(c, name=f"{name}_c", **shared)
    d = conv_block(x, kernel_size=1, name=f"{name}_d1", **shared)
    d = conv_block(d, name=f"{name}_d2", **shared)
    d = conv_block(d, strides=2, name=f"{name}_d3", **shared)
    return concatenate([a, b, c, d], name=f"{name}_joined")


def googlenet_block(
    x,
    *,
    filters: Sequence[int],
    batch_norm: bool = True,
    name: str,
):
    """Joins four branches with windows of different sizes: (B, H, W, C) -> (B, H, W, F).

    Args:
        x: Images or features.
        filters: Of 1x1, the reduction before 3x3, 3x3, the reduction before 5x5, 5x5, and 1x1 after the max pool; F is
            the sum of the first, third, fifth and sixth.
        batch_norm: Whether to normalize after each convolution.
        name: Prefix of the layers' names.

    Reference: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, figure 2b.
    """
    check_length(6, filters=filters)
    one, reduce_three, three, reduce_five, five, pooled = filters
    a = conv_block(x, filters=one, kernel_size=1, batch_norm=batch_norm, name=f"{name}_1x1")
    b = conv_block(x, filters=reduce_three, kernel_size=1, batch_norm=batch_norm, name=f"{name}_3x3_reduce")
    b = conv_block(b, filters=three, batch_norm=batch_norm, name=f"{name}_3x3")
    c = conv_block(x, filters=reduce_five, kernel_size=1, batch_norm=batch_norm, name=f"{name}_5x5_reduce")
    c = conv_block(c, filters=five, kernel_size=5, batch_norm=batch_norm, name=f"{name}_5x5")
    d = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    d = conv_block(d, filters=pooled, kernel_size=1, batch_norm=batch_norm, name=f"{name}_pool_proj")
    return concatenate([a, b, c, d], name=f"{name}_joined")


def dense_block(
    x,
    *,
    num_layers: int,
    growth_rate: int,
    bottleneck: int = 4,
    batch_norm: bool = True,
    dropout: float = 0.0,
    name: str,
):
    """Feeds each layer the outputs of all layers before it: (B, H, W, C) -> (B, H, W, C + num_layers * growth_rate).

    Args:
        x: Images or features.
        num_layers: Number of layers.
        growth_rate: Channels that each layer adds.
        bottleneck: The 1x1 convolution before each 3x3 has `bottleneck * growth_rate` filters; 0 leaves it out.
        batch_norm: Whether to normalize before each convolution.
        dropout: Share of each layer's features dropped in training, in [0, 1).
        name: Prefix of the layers' names.

    Reference: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017.
    """
    for i in range(1, num_layers + 1):
        y, prefix = x, f"{name}_layer{i}"
        kernels = [(bottleneck * growth_rate, 1), (growth_rate, 3)] if bottleneck else [(growth_rate, 3)]
        for j, (filters, kernel_size) in enumerate(kernels, start=1):
            y = activation_block(y, batch_norm=batch_norm, name=f"{prefix}_{j}")
            y = conv_block(
                y,
                filters=filters,
                kernel_size=kernel_size,
                activation=None,
                batch_norm=False,
                use_bias=not batch_norm,
                name=f"{prefix}_{j}",
            )
        if dropout:
            y = Dropout(dropout, name=f"{prefix}_dropout")(y)
        x = concatenate([x, y], name=f"{prefix}_joined")
    return x


def scaled(filters: int, width: float) -> int:
    """Returns the number of filters in a network that is `width` times as wide."""
    return max(1, round(width * filters))


def concatenate(branches: Sequence, *, name: str):
    """Joins branches along their channels.

    Raises:
        ValueError: If they differ in height or width.
    """
    _check_shapes(branches, lambda tensor: tensor.shape[1:-1], "height and width")
    return layers.Concatenate(name=name)(list(branches))


def add(branches: Sequence, *, name: str):
    """Adds branches up.

    Raises:
        ValueError: If they differ in shape.
    """
    _check_shapes(branches, lambda tensor: tensor.shape[1:], "height, width and channels")
    return layers.Add(name=name)(list(branches))


def _check_shapes(branches: Sequence, sides, what: str) -> None:
    for branch in branches[1:]:
        if sides(branch) != sides(branches[0]):
            raise ValueError(
                f"Branches must agree in {what} to be merged. "
                f"Received: {branches[0].name} {tuple(branches[0].shape)} and {branch.name} {tuple(branch.shape)}"
            )
