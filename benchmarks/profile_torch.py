"""The PyTorch side of benchmarks/profile.py, for an interpreter that has torch and need not have Keras.

python -m benchmarks.profile_torch PRECISION EMBEDDING STEPS
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import report
from benchmarks.profile_data import GROUPS, VOCABULARY, batches


class Profile(nn.Module):
    """The same network."""

    def __init__(self, sparse: bool):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 256, sparse=sparse)
        self.conv = nn.Sequential(
            nn.Conv1d(256, 128, 5), nn.ReLU(), nn.MaxPool1d(5),
            nn.Conv1d(128, 256, 5), nn.ReLU(), nn.Conv1d(256, 256, 5), nn.ReLU(), nn.MaxPool1d(5),
            nn.Conv1d(256, 256, 5), nn.ReLU(), nn.Conv1d(256, 256, 5), nn.ReLU(),
        )  # fmt: skip
        self.dense = nn.Linear(256, 128)
        self.age, self.income, self.gender = nn.Linear(128, 1), nn.Linear(128, GROUPS), nn.Linear(128, 1)

    def forward(self, ids):
        """Returns age (B,), income logits (B, groups) and gender logits (B,)."""
        x = self.conv(self.embedding(ids).transpose(1, 2)).amax(2)
        x = functional.relu(self.dense(x))
        return self.age(x)[:, 0], self.income(x), self.gender(x)[:, 0]


def main(precision: str, embedding: str, steps: int) -> None:
    """Trains and reports the moments at which steps ended."""
    torch.manual_seed(0)
    ids, age, income, gender = (torch.from_numpy(values) for values in batches(steps))
    network = Profile(sparse=embedding == "sparse")
    if embedding == "sparse":
        rest = [weight for name, weight in network.named_parameters() if not name.startswith("embedding")]
        optimizers = [
            torch.optim.SparseAdam(network.embedding.parameters()),
            torch.optim.Adam(rest, fused=True),
        ]
    else:
        optimizers = [torch.optim.Adam(network.parameters(), fused=True)]
    times = []
    for step in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            years, groups, yes = network(ids[step])
        loss = 0.25 * functional.mse_loss((years.float() - 40) / 15, (age[step] - 40) / 15)
        loss = loss + functional.cross_entropy(groups.float(), income[step])
        loss = loss + 10 * functional.binary_cross_entropy_with_logits(yes.float(), gender[step])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        times.append(time.perf_counter())
    report(times, precision=precision)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
