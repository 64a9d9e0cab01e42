"""Short stories with questions, simulated: the data set of question answering that needs no download.

Thirteen kinds of story, each testing one skill: looking up a fact, chaining two or three, counting, resolving "she". A
small world model tracks who is where and who holds what while the story unfolds, so that every answer follows from the
sentences, and from the supporting facts alone. The text is in the bAbI format, which `kerasapps.data.babi` reads;
names, places, things and sentences are this project's own.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from kerasapps.data.babi import Question, parse_stories
from kerasapps.errors import DataError

PEOPLE = {"Nora": "she", "Amira": "she", "Felix": "he", "Tomas": "he"}
PLACES = ("attic", "bakery", "cellar", "harbour", "library", "meadow")
THINGS = ("compass", "kettle", "lantern", "umbrella")
GOES = ("walked to", "hurried to", "wandered to")
TAKES = ("picked up", "took")
DROPS = ("put down", "abandoned")
GIVES = ("gave", "handed", "passed")
LEFT = ("is no longer in", "has left")
PERIODS = ("yesterday", "this morning", "this afternoon", "this evening")
DIRECTIONS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
COUNTS = ("none", "one", "two", "three")

MAX_QUESTIONS = 5  # of one story
# No question comes earlier: stories of two or three sentences would be in both the training and the test set.
FIRST_QUESTION_AFTER = 4

Facts = set[int]  # line numbers of supporting facts


class _Story:
    """One story as it unfolds: its lines in the file, and the state of the world behind them."""

    def __init__(
        self, rng: np.random.Generator, *, people: int, things: int = 0, places: int = len(PLACES), capacity: int = 1
    ):
        self.rng = rng
        self.people = self.sample(tuple(PEOPLE), people)
        self.things = self.sample(THINGS, things)
        self.places = self.sample(PLACES, places)
        self.capacity = capacity  # things that one person can carry
        self.lines: list[str] = []
        self.sentences = 0
        self.questions = 0
        self.where: dict[str, tuple[str, Facts]] = {}  # person -> place
        self.holder: dict[str, str] = {}  # thing -> person
        self.taken: dict[str, int] = {}  # thing -> line of the latest taking
        self.resting: dict[str, tuple[str, Facts]] = {}  # thing that was put down -> place
        self.trail: dict[str, list[tuple[str, Facts]]] = {}  # thing -> places it was in, oldest first
        self.handled: dict[str, Facts] = {}  # person -> lines of taking and putting down

    # --- chance: `integers` and `random` only, whose streams are the same on every platform

    def pick(self, options: Sequence):
        return options[int(self.rng.integers(len(options)))]

    def sample(self, options: Sequence, count: int) -> list:
        rest = list(options)
        return [rest.pop(int(self.rng.integers(len(rest)))) for _ in range(count)]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    # --- telling and asking

    def tell(self, sentence: str) -> int:
        self.lines.append(f"{len(self.lines) + 1} {sentence[0].upper()}{sentence[1:]}.")
        self.sentences += 1
        return len(self.lines)

    def ask(self, question: str, answer: str, facts: Facts) -> None:
        supports = " ".join(map(str, sorted(facts)))
        self.lines.append(f"{len(self.lines) + 1} {question}?\t{answer.lower()}\t{supports}")
        self.questions += 1

    def unfold(self, tell: Callable[[], None], ask: Callable[[], None], *, longest: int = 14) -> list[str]:
        """Generates 4 to `longest` sentences and up to five questions, the last one at the end."""
        length = int(self.rng.integers(FIRST_QUESTION_AFTER, longest + 1))
        # `ask` may find nothing to ask yet: then the story continues, up to the maximum length if necessary.
        while self.sentences < length or (self.sentences < longest and not self.questions):
            tell()
            between = self.sentences >= FIRST_QUESTION_AFTER and self.questions < MAX_QUESTIONS - 1
            if self.sentences >= length or (between and self.chance(0.4)):
                ask()
        return self.lines

    # --- events

    def move(self, *people: str, subject: str = "", facts: Iterable[int] = ()) -> None:
        """Moves `people`, or a random person, elsewhere; `subject` replaces the names and is resolved by `facts`."""
        people = people or (self.pick(self.people),)
        here = {self.where[person][0] for person in people if person in self.where}
        place = self.pick([place for place in self.places if place not in here])
        line = self.tell(f"{subject or ' and '.join(people)} {self.pick(GOES)} the {place}")
        for person in people:
            self.where[person] = (place, {line, *facts})
            for thing in self.held(person):
                self.trail[thing].append((place, {line, self.taken[thing]}))

    def held(self, person: str) -> list[str]:
        return sorted(thing for thing, holder in self.holder.items() if holder == person)

    def within_reach(self, person: str) -> list[str]:
        """Things that `person` can take: those here, and those not touched yet."""
        here = self.where[person][0]
        free = [thing for thing in self.things if thing not in self.holder]
        return [thing for thing in free if thing not in self.resting or self.resting[thing][0] == here]

    def take(self, person: str) -> None:
        here, facts = self.where[person]
        thing = self.pick(self.within_reach(person))
        line = self.tell(f"{person} {self.pick(TAKES)} the {thing}")
        self.holder[thing], self.taken[thing] = person, line
        self.handled.setdefault(person, set()).add(line)
        if self.resting.pop(thing, None) is None:
            self.trail[thing] = [(here, {line, *facts})]

    def drop(self, person: str) -> None:
        here, facts = self.where[person]
        thing = self.pick(self.held(person))
        line = self.tell(f"{person} {self.pick(DROPS)} the {thing}")
        del self.holder[thing]
        self.handled[person].add(line)
        self.resting[thing] = (here, {line, *facts})

    def act(self, *, moving: float, dropping: float) -> None:
        """Lets a random person move, or take or put down a thing, as far as the state of the world allows."""
        person = self.pick(self.people)
        if person not in self.where or self.chance(moving):
            self.move(person)
        elif self.held(person) and self.chance(dropping):
            self.drop(person)
        elif len(self.held(person)) < self.capacity and self.within_reach(person):
            self.take(person)
        else:
            self.move(person)

    # --- questions that several kinds share

    def ask_where(self) -> None:
        person = self.pick(list(self.where))
        self.ask(f"Where is {person}", *self.where[person])

    def ask_whether(self, known: dict[str, tuple[dict[str, list[str]], Facts]]) -> None:
        """Asks whether a person is in a place, with all answers equally often; `known`: person -> answer -> places."""
        answer = self.pick(sorted({answer for answers, _ in known.values() for answer in answers}))
        person = self.pick([person for person, (answers, _) in known.items() if answer in answers])
        answers, facts = known[person]
        self.ask(f"Is {person} in the {self.pick(answers[answer])}", answer, facts)

    def others(self, *places: str) -> list[str]:
        return [place for place in self.places if place not in places]


def single_fact(rng: np.random.Generator) -> list[str]:
    """Where is Nora? The latest sentence about her has the answer."""
    story = _Story(rng, people=4)
    return story.unfold(story.move, story.ask_where)


def two_facts(rng: np.random.Generator) -> list[str]:
    """Where is the kettle? Where its carrier is, or where it was put down."""
    story = _Story(rng, people=2, things=2)

    def ask():
        if story.trail:
            thing = story.pick(list(story.trail))
            story.ask(f"Where is the {thing}", *story.resting.get(thing, story.trail[thing][-1]))

    return story.unfold(lambda: story.act(moving=0.45, dropping=0.2), ask, longest=8)


def three_facts(rng: np.random.Generator) -> list[str]:
    """Where was the kettle before the attic? Needs its carrier, and two of that person's moves."""
    story = _Story(rng, people=2, things=1)

    def ask():
        steps = []
        for thing, trail in story.trail.items():
            places = [place for place, _ in trail]
            for (before, facts), (place, later) in pairwise(trail):
                # No single "before" has a place seen twice; a fourth fact has a thing put down and taken up again.
                if places.count(place) == 1 and len(facts | later) == 3:
                    steps.append((f"Where was the {thing} before the {place}", before, facts | later))
        if steps:
            story.ask(*story.pick(steps))

    return story.unfold(lambda: story.act(moving=0.5, dropping=0.1), ask, longest=8)


