"""Contract rows of the image classifiers: tests/contract.py gives the class and takes the rows."""

from itertools import pairwise

import numpy as np

from kerasapps.applications import (
    classic,
    densenet,
    inception_classifier,
    quick_residual_classifier,
    residual_classifier,
    separable_classifier,
    style_transfer,
    vgg,
    xception,
)

SPACES = {
    "build_separable_classifier": separable_classifier.search_space,
    "build_residual_classifier": residual_classifier.search_space,
    "build_quick_residual_classifier": quick_residual_classifier.search_space,
    "build_inception_classifier": inception_classifier.search_space,
    "build_xception": xception.search_space,
    "build_perceptron": classic.search_space_perceptron,
    "build_mnist_network": classic.search_space_mnist_network,
    "build_lenet5": classic.search_space_lenet5,
    "build_alexnet": classic.search_space_alexnet,
    "build_vgg": vgg.search_space,
    "build_densenet": densenet.search_space,
    "build_style_taps": style_transfer.search_space,
}


def pictures(*shape: int, rows: int = 4) -> np.ndarray:
    """Random pictures, values 0 to 255."""
    return np.random.default_rng(0).integers(0, 256, (rows, *shape)).astype(np.float32)


def conv(size: int, channels: int, filters: int, *, bias: bool = True) -> int:
    """Parameters of a square convolution."""
    return (size * size * channels + bias) * filters


def dense(*widths: int) -> int:
    """Parameters of dense layers, from the first width to the last."""
    return sum((a + 1) * b for a, b in pairwise(widths))


def normalisation(channels: int) -> int:
    """Scale, shift, mean and variance."""
    return 4 * channels


def dense_layers(channels: int, growth: int, count: int, *, batch_norm: bool) -> int:
    """A dense block: 1x1 to four times the growth, then 3x3, for more channels each time."""
    total = 0
    for c in range(channels, channels + count * growth, growth):
        total += conv(1, c, 4 * growth, bias=not batch_norm) + conv(3, 4 * growth, growth, bias=not batch_norm)
        total += normalisation(c) + normalisation(4 * growth) if batch_norm else 0
    return total


def densenet_parameters(*, stem: int, batch_norm: bool) -> int:
    """Growth 4, blocks of 2 and 1 layers, 3 classes: 8 channels, 16, halved to 8, 12."""
    norm = (lambda channels: normalisation(channels)) if batch_norm else (lambda channels: 0)
    return (
        conv(stem, 3, 8, bias=not batch_norm)
        + (norm(8) if stem == 7 else 0)
        + dense_layers(8, 4, 2, batch_norm=batch_norm)
        + norm(16)
        + conv(1, 16, 8, bias=not batch_norm)
        + dense_layers(8, 4, 1, batch_norm=batch_norm)
        + norm(12)
        + dense(12, 3)
    )


