"""The PyTorch side of benchmarks/image_classification.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.image_classification_torch CASE LAYOUT PRECISION STEPS
"""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import report

BATCH, CLASSES = 64, 10


class Separable(nn.Sequential):
    """A depthwise and a 1x1 convolution without padding."""

    def __init__(self, channels: int, filters: int):
        super().__init__(
            nn.Conv2d(channels, channels, 3, groups=channels, bias=False), nn.Conv2d(channels, filters, 1), nn.ReLU()
        )


class Residual(nn.Module):
    """Two normalized 3x3 convolutions with a shortcut around them."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.second = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        same = stride == 1 and channels == filters
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))
        )

    def forward(self, x):
        """Adds the output of the convolutions to x: (B, C, H, W) -> (B, filters, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.first(x)))
        return functional.relu(self.shortcut(x) + self.norm2(self.second(y)))


def separable() -> nn.Module:
    """Returns the separable network."""
    return nn.Sequential(
        Separable(3, 32),
        Separable(32, 64),
        nn.MaxPool2d(2),
        Separable(64, 64),
        Separable(64, 128),
        nn.MaxPool2d(2),
        Separable(128, 64),
        Separable(64, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 32),
        nn.ReLU(),
        nn.Linear(32, CLASSES),
    )


def residual(depth: int, filters: tuple[int, int, int]) -> nn.Module:
    """Returns the residual network of 6n + 2 layers."""
    blocks = [nn.Conv2d(3, filters[0], 3, 1, 1, bias=False), nn.BatchNorm2d(filters[0]), nn.ReLU()]
    channels = filters[0]
    for stage, width in enumerate(filters):
        for block in range((depth - 2) // 6):
            blocks.append(Residual(channels, width, 2 if stage and not block else 1))
            channels = width
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def main(case: str, layout: str, precision: str, steps: int) -> None:
    """Trains and prints when each step ended."""
    torch.manual_seed(0)
    case = json.loads(case)
    network = separable() if case["arch"] == "separable" else residual(case["depth"], case["filters"])
    memory = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    network = network.to(memory_format=memory)
    if case["arch"] == "separable":
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
    else:
        optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)
    images = torch.randint(0, 256, (4, BATCH, 3, case["size"], case["size"]), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (4, BATCH))
    times = []
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        image = (images[step % 4].float() / 127.5 - 1).to(memory_format=memory)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            scores = network(image)
        loss = functional.cross_entropy(scores.float(), labels[step % 4])
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter())
    report(times, precision=precision)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