def two_arguments(rng: np.random.Generator) -> list[str]:
    """What is just north of the attic? Subject and object of a relation differ by word order alone."""
    story = _Story(rng, people=0)
    free = list(story.places)
    layout = {(0, 0): free.pop()}
    facts = []

    def tell():
        spots = [
            (place, direction, (x + dx, y + dy))
            for (x, y), place in layout.items()
            for direction, (dx, dy) in DIRECTIONS.items()
            if (x + dx, y + dy) not in layout
        ]
        second, direction, spot = story.pick(spots)
        first = layout[spot] = free.pop()
        if story.chance(0.5):
            first, direction, second = second, OPPOSITE[direction], first
        facts.append((first, direction, second, story.tell(f"the {first} is just {direction} of the {second}")))

    def ask():
        first, direction, second, line = story.pick(facts)
        if story.chance(0.5):
            story.ask(f"What is just {direction} of the {second}", first, {line})
        else:
            story.ask(f"What is the {first} just {direction} of", second, {line})

    return story.unfold(tell, ask, longest=len(PLACES) - 1)


def three_arguments(rng: np.random.Generator) -> list[str]:
    """Who gave the kettle to Felix? Giver, thing and recipient of one sentence."""
    story = _Story(rng, people=3, things=2)
    asked: dict[str, dict[str, int]] = {}  # question -> answer -> line of the latest gift that fits

    def give(thing: str) -> None:
        giver = story.holder[thing]
        receiver = story.pick([person for person in story.people if person != giver])
        line = story.tell(f"{giver} {story.pick(GIVES)} the {thing} to {receiver}")
        story.holder[thing] = receiver
        asked.setdefault(f"Who gave the {thing} to {receiver}", {})[giver] = line
        asked.setdefault(f"What did {giver} give to {receiver}", {})[thing] = line
        asked.setdefault(f"Who did {giver} give the {thing} to", {})[receiver] = line

    def tell():
        idle = [thing for thing in story.things if thing not in story.holder]
        if idle and (not story.holder or story.chance(0.3)):
            thing = story.pick(idle)
            story.holder[thing] = story.pick(story.people)
            story.tell(f"{story.holder[thing]} {story.pick(TAKES)} the {thing}")
        elif story.chance(0.2):
            person = story.pick(story.people)
            story.tell(f"{person} {story.pick(GOES)} the {story.pick(story.places)}")
        else:
            give(story.pick(list(story.holder)))

    def ask():
        # If two gifts fit a question and differ, it has no unique answer.
        clear = [(question, *answers.items()) for question, answers in asked.items() if len(answers) == 1]
        if clear:
            question, (answer, line) = story.pick(clear)
            story.ask(question, answer, {line})

    return story.unfold(tell, ask, longest=10)


