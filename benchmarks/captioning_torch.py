"""The PyTorch side of benchmarks/captioning.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.captioning_torch CASE HOW PRECISION STEPS

HOW is "plain", or "compiled": the network, or of the GRU the loop, under `torch.compile`.
"""

import math
import sys

import torch
from torch import nn
from torch.nn import functional

from benchmarks.captioning_data import (
    ATTENTION,
    CAPTIONS,
    DEPTH,
    DROPOUT,
    EMBEDDING,
    FEATURES,
    FEEDFORWARD,
    HEADS,
    LENGTH,
    SIDE,
    SMOOTHING,
    UNITS,
    VOCABULARY,
    batches,
)
from benchmarks.writing_torch import train

LAYER = {"d_model": UNITS, "nhead": HEADS, "dim_feedforward": FEEDFORWARD, "batch_first": True, "norm_first": True}


def without_inner_dropout(layer):
    """Leaves dropout to what a sublayer gives, as in ours."""
    layer.dropout = nn.Identity()
    for attention in (layer.self_attn, getattr(layer, "multihead_attn", layer.self_attn)):
        attention.dropout = 0.0
    return layer


class Places(nn.Module):
    """The places of an image with coordinates, which learn of each other."""

    def __init__(self):
        super().__init__()
        line = torch.linspace(-1, 1, SIDE)
        self.register_buffer("coordinates", torch.stack(torch.meshgrid(line, line, indexing="ij"), -1))
        self.norm, self.last = nn.LayerNorm(FEATURES), nn.LayerNorm(UNITS)
        self.project = nn.Linear(FEATURES + 2, UNITS)
        self.context = without_inner_dropout(nn.TransformerEncoderLayer(dropout=DROPOUT, **LAYER))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, grid):
        """Returns places (B, S, U)."""
        where = self.coordinates.expand(len(grid), -1, -1, -1)
        x = functional.relu(self.project(torch.cat([self.norm(grid), where], -1))).flatten(1, 2)
        return self.dropout(self.last(self.context(x)))


class Decoder(nn.Module):
    """A GRU with additive attention, a step at a time."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(UNITS, ATTENTION, bias=False)
        self.score = nn.Linear(ATTENTION, 1, bias=False)
        self.cell = nn.GRUCell(EMBEDDING + UNITS, UNITS)

    def forward(self, words, memory, keys, state):
        """Returns states and contexts of all steps."""
        states, contexts = [], []
        for word in words.unbind(1):
            scores = self.score(torch.tanh(keys + self.query(state)[:, None]))[..., 0]
            context = torch.bmm(scores.softmax(1)[:, None], memory)[:, 0]
            state = self.cell(torch.cat([word, context], 1), state)
            states.append(state)
            contexts.append(context)
        return torch.stack(states, 1), torch.stack(contexts, 1)


class GRUCaptioner(nn.Module):
    """The same network as `build_captioner` with a GRU."""

    def __init__(self):
        super().__init__()
        self.places, self.decoder = Places(), Decoder()
        self.words = nn.Embedding(VOCABULARY, EMBEDDING)
        nn.init.normal_(self.words.weight, std=EMBEDDING**-0.5)
        self.first = nn.Linear(UNITS, UNITS)
        self.keys = nn.Linear(UNITS, ATTENTION, bias=False)
        self.readout = nn.Linear(2 * UNITS + EMBEDDING, EMBEDDING)
        self.dropout = nn.Dropout(DROPOUT)

    def compiled(self):
        """Compiles the loop."""
        self.decoder = torch.compile(self.decoder)
        return self

    def forward(self, grid, target):
        """Returns logits (B N, T, V)."""
        memory = self.places(grid)
        keys, state = self.keys(memory), torch.tanh(self.first(memory.mean(1)))
        memory, keys, state = (x.repeat_interleave(CAPTIONS, 0) for x in (memory, keys, state))
        words = self.dropout(self.words(target.flatten(0, 1)))
        states, contexts = self.decoder(words, memory, keys, state)
        features = torch.tanh(self.readout(torch.cat([states, contexts, words], 2)))
        return functional.linear(self.dropout(features), self.words.weight)


class Transformer(nn.Module):
    """The same network as `build_captioner` with a transformer, of `nn.TransformerDecoder`."""

    def __init__(self):
        super().__init__()
        self.places = Places()
        self.words = nn.Embedding(VOCABULARY, UNITS)
        nn.init.normal_(self.words.weight, std=UNITS**-0.5)
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(dropout=DROPOUT, **LAYER), DEPTH, norm=nn.LayerNorm(UNITS)
        )
        for layer in self.decoder.layers:
            without_inner_dropout(layer)
        rates = 10000.0 ** (-torch.arange(0, UNITS, 2) / UNITS)
        turns = torch.arange(LENGTH)[:, None] * rates
        self.register_buffer("sinusoids", torch.stack([turns.sin(), turns.cos()], 2).flatten(1))
        self.register_buffer("later", nn.Transformer.generate_square_subsequent_mask(LENGTH))
        self.dropout = nn.Dropout(DROPOUT)

    def compiled(self):
        """Compiles it whole."""
        return torch.compile(self)

    def forward(self, grid, target):
        """Returns logits (B N, T, V)."""
        memory = self.places(grid).repeat_interleave(CAPTIONS, 0)
        words = self.dropout(self.words(target.flatten(0, 1)) * math.sqrt(UNITS) + self.sinusoids)
        features = self.decoder(words, memory, tgt_mask=self.later, tgt_is_causal=True)
        return functional.linear(features, self.words.weight)


def main(case: str, how: str, precision: str, steps: int) -> None:
    """Trains and reports the moments at which steps ended."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    grids, *ids = batches(steps)
    data = [torch.from_numpy(grids), *(torch.from_numpy(values).long() for values in ids)]
    network = GRUCaptioner() if case == "gru" else Transformer()
    train(network, zip(*data, strict=True), how=how, precision=precision, smoothing=SMOOTHING)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