def image_contracts(contract) -> list:
    """Returns the rows, `contract` being the class of tests/contract.py."""

    def row(builder, name: str, shape: tuple[int, int, int], smallest: int, parameters: int, refused=(), **arguments):
        small = (smallest - 1, *shape[1:])
        return contract(
            builder=builder,
            arguments={"name": name, "image_shape": shape, "num_classes": 3, "dropout": 0.5, **arguments},
            inputs={"image": pictures(*shape)},
            outputs={"label": (3,)},
            parameters=parameters,
            refused=[
                ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
                ({"dropout": 1.0}, "`dropout` must be in"),
                ({"dropout": -0.1}, "`dropout` must be in"),
                ({"image_shape": small}, f"with both sides at least {smallest}. Received: image_shape={small}"),
                ({"image_shape": shape[:2]}, "`image_shape` must be"),
                *refused,
            ],
            search_space=SPACES[builder.__name__],
        )

    two = [({"filters": (4,)}, "`filters` must hold 2 widths. Received: filters=")]
    five = [({"filters": (4, 4)}, "`filters` must hold 5 widths. Received: filters=")]
    depth = [({"depth": 12}, "`depth` must be one of"), *five]
    blocks = [
        ({"blocks": ()}, "`blocks` must hold"),
        ({"blocks": (2, 0)}, "`blocks` must hold"),
        ({"compression": 0.0}, "`compression` must be in"),
    ]
    vgg_widths = {"filters": (4, 4, 6, 8, 8), "dense_units": (16, 12)}
    narrow = {"blocks": (2, 1), "growth_rate": 4}
    vgg11 = conv(3, 3, 4) + conv(3, 4, 4) + conv(3, 4, 6) + conv(3, 6, 6) + conv(3, 6, 8) + 3 * conv(3, 8, 8)
    return [
        _style_taps(contract),
        *_separable(row),
        *_residual(row),
        *_quick_residual(row),
        *_inception(row),
        *_xception(row),
        row(classic.build_perceptron, "perceptron", (6, 5, 2), 1, dense(6 * 5 * 2, 8, 6, 3), dense_units=(8, 6)),
        row(
            classic.build_mnist_network,
            "mnist_network",
            (20, 16, 1),
            16,
            conv(5, 1, 4) + conv(5, 4, 6) + dense(2 * 1 * 6, 16, 3),
            two,
            filters=(4, 6),
            dense_units=16,
        ),
        row(
            classic.build_lenet5,
            "lenet5",
            (20, 16, 1),
            16,
            conv(5, 1, 3) + conv(5, 3, 4) + dense(2 * 1 * 4, 8, 6, 3),
            [*two, ({"dense_units": (8, 6, 4)}, "`dense_units` must hold 2 widths. Received: dense_units=")],
            filters=(3, 4),
            dense_units=(8, 6),
        ),
        row(
            classic.build_alexnet,
            "alexnet",
            (63, 95, 3),
            63,
            conv(11, 3, 4) + conv(5, 4, 6) + conv(3, 6, 8) + conv(3, 8, 8) * 2 + dense(1 * 2 * 8, 16, 12, 3),
            five,
            filters=(4, 6, 8, 8, 8),
            dense_units=(16, 12),
        ),
        row(
            vgg.build_vgg,
            "vgg11",
            (32, 64, 3),
            32,
            vgg11 + dense(1 * 2 * 8, 16, 12, 3),
            depth,
            depth=11,
            **vgg_widths,
        ),
        row(
            vgg.build_vgg,
            "vgg11_bn",
            (32, 64, 3),
            32,
            vgg11 + normalisation(4 + 4 + 2 * (6 + 8 + 8)) + dense(1 * 2 * 8, 16, 12, 3),
            depth,
            depth=11,
            batch_norm=True,
            **vgg_widths,
        ),
        row(
            densenet.build_densenet,
            "densenet",
            (16, 24, 3),
            8,
            densenet_parameters(stem=7, batch_norm=True),
            blocks,
            **narrow,
        ),
        row(
            densenet.build_densenet,
            "densenet_small",
            (8, 6, 3),
            2,
            densenet_parameters(stem=3, batch_norm=False),
            blocks,
            small_images=True,
            batch_norm=False,
            **narrow,
        ),
    ]


def separable(size: int, channels: int, filters: int, *, batch_norm: bool = False) -> int:
    """Parameters of a depthwise and a 1x1 convolution with a bias, or a normalisation, after both."""
    mixing = conv(1, channels, filters, bias=not batch_norm)
    return size * size * channels + mixing + (normalisation(filters) if batch_norm else 0)


def normalised(size: int, channels: int, filters: int) -> int:
    """Parameters of a convolution without bias and its normalisation."""
    return conv(size, channels, filters, bias=False) + normalisation(filters)


def _style_taps(contract):
    return contract(
        builder=style_transfer.build_style_taps,
        arguments={
            "network": "compact",
            "pooling": "l2",
            "padding": "mirror",
            "layers": ("block2_conv1", "block1_conv1"),
        },
        inputs={"image": pictures(8, 6, 3) - 128},
        outputs={"block1_conv1": (8, 6, 32), "block2_conv1": (4, 3, 64)},
        parameters=conv(3, 3, 32) + conv(3, 32, 32) + conv(3, 32, 64),
        refused=[
            ({"network": "vgg11"}, "`network` must be one of vgg16, vgg19, compact. Received: network='vgg11'"),
            ({"pooling": "min"}, "`pooling` must be one of"),
            ({"padding": "valid"}, "`padding` must be one of zeros, mirror. Received: padding='valid'"),
            ({"network": "vgg16", "weights": "trained"}, '`weights` "trained" are for "compact"'),
            ({"layers": ()}, "`layers` must hold at least one name"),
            ({"layers": ("block1_conv1", "block1_conv1")}, "none twice"),
            ({"layers": ("block1_conv3",)}, "`layers` must be convolutions of compact"),
            ({"weights": "nowhere.h5"}, '`weights` must be "random", "trained", "imagenet", or an '),
        ],
        search_space=SPACES["build_style_taps"],
        frozen=True,
    )


def _separable(row) -> list:
    build = separable_classifier.build_separable_classifier
    refused = [
        ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
        ({"width": 0.0}, "`width` must be above 0. Received: width=0.0"),
        ({"filters": ()}, "`filters` must hold a pair of widths for each stage. Received: filters=()"),
        ({"filters": ((4,),)}, "`filters` must hold a pair of widths for each stage. Received: filters=((4,),)"),
    ]
    plain = separable(3, 3, 4) + separable(3, 4, 6) + separable(3, 6, 6) + separable(3, 6, 8) + dense(8, 5, 3)
    wide = {"batch_norm": True}
    normed = separable(3, 3, 12, **wide) + separable(3, 12, 16, **wide) + dense(16, 5, 3)
    two = {"filters": ((4, 6), (6, 8)), "dense_units": 5}
    one = {"filters": ((6,) * 2, (8,) * 2), "width": 2.0, "depth": 1, "padding": "same", **wide}
    return [
        row(build, "separable", (14, 15, 3), 14, plain, refused, **two),
        row(build, "separable_bn", (2, 5, 3), 2, normed, refused, dense_units=5, **one),
    ]


