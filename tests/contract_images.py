"""Contract rows of the image classifiers and of the taps of style transfer."""

import functools
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from kerasapps.applications import (
    capsule_network,
    cifar_network,
    classic,
    densenet,
    image_filter,
    inception_classifier,
    inception_v3,
    quick_residual_classifier,
    residual_classifier,
    resnet,
    separable_classifier,
    squeezenet,
    style_transfer,
    transfer_classifier,
    vgg,
    xception,
)
from tests.contract_row import Contract, conv, dense, images, noise, normalization, normalized


def classifier(
    builder: Callable,
    variant: str = "",
    *,
    search_space: Callable,
    shape: tuple[int, int, int],
    smallest: int,
    parameters: int,
    refused=(),
    **arguments,
) -> Contract:
    """A classifier of 3 classes whose images must have sides of at least `smallest`."""
    small = (smallest - 1, *shape[1:])
    return Contract(
        builder=builder,
        variant=variant,
        arguments={"image_shape": shape, "num_classes": 3, "dropout": 0.5, **arguments},
        inputs={"image": images(*shape)},
        outputs={"label": (3,)},
        parameters=parameters,
        refused=[
            ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
            ({"dropout": -0.1}, "`dropout` must be in [0, 1). Received: dropout=-0.1"),
            ({"image_shape": small}, f"with both sides at least {smallest}. Received: image_shape={small}"),
            ({"image_shape": shape[:2]}, "`image_shape` must be"),
            *refused,
        ],
        search_space=search_space,
    )


def separable(size: int, channels: int, filters: int, *, batch_norm: bool = False) -> int:
    """Parameters of a depthwise and a 1x1 convolution with a bias, or a normalization, after both."""
    mixing = conv(1, channels, filters, bias=not batch_norm)
    return size * size * channels + mixing + (normalization(filters) if batch_norm else 0)


# --- the classic networks

TWO = ({"filters": (4,)}, "`filters` must hold 2 widths. Received: filters=")
FIVE = ({"filters": (4, 4)}, "`filters` must hold 5 widths. Received: filters=")

CLASSIC = [
    classifier(
        classic.build_perceptron,
        search_space=classic.search_space_perceptron,
        shape=(6, 5, 2),
        smallest=1,
        parameters=dense(6 * 5 * 2, 8, 6, 3),
        dense_units=(8, 6),
    ),
    Contract(
        builder=classic.build_perceptron,
        variant="rows",
        arguments={
            **{"features": 3, "num_classes": 2, "dense_units": (5, 4)},
            **{"activation": "tanh", "output": "sigmoid", "dropout": 0.5},
        },
        inputs={"features": noise(3)},
        outputs={"label": (1,)},
        parameters=dense(3, 5, 4, 1),
        refused=[
            ({"features": 0}, "`features` must be at least 1. Received: features=0"),
            ({"num_classes": 3}, "`output` and `num_classes` must be"),
        ],
        search_space=classic.search_space_perceptron,
    ),
    classifier(
        classic.build_mnist_network,
        search_space=classic.search_space_mnist_network,
        shape=(20, 16, 1),
        smallest=16,
        parameters=conv(5, 1, 4) + conv(5, 4, 6) + dense(2 * 1 * 6, 16, 3),
        refused=[TWO],
        filters=(4, 6),
        dense_units=16,
    ),
    classifier(
        cifar_network.build_cifar_network,
        search_space=cifar_network.search_space,
        shape=(4, 9, 3),
        smallest=4,
        parameters=conv(3, 3, 4) + conv(3, 4, 6) + dense(1 * 2 * 6, 8, 3),
        refused=[
            ({"filters": ()}, "`filters` must hold at least one number, each at least 1. Received: filters=()"),
            ({"dense_units": 0}, "`dense_units` must be at least 1. Received: dense_units=0"),
        ],
        filters=(4, 6),
        dense_units=8,
    ),
    classifier(
        classic.build_lenet5,
        search_space=classic.search_space_lenet5,
        shape=(20, 16, 1),
        smallest=16,
        parameters=conv(5, 1, 3) + conv(5, 3, 4) + dense(2 * 1 * 4, 8, 6, 3),
        refused=[TWO, ({"dense_units": (8, 6, 4)}, "`dense_units` must hold 2 widths. Received: dense_units=")],
        filters=(3, 4),
        dense_units=(8, 6),
    ),
    classifier(
        classic.build_alexnet,
        search_space=classic.search_space_alexnet,
        shape=(63, 95, 3),
        smallest=63,
        parameters=conv(11, 3, 4) + conv(5, 4, 6) + conv(3, 6, 8) + conv(3, 8, 8) * 2 + dense(1 * 2 * 8, 16, 12, 3),
        refused=[FIVE],
        filters=(4, 6, 8, 8, 8),
        dense_units=(16, 12),
    ),
]