def yes_no(rng: np.random.Generator) -> list[str]:
    """Is Nora in the attic?"""
    story = _Story(rng, people=4, places=4)

    def ask():
        where = story.where.items()
        story.ask_whether({p: ({"yes": [place], "no": story.others(place)}, facts) for p, (place, facts) in where})

    return story.unfold(story.move, ask)


def counting(rng: np.random.Generator) -> list[str]:
    """How many things is Nora carrying?"""
    story = _Story(rng, people=2, things=4, capacity=3)

    def ask():
        if story.handled:
            # First the number, then a person who carries as many; "one", the most common, is often skipped.
            count = story.pick(sorted({len(story.held(person)) for person in story.handled}))
            person = story.pick([person for person in story.handled if len(story.held(person)) == count])
            if count != 1 or story.chance(0.5):
                story.ask(f"How many things is {person} carrying", COUNTS[count], story.handled[person])

    return story.unfold(lambda: story.act(moving=0.2, dropping=0.35), ask, longest=10)


def listing(rng: np.random.Generator) -> list[str]:
    """What is Nora carrying? Things in alphabetical order, so that each set is one label, or "nothing"."""
    story = _Story(rng, people=2, things=3, capacity=2)

    def ask():
        if story.handled:
            person = story.pick(list(story.handled))
            story.ask(f"What is {person} carrying", ",".join(story.held(person)) or "nothing", story.handled[person])

    return story.unfold(lambda: story.act(moving=0.2, dropping=0.3), ask, longest=10)


def negation(rng: np.random.Generator) -> list[str]:
    """Is Nora in the attic? Some sentences only say where a person is not."""
    story = _Story(rng, people=4, places=4)
    known: dict[str, tuple[dict[str, list[str]], Facts]] = {}

    def tell():
        person = story.pick(story.people)
        answers, _ = known.get(person, ({}, None))
        if "yes" in answers and story.chance(0.5):
            (place,) = answers["yes"]
            known[person] = ({"no": [place]}, {story.tell(f"{person} {story.pick(LEFT)} the {place}")})
        else:
            # Not the place that was named last: a person does not return where they have just left.
            place = story.pick(story.others(*answers.get("yes", answers.get("no", []))))
            line = story.tell(f"{person} is in the {place}")
            known[person] = ({"yes": [place], "no": story.others(place)}, {line})

    return story.unfold(tell, lambda: story.ask_whether(known))


def indefinite(rng: np.random.Generator) -> list[str]:
    """Is Nora in the attic? If she is in one of two places: maybe."""
    story = _Story(rng, people=4, places=4)
    known: dict[str, tuple[dict[str, list[str]], Facts]] = {}

    def tell():
        person = story.pick(story.people)
        places = story.sample(story.places, 2 if story.chance(0.5) else 1)
        if len(places) == 2:
            line = story.tell(f"{person} is either in the {places[0]} or the {places[1]}")
        else:
            line = story.tell(f"{person} is in the {places[0]}")
        known[person] = ({"yes" if len(places) == 1 else "maybe": places, "no": story.others(*places)}, {line})

    return story.unfold(tell, lambda: story.ask_whether(known))