def _residual(row) -> list:
    build = residual_classifier.build_residual_classifier
    refused = [
        ({"depth": 12}, "`depth` must be 6n + 2 with n at least 1. Received: depth=12"),
        ({"filters": (4, 4)}, "`filters` must hold 3 widths. Received: filters="),
    ]
    widths = {"depth": 8, "filters": (4, 4, 6)}
    kernels = conv(3, 3, 4, bias=False) + 4 * conv(3, 4, 4, bias=False) + conv(1, 4, 4, bias=False)
    kernels += conv(3, 4, 6, bias=False) + conv(3, 6, 6, bias=False) + conv(1, 4, 6, bias=False)
    post = kernels + (1 + 2 + 3) * normalisation(4) + 3 * normalisation(6) + dense(6, 3)
    pre = kernels + (2 + 2 + 1) * normalisation(4) + 2 * normalisation(6) + dense(6, 3)
    biases = kernels + (1 + 2 + 3) * 4 + 3 * 6 + dense(6, 3)
    return [
        row(build, "post", (8, 10, 3), 4, post, refused, **widths),
        row(build, "pre", (8, 10, 3), 4, pre, refused, preactivation=True, **widths),
        row(build, "plain", (8, 10, 3), 4, biases, refused, batch_norm=False, **widths),
    ]


def _quick_residual(row) -> list:
    build = quick_residual_classifier.build_quick_residual_classifier
    widths = "`stem_filters` and `filters` must be at least 1, for one stage or more. Received: stem_filters="
    refused = [
        ({"filters": ()}, f"{widths}5, filters=()"),
        ({"filters": (4, 0)}, f"{widths}5, filters=(4, 0)"),
        ({"stem_filters": 0}, f"{widths}0, filters=(4, 6)"),
        ({"score_scale": 0.0}, "`score_scale` must be above 0. Received: score_scale=0.0"),
    ]
    kernels = [conv(3, *channels, bias=False) for channels in ((3, 5), (5, 4), (4, 4), (4, 6), (6, 6))]
    count = sum(kernels) + normalisation(5) + 2 * normalisation(4) + 2 * normalisation(6) + 6 * 3
    return [row(build, "quick", (8, 10, 3), 1, count, refused, stem_filters=5, filters=(4, 6))]


def _inception(row) -> list:
    build = inception_classifier.build_inception_classifier
    refused = [
        ({"filters": (12,)}, "`filters` must hold multiples of 8, one a stage. Received: filters=(12,)"),
        ({"filters": ()}, "`filters` must hold multiples of 8"),
        ({"blocks": -1}, "`blocks` must not be negative. Received: blocks=-1"),
    ]

    def halving(channels: int, width: int, layer) -> int:
        one, three = layer(1, channels, width), layer(3, width, width)
        return one + one + three + layer(3, channels, width) + one + three + three

    def googlenet(c: int, layer) -> int:
        wide = layer(1, c, 12) + layer(3, 12, 16) + layer(1, c, 2) + layer(5, 2, 4)
        return layer(1, c, 8) + wide + layer(1, c, 4)

    def total(layer) -> int:
        return layer(3, 3, 8) + halving(8, 8, layer) + googlenet(32, layer) + dense(32, 3)

    one = {"filters": (8,)}
    return [
        row(build, "inception", (8, 9, 3), 8, total(normalised), refused, **one),
        row(build, "inception_plain", (8, 9, 3), 8, total(conv), refused, batch_norm=False, **one),
    ]


def _xception(row) -> list:
    refused = [
        ({"stem": (4,)}, "`stem` must hold 2 widths. Received: stem=(4,)"),
        ({"exit_filters": (4,)}, "`exit_filters` must hold 3 widths. Received: exit_filters=(4,)"),
        ({"entry": ()}, "`entry` must hold at least one number. Received: entry=()"),
    ]
    bn = {"batch_norm": True}
    parameters = (
        normalised(3, 3, 4)
        + normalised(3, 4, 4)
        + (separable(3, 4, 6, **bn) + separable(3, 6, 6, **bn) + normalised(1, 4, 6))
        + 3 * separable(3, 6, 6, **bn)
        + (separable(3, 6, 6, **bn) + separable(3, 6, 8, **bn) + normalised(1, 6, 8))
        + separable(3, 8, 8, **bn)
        + separable(3, 8, 10, **bn)
        + dense(10, 3)
    )
    widths = {"stem": (4, 4), "entry": (6,), "middle_blocks": 1, "exit_filters": (8, 8, 10)}
    return [row(xception.build_xception, "xception", (16, 18, 3), 8, parameters, refused, **widths)]
