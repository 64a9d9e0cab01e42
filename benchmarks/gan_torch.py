"""The PyTorch side of benchmarks/gan.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.gan_torch LAYOUT PRECISION STEPS
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import report

BATCH, NOISE = 64, 64


def finish() -> list[nn.Module]:
    """What follows a layer."""
    return [nn.LeakyReLU(0.3), nn.Dropout(0.25)]


def make_generator() -> nn.Module:
    """The lectures' generator: noise (B, 64) -> (B, 3, 28, 28)."""
    return nn.Sequential(
        nn.Linear(NOISE, 1024),
        *finish(),
        nn.Linear(1024, 7 * 7 * 128),
        *finish(),
        nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 64, 5, 2, padding=2, output_padding=1),
        *finish(),
        nn.ConvTranspose2d(64, 3, 1, 2, output_padding=1),
        nn.Tanh(),
    )


def make_discriminator() -> nn.Module:
    """The lectures' discriminator, after the noise: (B, 3, 28, 28) -> (B, 1)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 5, 2, padding=2),
        *finish(),
        nn.Conv2d(64, 128, 5, 2, padding=2),
        *finish(),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1024),
        *finish(),
        nn.Linear(1024, 1),
    )


def main(layout: str, precision: str, steps: int) -> None:
    """Trains and reports the moments at which steps ended."""
    torch.manual_seed(0)
    memory = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    generator = make_generator().to(memory_format=memory)
    discriminator = make_discriminator().to(memory_format=memory)
    optimizers = [
        torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999), fused=True)
        for network in (generator, discriminator)
    ]
    images = (torch.rand(4, BATCH, 3, 28, 28) * 2 - 1).to(memory_format=torch.contiguous_format)

    def judge(pictures, low: float, high: float):
        pictures = (pictures + 0.2 * torch.randn_like(pictures)).contiguous(memory_format=memory)
        verdict = discriminator(pictures).float()
        return functional.binary_cross_entropy_with_logits(verdict, low + (high - low) * torch.rand(BATCH, 1))

    def generate():
        return generator(torch.randn(BATCH, NOISE))

    times = []
    for step in range(steps):
        optimizers[1].zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            with torch.no_grad():
                fake = generate()
            loss = judge(images[step % 4], 0.7, 1.2) + judge(fake, 0.0, 0.3)
        loss.backward()
        optimizers[1].step()
        discriminator.requires_grad_(False)
        for _ in range(2):
            optimizers[0].zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = judge(generate(), 0.7, 1.2)
            loss.backward()
            optimizers[0].step()
        discriminator.requires_grad_(True)
        loss.item()
        times.append(time.perf_counter())
    report(times, precision=precision)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