def coreference(rng: np.random.Generator) -> list[str]:
    """Where is Nora? "Then she ..." refers to the sentence before it."""
    story = _Story(rng, people=3)
    named: list[str] = []  # who a pronoun would mean now: whom the sentence before calls by name

    def tell():
        if named and story.chance(0.6):
            person = named.pop()
            story.move(person, subject=f"then {PEOPLE[person]}", facts=story.where[person][1])
        else:
            named[:] = [story.pick(story.people)]
            story.move(*named)

    return story.unfold(tell, story.ask_where)


def conjunction(rng: np.random.Generator) -> list[str]:
    """Where is Nora? "Nora and Felix ..." has two subjects."""
    story = _Story(rng, people=4)
    return story.unfold(lambda: story.move(*story.sample(story.people, 2 if story.chance(0.7) else 1)), story.ask_where)


def time_order(rng: np.random.Generator) -> list[str]:
    """Where was Nora before the attic? The times of day come out of order."""
    story = _Story(rng, people=2)
    plans = {person: story.sample(story.places, len(PERIODS)) for person in story.people}
    untold = story.sample([(person, i) for person in plans for i in range(len(PERIODS))], 2 * len(PERIODS))
    told: dict[tuple[str, int], int] = {}  # person, period -> line

    def tell():
        person, i = untold.pop()
        told[person, i] = story.tell(f"{PERIODS[i]} {person} {story.pick(GOES)} the {plans[person][i]}")

    def ask():
        # Only from one period to the next: sentences still to come cannot make such an answer wrong.
        steps = [(person, i) for person, i in told if (person, i + 1) in told]
        if steps and story.chance(0.5):
            person, i = story.pick(steps)
            question = f"Where was {person} before the {plans[person][i + 1]}"
            story.ask(question, plans[person][i], {told[person, i], told[person, i + 1]})
        else:
            person, i = story.pick(list(told))
            story.ask(f"Where was {person} {PERIODS[i]}", plans[person][i], {told[person, i]})

    return story.unfold(tell, ask, longest=len(untold))


KINDS = {
    kind.__name__: kind
    for kind in (
        *(single_fact, two_facts, three_facts, two_arguments, three_arguments),
        *(yes_no, counting, listing, negation, indefinite, coreference, conjunction, time_order),
    )
}


def simulate(*, questions_per_kind: int, seed: int, kinds: Iterable[str] = tuple(KINDS)) -> dict[str, list[str]]:
    """Generates stories of each kind: lines of text in the bAbI format.

    Args:
        questions_per_kind: Number of questions of each kind, at least 1; the last story ends once it is reached.
        seed: Seed, at least 0. A kind's stories depend on the seed alone, not on which other kinds are requested.
        kinds: Names in `KINDS`.

    Returns:
        Kind to lines, as in a separate file.

    Raises:
        DataError: If `questions_per_kind` or `seed` is too small, or a kind is unknown.
    """
    if questions_per_kind < 1:
        raise DataError(f"`questions_per_kind` must be at least 1. Received: questions_per_kind={questions_per_kind}")
    if seed < 0:
        raise DataError(f"`seed` must be at least 0. Received: seed={seed}")
    told: dict[str, list[str]] = {}
    for kind in kinds:
        if kind not in KINDS:
            raise DataError(f"A kind of story must be one of {', '.join(KINDS)}. Received: {kind!r}")
        rng = np.random.default_rng([seed, list(KINDS).index(kind)])
        told[kind] = lines = []
        missing = questions_per_kind
        while missing:
            story = KINDS[kind](rng)
            asked = [i for i, line in enumerate(story) if "\t" in line][:missing]
            if asked:  # some stories have no question
                lines += story[: asked[-1] + 1]
                missing -= len(asked)
    return told


def make_questions(*, questions_per_kind: int, seed: int, kinds: Iterable[str] = tuple(KINDS)) -> list[Question]:
    """Returns simulated questions, kind after kind; see `simulate` for the arguments.

    Two seeds share the text before a question only by chance, for about one question in 50,000 at 1,000 per kind. To
    exclude even these, drop the test questions whose `text` is that of a training question.
    """
    questions: list[Question] = []
    for kind, lines in simulate(questions_per_kind=questions_per_kind, seed=seed, kinds=kinds).items():
        first_id = questions[-1].story_id + 1 if questions else 0
        questions += parse_stories(lines, kind=kind, source=f"simulated {kind} stories", first_id=first_id)
    return questions


def write_stories(folder: Path, *, part: str, questions_per_kind: int, seed: int) -> None:
    """Writes FOLDER/<kind>_<part>.txt for every kind: an example of the files that `read_story_files` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, lines in simulate(questions_per_kind=questions_per_kind, seed=seed).items():
        (folder / f"{kind}_{part}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
