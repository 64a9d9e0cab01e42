"""The bAbI question-answering text format: short stories, questions about them, answers and supporting facts.

Reference: Weston et al., "Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks", ICLR 2016.

A file holds stories one after another. Lines are numbered from 1 in each story; a line is a sentence, or a question
followed by a tab, the answer, a tab and the numbers of the lines that support it (`3 Where is Mary?<tab>attic<tab>1`).
What has a tab and an answer is a question; a sentence may hold a question mark.
"""

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kerasapps.data.archives import unpack_tar
from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.data.words import CLOSING, FULL_STOPS, QUESTION_MARKS, composed, tokenize
from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path

TASK_NAMES = (
    "single supporting fact",
    "two supporting facts",
    "three supporting facts",
    "two arg relations",
    "three arg relations",
    "yes no questions",
    "counting",
    "lists sets",
    "simple negation",
    "indefinite knowledge",
    "basic coreference",
    "conjunction",
    "compound coreference",
    "time reasoning",
    "basic deduction",
    "basic induction",
    "positional reasoning",
    "size reasoning",
    "path finding",
    "agents motivations",
)
PARTS = ("train", "test")
FOLDERS = {"babi": "en", "babi-10k": "en-10k"}
ROOT = "tasks_1-20_v1-2"
URL = "https://s3.amazonaws.com/text-datasets/babi_tasks_1-20_v1-2.tar.gz"
QUESTIONS = {("en", "train"): 1_000, ("en", "test"): 1_000, ("en-10k", "train"): 10_000, ("en-10k", "test"): 1_000}

NUMBER = re.compile(r"[0-9]{1,9}")  # bounded, as `int` refuses thousands of digits
NUMBERED = re.compile(rf"[ \t]*({NUMBER.pattern})[ \t]+(.*)", re.DOTALL)
LINE_END = re.compile(r"\r\n|\r|\n")
# Greeks type a semicolon.
GREEK_MARK = re.compile("(?<=[\u0370-\u03ff\u1f00-\u1fff]);")
JAPANESE_QUESTION = re.compile("\u304b[\u3002\uff0e\uff61]")  # ends with a full stop as often as with a mark
GAP = re.compile(r"[^\S\t\r\n]{3,}(?=\S)(.*)")  # web pages turn a tab into blanks that do not break


@dataclass(frozen=True)
class Question:
    """A question and the story before it.

    Attributes:
        story: Sentences before the question, oldest first: words in lower case.
        question: Words in lower case.
        answer: One label in lower case; a list ("apple,milk") or a path ("n,s") is one label too.
        supports: Positions in `story` of the supporting facts, empty if the file gives none.
        kind: "qa1" for bAbI task 1, the kind of story for simulated ones, the file's stem for other files.
        story_id: Number of the story. Questions of one story share sentences, so a split must keep them together.
        text: The sentences as written.
        question_text: The question as written.
    """

    story: tuple[tuple[str, ...], ...]
    question: tuple[str, ...]
    answer: str
    supports: tuple[int, ...]
    kind: str
    story_id: int
    text: tuple[str, ...]
    question_text: str


def parse_stories(lines: Iterable[str], *, kind: str, source: str, first_id: int = 0) -> list[Question]:
    """Reads questions from lines of text in the bAbI format. Blank lines are skipped.

    Args:
        lines: Lines, with or without their line ends.
        kind: Kind of all these questions.
        source: Name of the file, for messages.
        first_id: `story_id` of the first story; the others follow.

    Returns:
        Questions in the order of the file, at least one.

    Raises:
        DataError: If a line breaks the format, or there is no question at all.
    """
    questions: list[Question] = []
    story_id = first_id - 1
    previous = 0
    for line_number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        if not line.strip():
            continue
        try:
            number, text = split_number(line, previous=previous)
            if number == 1:
                story_id += 1
                sentences: list[tuple[str, ...]] = []
                texts: list[str] = []
                positions: dict[int, int] = {}  # line number in the story -> position among its sentences
            if "\t" in text:
                asked, answer, supports = split_question(text, positions)
                story, told = tuple(sentences), tuple(texts)
                questions.append(Question(story, tokenize(asked), answer, supports, kind, story_id, told, asked))
            else:
                positions[number] = len(sentences)
                sentences.append(split_sentence(text))
                texts.append(text)
        except ValueError as error:
            shown = line if len(line) <= 80 else f"{line[:77]}..."
            raise DataError(f"{source}, line {line_number}: {error}. Received: {shown!r}") from None
        previous = number
    if not questions:
        raise DataError(f"{source} holds no question: that is a line with a number, a question, a tab and the answer.")
    return questions


