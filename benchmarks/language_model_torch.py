"""The PyTorch side of benchmarks/language_model.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.language_model_torch train CASE HOW PRECISION STEPS
python -m benchmarks.language_model_torch write SIZE LENGTH THREADS

HOW is "plain" or "compiled".
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import report
from benchmarks.language_model_data import (
    EMBEDDING,
    FIRST,
    LAYERS,
    SIZES,
    UNITS,
    VOCABULARY,
    Size,
    batches,
    report_writing,
)


class LSTM(nn.Module):
    """The same network as `build_recurrent_language_model`."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, UNITS, LAYERS, batch_first=True)
        self.logits = nn.Linear(UNITS, VOCABULARY)

    def forward(self, text):
        """Returns logits (B, T, V)."""
        return self.logits(self.lstm(self.tokens(text))[0])


class Layer(nn.Module):
    """Causal attention, then a network at every position, each normalized before."""

    def __init__(self, size: Size):
        super().__init__()
        width, hidden, self.heads = size.width, size.feedforward, size.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projection, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feedforward = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, x):
        """Returns features (B, T, D)."""
        parts = self.projection(self.norm1(x)).chunk(3, -1)
        q, k, v = (one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in parts)  # (B, H, T, d)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.output(seen)
        return x + self.feedforward(self.norm2(x))


class Transformer(nn.Module):
    """The same network as `build_transformer_language_model`, with learned positions as nanoGPT has them."""

    def __init__(self, size: Size):
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, size.width), nn.Embedding(size.length, size.width)
        self.layers, self.norm = nn.Sequential(*(Layer(size) for _ in range(size.depth))), nn.LayerNorm(size.width)

    def forward(self, text):
        """Returns logits (B, T, V)."""
        x = self.tokens(text) + self.places(torch.arange(text.shape[1]))
        return functional.linear(self.norm(self.layers(x)), self.tokens.weight)


def train(case: str, how: str, precision: str, steps: int) -> None:
    """Trains and reports the moments at which steps ended."""
    network = LSTM() if case == "lstm" else Transformer(SIZES["small"])
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    called = torch.compile(network) if how == "compiled" else network
    times = []
    for ids in torch.from_numpy(batches(steps)).long():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = called(ids[:, :-1])
        loss = functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        loss.item()
        times.append(time.perf_counter())
    report(times, precision=precision)


@torch.no_grad()
def write(size: Size, length: int) -> None:
    """Writes texts by a loop that reads the last window again for each token, and reports when each was at an end."""
    network = Transformer(size).eval()

    def text() -> None:
        written = torch.full((1, 1), FIRST)
        for _ in range(length):
            chances = functional.softmax(network(written[:, -size.length :])[:, -1], -1)
            written = torch.cat([written, torch.multinomial(chances, 1)], 1)

    report_writing(text, length=length, precision="float32")


if __name__ == "__main__":
    torch.manual_seed(0)
    if sys.argv[1] == "train":
        torch.set_num_threads(2)
        train(*sys.argv[2:5], int(sys.argv[5]))
    else:
        torch.set_num_threads(int(sys.argv[4]))
        write(SIZES[sys.argv[2]], int(sys.argv[3]))
