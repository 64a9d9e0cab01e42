"""The language in which scenes are described: a small grammar that knows how likely each caption of a scene is.

A caption follows these steps, each with the probabilities in this module; a group is the likelier to come first the
more and the larger its objects are:

    caption   [there is | a picture of | we see]  group  [link  group]  [on the grass]
    group     a | one | two | three   [small]   [red]   balls
    link      and | to the left of | above | ...     a relation only where it holds

Of a scene with three groups two are named at most, so that captions of one scene differ in what they say and in how. As
the grammar is a chain of choices, the probability of a caption is a sum over the ways to derive it, which gives the
lowest cross-entropy that any network can reach, and a parser turns a caption back into what it claims of the scene.
"""

import functools
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np

from kerasapps.data.scenes import COLORS, KINDS, Scene

Step = tuple[tuple[str, ...], float, tuple]  # words, probability, state after them
START, GROUND, END = ("start",), ("ground",), ("end",)
NOUNS = {
    "disc": ("disc", "circle"),
    "ring": ("ring", "hoop"),
    "moon": ("moon", "crescent"),
    "cross": ("cross",),
} | {kind: (kind,) for kind in KINDS if kind not in ("disc", "ring", "moon", "cross")}
ADJECTIVES = {"small": ("small", "little"), "large": ("large", "big")}
LINKS = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
PLACES = {
    "grass": ("on the grass", "in the grass"),
    "sand": ("on the sand",),
    "water": ("on the water",),
    "snow": ("in the snow",),
}
NUMBERS = ("one", "two", "three")
FRAMES = {"": 0.5, "there is": 0.2, "a picture of": 0.15, "we see": 0.15}
SIZE_SAID, COLOR_SAID, SECOND_SAID, RELATION_SAID, GROUND_SAID, AS_ONE = 0.35, 0.85, 0.8, 0.7, 0.5, 0.2
WEIGHTS = {"small": 1.0, "large": 2.0}  # of an object, in the choice of the group that comes first
CAPTIONS = 5  # of a scene

Fact = Literal["kind", "count", "color", "size", "relation", "ground"]


def write_captions(scene: Scene, count: int, rng: np.random.Generator) -> list[str]:
    """Draws captions of a scene."""
    return [_write(scene, rng) for _ in range(count)]


def _write(scene: Scene, rng: np.random.Generator) -> str:
    state, words = START, []
    while state != END:
        steps = list(_steps(scene, state))
        chosen, _, state = steps[_drawn([p for _, p, _ in steps], rng)]
        words += chosen
    return " ".join(words)


def _drawn(probabilities: Sequence[float], rng: np.random.Generator) -> int:
    return min(bisect_left(list(accumulate(probabilities)), rng.random()), len(probabilities) - 1)


def surprise(caption: str, scene: Scene) -> float:
    """Returns minus the logarithm of a caption's probability given the scene, in nats; infinite if it has none."""
    words = tuple(caption.split())

    def rest(state, start: int) -> float:
        if state == END:
            return float(start == len(words))
        return sum(
            p * rest(after, start + len(said))
            for said, p, after in _steps(scene, state)
            if words[start : start + len(said)] == said
        )

    probability = rest(START, 0)
    return float(-np.log(probability)) if probability else np.inf


def likeliest(scene: Scene) -> str:
    """Returns the most probable caption of a scene."""

    @functools.cache  # many ways lead to the same state
    def best(state) -> tuple[float, tuple[str, ...]]:
        if state == END:
            return 1.0, ()
        rests = [(p, said, best(after)) for said, p, after in _steps(scene, state)]
        return max(((p * rest, (*said, *words)) for p, said, (rest, words) in rests), key=lambda found: found[0])

    return " ".join(best(START)[1])


def all_captions(scene: Scene) -> Iterator[tuple[str, float]]:
    """Yields every way to derive a caption of a scene, with its probability."""

    def rest(state, words, probability):
        if state == END:
            yield " ".join(words), probability
            return
        for said, p, after in _steps(scene, state):
            yield from rest(after, (*words, *said), probability * p)

    yield from rest(START, (), 1.0)


def _steps(scene: Scene, state) -> Iterator[Step]:
    """Yields what may come next."""
    if state == START:
        weights = np.array([group.count * WEIGHTS[group.size] for group in scene.groups])
        for i, weight in enumerate(weights / weights.sum()):
            for frame, p in FRAMES.items():
                many = scene.groups[i].count > 1
                yield tuple(frame.replace("is", "are" if many else "is").split()), weight * p, ("group", i, None)
    elif state[0] == "group":
        _, i, before = state
        after = ("named", i) if before is None and len(scene.groups) > 1 else GROUND
        group = scene.groups[i]
        for words, p in _phrases(group.kind, group.count, group.color, group.size):
            yield words, p, after
    elif state[0] == "named":
        yield (), 1 - SECOND_SAID, GROUND
        others = [j for j in range(len(scene.groups)) if j != state[1]]
        for j in others:
            after, each = ("group", j, state[1]), SECOND_SAID / len(others)
            yield ("and",), each * (1 - RELATION_SAID), after
            relations = scene.relations(state[1], j)
            for relation in relations:
                for link in LINKS[relation]:
                    yield tuple(link.split()), each * RELATION_SAID / len(relations) / len(LINKS[relation]), after
    else:
        yield (), 1 - GROUND_SAID, END
        for place in PLACES[scene.ground]:
            yield tuple(place.split()), GROUND_SAID / len(PLACES[scene.ground]), END