def vgg11(variant: str = "", *, parameters: int, **arguments) -> Contract:
    """VGG-11 with narrow blocks; parameters beyond its convolutions and dense layers."""
    convolutions = conv(3, 3, 4) + conv(3, 4, 4) + conv(3, 4, 6) + conv(3, 6, 6) + conv(3, 6, 8) + 3 * conv(3, 8, 8)
    return classifier(
        vgg.build_vgg,
        variant,
        search_space=vgg.search_space,
        shape=(32, 64, 3),
        smallest=32,
        parameters=convolutions + dense(1 * 2 * 8, 16, 12, 3) + parameters,
        refused=[({"depth": 12}, "`depth` must be one of"), FIVE],
        depth=11,
        filters=(4, 4, 6, 8, 8),
        dense_units=(16, 12),
        **arguments,
    )


VGG = [
    vgg11(parameters=0),
    vgg11("bn", batch_norm=True, parameters=normalization(4 + 4 + 2 * (6 + 8 + 8))),
]


# --- DenseNet


def dense_layers(channels: int, growth: int, count: int, *, batch_norm: bool) -> int:
    """A dense block: 1x1 to four times the growth, then 3x3, for more channels each time."""
    total = 0
    for c in range(channels, channels + count * growth, growth):
        total += conv(1, c, 4 * growth, bias=not batch_norm) + conv(3, 4 * growth, growth, bias=not batch_norm)
        total += normalization(c) + normalization(4 * growth) if batch_norm else 0
    return total


def narrow_densenet(variant: str = "", *, stem: int, batch_norm: bool, **arguments) -> Contract:
    """Growth 4, blocks of 2 and 1 layers: 8 channels, 16, halved to 8, 12."""
    norm = normalization if batch_norm else (lambda channels: 0)
    return classifier(
        densenet.build_densenet,
        variant,
        search_space=densenet.search_space,
        parameters=conv(stem, 3, 8, bias=not batch_norm)
        + (norm(8) if stem == 7 else 0)
        + dense_layers(8, 4, 2, batch_norm=batch_norm)
        + norm(16)
        + conv(1, 16, 8, bias=not batch_norm)
        + dense_layers(8, 4, 1, batch_norm=batch_norm)
        + norm(12)
        + dense(12, 3),
        refused=[
            ({"blocks": ()}, "`blocks` must hold"),
            ({"blocks": (2, 0)}, "`blocks` must hold"),
            ({"depth": 100}, "`depth` must be one of 121, 161, 169, 201, 264. Received: depth=100"),
            ({"compression": 0.0}, "`compression` must be in"),
        ],
        blocks=(2, 1),
        growth_rate=4,
        batch_norm=batch_norm,
        **arguments,
    )


DENSENET = [
    narrow_densenet(shape=(16, 24, 3), smallest=8, stem=7, batch_norm=True),
    narrow_densenet("small_images", shape=(8, 6, 3), smallest=2, stem=3, batch_norm=False, small_images=True),
]


# --- ResNet, SqueezeNet, Inception v3


