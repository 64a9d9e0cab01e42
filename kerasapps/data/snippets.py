"""Short reviews, simulated: the data set of text classification that needs no download.

The generative model, from which the best possible accuracy follows:

1. A label is drawn: one of three topics and one of two sentiments, all six alike.
2. A review has 2 to 6 clauses, any number alike. Each is about one noun: with probability 0.7 one of its topic, else
   any noun of any topic.
3. A clause has no opinion (0.2), or one that agrees with the sentiment (0.85 of the rest) or does not (0.15).
4. An opinion is a word that says so, or (0.4) a negation of one that says the opposite: "was not really dull".

Clauses are independent given the label, and noun and opinion of a clause are read off its words without doubt, so the
probability of each label given the text is a product over the clauses. No classifier is right more often than one that
picks the most probable label. Words alone are not enough: who reads "not" and "dull" without their order cannot tell
which opinion was negated.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

NOUNS = {
    "film": ("plot", "cast", "ending", "camera", "dialogue", "score", "villain", "sequel", "editing", "scene"),
    "food": ("soup", "bread", "dessert", "menu", "kitchen", "sauce", "coffee", "waiter", "salad", "portion"),
    "travel": ("hotel", "beach", "train", "view", "guide", "flight", "museum", "luggage", "harbour", "room"),
}
OPINIONS = {
    "good": ("superb", "charming", "memorable", "fresh", "generous", "clever", "warm", "delightful", "fine", "bright"),
    "bad": ("dull", "careless", "stale", "clumsy", "cold", "noisy", "tiresome", "shabby", "bland", "rude"),
}
PLAIN = ("usual", "same as ever", "what one expects", "as described", "mentioned twice", "new to us")
STARTS = ("the", "their", "this", "our", "that")
STRESS = ("", "", "really ", "quite ", "truly ", "most ")
DOUBT = ("", "", "really ", "even remotely ", "in any way ", "all that ")
NOT = ("was not", "was never", "could not be called", "is hardly")
IS = ("was", "is", "seemed")
JOINS = (". ", ", and ", "; ", ", but ")
LABELS = tuple(f"{topic}, {sentiment}" for topic in NOUNS for sentiment in OPINIONS)

CLAUSES = (2, 6)
ON_TOPIC = 0.7
NO_OPINION = 0.2
AGREES = 0.85
NEGATED = 0.4


@dataclass(frozen=True)
class Snippet:
    """A simulated review.

    Args:
        text: The text.
        label: Index into `LABELS`.
        posterior: Probability of each label given the text, float64 (labels,).
    """

    text: str
    label: int
    posterior: np.ndarray


def write_snippets(count: int, *, seed: int) -> list[Snippet]:
    """Writes reviews; those of a smaller count are the first of a larger one."""
    rng = np.random.default_rng(seed)
    return [_snippet(rng) for _ in range(count)]


def optimal_accuracy(snippets: list[Snippet]) -> float:
    """Returns how often the most probable label is right: no classifier is better, up to chance."""
    return float(np.mean([np.argmax(one.posterior) == one.label for one in snippets]))


def _snippet(rng: np.random.Generator) -> Snippet:
    """Draws a label and writes its clauses."""
    label = int(rng.integers(len(LABELS)))
    text, likelihood = "", np.ones(len(LABELS))
    for _ in range(int(rng.integers(CLAUSES[0], CLAUSES[1] + 1))):
        clause, noun, opinion = _clause(rng, *LABELS[label].split(", "))
        likelihood *= _likelihoods()[noun, opinion]
        join = _pick(rng, JOINS) if text else ""
        text += join + (clause.capitalize() if join in ("", ". ") else clause)
    return Snippet(text + ".", label, likelihood / likelihood.sum())


def _clause(rng: np.random.Generator, topic: str, sentiment: str) -> tuple[str, str, str]:
    """Writes a clause; returns it, the topic of its noun, and its opinion, "" for none."""
    topic = topic if rng.random() < ON_TOPIC else _pick(rng, tuple(NOUNS))
    subject = f"{_pick(rng, STARTS)} {_pick(rng, NOUNS[topic])}"
    if rng.random() < NO_OPINION:
        return f"{subject} {_pick(rng, IS)} {_pick(rng, PLAIN)}", topic, ""
    opinion = sentiment if rng.random() < AGREES else _other(sentiment)
    if rng.random() < NEGATED:
        words = f"{_pick(rng, NOT)} {_pick(rng, DOUBT)}{_pick(rng, OPINIONS[_other(opinion)])}"
    else:
        words = f"{_pick(rng, IS)} {_pick(rng, STRESS)}{_pick(rng, OPINIONS[opinion])}"
    return f"{subject} {words}", topic, opinion


@cache
def _likelihoods() -> dict[tuple[str, str], np.ndarray]:
    """Returns by the topic of a noun and an opinion how probable a clause with them is for each label, (labels,).

    What nouns of a topic and words of an opinion have in common cancels out.
    """
    return {
        (noun, opinion): np.array(
            [
                (ON_TOPIC * (noun == topic) + (1 - ON_TOPIC) / len(NOUNS))
                * (1 if not opinion else AGREES if opinion == sentiment else 1 - AGREES)
                for topic in NOUNS
                for sentiment in OPINIONS
            ]
        )
        for noun in NOUNS
        for opinion in ("", *OPINIONS)
    }


def _other(sentiment: str) -> str:
    return "bad" if sentiment == "good" else "good"


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
