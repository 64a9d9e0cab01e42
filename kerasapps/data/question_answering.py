"""Questions about stories as arrays: vocabulary, padding, and a split that keeps stories whole."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from kerasapps.data.babi import (
    FOLDERS,
    Question,
    find_babi,
    holds_question_mark,
    lacks_tab,
    marked_sentences,
    read_babi,
    read_lines,
    read_story_files,
    strip_tabs,
)
from kerasapps.data.segments import Segmenter
from kerasapps.data.splits import Split, Splits, split_groups
from kerasapps.data.stories import make_questions
from kerasapps.data.words import (
    GivenTokens,
    Tokens,
    settle_tokens,
    tokenize,
    tokens_from_json,
    tokens_to_json,
    unit_of,
)
from kerasapps.errors import DataError
from kerasapps.files import user_path

# The input of a network: the story as one text, or as sentences.
Form = Literal["text", "story"]

PADDING, UNKNOWN = 0, 1
UNKNOWN_ANSWER = "<unknown>"
# The longest stories have 200 sentences and 1,100 words before a question; the relevant ones are nearly always late.
MAX_SENTENCES = 70
MAX_WORDS = 400
# As in the bAbI format, and as people number lists: "1. ", "1) ", with the digits of any script.
NUMBERED = re.compile(r"\s*(\d{1,9})[.:)]?\s+(.*)", re.DOTALL)
# The simulator's training and test stories come from different seeds.
TEST_SEED = 1_000_003
QUESTIONS_PER_KIND = 1000  # simulated


@dataclass(frozen=True)
class StoryCodec:
    """Turns questions about stories into token ids, and probabilities into answers; fitted to a training set.

    Args:
        words: Words by id from 2 on; 0 is padding and 1 any other word.
        answers: Answers by class; class 0 stands for any other answer.
        form: Whether the network reads the story as one text or as sentences.
        sentence_length: Maximum words of a sentence or question; longer ones are truncated.
        tokens: How sentences are cut, see `kerasapps.data.words.tokenize`.
    """

    words: tuple[str, ...]
    answers: tuple[str, ...]
    form: Form
    sentence_length: int
    tokens: Tokens = "words"

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments of the builder."""
        sizes = {"vocab_size": len(self.words) + 2, "num_answers": len(self.answers)}
        return sizes | ({"sentence_length": self.sentence_length} if self.form == "story" else {})

    def unknown(self, question: Question) -> list[str]:
        """Returns the words of a question and its story that no training story has, each once."""
        (question,) = cut([question], self.tokens)
        return sorted({word for words in (*question.story, question.question) for word in words} - set(self.words))

    def left_out(self, question: Question) -> list[str]:
        """Returns what a network does not see of a question and its story, as it is too long: a sentence each."""
        (question,) = cut([question], self.tokens)
        said = []
        if self.form == "story":
            long = [i for i, words in enumerate(question.story, 1) if len(words) > self.sentence_length]
            if long:
                said.append(
                    f"Sentence {long[0]} has {len(question.story[long[0] - 1])} {unit_of(self.tokens)}; the network "
                    f"reads the first {self.sentence_length} of each. Write one sentence a line."
                )
            if len(question.story) > MAX_SENTENCES:
                said.append(
                    f"The story has {len(question.story):,} sentences; the network reads the last {MAX_SENTENCES}."
                )
        elif sum(map(len, question.story)) > MAX_WORDS:
            said.append(f"The story is long; the network reads the last {MAX_WORDS} {unit_of(self.tokens)}.")
        if len(question.question) > self.sentence_length:
            said.append(f"The network reads the first {self.sentence_length} {unit_of(self.tokens)} of the question.")
        return said

    def encode(self, *, story: Sequence[str], question: str) -> dict[str, np.ndarray]:
        """Returns the inputs of a model for one question.

        Args:
            story: Sentences, oldest first.
            question: The question.

        Raises:
            DataError: If the question has no word, or no sentence has one.
        """
        return dict(self.split([ask(story, question)]).inputs)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
        """Returns for each question its answers with their probabilities, the most probable first."""
        order = np.argsort(-outputs["answer"], axis=-1, kind="stable")
        rows = zip(order, outputs["answer"], strict=True)
        return [{self.answers[i]: float(row[i]) for i in ranks} for ranks, row in rows]

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of each output."""
        return {"answer": len(self.answers)}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return asdict(self) | {"tokens": tokens_to_json(self.tokens)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "StoryCodec":
        """Returns the codec that `to_json` described."""
        if content["form"] not in get_args(Form):
            raise ValueError(f"`form` must be one of {', '.join(get_args(Form))}. Received: {content['form']!r}")
        words, answers = tuple(content["words"]), tuple(content["answers"])
        tokens = tokens_from_json(content.get("tokens", "words"))
        return cls(words, answers, content["form"], int(content["sentence_length"]), tokens)

    def split(self, questions: Sequence[Question]) -> Split:
        """Turns questions into padded token ids.

        Returns:
            Inputs "question" int32 (n, W) and, by form, "text" int32 (n, T) or "story" int32 (n, S, W): the last
            `MAX_WORDS` words or `MAX_SENTENCES` sentences, oldest first, padded with 0 at the end.
            Target "answer" int32 (n,).
        """
        questions = cut(questions, self.tokens)
        word_ids = {word: i for i, word in enumerate(self.words, start=2)}
        answer_ids = {answer: i for i, answer in enumerate(self.answers)}

        def ids(words: Sequence[str]) -> list[int]:
            return [word_ids.get(word, UNKNOWN) for word in words]

        width = self.sentence_length
        asked = [ids(question.question)[:width] for question in questions]
        answers = np.array([answer_ids.get(question.answer, 0) for question in questions], np.int32)
        inputs = {"question": _pad(asked, width)}
        if self.form == "text":
            rows = [[i for sentence in question.story for i in ids(sentence)][-MAX_WORDS:] for question in questions]
            lengths = np.array([len(row) for row in rows], np.int32)
            inputs["text"] = _pad(rows, lengths.max())
        else:
            stories = [question.story[-MAX_SENTENCES:] for question in questions]
            lengths = np.array([len(story) for story in stories], np.int32)
            rows = [[i for sentence in story for i in _padded(ids(sentence), width)] for story in stories]
            inputs["story"] = _pad(rows, lengths.max() * width).reshape(len(rows), -1, width)
        return Split(inputs, {"answer": answers}, lengths={self.form: lengths})


@dataclass(frozen=True, kw_only=True)
class StorySplits(Splits):
    """Splits together with the codec and the questions behind the rows."""

    codec: StoryCodec
    questions: dict[str, list[Question]]


def load_stories(
    data: str = "stories",
    *,
    form: Form,
    tasks: Sequence[int] = tuple(range(1, 21)),
    questions_per_kind: int = QUESTIONS_PER_KIND,
    tokens: GivenTokens = "auto",
    validation: float = 0.1,
    seed: int = 0,
    limit: int | None = None,
) -> StorySplits:
    """Loads questions about stories.

    Args:
        data: "stories" (simulated), "babi", "babi-10k", or a file or folder in the bAbI format.
        form: Whether the network's input is one text or sentences.
        tasks: bAbI tasks, by number.
        questions_per_kind: Number of simulated questions of each kind.
        tokens: How sentences are cut, see `kerasapps.data.words.settle_tokens`.
        validation: Share of the training stories that are held out. Whole stories, because the questions of one
            story share their sentences: a split by questions estimates task 17's error at 14 %, the test at 40 %.
        seed: Seed of simulation and split.
        limit: Maximum number of questions in each set, taken evenly from all kinds.

    Raises:
        DataError: If the data cannot be found or read.
    """
    train, test = read_sets(data, tasks=tasks, questions_per_kind=questions_per_kind, seed=seed)
    return split_stories(train, test, form=form, tokens=tokens, validation=validation, seed=seed, limit=limit)


def read_sets(
    data: str,
    *,
    tasks: Sequence[int] = tuple(range(1, 21)),
    questions_per_kind: int = QUESTIONS_PER_KIND,
    seed: int = 0,
) -> tuple[list[Question], list[Question]]:
    """Reads training and test questions unchanged; your own files need not have a test set.

    See `load_stories` for the arguments.
    """
    if data == "stories":
        test_questions = max(1, questions_per_kind // 4)
        return (
            make_questions(questions_per_kind=questions_per_kind, seed=seed),
            make_questions(questions_per_kind=test_questions, seed=seed + TEST_SEED),
        )
    path = find_babi(data)
    return read_babi(path, tasks) if data in FOLDERS else read_story_files(path)


def with_test_set(
    train: list[Question], test: list[Question], *, seed: int, share: float = 0.1
) -> tuple[list[Question], list[Question]]:
    """Returns training and test questions; without test questions a share of the stories becomes the test set."""
    return (train, test) if test else _hold_out(train, share, seed + TEST_SEED)


def read_test_questions(
    data: str, *, tasks: Sequence[int], seed: int, limit: int | None = None, trained_on: str
) -> list[Question]:
    """Reads the questions that a network was not trained on.

    If the files have no test set, these are the questions that `load_stories` held out with the same seed, or all of
    them if the network was trained on other data.
    """
    train, test = read_sets(data, tasks=tasks, seed=seed)
    if data == trained_on or os.path.realpath(user_path(data)) == os.path.realpath(user_path(trained_on)):
        _, test = with_test_set(train, test, seed=seed)
    return _thin(test or train, limit)


def split_stories(
    train: list[Question],
    test: list[Question],
    *,
    form: Form,
    tokens: GivenTokens = "auto",
    validation: float = 0.1,
    seed: int = 0,
    limit: int | None = None,
) -> StorySplits:
    """Splits questions by story and turns them into arrays; the codec is fitted to the training set.

    Without test questions a second share of the stories becomes the test set.
    """
    if len({question.story_id for question in train}) < 3:
        raise DataError("At least 3 stories are needed: one each to train, validate and test.")
    marked = marked_sentences([*train, *test])
    train, test = with_test_set(train, test, seed=seed)
    train, held_out = _hold_out(train, validation, seed)
    sets = {"train": train, "validation": held_out, "test": test}
    sets = {name: _thin(questions, limit) for name, questions in sets.items()}
    # A sentence is part of the stories of many questions.
    read = (text for question in sets["train"] for text in (*question.text, question.question_text))
    sentences = list(dict.fromkeys(read))
    tokens, _ = settle_tokens(tokens, sentences)
    codec = fit_codec(sets["train"], form=form, tokens=tokens)
    splits = {name: codec.split(questions) for name, questions in sets.items()}
    return StorySplits(**splits, sizes=codec.sizes, codec=codec, questions=sets, notes=_notes(marked, tokens))


def _notes(marked: int, tokens: Tokens) -> tuple[str, ...]:
    """Returns what a person should know about how stories were read."""
    notes = []
    if marked:
        notes.append(f"{marked:,} sentences hold a question mark: only what has a tab and an answer is a question.")
    if tokens == "characters":
        notes.append("The stories are cut into characters, as they have no spaces or as --tokens says.")
    elif isinstance(tokens, Segmenter):
        notes.append("Words of scripts without spaces were learned from the stories and questions.")
    return tuple(notes)


def cut(questions: Sequence[Question], tokens: Tokens) -> Sequence[Question]:
    """Returns questions whose sentences are cut into tokens; the reader has cut them into words."""
    if tokens == "words":
        return questions
    once = cache(lambda text: tokenize(text, tokens))
    return [
        replace(question, story=tuple(map(once, question.text)), question=once(question.question_text))
        for question in questions
    ]


def fit_codec(questions: Sequence[Question], *, form: Form, tokens: Tokens = "words") -> StoryCodec:
    """Collects words and answers, sorted, and widths."""
    questions = cut(questions, tokens)
    sentences = {sentence for question in questions for sentence in question.story}
    words = {word for sentence in sentences for word in sentence}.union(*(question.question for question in questions))
    answers = {question.answer for question in questions}
    return StoryCodec(
        words=tuple(sorted(words)),
        answers=(UNKNOWN_ANSWER, *sorted(answers)),
        form=form,
        sentence_length=max(map(len, sentences.union(question.question for question in questions))),
        tokens=tokens,
    )


def ask(story: Sequence[str], question: str) -> Question:
    """Returns a question about a story that somebody wrote, whose answer nobody knows.

    Args:
        story: Sentences, oldest first; those without a word are left out.
        question: The question.

    Raises:
        DataError: If the question has no word, or no sentence has one.
    """
    told = [(tokenize(sentence), sentence) for sentence in story]
    told = [(words, sentence) for words, sentence in told if words]
    if not told:
        raise DataError("The story holds no sentence.")
    words = tokenize(question)
    if not words:
        raise DataError(f"The question has no word. Received: {question!r}")
    sentences, texts = zip(*told, strict=True)
    return Question(sentences, words, "", (), "asked", 0, texts, question)


def read_story(path: Path) -> tuple[list[str], list[str]]:
    """Reads a story to ask about: one sentence a line, with numbers as in the bAbI format or without.

    Returns:
        The sentences, and what was left out of the file, a sentence each.

    Raises:
        DataError: If the file cannot be read, has numbers on some lines only, or holds no sentence.
    """
    lines = [(i, line) for i, line in enumerate(read_lines(path), start=1) if line.strip()]
    numbered = [NUMBERED.fullmatch(line) for _, line in lines]
    notes = []
    if all(numbered):
        numbers = [int(match[1]) for match in numbered]
        starts = [i for i, number in enumerate(numbers) if i and number <= numbers[i - 1]]
        if starts:
            notes.append(
                f"{path} holds {len(starts) + 1} stories: the last one, from line {lines[starts[-1]][0]} on, is read."
            )
            lines, numbered = lines[starts[-1] :], numbered[starts[-1] :]
        lines = [(line, match[2]) for (line, _), match in zip(lines, numbered, strict=True)]
    elif numbered[0] and int(numbered[0][1]) == 1 and 2 * sum(map(bool, numbered)) > len(lines):
        line = lines[[bool(match) for match in numbered].index(False)][0]
        raise DataError(f"{path}, line {line}: the line has no number, as others have. Number all lines or none.")
    texts = [strip_tabs(text) for _, text in lines]
    lacking = [line for (line, _), text in zip(lines, texts, strict=True) if "\t" not in text and lacks_tab(text)]
    if all(numbered) and lacking:
        raise DataError(
            f"{path}, line {lacking[0]}: a question must be followed by a tab and its answer, and a sentence ends with "
            "a full stop."
        )
    # Of a file without numbers a tab may be a mere blank.
    asked = ["\t" in text and (all(numbered) or holds_question_mark(text.partition("\t")[0])) for text in texts]
    if any(asked):
        dropped = "question is" if sum(asked) == 1 else "questions are"
        notes.append(f"{sum(asked)} {dropped} left out of the story, first on line {lines[asked.index(True)][0]}.")
    story = [text.replace("\t", " ") for text, is_question in zip(texts, asked, strict=True) if not is_question]
    story = [text for text in story if tokenize(text)]
    if not story:
        raise DataError(f"{path} holds no sentence.")
    return story, notes


def _hold_out(questions: list[Question], share: float, seed: int) -> tuple[list[Question], list[Question]]:
    kept, held_out = split_groups(np.array([question.story_id for question in questions]), share=share, seed=seed)
    return [questions[i] for i in kept], [questions[i] for i in held_out]


def _thin(questions: list[Question], limit: int | None) -> list[Question]:
    """Keeps at most `limit` questions, as evenly as possible from all kinds, the first ones of each."""
    if limit is None or len(questions) <= limit:
        return questions
    seen: dict[str, int] = {}
    ranked = []
    for i, question in enumerate(questions):
        seen[question.kind] = seen.get(question.kind, 0) + 1
        ranked.append((seen[question.kind], i))
    return [questions[i] for _, i in sorted(sorted(ranked)[:limit], key=lambda pair: pair[1])]


def _padded(row: list[int], width: int) -> list[int]:
    return row[:width] + [PADDING] * (width - len(row))


def _pad(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """Pads rows at the end: int32 (n, width)."""
    array = np.full((len(rows), width), PADDING, np.int32)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return array