def resnet18() -> Contract:
    """Two blocks a stage, 4, 4, 5 and 6 filters wide."""
    widths = (4, 4, 5, 6)
    parameters = normalized(7, 3, 4) + dense(6, 3)
    for channels, width in pairwise((4, *widths)):
        parameters += normalized(3, channels, width) + 3 * normalized(3, width, width)
        parameters += normalized(1, channels, width) if channels != width else 0
    # Where the width stays, the stride asks for a projection.
    parameters += normalized(1, 4, 4)
    return classifier(
        resnet.build_resnet,
        search_space=resnet.search_space,
        shape=(17, 32, 3),
        smallest=1,
        parameters=parameters,
        refused=[
            ({"depth": 20}, "`depth` must be one of 18, 34, 50, 101, 152. Received: depth=20"),
            ({"filters": (4,)}, "`filters` must hold 4 widths. Received: filters=(4,)"),
            ({"dilated_stages": 4}, "`dilated_stages` must be one of 0, 1, 2, 3. Received: dilated_stages=4"),
        ],
        depth=18,
        filters=widths,
        dilated_stages=1,
    )


def narrow_squeezenet() -> Contract:
    """A quarter as wide."""

    def fire(channels: int, filters: int) -> int:
        return conv(1, channels, filters) + conv(1, filters, 4 * filters) + conv(3, filters, 4 * filters)

    fires = fire(24, 4) + fire(32, 4) + fire(32, 8) + fire(64, 8)
    fires += fire(64, 12) + fire(96, 12) + fire(96, 16) + fire(128, 16)
    return classifier(
        squeezenet.build_squeezenet,
        search_space=squeezenet.search_space,
        shape=(21, 40, 3),
        smallest=21,
        parameters=conv(7, 3, 24) + fires + conv(1, 128, 3),
        refused=[
            ({"version": "2.0"}, "`version` must be one of 1.0, 1.1. Received: version='2.0'"),
            ({"version": "1.1", "image_shape": (16, 40, 3)}, "with both sides at least 17. Received: image_shape="),
            ({"small_images": True, "image_shape": (8, 3, 3)}, "with both sides at least 4. Received: image_shape="),
            ({"width": 0.0}, "`width` must be above 0. Received: width=0.0"),
        ],
        width=1 / 4,
    )


def narrow_inception_v3() -> Contract:
    """One block at 35x35, a sixteenth as wide, and what halves the sides; a second head on it."""
    layer = normalized
    stem = layer(3, 3, 2) + layer(3, 2, 2) + layer(3, 2, 4) + layer(1, 4, 5) + layer(3, 5, 12)
    square = layer(1, 12, 4) + (layer(1, 12, 3) + layer(5, 3, 4)) + layer(1, 12, 2)
    square += layer(1, 12, 4) + layer(3, 4, 6) + layer(3, 6, 6)  # 16 channels
    half1 = layer(3, 16, 24) + layer(1, 16, 4) + layer(3, 4, 6) + layer(3, 6, 6)  # 46
    half2 = layer(1, 46, 12) + layer(3, 12, 20) + layer(1, 46, 12) + 2 * layer(1, 12 * 7, 12) + layer(3, 12, 12)  # 78
    auxiliary = layer(1, 46, 8) + layer(5, 8, 48) + dense(48, 3)
    row = classifier(
        inception_v3.build_inception_v3,
        search_space=inception_v3.search_space,
        shape=(35, 36, 3),
        smallest=35,
        parameters=stem + square + half1 + half2 + dense(78, 3) + auxiliary,
        refused=[
            ({"auxiliary": False, "image_shape": (6, 9, 3)}, "with both sides at least 7. Received: image_shape="),
            ({"small_images": False}, "with both sides at least 299. Received: image_shape=(35, 36, 3)"),
            ({"long_filters": (0,)}, "`long_filters` must be at least 1. Received: long_filters=(0,)"),
            ({"last_blocks": -1}, "`last_blocks` must be at least 0. Received: last_blocks=-1"),
        ],
        pool_filters=(32,),
        long_filters=(),
        last_blocks=0,
        width=1 / 16,
        small_images=True,
        auxiliary=True,
    )
    return replace(row, outputs={"label": (3,), "auxiliary": (3,)})


# --- capsules

CAPSULES = classifier(
    capsule_network.build_capsule_network,
    search_space=capsule_network.search_space,
    shape=(20, 18, 1),
    smallest=17,
    # Two places of 2 capsules, with a matrix of 3 x 5 to each of 3 classes.
    parameters=conv(9, 1, 4) + conv(9, 4, 2 * 3) + 2 * 2 * 3 * 3 * 5,
    refused=[
        ({"iterations": 0}, "`iterations` must be at least 1. Received: iterations=0"),
        ({"decoder_units": (8, 0)}, "`decoder_units` must be at least 1. Received: decoder_units=(8, 0)"),
    ],
    filters=4,
    primary_capsules=2,
    primary_dim=3,
    capsule_dim=5,
)


