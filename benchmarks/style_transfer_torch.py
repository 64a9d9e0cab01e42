"""The PyTorch side of benchmarks/style_transfer.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.style_transfer_torch SIZE LAYOUT PRECISION STEPS
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import report

# Filters of VGG-16 up to block5_conv1; None pools.
FILTERS = (64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512)
STYLE, CONTENT = (0, 3, 6, 10, 14), 11


def main(size: int, layout: str, precision: str, steps: int) -> None:
    """Evaluates loss and gradient and reports the moments at which that ended."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    order = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    layers, channels = [], 3
    for filters in FILTERS:
        layers.append(nn.MaxPool2d(2) if filters is None else nn.Conv2d(channels, filters, 3, padding=1))
        channels = filters or channels
    network = nn.ModuleList(layers).to(dtype).to(memory_format=order).requires_grad_(False)

    def features(x):
        found = {}
        x = x.to(dtype)
        for i, layer in enumerate(network):
            x = layer(x) if isinstance(layer, nn.MaxPool2d) else functional.relu(layer(x))
            if i in STYLE or i == CONTENT:
                found[i] = x
        return found

    def gram(x):
        flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        return (flat.T @ flat).float() / flat.shape[0]

    content, style, picture = (
        (torch.rand(1, 3, size, size) * 255 - 120).contiguous(memory_format=order) for _ in range(3)
    )
    with torch.no_grad():
        wanted, grams = features(content)[CONTENT], {i: gram(x) for i, x in features(style).items() if i in STYLE}
    picture.requires_grad_(True)
    times = []
    for _ in range(steps):
        picture.grad = None
        found = features(picture)
        loss = (found[CONTENT] - wanted).float().square().mean()
        for i in STYLE:
            loss = loss + (gram(found[i]) - grams[i]).square().sum() / grams[i].square().sum()
        loss.backward()
        times.append(time.perf_counter())
    report(times, precision=precision)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
