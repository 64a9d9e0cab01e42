"""Simulated stories: every answer is derived again by a small solver of its own that sees nothing but the text."""

import functools
import re
from collections import Counter

import pytest

from kerasapps.data.babi import read_story_files
from kerasapps.data.stories import KINDS, make_questions, simulate, write_stories
from kerasapps.errors import DataError

COUNTS = ("none", "one", "two", "three")


@pytest.fixture(scope="module")
def questions():
    return make_questions(questions_per_kind=1000, seed=0)


# --- the solver: regular expressions over the sentences, nothing shared with the simulator

GO = "(?:walked to|hurried to|wandered to)"
SHE = {"Nora": "she", "Amira": "she", "Felix": "he", "Tomas": "he"}


@functools.cache
def compiled(pattern):
    return re.compile(re.sub(r"\bP\b", "([A-Z][a-z]+)", re.sub(r"\bN\b", "([a-z]+)", pattern)))


def match(pattern, sentence):
    """Matches a whole sentence; `P` stands for a person and `N` for a noun."""
    found = compiled(pattern).fullmatch(sentence)
    return found and found.groups()


class World:
    """What the sentences say, taken in one after another."""

    def __init__(self, sentences):
        self.where, self.possible, self.holder, self.lying, self.trail = {}, {}, {}, {}, {}
        self.gifts, self.north, self.east, self.day = [], {}, {}, {}
        self.subject = None
        for sentence in sentences:
            self.hear(sentence.removesuffix("."))

    def hear(self, sentence):
        if found := match(f"(Yesterday|This [a-z]+) P {GO} the N", sentence):
            period, person, place = found
            self.day[person, ("Yesterday", "This morning", "This afternoon", "This evening").index(period)] = place
        elif found := match(f"Then (he|she) {GO} the N", sentence):
            assert SHE[self.subject] == found[0]
            self.go([self.subject], found[1])
        elif found := match(f"P and P {GO} the N", sentence):
            self.go(found[:2], found[2])
        elif found := match(f"P {GO} the N", sentence):
            self.subject = found[0]
            self.go(found[:1], found[1])
        elif found := match("P (?:picked up|took) the N", sentence):
            person, thing = found
            assert thing not in self.holder
            self.holder[thing] = person
            self.pass_through(thing, self.where.get(person))
        elif found := match("P (?:put down|abandoned) the N", sentence):
            person, thing = found
            self.holder.pop(thing, None)
            self.lying[thing] = self.where.get(person)
        elif found := match("P (?:gave|handed|passed) the N to P", sentence):
            self.gifts.append(found)
        elif found := match("P is either in the N or the N", sentence):
            self.possible[found[0]] = set(found[1:])
        elif found := match("P is in the N", sentence):
            self.possible[found[0]] = {found[1]}
        elif found := match("P (?:is no longer in|has left) the N", sentence):
            self.possible[found[0]] = {f"not {found[1]}"}
        elif found := match("The N is just (north|south|east|west) of the N", sentence):
            first, direction, second = found
            table = self.north if direction in ("north", "south") else self.east
            table[(first, second) if direction in ("north", "east") else (second, first)] = True
        else:
            raise AssertionError(f"unknown sentence: {sentence}")

    def go(self, people, place):
        for person in people:
            self.where[person] = place
            self.possible[person] = {place}
            for thing in [thing for thing, holder in self.holder.items() if holder == person]:
                self.pass_through(thing, place)

    def pass_through(self, thing, place):
        trail = self.trail.setdefault(thing, [])
        if place and trail[-1:] != [place]:
            trail.append(place)

    def answer(self, question):
        """Answers, or returns None where the sentences leave it open or say two things."""
        if found := match("Where is P", question):
            return self.where[found[0]]
        if found := match("Where is the N", question):
            (thing,) = found
            return self.where[self.holder[thing]] if thing in self.holder else self.lying[thing]
        if found := match("Where was the N before the N", question):
            return before(self.trail[found[0]], found[1])
        if found := match("Where was P before the N", question):
            person, place = found
            day = [self.day.get((person, i)) for i in range(4)]
            return before(day, place)
        if found := match("Where was P (yesterday|this [a-z]+)", question):
            person, period = found
            return self.day[person, ("yesterday", "this morning", "this afternoon", "this evening").index(period)]
        if found := match("How many things is P carrying", question):
            return COUNTS[list(self.holder.values()).count(found[0])]
        if found := match("What is P carrying", question):
            return ",".join(sorted(t for t, p in self.holder.items() if p == found[0])) or "nothing"
        if found := match("Is P in the N", question):
            person, place = found
            possible = self.possible[person]
            if possible == {f"not {place}"} or (place not in possible and not any("not" in p for p in possible)):
                return "no"
            return None if place not in possible else "yes" if len(possible) == 1 else "maybe"
        return self.answer_relation(question)

    def answer_relation(self, question):
        if found := match("Who gave the N to P", question):
            return only(giver for giver, thing, receiver in self.gifts if (thing, receiver) == found)
        if found := match("What did P give to P", question):
            return only(thing for giver, thing, receiver in self.gifts if (giver, receiver) == found)
        if found := match("Who did P give the N to", question):
            return only(receiver for giver, thing, receiver in self.gifts if (giver, thing) == found)
        if found := match("What is just (north|south|east|west) of the N", question):
            return self.neighbour(*found)
        if found := match("What is the N just (north|south|east|west) of", question):
            opposite = {"north": "south", "south": "north", "east": "west", "west": "east"}[found[1]]
            return self.neighbour(opposite, found[0])
        raise AssertionError(f"unknown question: {question}")

    def neighbour(self, direction, place):
        pairs = self.north if direction in ("north", "south") else self.east
        first = direction in ("north", "east")
        return only((a if first else b) for a, b in pairs if (b if first else a) == place)


