"""What a search found: its trials."""

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasapps.errors import UserError

# The configuration that people get without a search; it is always tried, and first.
BASELINE = "default"


@dataclass(frozen=True)
class Trial:
    """One configuration and what came of it; `score` is None for one that failed."""

    name: str
    params: dict[str, Any]
    score: float | None
    seconds: float
    message: str

    @property
    def values(self) -> dict[str, Any]:
        """The hyperparameters one by one, those of a nested network as "generator.filters"."""
        return flat(self.params)


@dataclass(frozen=True)
class SearchResult:
    """All trials in the order in which they ended, the one with the default values among them."""

    trials: list[Trial]
    objective: str
    maximize: bool

    @property
    def baseline(self) -> Trial:
        """The trial with the default values.

        Raises:
            UserError: If the search was stopped before it ended; others at its side may have been faster.
        """
        for trial in self.trials:
            if trial.name == BASELINE:
                return trial
        raise UserError("The trial with the default values was not finished: continue with --resume.")

    @property
    def best(self) -> Trial:
        """The trial with the best score.

        Raises:
            UserError: If every trial failed.
        """
        if not self.trials:
            raise UserError("No trial was finished.")
        if not self.scored:
            raise UserError(f"Every trial failed. The first one: {self.trials[0].message}")
        return (max if self.maximize else min)(self.scored, key=lambda trial: trial.score)

    @property
    def scored(self) -> list[Trial]:
        """The trials that did not fail."""
        return [trial for trial in self.trials if trial.score is not None]

    @property
    def varied(self) -> list[str]:
        """Names of the hyperparameters that are not the same in all of these."""
        names = dict.fromkeys(name for trial in self.scored for name in trial.values)
        return [name for name in names if len({str(trial.values.get(name)) for trial in self.scored}) > 1]


def flat(params: dict[str, Any]) -> dict[str, Any]:
    """Returns builder arguments one by one, those of a network inside as "generator.filters"."""
    result: dict[str, Any] = {}
    for name, value in params.items():
        inner = flat(value) if isinstance(value, dict) else None
        result |= {name: value} if inner is None else {f"{name}.{key}": one for key, one in inner.items()}
    return result


def show(value: Any) -> str:
    """Returns a hyperparameter without floating-point noise: 0.3, not 0.30000000000000004."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def positions(values: list) -> np.ndarray:
    """Places values on a line: numbers where they are, anything else in alphabetical order."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, float)
    order = sorted({str(value) for value in values})
    return np.array([order.index(str(value)) for value in values], float)


def trials_csv(result: SearchResult) -> str:
    """Returns the trials as a table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(result.trials[0].values)
    writer.writerow(["trial", result.objective, "seconds", *names, "message"])
    for trial in result.trials:
        score = "failed" if trial.score is None else trial.score
        writer.writerow([trial.name, score, round(trial.seconds, 1), *map(trial.values.get, names), trial.message])
    return text.getvalue()
