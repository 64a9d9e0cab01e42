"""The PyTorch side of benchmarks/translation.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.translation_torch CASE HOW PRECISION STEPS

HOW is "plain", or "compiled": the network, or of the GRU the loop, under `torch.compile`.
"""

import math
import sys

import torch
from torch import nn
from torch.nn import functional

from benchmarks.translation_data import (
    DROPOUT,
    EMBEDDING,
    FEEDFORWARD,
    HEADS,
    LAYERS,
    LENGTH,
    SMOOTHING,
    UNITS,
    VOCABULARY,
    batches,
)
from benchmarks.writing_torch import train


class Decoder(nn.Module):
    """A GRU with additive attention, a step at a time."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(UNITS, UNITS, bias=False)
        self.score = nn.Linear(UNITS, 1, bias=False)
        self.cell = nn.GRUCell(EMBEDDING + 2 * UNITS, UNITS)

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


class GRUTranslator(nn.Module):
    """The same network as `build_seq2seq` with additive attention."""

    def __init__(self):
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, EMBEDDING)
        self.target = nn.Embedding(VOCABULARY, EMBEDDING)
        nn.init.normal_(self.target.weight, std=EMBEDDING**-0.5)
        self.encoder = nn.GRU(EMBEDDING, UNITS, batch_first=True, bidirectional=True)
        self.first = nn.Linear(2 * UNITS, UNITS)
        self.keys = nn.Linear(2 * UNITS, UNITS, bias=False)
        self.decoder = Decoder()
        self.readout = nn.Linear(3 * UNITS + EMBEDDING, EMBEDDING)
        self.dropout = nn.Dropout(DROPOUT)

    def compiled(self):
        """Compiles the loop."""
        self.decoder = torch.compile(self.decoder)
        return self

    def forward(self, source, target):
        """Returns logits (B, T, V)."""
        memory, last = self.encoder(self.dropout(self.source(source)))
        state = torch.tanh(self.first(torch.cat([last[0], last[1]], 1)))
        memory = self.dropout(memory)
        words = self.dropout(self.target(target))
        states, contexts = self.decoder(words, memory, self.keys(memory), state)
        features = torch.tanh(self.readout(torch.cat([states, contexts, words], 2)))
        return functional.linear(self.dropout(features), self.target.weight)


class Transformer(nn.Module):
    """The same network as `build_transformer`, of `nn.Transformer`."""

    def __init__(self):
        super().__init__()
        self.source, self.target = (nn.Embedding(VOCABULARY, UNITS) for _ in range(2))
        nn.init.normal_(self.target.weight, std=UNITS**-0.5)
        nn.init.normal_(self.source.weight, std=UNITS**-0.5)
        self.transformer = nn.Transformer(
            UNITS, HEADS, LAYERS, LAYERS, FEEDFORWARD, DROPOUT, batch_first=True, norm_first=True
        )
        # Ours drops what a sublayer gives, and nothing inside it.
        for layer in (*self.transformer.encoder.layers, *self.transformer.decoder.layers):
            layer.dropout = nn.Identity()
            for attention in (layer.self_attn, getattr(layer, "multihead_attn", layer.self_attn)):
                attention.dropout = 0.0
        rates = 10000.0 ** (-torch.arange(0, UNITS, 2) / UNITS)
        turns = torch.arange(LENGTH)[:, None] * rates
        self.register_buffer("sinusoids", torch.stack([turns.sin(), turns.cos()], 2).flatten(1))
        self.register_buffer("later", nn.Transformer.generate_square_subsequent_mask(LENGTH))
        self.dropout = nn.Dropout(DROPOUT)

    def compiled(self):
        """Compiles it whole."""
        return torch.compile(self)

    def forward(self, source, target):
        """Returns logits (B, T, V)."""
        source, target = (
            self.dropout(table(ids) * math.sqrt(UNITS) + self.sinusoids)
            for table, ids in ((self.source, source), (self.target, target))
        )
        features = self.transformer(source, target, tgt_mask=self.later, tgt_is_causal=True)
        return functional.linear(features, self.target.weight)


def main(case: str, how: str, precision: str, steps: int) -> None:
    """Trains and reports the moments at which steps ended."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    data = [torch.from_numpy(values).long() for values in batches(steps)]
    network = GRUTranslator() if case == "gru" else Transformer()
    train(network, zip(*data, strict=True), how=how, precision=precision, smoothing=SMOOTHING)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