def before(places, place):
    assert places.count(place) == 1
    return places[places.index(place) - 1] if places.index(place) else None


def only(answers):
    answers = set(answers)
    return answers.pop() if len(answers) == 1 else None


def solve(sentences, question):
    answer = World(sentences).answer(question.removesuffix("?"))
    return answer.lower() if answer else None


# --- answers


@pytest.mark.parametrize("kind", KINDS)
def test_answers_follow_from_the_story_and_from_the_supports_alone(questions, kind):
    asked = [q for q in questions if q.kind == kind]
    assert len(asked) == 1000
    for q in asked:
        assert solve(q.text, q.question_text) == q.answer, q
        assert solve([q.text[i] for i in q.supports], q.question_text) == q.answer, q


# Not of counting and lists: what was taken and put down again says no more than nothing at all.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("counting", "listing")])
def test_every_supporting_fact_is_needed(questions, kind):
    for q in questions:
        if q.kind == kind and len(q.supports) > 1:
            for left_out in q.supports:
                rest = [q.text[i] for i in q.supports if i != left_out]
                try:
                    answer = solve(rest, q.question_text)
                except (KeyError, AssertionError):
                    continue  # the rest does not even speak of it
                assert answer != q.answer, (q, left_out)


def test_the_number_of_supporting_facts_is_what_the_kind_promises(questions):
    for kind, numbers in {"single_fact": {1}, "two_facts": {2}, "three_facts": {3}, "time_order": {1, 2}}.items():
        assert {len(q.supports) for q in questions if q.kind == kind} == numbers


@pytest.mark.parametrize("kind", KINDS)
def test_guessing_the_most_frequent_answer_is_poor(questions, kind):
    answers = Counter(q.answer for q in questions if q.kind == kind)
    limit = {"yes_no": 0.6, "negation": 0.6, "indefinite": 0.45, "counting": 0.45}.get(kind, 0.25)
    assert answers.most_common(1)[0][1] / answers.total() < limit


@pytest.mark.parametrize("kind", ["yes_no", "negation", "indefinite", "counting", "listing"])
def test_the_question_and_the_length_of_the_story_tell_little(questions, kind):
    asked = [q for q in questions if q.kind == kind]
    by_length: dict[int, Counter] = {}
    for q in asked:
        by_length.setdefault(len(q.story), Counter())[q.answer] += 1
    guessed = sum(answers.most_common(1)[0][1] for answers in by_length.values())
    assert guessed / len(asked) < 0.65