@functools.cache
def _phrases(kind: str, count: int, color: str, size: str) -> tuple[tuple[tuple[str, ...], float], ...]:
    """Returns the ways to name a group, with their probabilities."""
    numbers = {"a": 1 - AS_ONE, "one": AS_ONE} if count == 1 else {NUMBERS[count - 1]: 1.0}
    sizes = {"": 1 - SIZE_SAID} | {word: SIZE_SAID / len(ADJECTIVES[size]) for word in ADJECTIVES[size]}
    colors = {"": 1 - COLOR_SAID, color: COLOR_SAID}
    found = []
    for number, p_number in numbers.items():
        for size_word, p_size in sizes.items():
            for color_word, p_color in colors.items():
                for noun in NOUNS[kind]:
                    said = [word for word in (size_word, color_word, noun if count == 1 else plural(noun)) if word]
                    article = "an" if number == "a" and said[0][0] in "aeiou" else number
                    found.append(((article, *said), p_number * p_size * p_color / len(NOUNS[kind])))
    return tuple(found)


def plural(noun: str) -> str:
    """Returns a noun of which there are several."""
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


# --- from a caption to what it claims


@dataclass(frozen=True)
class Mention:
    """A group as a caption names it.

    Args:
        kind: Its kind.
        count: How many there are.
        color: Its color, None where it is not said.
        size: Its size, None where it is not said.
        place: Which word of the caption the noun is, counted from 0.
    """

    kind: str
    count: int
    color: str | None
    size: str | None
    place: int


@dataclass(frozen=True)
class Claims:
    """What a caption claims.

    Args:
        mentions: The groups that it names, one or two.
        relation: Where the first is from the second, None where it is not said.
        ground: The ground, None where it is not said.
    """

    mentions: tuple[Mention, ...]
    relation: str | None
    ground: str | None


KIND_OF = {form: kind for kind, nouns in NOUNS.items() for noun in nouns for form in (noun, plural(noun))}
SIZE_OF = {word: size for size, words in ADJECTIVES.items() for word in words}
RELATION_OF = {link: relation for relation, links in LINKS.items() for link in links} | {"and": None}
GROUND_OF = {place: ground for ground, places in PLACES.items() for place in places}
COUNT_OF = {"a": 1, "an": 1} | {word: i for i, word in enumerate(NUMBERS, start=1)}


def _one_of(name: str, words) -> str:
    return f"(?P<{name}>{'|'.join(sorted(words, key=len, reverse=True))})"


def _group(i: int) -> str:
    size, color = _one_of(f"size{i}", SIZE_OF), _one_of(f"color{i}", COLORS)
    return f"{_one_of(f'count{i}', COUNT_OF)} (?:{size} )?(?:{color} )?{_one_of(f'noun{i}', KIND_OF)}"


_GRAMMAR = re.compile(
    rf"(?:{_one_of('frame', ['there is', 'there are', *list(FRAMES)[2:]])} )?{_group(1)}"
    rf"(?: {_one_of('link', RELATION_OF)} {_group(2)})?(?: {_one_of('ground', GROUND_OF)})?"
)


def parse(caption: str) -> Claims | None:
    """Returns what a caption claims, or None if the grammar has no such sentence."""
    found = _GRAMMAR.fullmatch(caption)
    if found is None:
        return None
    mentions = []
    for i in (1, 2) if found["noun2"] else (1,):
        count, noun, kind = COUNT_OF[found[f"count{i}"]], found[f"noun{i}"], KIND_OF[found[f"noun{i}"]]
        if (noun in NOUNS[kind]) != (count == 1):
            return None
        first = (found[f"size{i}"] or found[f"color{i}"] or noun)[0]
        if found[f"count{i}"] in ("a", "an") and (first in "aeiou") != (found[f"count{i}"] == "an"):
            return None
        place = caption[: found.start(f"noun{i}")].count(" ")
        mentions.append(Mention(kind, count, found[f"color{i}"], SIZE_OF.get(found[f"size{i}"]), place))
    frame = found["frame"] or ""
    if frame.startswith("there") and frame.endswith("is") != (mentions[0].count == 1):
        return None
    return Claims(tuple(mentions), RELATION_OF.get(found["link"]), GROUND_OF.get(found["ground"]))


def check(claims: Claims, scene: Scene) -> list[tuple[Fact, bool]]:
    """Returns each statement of a caption, and whether it is true of a scene.

    A group that is named is the one of its kind; where there is none, or it is named a second time, all that is said of
    it is false. A relation is true if both groups are there and it holds between them.
    """
    found: list[tuple[Fact, bool]] = []
    by_kind = {group.kind: i for i, group in enumerate(scene.groups)}
    unnamed = {group.kind: group for group in scene.groups}
    for mention in claims.mentions:
        group = unnamed.pop(mention.kind, None)
        found += [("kind", group is not None), ("count", group is not None and group.count == mention.count)]
        if mention.color:
            found.append(("color", group is not None and group.color == mention.color))
        if mention.size:
            found.append(("size", group is not None and group.size == mention.size))
    if claims.relation:
        pair = [by_kind.get(mention.kind) for mention in claims.mentions]
        there = None not in pair and pair[0] != pair[1]
        found.append(("relation", there and claims.relation in scene.relations(*pair)))
    if claims.ground:
        found.append(("ground", claims.ground == scene.ground))
    return found


def is_complete(claims: Claims, scene: Scene) -> bool:
    """Whether a caption names as many groups of a scene as a caption can, two at most."""
    named = {mention.kind for mention in claims.mentions} & {group.kind for group in scene.groups}
    return len(named) >= min(2, len(scene.groups))
