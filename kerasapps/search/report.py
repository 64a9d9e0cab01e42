"""What the report of a search shows: table and figures."""

import math
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import matplotlib
import numpy as np
from markupsafe import Markup

from kerasapps.formats import format_share, label_of
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure
from kerasapps.search.importance import HIGH, LOW, fewest, importance
from kerasapps.search.result import BASELINE, SearchResult, positions, show

ON_VALIDATION = (
    "All scores are on the validation set: the more trials, the more the best of them owes to luck with it. The test "
    "set was used once, by the winner."
)


TITLE = "Which hyperparameters mattered"
MOST_LABELS, FLAT_LABELS = 40, 15  # trials whose names an axis holds, upright and lying


@dataclass(frozen=True)
class Note:
    """A paragraph in a section of its own."""

    title: str
    text: str

    def html(self) -> str:
        """Returns the paragraph."""
        return Markup("<p>{}</p>").format(self.text)


def search_blocks(result: SearchResult, *, folder: Path, scored: str = ON_VALIDATION) -> list[Block]:
    """Returns what the report of a search shows: table, history, importance, parallel coordinates.

    Args:
        result: What was found.
        folder: The run folder of the search; the table links to the reports of the trials in it.
        scored: What the scores are, in a sentence.
    """
    sign = -1 if result.maximize else 1
    ranked = sorted(result.trials, key=lambda trial: (trial.score is None, sign * (trial.score or 0)))
    names = list(result.baseline.values)
    table = Table(
        "Trials, the best first",
        ["trial", label_of(result.objective), "seconds", *names, ""],
        [
            [
                _linked(trial.name, folder),
                trial.score,
                f"{trial.seconds:.0f}",
                *(show(trial.values.get(name)) for name in names),
                trial.message,
            ]
            for trial in ranked
        ],
        caption=f"{BASELINE} has the default values. {scored}",
        digits=4,
    )
    return [table, _history_figure(result), *_importance_blocks(result), *_parallel_figure(result, names)]


def _linked(name: str, folder: Path) -> str:
    """Returns the name of a trial as a link to its report, if it has one."""
    path = Path("trials", name, "report.html")
    return Markup('<a href="{}">{}</a>').format(quote(str(path)), name) if (folder / path).is_file() else name


def _history_figure(result: SearchResult) -> Figure:
    scores = np.array([math.nan if trial.score is None else trial.score for trial in result.trials])
    best = (np.fmax if result.maximize else np.fmin).accumulate(scores)
    numbers = np.arange(1, len(scores) + 1)
    figure = new_figure()
    axes = add_axes(figure, xlabel="trial", ylabel=label_of(result.objective))
    axes.plot(numbers, scores, "o", label="trial")
    axes.step(numbers, best, where="post", label="best so far")
    if result.baseline.score is not None:
        axes.axhline(result.baseline.score, color="#6b7280", linestyle="--", label=BASELINE)
    for number in numbers[np.isnan(scores)]:
        axes.axvline(number, color="#b5485d", linewidth=1, alpha=0.6)
    each = -(-len(numbers) // MOST_LABELS)
    names = [trial.name for trial in result.trials]
    axes.set_xticks(numbers[::each], names[::each], rotation=90 if len(numbers) > FLAT_LABELS else 0)
    axes.legend(frameon=False)
    caption = "Scores in the order in which the trials ended; a red line is one that failed."
    return Figure("history", caption, figure, "Scores of the trials")


def _importance_blocks(result: SearchResult) -> list[Block]:
    found = importance(result)
    if found is None:
        if not result.varied:
            return []
        text = f"{len(result.scored)} trials cannot tell; it takes at least {fewest(result)} with different scores."
        return [Note(TITLE, text)]
    if found.explained <= 0:
        return [
            Note(TITLE, f"These {found.trials} trials do not tell: from some of them, the others cannot be predicted.")
        ]
    low, middle, high = (np.array(list(found.losses.values()))[::-1].T * 100).tolist()
    figure = new_figure(height=0.9 + 0.4 * len(middle))
    axes = add_axes(figure, xlabel="error added, percent of the variance of the scores")
    rows = np.arange(len(middle))
    axes.barh(rows, middle, height=0.6)
    axes.hlines(rows, low, high, color="#1c2430", linewidth=1.5)
    axes.set_yticks(rows, [name.replace("_", " ") for name in list(found.losses)[::-1]])
    caption = (
        f"A forest is fitted to some of the {found.trials} trials and predicts the others, "
        f"{format_share(found.explained, 0)} of whose variance it explains. Bars: the error that shuffling one "
        f"hyperparameter adds. Lines: the middle {HIGH - LOW} % over resamples of the trials; where a line reaches 0, "
        "it may not matter at all. This ranks what was tried within the search space, and measures nothing."
    )
    return [Figure("importance", caption, figure, TITLE)]


def _parallel_figure(result: SearchResult, names: list[str]) -> list[Figure]:
    trials = result.scored
    if len(trials) < 2:
        return []
    scores = np.array([trial.score for trial in trials])
    columns = [positions([trial.values.get(name) for trial in trials]) for name in names] + [scores]
    heights = np.array([_unit(column) for column in columns])  # (names + 1, trials)
    figure = new_figure(width=max(7.0, 1.3 * len(columns)))
    axes = add_axes(figure)
    good = _unit(scores) if result.maximize else 1 - _unit(scores)
    for i in np.argsort(good):
        color = matplotlib.colormaps["viridis_r"](good[i])
        axes.plot(heights[:, i], color=color, alpha=0.85, linewidth=1 + 1.5 * good[i])
    for x, name in enumerate(names):
        values = {height: show(trial.values.get(name)) for height, trial in zip(heights[x], trials, strict=True)}
        for height, value in values.items():
            axes.annotate(
                value, (x, height), fontsize=7, color="#4b5563", ha="right", xytext=(-3, 2), textcoords="offset points"
            )
    for trial in {id(one): one for one in (result.best, result.baseline) if one.score is not None}.values():
        height = heights[-1][trials.index(trial)]
        axes.annotate(trial.name, (len(names), height), fontsize=8, xytext=(5, -3), textcoords="offset points")
    labels = [*(name.replace("_", "\n") for name in names), label_of(result.objective).replace(" ", "\n")]
    axes.set_xticks(range(len(columns)), labels)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    caption = "One line a trial; thick and dark lines scored best, in a dark report thick and bright ones."
    return [Figure("parallel", caption, figure, "Hyperparameters of the trials")]


def _unit(values: np.ndarray) -> np.ndarray:
    """Stretches values to [0, 1]; equal ones go to the middle."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread else np.full(len(values), 0.5)