# --- separable, residual, inception


def separable_classifiers() -> list[Contract]:
    """One with a stage of its own width, one normalized."""
    shared = {
        "search_space": separable_classifier.search_space,
        "refused": [
            ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
            ({"width": 0.0}, "`width` must be above 0. Received: width=0.0"),
            ({"filters": ()}, "`filters` must hold a pair of widths for each stage. Received: filters=()"),
            ({"filters": ((4,),)}, "`filters` must hold a pair of widths for each stage. Received: filters=((4,),)"),
        ],
        "dense_units": 5,
    }
    plain = separable(3, 3, 4) + separable(3, 4, 6) + separable(3, 6, 6) + separable(3, 6, 8)
    wide = separable(3, 3, 12, batch_norm=True) + separable(3, 12, 16, batch_norm=True)
    return [
        classifier(
            separable_classifier.build_separable_classifier,
            shape=(14, 15, 3),
            smallest=14,
            parameters=plain + dense(8, 5, 3),
            filters=((4, 6), (6, 8)),
            **shared,
        ),
        classifier(
            separable_classifier.build_separable_classifier,
            "bn",
            shape=(2, 5, 3),
            smallest=2,
            parameters=wide + dense(16, 5, 3),
            filters=((6, 6), (8, 8)),
            width=2.0,
            depth=1,
            padding="same",
            batch_norm=True,
            **shared,
        ),
    ]


def residual(variant: str, *, parameters: int, **arguments) -> Contract:
    """ResNet-8; parameters beyond its kernels and the dense layer."""
    kernels = conv(3, 3, 4, bias=False) + 4 * conv(3, 4, 4, bias=False) + conv(1, 4, 4, bias=False)
    kernels += conv(3, 4, 6, bias=False) + conv(3, 6, 6, bias=False) + conv(1, 4, 6, bias=False)
    return classifier(
        residual_classifier.build_residual_classifier,
        variant,
        search_space=residual_classifier.search_space,
        shape=(8, 10, 3),
        smallest=4,
        parameters=kernels + dense(6, 3) + parameters,
        refused=[
            ({"depth": 12}, "`depth` must be 6n + 2 with n at least 1. Received: depth=12"),
            ({"filters": (4, 4)}, "`filters` must hold 3 widths. Received: filters="),
        ],
        depth=8,
        filters=(4, 4, 6),
        **arguments,
    )


def quick_residual() -> Contract:
    """Two stages."""
    kernels = [conv(3, *channels, bias=False) for channels in ((3, 5), (5, 4), (4, 4), (4, 6), (6, 6))]
    numbers = "`filters` must hold at least one number, each at least 1. Received: filters="
    return classifier(
        quick_residual_classifier.build_quick_residual_classifier,
        search_space=quick_residual_classifier.search_space,
        shape=(8, 10, 3),
        smallest=1,
        parameters=sum(kernels) + normalization(5) + 2 * normalization(4) + 2 * normalization(6) + 6 * 3,
        refused=[
            ({"filters": ()}, f"{numbers}()"),
            ({"filters": (4, 0)}, f"{numbers}(4, 0)"),
            ({"stem_filters": 0}, "`stem_filters` must be at least 1. Received: stem_filters=0"),
            ({"score_scale": 0.0}, "`score_scale` must be above 0. Received: score_scale=0.0"),
        ],
        stem_filters=5,
        filters=(4, 6),
    )


def inception(variant: str = "", *, layer: Callable[[int, int, int], int], **arguments) -> Contract:
    """One stage; `layer` counts the parameters of a convolution with or without normalization."""
    one, three = layer(1, 8, 8), layer(3, 8, 8)
    halving = one + one + three + layer(3, 8, 8) + one + three + three
    wide = layer(1, 32, 12) + layer(3, 12, 16) + layer(1, 32, 2) + layer(5, 2, 4)
    googlenet = layer(1, 32, 8) + wide + layer(1, 32, 4)
    return classifier(
        inception_classifier.build_inception_classifier,
        variant,
        search_space=inception_classifier.search_space,
        shape=(8, 9, 3),
        smallest=8,
        parameters=layer(3, 3, 8) + halving + googlenet + dense(32, 3),
        refused=[
            ({"filters": (12,)}, "`filters` must hold multiples of 8, one a stage. Received: filters=(12,)"),
            ({"filters": ()}, "`filters` must hold multiples of 8"),
            ({"blocks": -1}, "`blocks` must be at least 0. Received: blocks=-1"),
        ],
        filters=(8,),
        **arguments,
    )