def split_number(line: str, *, previous: int) -> tuple[int, str]:
    """Splits a line into its number in the story and the rest; ValueError names the rule that it breaks."""
    match = NUMBERED.fullmatch(line)
    if not match:
        raise ValueError("a line must be its number in the story, a space and text")
    number = int(match[1])
    if number not in (1, previous + 1):
        due = f"{previous + 1}, or 1 for a new story" if previous else "1"
        raise ValueError(f"the number must be {due}, not {number}")
    return number, strip_tabs(match[2])


def strip_tabs(text: str) -> str:
    """Returns a line without blanks and tabs around it; a question keeps the tab behind which its answer is missing."""
    stripped = text.strip(" \t")
    if "\t" in text[len(stripped) :] and "\t" not in stripped and stripped.endswith(tuple(QUESTION_MARKS)):
        return f"{stripped}\t"
    return stripped


def holds_question_mark(text: str) -> bool:
    """Returns whether a text has a question mark, of any script."""
    return any(mark in text for mark in QUESTION_MARKS) or GREEK_MARK.search(text) is not None


def lacks_tab(text: str) -> bool:
    """Returns whether a line without a tab looks like a question and its answer.

    Editors and web pages turn tabs into spaces. Then words follow a question mark, or a gap, without a full stop.
    """
    marks = [text.rfind(mark) for mark in QUESTION_MARKS] + [found.start() for found in GREEK_MARK.finditer(text)]
    marks += [found.end() - 1 for found in JAPANESE_QUESTION.finditer(text)]
    last = max(marks)
    answer = text[last + 1 :] if last >= 0 else "".join(GAP.findall(text)[:1])
    return bool(tokenize(answer)) and not text.rstrip(f" {CLOSING}").endswith(tuple(FULL_STOPS))


def split_sentence(text: str) -> tuple[str, ...]:
    """Returns the words of a sentence; ValueError names the rule that it breaks."""
    if lacks_tab(text):
        raise ValueError("a question must be followed by a tab and its answer, and a sentence ends with a full stop")
    words = tokenize(text)
    if not words:
        raise ValueError("a sentence must have a word")
    return words


def split_question(text: str, positions: dict[int, int]) -> tuple[str, str, tuple[int, ...]]:
    """Splits into question, answer and positions of supports; ValueError names the rule that it breaks."""
    question, answer, *rest = (field.strip() for field in text.split("\t"))
    if len(rest) > 1:
        raise ValueError("a question has at most two tabs, before the answer and before the supporting facts")
    if not tokenize(question):
        raise ValueError("a question must have a word")
    if not answer:
        raise ValueError("the answer must not be empty")
    if not positions:
        raise ValueError("a question needs a sentence of its story before it")
    supports = rest[0].split() if rest else []
    for number in supports:
        if not NUMBER.fullmatch(number):
            raise ValueError("supporting facts must be line numbers with spaces between them")
        if int(number) not in positions:
            raise ValueError(f"supporting fact {number} is not an earlier sentence of this story")
    return question, composed(answer).lower(), tuple(positions[int(number)] for number in supports)


