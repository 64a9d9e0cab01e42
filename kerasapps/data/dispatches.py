"""News in short, simulated: sentences with tagged names of persons, places and firms, by a known hidden Markov source.

Lincoln is a person, a place and a firm. What it is in a sentence shows only around it: after "mr" or "in", before
"Bank" or "smiled", or further away, as one name is joined to another by "and". Most clues come after the name, so that
a network has to read in both directions. Some sentences leave it open ("Victoria praised Austin ."), and no network
can know.

Each word is drawn from those of a hidden state, and each state from the one before (`STATES`). Tags are those of the
states, and the probability of each tag given all of the words follows by forward-backward (`kerasapps.data.markov`).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from kerasapps.data.columns import TaggedSequence
from kerasapps.data.markov import MarkovSource

GIVEN = (
    *("Jordan", "Austin", "Florence", "Madison", "Chelsea", "Victoria", "Sydney", "Georgia", "Lincoln"),
    *("Anna", "Peter", "Maria", "Ruth", "Thomas"),
)
FAMILY = ("Lincoln", "Hudson", "Ford", "Morgan", "Kent", "Marsh", "Clifton", "Berkeley", "Miller", "Novak", "Garcia")
PLACES = (
    *("Jordan", "Austin", "Florence", "Madison", "Chelsea", "Victoria", "Sydney", "Georgia", "Lincoln"),
    *("Hudson", "Kent", "Clifton", "Berkeley", "Oslo", "Lima", "Cairo"),
)
SIGHTS = ("Bay", "Falls", "Springs", "Heights", "Valley")
FIRMS = (
    *("Ford", "Morgan", "Marsh", "Victoria", "Lincoln", "Hudson", "Austin", "Kent", "Chelsea", "Berkeley"),
    *("Acme", "Nordwind", "Zenith"),
)
TRADES = ("Bank", "Motors", "Press", "Records", "Springs", "Valley")
# What any of the three may do, alone and to another.
RESTS, ACTS = ("waited", "agreed", "won", "lost", "grew"), ("praised", "left", "welcomed", "backed", "sued", "joined")

# Kind of name: its tag, its first words, further ones, and how often there are any.
NAMES = {
    "person": ("PER", GIVEN, FAMILY, 0.4),
    "place": ("LOC", PLACES, SIGHTS, 0.3),
    "firm": ("ORG", FIRMS, TRADES, 0.4),
}
# Kind of name: what it does alone, what to another, and to which.
DEEDS = {
    "person": (("smiled", "resigned", "spoke", *RESTS), ("married", "phoned", *ACTS), (0.4, 0.3, 0.3)),
    "place": (("flooded", "voted", *RESTS), ("borders", "overlooks", *ACTS), (0.2, 0.5, 0.3)),
    "firm": (("merged", "traded", *RESTS), ("hired", "acquired", *ACTS), (0.3, 0.2, 0.5)),
}
JOINED = 0.15  # a name is followed by "and" and another of its kind


@dataclass(frozen=True)
class State:
    """A hidden state.

    Args:
        tag: Its tag.
        words: Its words, all alike.
        then: Probability of each next state; what is left is the end of the sentence.
    """

    tag: str
    words: tuple[str, ...]
    then: dict[str, float]


def _name(kind: str, role: str, then: dict[str, float]) -> dict[str, State]:
    """Returns the states of a name, with what follows it: its first word, further words, and another name."""
    tag, first, further, longer = NAMES[kind]
    after = {f"{role} {kind} and": JOINED} | {state: (1 - JOINED) * share for state, share in then.items()}
    return {
        f"{role} {kind}": State(
            f"B-{tag}",
            first,
            {f"{role} {kind} further": longer} | {state: (1 - longer) * share for state, share in after.items()},
        ),
        f"{role} {kind} further": State(f"I-{tag}", further, after),
        f"{role} {kind} and": State("O", ("and", "or"), {f"{role} {kind}": 1.0}),
    }


def _states() -> dict[str, State]:
    """Returns all states by name; a sentence begins with "begin", which has no word."""
    subjects = {"subject person": 0.3, "subject firm": 0.25, "subject place": 0.2, "title": 0.1}
    rest = {"stop": 0.55, "when": 0.15, "where": 0.3}
    states = {
        "begin": State("", (), {"when first": 0.15} | subjects),
        "when first": State("O", ("today", "yesterday", "meanwhile", "again"), _shares(subjects)),
        "title": State("O", ("mr", "mrs", "minister", "coach"), {"titled": 1.0}),
        "titled": State("B-PER", FAMILY, {"subject person rests": 0.4, "subject person acts": 0.6}),
        "where": State("O", ("in", "near", "outside"), {"object place": 1.0}),
        "when": State("O", ("today", "yesterday", "again"), {"stop": 1.0}),
        "while": State("O", ("while", "because", "after"), _shares(subjects)),
        "stop": State("O", (".",), {}),
    }
    for kind, (alone, to_another, shares) in DEEDS.items():
        rests, acts = f"subject {kind} rests", f"subject {kind} acts"
        states |= _name(kind, "subject", {rests: 0.4, acts: 0.6})
        states[rests] = State("O", alone, {"while": 0.2, "stop": 0.4, "when": 0.1, "where": 0.3})
        objects = zip(("object person", "object place", "object firm"), shares, strict=True)
        states[acts] = State("O", to_another, dict(objects))
        states |= _name(kind, "object", {"while": 0.2} | {state: 0.8 * share for state, share in rest.items()})
    return states


def _shares(weights: dict[str, float]) -> dict[str, float]:
    """Returns weights as shares that add up to 1."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


STATES = _states()
EMITTING = {name: state for name, state in STATES.items() if state.words}


def write_dispatches(count: int, *, seed: int) -> list[TaggedSequence]:
    """Writes sentences; those of a smaller count are the first of a larger one."""
    rng, states = np.random.default_rng(seed), list(EMITTING.values())
    written = []
    for _ in range(count):
        drawn = [states[i] for i in source().draw(rng)]
        words = tuple(one.words[int(rng.integers(len(one.words)))] for one in drawn)
        written.append(TaggedSequence(words, tuple(one.tag for one in drawn)))
    return written


@cache
def source() -> MarkovSource:
    """Returns the source of the states, in the order of `EMITTING`."""
    rows = {name: np.array([STATES[name].then.get(one, 0.0) for one in EMITTING]) for name in STATES}
    moves = np.stack([rows[name] for name in EMITTING])
    return MarkovSource(rows["begin"], moves, np.maximum(1 - moves.sum(1), 0))


@cache
def _likelihoods() -> dict[str, np.ndarray]:
    """Returns for each word its probability in each state, (S,)."""
    words = {word for state in EMITTING.values() for word in state.words}
    return {word: np.array([one.words.count(word) / len(one.words) for one in EMITTING.values()]) for word in words}


def best_tags(words: tuple[str, ...], *, so_far: bool) -> list[str]:
    """Returns the most probable tag of each word given all words, or only those up to it: no network does better."""
    likelihoods = np.stack([_likelihoods()[word] for word in words])
    states = source().filtered(likelihoods) if so_far else source().smoothed(likelihoods)
    tags = sorted({state.tag for state in EMITTING.values()})
    of_tag = np.array([[state.tag == tag for tag in tags] for state in EMITTING.values()], float)  # (S, tags)
    return [tags[i] for i in (states @ of_tag).argmax(1)]
