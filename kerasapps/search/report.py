"""What a search found: its trials, as a table and as figures."""

import csv
import io
import math
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from sklearn.ensemble import RandomForestRegressor

from kerasapps.errors import UserError
from kerasapps.reports import Figure, Table, add_axes, new_figure

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
        scored = [trial for trial in self.trials if trial.score is not None]
        if not self.trials:
            raise UserError("No trial was finished.")
        if not scored:
            raise UserError(f"Every trial failed. The first one: {self.trials[0].message}")
        return (max if self.maximize else min)(scored, key=lambda trial: trial.score)


def importance(result: SearchResult) -> dict[str, float]:
    """Estimates how much each hyperparameter matters to the score, as shares that add up to 1.

    A forest of regression trees is fitted to the trials; the share is how much of the variance its splits on the
    hyperparameter explain. With a few dozen trials this ranks, it does not measure.
    """
    trials = [trial for trial in result.trials if trial.score is not None]
    names = [name for name in result.baseline.params if len({str(trial.params[name]) for trial in trials}) > 1]
    if len(trials) < 4 or not names:
        return {}
    columns = np.array([_positions([trial.params[name] for trial in trials]) for name in names]).T  # (trials, names)
    forest = RandomForestRegressor(200, random_state=0).fit(columns, [trial.score for trial in trials])
    return dict(sorted(zip(names, forest.feature_importances_, strict=True), key=lambda item: -item[1]))


ON_VALIDATION = (
    "All scores are on the validation set: the more trials, the more the best of them owes to luck with it. The test "
    "set was used once, by the winner."
)


def search_blocks(result: SearchResult, *, scored: str = ON_VALIDATION) -> list[Figure | Table]:
    """Returns what the report of a search shows: table, history, importance, parallel coordinates.

    Args:
        result: What was found.
        scored: What the scores are, in a sentence.
    """
    sign = -1 if result.maximize else 1
    ranked = sorted(result.trials, key=lambda trial: (trial.score is None, sign * (trial.score or 0)))
    names = list(result.baseline.params)
    table = Table(
        "Trials, the best first",
        ["trial", result.objective, "seconds", *names, ""],
        [
            [trial.name, trial.score, f"{trial.seconds:.0f}", *map(show, trial.params.values()), trial.message]
            for trial in ranked
        ],
        caption=f"{BASELINE} has the default values. {scored}",
        digits=4,
    )
    return [table, _history_figure(result), *_importance_figure(result), *_parallel_figure(result, names)]


def _history_figure(result: SearchResult) -> Figure:
    scores = np.array([math.nan if trial.score is None else trial.score for trial in result.trials])
    best = (np.fmax if result.maximize else np.fmin).accumulate(scores)
    numbers = np.arange(1, len(scores) + 1)
    figure = new_figure()
    axes = add_axes(figure, xlabel="trial", ylabel=result.objective)
    axes.plot(numbers, scores, "o", label="trial")
    axes.step(numbers, best, where="post", label="best so far")
    if result.baseline.score is not None:
        axes.axhline(result.baseline.score, color="#6b7280", linestyle="--", label=BASELINE)
    for number in numbers[np.isnan(scores)]:
        axes.axvline(number, color="#b5485d", linewidth=1, alpha=0.6)
    axes.legend(frameon=False)
    return Figure("history", "Scores in the order of the trials; a red line is a trial that failed.", figure)


def _importance_figure(result: SearchResult) -> list[Figure]:
    shares = importance(result)
    if not shares:
        return []
    figure = new_figure(height=0.8 + 0.4 * len(shares))
    axes = add_axes(figure, xlabel="share of the explained variance")
    axes.barh(list(shares)[::-1], list(shares.values())[::-1])
    return [Figure("importance", "What mattered, by a forest fitted to the trials: a ranking, no measurement.", figure)]


def _parallel_figure(result: SearchResult, names: list[str]) -> list[Figure]:
    trials = [trial for trial in result.trials if trial.score is not None]
    if len(trials) < 2:
        return []
    scores = np.array([trial.score for trial in trials])
    columns = [_positions([trial.params[name] for trial in trials]) for name in names] + [scores]
    heights = np.array([_unit(column) for column in columns])  # (names + 1, trials)
    figure = new_figure(width=max(7.0, 1.3 * len(columns)))
    axes = add_axes(figure)
    good = _unit(scores) if result.maximize else 1 - _unit(scores)
    for i in np.argsort(good):
        color = matplotlib.colormaps["viridis_r"](good[i])
        axes.plot(heights[:, i], color=color, alpha=0.85, linewidth=1 + 1.5 * good[i])
    for x, name in enumerate(names):
        values = {height: show(trial.params[name]) for height, trial in zip(heights[x], trials, strict=True)}
        for height, value in values.items():
            axes.annotate(
                value, (x, height), fontsize=7, color="#4b5563", ha="right", xytext=(-3, 2), textcoords="offset points"
            )
    axes.set_xticks(range(len(columns)), [name.replace("_", "\n") for name in (*names, result.objective)])
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    return [Figure("parallel", "One line a trial; dark and thick lines scored best.", figure)]


def show(value: Any) -> str:
    """Returns a hyperparameter without floating-point noise: 0.3, not 0.30000000000000004."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _positions(values: list) -> np.ndarray:
    """Places values on a line: numbers where they are, anything else in alphabetical order."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, float)
    order = sorted({str(value) for value in values})
    return np.array([order.index(str(value)) for value in values], float)


def _unit(values: np.ndarray) -> np.ndarray:
    """Stretches values to [0, 1]; equal ones go to the middle."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread else np.full(len(values), 0.5)


def trials_csv(result: SearchResult) -> str:
    """Returns the trials as a table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(result.trials[0].params)
    writer.writerow(["trial", result.objective, "seconds", *names, "message"])
    for trial in result.trials:
        score = "failed" if trial.score is None else trial.score
        writer.writerow([trial.name, score, round(trial.seconds, 1), *map(trial.params.get, names), trial.message])
    return text.getvalue()