def read_file(path: Path, *, kind: str, first_id: int = 0) -> list[Question]:
    """Reads one file in the bAbI format, UTF-8 with or without a byte order mark."""
    return parse_stories(read_lines(path), kind=kind, source=str(path), first_id=first_id)


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a UTF-8 file, with or without a byte order mark, whatever ends them.

    Raises:
        DataError: If the file cannot be read, or is not UTF-8 text.
    """
    try:
        text = regular_file(path).read_bytes().decode("utf-8").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path} must be UTF-8 text, but byte {error.start} is 0x{byte:02x}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    # Not `splitlines`, which also breaks at characters that may occur inside a sentence.
    return LINE_END.split(text)


def marked_sentences(questions: Iterable[Question]) -> int:
    """Returns how many sentences hold a question mark."""
    longest = {question.story_id: question.text for question in questions}  # the last question of a story sees all
    return sum(holds_question_mark(sentence) for story in longest.values() for sentence in story)


def read_pairs(pairs: Iterable[tuple[str, Path, Path | None]]) -> tuple[list[Question], list[Question]]:
    """Reads triples (kind, training file, test file); story numbers are unique over all of them."""
    parts: tuple[list[Question], list[Question]] = ([], [])
    next_id = 0
    for kind, *paths in pairs:
        for part, path in zip(parts, paths, strict=True):
            if path is not None:
                part += read_file(path, kind=kind, first_id=next_id)
                next_id = part[-1].story_id + 1
    return parts


def read_babi(folder: Path, tasks: Iterable[int] = range(1, 21)) -> tuple[list[Question], list[Question]]:
    """Reads bAbI tasks.

    Args:
        folder: Folder with the 40 files, as `find_babi` returns it.
        tasks: Task numbers, 1 to 20, at least one.

    Returns:
        Training and test questions, in the order of the tasks; `kind` is "qa1" for task 1.

    Raises:
        DataError: If a number is not a task, or a file is missing or breaks the format.
    """
    tasks = sorted(set(tasks))
    if not tasks or not set(tasks) <= set(range(1, 21)):
        raise DataError(f"bAbI tasks are numbers from 1 to 20, at least one. Received: {tasks}")
    return read_pairs((f"qa{task}", *(task_file(folder, task, part) for part in PARTS)) for task in tasks)


def file_name(task: int, part: str) -> str:
    """Returns the name of a file in the official archive, such as "qa7_counting_test.txt"."""
    return f"qa{task}_{TASK_NAMES[task - 1].replace(' ', '-')}_{part}.txt"


def task_file(folder: Path, task: int, part: str) -> Path:
    """Returns the training or test file of a task; DataError names a missing one."""
    path = folder / file_name(task, part)
    if not path.is_file():
        raise DataError(f"bAbI task {task} cannot be read: {path} is missing.")
    return path


def read_story_files(path: Path) -> tuple[list[Question], list[Question]]:
    """Reads your own files in the bAbI format.

    Args:
        path: A file, or a folder with files <kind>_train.txt and, for all of them or for none, <kind>_test.txt.

    Returns:
        Training and test questions. Without test files the test set is empty, and the caller splits by `story_id`.

    Raises:
        DataError: If there is no file, a file of a pair is missing, or a file breaks the format.
    """
    if not path.is_dir():
        return read_pairs([(kind_of(path.stem), path, None)])
    stems = {part: {p.stem.removesuffix(f"_{part}") for p in path.glob(f"*_{part}.txt")} for part in PARTS}
    if not stems["train"]:
        raise DataError(f"{path} holds no file <kind>_train.txt.")
    for part, other in (PARTS, PARTS[::-1]):
        unpaired = sorted(stems[other] - stems[part]) if stems["test"] else []
        if unpaired:
            raise DataError(f"{path} has {unpaired[0]}_{other}.txt, but {unpaired[0]}_{part}.txt is missing.")
    return read_pairs(
        (kind_of(stem), path / f"{stem}_train.txt", path / f"{stem}_test.txt" if stems["test"] else None)
        for stem in sorted(stems["train"])
    )


def kind_of(stem: str) -> str:
    """Returns the kind of a file: "qa1" for the files of bAbI task 1 in any folder, else the stem."""
    match = re.match(r"qa([1-9]|1[0-9]|20)_", stem)
    return f"qa{match[1]}" if match else re.sub("_(train|test)$", "", stem)


def find_babi(name_or_path: str) -> Path:
    """Finds the folder of "babi" or "babi-10k", downloading the archive if needed, or checks a path.

    Looks into $KERASAPPS_DATA/babi, then into the cache ($XDG_CACHE_HOME or ~/.cache, kerasapps/babi).

    Raises:
        DataError: If there is no such name or path, or the archive cannot be downloaded.
    """
    if name_or_path not in FOLDERS:
        path = user_path(name_or_path)
        if not path.exists():
            raise DataError(
                f"{name_or_path} is neither a data set (stories, {', '.join(FOLDERS)}) nor a file or folder."
            )
        return path
    for parent in data_folders("babi"):
        folder = parent / ROOT / FOLDERS[name_or_path]
        if folder.is_dir():
            return folder
    cache = cache_folder("babi")
    download_babi(cache)
    return cache / ROOT / FOLDERS[name_or_path]


def download_babi(cache: Path) -> None:
    """Downloads the official archive and unpacks it into `cache`, completely or not at all."""
    advice = (
        "unpack that archive into a folder DIR/babi and set KERASAPPS_DATA=DIR, or use `--data stories`, "
        "which needs no download"
    )
    with downloading("bAbI", URL, cache=cache, advice=advice):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            # No checksum of this archive is published: its questions are counted instead.
            archive = fetch(URL, Path(scratch), checksum=None)
            unpack_tar(archive, Path(scratch), url=URL)
            check_archive(Path(scratch) / ROOT)
            try:
                (Path(scratch) / ROOT).rename(cache / ROOT)
            except OSError:
                if not (cache / ROOT).is_dir():  # else another process has done the same
                    raise


def check_archive(root: Path) -> None:
    """Raises DataError unless the unpacked archive holds every file with its number of questions."""
    for (folder, part), expected in QUESTIONS.items():
        for task in range(1, 21):
            path = root / folder / file_name(task, part)
            found = len(read_file(path, kind=f"qa{task}")) if path.is_file() else 0
            if found != expected:
                raise DataError(f"The archive from {URL} is not the official one: {path.name} has {found} questions.")
