"""The PyTorch side of benchmarks/text_classification.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.text_classification_torch CASE THREADS LAYOUT ADAM PRECISION STEPS

ADAM is "dense", or "sparse": `SparseAdam` for the word vectors, which like `LazyAdam` updates those of the batch alone.
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import report
from benchmarks.text_classification_data import (
    CASES,
    CLASSES,
    DROPOUT,
    EMBEDDING,
    FILTERS,
    MAX_NORM,
    UNITS,
    VECTOR,
    VOCABULARY,
    WIDTHS,
    batches,
)


class TextCNN(nn.Module):
    """The same text CNN; "channels-last" takes a text for an image of height 1, whose layout is that of the vectors."""

    def __init__(self, layout: str, *, sparse: bool):
        super().__init__()
        self.image = layout == "channels-last"
        self.words = nn.Embedding(VOCABULARY, VECTOR, sparse=sparse)
        # Not padding="same", for which PyTorch copies the input where a width is even; it sees a window more.
        convs = [
            nn.Conv2d(VECTOR, FILTERS, (1, width), padding=(0, width // 2))
            if self.image
            else nn.Conv1d(VECTOR, FILTERS, width, padding=width // 2)
            for width in WIDTHS
        ]
        self.convs = nn.ModuleList(convs)
        if self.image:
            self.convs.to(memory_format=torch.channels_last)
        self.dropout, self.label = nn.Dropout(DROPOUT), nn.Linear(len(WIDTHS) * FILTERS, CLASSES)

    def forward(self, ids):
        """Returns logits: (B, T) -> (B, classes)."""
        x = self.words(ids).transpose(1, 2)  # (B, D, T)
        x = x.unsqueeze(2) if self.image else x
        matches = [functional.relu(conv(x)).flatten(2).amax(2) for conv in self.convs]
        return self.label(self.dropout(torch.cat(matches, 1)))

    @torch.no_grad()
    def constrain(self) -> None:
        """Keeps the weights of a class within the largest norm."""
        self.label.weight.copy_(self.label.weight.renorm(2, 0, MAX_NORM))


class LSTM(nn.Module):
    """The same LSTM classifier; the output after each row's last word is what the head sees, as under a mask."""

    def __init__(self, layout: str, *, sparse: bool):
        super().__init__()
        self.time_major = layout == "time-major"
        self.words = nn.Embedding(VOCABULARY, EMBEDDING, sparse=sparse)
        self.lstm = nn.LSTM(EMBEDDING, UNITS, batch_first=not self.time_major)
        self.dropout, self.label = nn.Dropout(DROPOUT), nn.Linear(UNITS, CLASSES)

    def forward(self, ids):
        """Returns logits: (B, T) -> (B, classes)."""
        rows, last = torch.arange(len(ids)), ids.ne(0).sum(1) - 1
        states = self.lstm(self.words(ids.t() if self.time_major else ids))[0]
        x = states[last, rows] if self.time_major else states[rows, last]
        return self.label(self.dropout(x))

    def constrain(self) -> None:
        """Does nothing: this network's weights have no bound."""


def main(case: str, threads: int, layout: str, adam: str, precision: str, steps: int) -> None:
    """Trains and reports the moments at which steps ended."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    arch, length = CASES[case]
    ids, labels = (torch.from_numpy(values) for values in batches(steps, length=length))
    network = (TextCNN if arch == "text_cnn" else LSTM)(layout, sparse=adam == "sparse")
    words = list(network.words.parameters())
    rest = [one for one in network.parameters() if one is not words[0]]
    dense = torch.optim.Adam(rest if adam == "sparse" else network.parameters(), fused=True)
    optimizers = [dense, torch.optim.SparseAdam(words)] if adam == "sparse" else [dense]
    times = []
    for step in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            scores = network(ids[step])
        loss = functional.cross_entropy(scores.float(), labels[step])
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        network.constrain()
        loss.item()
        times.append(time.perf_counter())
    report(times, precision=precision)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:6], int(sys.argv[6]))