def narrow_xception() -> Contract:
    """One block of each kind."""
    bn = {"batch_norm": True}
    return classifier(
        xception.build_xception,
        search_space=xception.search_space,
        shape=(16, 18, 3),
        smallest=8,
        parameters=normalized(3, 3, 4)
        + normalized(3, 4, 4)
        + (separable(3, 4, 6, **bn) + separable(3, 6, 6, **bn) + normalized(1, 4, 6))
        + 3 * separable(3, 6, 6, **bn)
        + (separable(3, 6, 6, **bn) + separable(3, 6, 8, **bn) + normalized(1, 6, 8))
        + separable(3, 8, 8, **bn)
        + separable(3, 8, 10, **bn)
        + dense(10, 3),
        refused=[
            ({"stem": (4,)}, "`stem` must hold 2 widths. Received: stem=(4,)"),
            ({"exit_filters": (4,)}, "`exit_filters` must hold 3 widths. Received: exit_filters=(4,)"),
            ({"entry": ()}, "`entry` must hold at least one number, each at least 1. Received: entry=()"),
        ],
        stem=(4, 4),
        entry=(6,),
        middle_blocks=1,
        exit_filters=(8, 8, 10),
    )


# --- transfer learning


@functools.wraps(transfer_classifier.build_transfer_classifier)
def build_transfer_classifier(*, base, **arguments):
    """Builds the base as well, so that each build has its own."""
    return transfer_classifier.build_transfer_classifier(base=vgg.build_vgg(**base), **arguments)


def transfer(variant: str = "", *, batch_norm: bool, parameters: int, **arguments) -> Contract:
    """A head of 3 classes on a narrow VGG-11; parameters beyond its convolutions up to "block4_pool"."""
    widths = (4, 5, 6, 7, 7)
    base = {"image_shape": (32, 48, 3), "num_classes": 5, "depth": 11, "filters": widths, "dense_units": (6,)}
    kernels = conv(3, 3, 4) + conv(3, 4, 5) + conv(3, 5, 6) + conv(3, 6, 6) + conv(3, 6, 7) + conv(3, 7, 7)
    return Contract(
        builder=build_transfer_classifier,
        variant=variant,
        arguments={"base": base | {"batch_norm": batch_norm}, "num_classes": 3, "layer": "block4_pool", **arguments},
        inputs={"image": images(*arguments.get("image_shape", (32, 48, 3)))},
        outputs={"label": (3,)},
        parameters=kernels + (normalization(4 + 5 + 12 + 14) if batch_norm else 0) + parameters,
        refused=[
            ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
            ({"layer": "block9_pool"}, "`layer` must be one of vgg, such as block"),
            (
                {"layer": "image"},
                "`layer` must give images or vectors, (B, H, W, C) or (B, F). Received: layer='image'",
            ),
            ({"freeze": 7}, "`freeze` must be in [0, 6], the layers of the base with weights. Received: freeze=7"),
            ({"freeze": -1}, "`freeze` must be in [0, 6]"),
            ({"pixels": "bgr"}, "`pixels` must be one of bytes, tf, torch, caffe. Received: pixels='bgr'"),
            ({"pooling": "min"}, "`pooling` must be one of average, max, moments, grid, flat. Received: pooling='min'"),
            ({"image_shape": (32, 32, 1)}, "with the 3 channels of the base. Received: image_shape=(32, 32, 1)"),
            ({"layer": "fc1", "image_shape": (64, 64, 3)}, "`image_shape` must be one that vgg takes, (32, 48, 3)"),
        ],
        search_space=transfer_classifier.search_space,
    )