# --- stories


def test_stories_vary_in_length_and_carry_several_questions(questions):
    for kind in KINDS:
        asked = [q for q in questions if q.kind == kind]
        lengths = {len(q.story) for q in asked}
        assert min(lengths) == 4
        assert max(lengths) <= 14
        per_story = Counter(q.story_id for q in asked)
        assert max(per_story.values()) in (2, 3, 4, 5)
    assert max(len(q.story) for q in questions) == 14


def test_no_story_number_serves_two_kinds(questions):
    kinds: dict[int, set[str]] = {}
    for q in questions:
        kinds.setdefault(q.story_id, set()).add(q.kind)
    assert all(len(names) == 1 for names in kinds.values())


def test_the_vocabulary_is_small_and_seen_whole_in_training(questions):
    def words(asked):
        return {word for q in asked for sentence in (*q.story, q.question) for word in sentence}

    assert 60 <= len(words(questions)) <= 110
    test = make_questions(questions_per_kind=300, seed=1)
    assert words(test) <= words(questions)
    assert {q.answer for q in test} <= {q.answer for q in questions}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_seed_tells_other_stories(questions, seed):
    # What was told before any of the questions, not only stories to their end: no test question was trained on.
    train = {q.text for q in questions}
    assert train.isdisjoint(q.text for q in make_questions(questions_per_kind=1000, seed=seed))


def test_a_seed_tells_the_same_stories_whichever_kinds_are_asked_for():
    everything = simulate(questions_per_kind=20, seed=7)
    assert simulate(questions_per_kind=20, seed=7, kinds=["counting"]) == {"counting": everything["counting"]}
    assert list(everything) == list(KINDS)
    assert len(KINDS) >= 10


def test_a_seed_tells_the_same_stories_everywhere():
    assert simulate(questions_per_kind=2, seed=0, kinds=["two_facts"])["two_facts"] == [
        "1 Felix walked to the meadow.",
        "2 Tomas walked to the meadow.",
        "3 Felix picked up the kettle.",
        "4 Felix walked to the bakery.",
        "5 Where is the kettle?\tbakery\t3 4",
        "1 Nora hurried to the attic.",
        "2 Nora wandered to the harbour.",
        "3 Nora walked to the library.",
        "4 Tomas hurried to the library.",
        "5 Nora wandered to the bakery.",
        "6 Tomas picked up the compass.",
        "7 Where is the compass?\tlibrary\t4 6",
    ]


def test_more_questions_begin_with_the_same_stories():
    few, many = (simulate(questions_per_kind=n, seed=4) for n in (10, 200))
    assert all(many[kind][: len(few[kind])] == few[kind] for kind in KINDS)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_there_are_exactly_as_many_questions_as_asked_for(count):
    assert Counter(q.kind for q in make_questions(questions_per_kind=count, seed=3)) == dict.fromkeys(KINDS, count)


def test_what_is_written_is_read_back(tmp_path):
    write_stories(tmp_path / "mine", part="train", questions_per_kind=10, seed=0)
    write_stories(tmp_path / "mine", part="test", questions_per_kind=5, seed=1)
    train, test = read_story_files(tmp_path / "mine")
    made = make_questions(questions_per_kind=10, seed=0, kinds=sorted(KINDS))
    assert [(q.kind, q.text, q.question, q.answer, q.supports) for q in train] == [
        (q.kind, q.text, q.question, q.answer, q.supports) for q in made
    ]
    assert Counter(q.kind for q in test) == dict.fromkeys(KINDS, 5)


def test_bad_arguments_are_refused_in_a_sentence():
    with pytest.raises(DataError, match=r"questions_per_kind.*at least 1.*0"):
        simulate(questions_per_kind=0, seed=0)
    with pytest.raises(DataError, match=r"seed.*at least 0.*-1"):
        simulate(questions_per_kind=1, seed=-1)
    with pytest.raises(DataError, match=r"single_fact.*'chess'"):
        simulate(questions_per_kind=1, seed=0, kinds=["chess"])
