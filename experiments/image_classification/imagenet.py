"""The course notes' table of networks trained on ImageNet: published sizes and errors, by `--arch`."""

import math
from dataclasses import dataclass

import keras

from kerasapps.reports import Table

from .network import ARCHITECTURES, Arch


@dataclass(frozen=True)
class Published:
    """What torchvision publishes of a network trained on ImageNet.

    Args:
        parameters: Number of trained parameters, without an auxiliary head.
        top1: Share of the validation images for which another class is likelier than the true one, in percent.
        top5: Share of them for which five other classes are, in percent.
    """

    parameters: int
    top1: float
    top5: float


PUBLISHED: dict[Arch, Published] = {
    "alexnet": Published(61_100_840, 43.45, 20.91),
    "vgg11": Published(132_863_336, 30.98, 11.37),
    "vgg13": Published(133_047_848, 30.07, 10.75),
    "vgg16": Published(138_357_544, 28.41, 9.62),
    "vgg19": Published(143_667_240, 27.62, 9.12),
    "vgg11_bn": Published(132_868_840, 29.62, 10.19),
    "vgg13_bn": Published(133_053_736, 28.45, 9.63),
    "vgg16_bn": Published(138_365_992, 26.63, 8.50),
    "vgg19_bn": Published(143_678_248, 25.76, 8.15),
    "resnet18": Published(11_689_512, 30.24, 10.92),
    "resnet34": Published(21_797_672, 26.70, 8.58),
    "resnet50": Published(25_557_032, 23.85, 7.13),
    "resnet101": Published(44_549_160, 22.63, 6.44),
    "resnet152": Published(60_192_808, 21.69, 5.94),
    "squeezenet1_0": Published(1_248_424, 41.90, 19.58),
    "squeezenet1_1": Published(1_235_496, 41.81, 19.38),
    "densenet121": Published(7_978_856, 25.35, 7.83),
    "densenet169": Published(14_149_480, 24.00, 7.00),
    "densenet201": Published(20_013_928, 22.80, 6.43),
    "densenet161": Published(28_681_000, 22.35, 6.20),
    "inception_v3": Published(23_834_568, 22.55, 6.44),
}


def count_parameters(arch: Arch) -> int:
    """Returns the number of trained parameters of a network for ImageNet, the default of its builder."""
    network = ARCHITECTURES[arch]
    with keras.StatelessScope(initialize_variables=False):  # shapes without values, of which VGG-19 has half a gigabyte
        model = network.build(**network.params)
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def networks_table() -> Table:
    """Returns all networks with their parameters, counted here, and published errors; the best first."""
    rows = [
        [arch, f"{count_parameters(arch):,}", published.top1, published.top5]
        for arch, published in sorted(PUBLISHED.items(), key=lambda item: item[1].top1)
    ]
    return Table(
        "Networks for ImageNet, by --arch: parameters, and published errors on the validation images in percent",
        ["network", "parameters", "top-1 error", "top-5 error"],
        rows,
        digits=2,
    )
