"""The PyTorch side of benchmarks/qa.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.qa_torch THREADS STYLE QUESTION STEPS
"""

import sys
import time

import numpy as np
import torch
from torch import nn

from benchmarks.harness import report

BATCH, TEXT, VOCABULARY, ANSWERS = 128, 100, 10_000, 500


class TwoLstm(nn.Module):
    """The same network; the output after each row's last word is what the head sees, as under a mask."""

    def __init__(self, time_major: bool):
        super().__init__()
        self.time_major = time_major
        self.embed_text, self.text = nn.Embedding(VOCABULARY, 64), nn.LSTM(64, 32, batch_first=not time_major)
        self.embed_question, self.question = nn.Embedding(VOCABULARY, 32), nn.LSTM(32, 16, batch_first=not time_major)
        self.head = nn.Linear(48, ANSWERS)

    def encode(self, ids, lengths, embedding, lstm):
        """Returns the last output of each row: (B, units)."""
        rows = torch.arange(len(ids))
        if self.time_major:
            return lstm(embedding(ids.t()))[0][lengths - 1, rows]
        return lstm(embedding(ids))[0][rows, lengths - 1]

    def forward(self, text, text_lengths, question, question_lengths):
        """Returns logits (B, answers)."""
        told = self.encode(text, text_lengths, self.embed_text, self.text)
        asked = self.encode(question, question_lengths, self.embed_question, self.question)
        return self.head(torch.cat([told, asked], 1))


def main(threads: int, style: str, question: int, steps: int) -> None:
    """Trains and reports the moments at which steps ended."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    def ids(length):
        return torch.from_numpy(rng.integers(1, VOCABULARY, (steps, BATCH, length)))

    text, asked = ids(TEXT), ids(question)
    answers = torch.from_numpy(rng.integers(0, ANSWERS, (steps, BATCH)))
    text_lengths, asked_lengths = torch.full((BATCH,), TEXT), torch.full((BATCH,), question)
    network = TwoLstm(style == "time-major")
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    cross_entropy = nn.CrossEntropyLoss()
    times = []
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(network(text[step], text_lengths, asked[step], asked_lengths), answers[step])
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter())
    report(times, precision="float32")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
