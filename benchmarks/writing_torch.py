"""The training loop of networks in PyTorch that predict each word of a text: translators and captioners."""

import time
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import report


def train(
    network: nn.Module, rows: Iterable[Sequence[torch.Tensor]], *, how: str, precision: str, smoothing: float
) -> None:
    """Trains, and reports the moments at which steps ended.

    Args:
        network: Takes all of a step but the last, and returns logits (n, T, V); `compiled` returns it compiled.
        rows: Of each step the inputs, and the ids that are predicted, 0 for padding.
        how: "plain" or "compiled".
        precision: "float32" or "bfloat16", by autocast.
        smoothing: Share of the target's probability that is spread over the vocabulary.
    """
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    network = network.compiled() if how == "compiled" else network
    times = []
    for *inputs, following in rows:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(*inputs)
        logits = logits.float().flatten(0, 1)
        loss = functional.cross_entropy(logits, following.flatten(), ignore_index=0, label_smoothing=smoothing)
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter())
    report(times, precision=precision)
