"""Which hyperparameters matter to the score of a search, as far as its trials can tell."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from kerasapps.search.result import SearchResult, positions

RESAMPLES, TREES, SHUFFLES = 20, 20, 10
LOW, HIGH = 10, 90  # percentiles of an interval
FEWEST = 10  # trials with a score, and one more for each hyperparameter; with fewer anything may come out


@dataclass(frozen=True)
class Importance:
    """How much worse the scores of trials are predicted once one hyperparameter is shuffled.

    Args:
        losses: Of each hyperparameter, the most important first, low end, median and high end over resamples, as
            shares of the variance of all scores.
        explained: Share of the variance of scores that is predicted, of trials that the forest has not seen; at most 0
            if it knows nothing.
        trials: Number of trials with a score.
    """

    losses: dict[str, tuple[float, float, float]]
    explained: float
    trials: int


def fewest(result: SearchResult) -> int:
    """Returns how many trials with a score it takes."""
    return FEWEST + len(result.varied)


def importance(result: SearchResult) -> Importance | None:
    """Estimates how much each hyperparameter matters by permutation.

    A forest of regression trees is fitted to a resample of the trials and predicts those that are left out; what a
    shuffled hyperparameter costs it there is what it had learned from it. The spread over the resamples shows how much
    depends on which trials there happen to be.

    Returns:
        What was found; None if there are too few trials or their scores are equal.
    """
    scored, names = result.scored, result.varied
    scores = np.array([trial.score for trial in scored])
    if len(scored) < fewest(result) or not names or np.ptp(scores) == 0:
        return None
    rng = np.random.default_rng(0)
    columns = np.array([positions([trial.values.get(name) for trial in scored]) for name in names]).T  # (trials, names)
    losses, errors = [], []
    for i in range(RESAMPLES):
        drawn = rng.integers(len(scores), size=len(scores))
        left = np.setdiff1d(np.arange(len(scores)), drawn)
        forest = RandomForestRegressor(TREES, random_state=i).fit(columns[drawn], scores[drawn])
        seen = np.tile(columns[left], (1 + SHUFFLES * len(names), 1, 1))  # the first as it is, then each shuffled
        for j in range(len(names)):
            for k in range(SHUFFLES):
                one = seen[1 + j * SHUFFLES + k]
                one[:, j] = rng.permutation(one[:, j])
        predicted = forest.predict(seen.reshape(-1, len(names))).reshape(seen.shape[:2])
        error = ((predicted - scores[left]) ** 2).mean(1) / scores.var()
        errors.append(error[0])
        losses.append(error[1:].reshape(len(names), SHUFFLES).mean(1) - error[0])
    spread = np.percentile(losses, (LOW, 50, HIGH), axis=0).T  # (names, 3)
    order = np.argsort(-spread[:, 1])
    return Importance(
        {names[j]: tuple(float(value) for value in spread[j]) for j in order},
        1 - float(np.median(errors)),
        len(scored),
    )