TRANSFER = [
    transfer(batch_norm=False, freeze=0, parameters=2 * 7 + dense(7, 3)),
    transfer("moments", batch_norm=False, freeze=0, pooling="moments", parameters=2 * 14 + dense(14, 3)),
    transfer(
        "grid",
        batch_norm=True,
        freeze=2,
        pixels="caffe",
        pooling="grid",
        dense_units=(5,),
        image_shape=(48, 64, 3),
        parameters=2 * 28 + dense(28, 5, 3),
    ),
]

# --- style transfer

STYLE_TAPS = Contract(
    builder=style_transfer.build_style_taps,
    arguments={
        "network": "compact",
        "pooling": "l2",
        "padding": "mirror",
        "layers": ("block2_conv1", "block1_conv1"),
    },
    inputs={"image": images(8, 6, 3) - 128},
    outputs={"block1_conv1": (8, 6, 32), "block2_conv1": (4, 3, 64)},
    parameters=conv(3, 3, 32) + conv(3, 32, 32) + conv(3, 32, 64),
    refused=[
        ({"network": "vgg11"}, "`network` must be one of vgg16, vgg19, compact. Received: network='vgg11'"),
        ({"pooling": "min"}, "`pooling` must be one of"),
        ({"padding": "valid"}, "`padding` must be one of zeros, mirror. Received: padding='valid'"),
        ({"network": "vgg16", "weights": "trained"}, '`network` must be "compact" where `weights` are "trained"'),
        ({"layers": ()}, "`layers` must hold at least one name"),
        ({"layers": ("block1_conv1", "block1_conv1")}, "none twice"),
        ({"layers": ("block1_conv3",)}, "`layers` must be convolutions of compact"),
        ({"weights": "nowhere.h5"}, '`weights` must be "random", "trained", "imagenet", or an '),
    ],
    search_space=style_transfer.search_space,
    frozen=True,
)

# --- filters

KERNELS = image_filter.KERNELS


def filters(variant: str, *, sides: dict[str, tuple[int, int]], parameters: int, **arguments) -> Contract:
    """Filters of images of two channels; `sides` are those of each output."""
    kernels = {name: KERNELS[name] for name in sides}
    return Contract(
        builder=image_filter.build_image_filter,
        variant=variant,
        arguments={"kernels": kernels, "channels": 2, **arguments},
        inputs={"image": images(6, 5, 2)},
        outputs={name: (*size, 2) for name, size in sides.items()},
        parameters=parameters,
        refused=[
            ({"kernels": {}}, "`kernels` must name at least one filter. Received: kernels={}"),
            ({"kernels": {"even": ((1, 2),)}}, "`kernels` must be matrices with an odd number of rows and of columns"),
            ({"kernels": {"ragged": ((1, 2, 3), (1,), (1,))}}, "`kernels` must be matrices with an odd number of rows"),
            ({"channels": 0}, "`channels` must be at least 1. Received: channels=0"),
            ({"border": "wrap"}, "`border` must be one of zeros, crop, extend, reflect. Received: border='wrap'"),
        ],
        search_space=image_filter.search_space,
        frozen=True,
    )


FILTERS = [
    filters("", sides={"sobel_y": (6, 5), "laplacian": (6, 5)}, parameters=2 * (3 + 3) + 2 * 9),
    filters("crop", sides={"blur": (4, 3)}, border="crop", separable=False, parameters=2 * 9),
    filters("extend", sides={"emboss": (6, 5)}, border="extend", parameters=2 * 9),
]

CONTRACTS = [
    *CLASSIC,
    *VGG,
    *DENSENET,
    resnet18(),
    narrow_squeezenet(),
    narrow_inception_v3(),
    CAPSULES,
    *separable_classifiers(),
    residual("", parameters=(1 + 2 + 3) * normalization(4) + 3 * normalization(6)),
    residual("pre", preactivation=True, parameters=(2 + 2 + 1) * normalization(4) + 2 * normalization(6)),
    residual("plain", batch_norm=False, parameters=(1 + 2 + 3) * 4 + 3 * 6),
    quick_residual(),
    inception(layer=normalized),
    inception("plain", layer=conv, batch_norm=False),
    narrow_xception(),
    *TRANSFER,
    STYLE_TAPS,
    *FILTERS,
]
