"""Texts with one label each: simulated reviews, four public data sets, your own table or folder.

References: Pang and Lee, "Seeing Stars", ACL 2005 (mr) and "A Sentimental Education", ACL 2004 (subj); Li and Roth,
"Learning Question Classifiers", COLING 2002 (trec); Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL
2011 (imdb).
"""

import html
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kerasapps.data import snippets
from kerasapps.data.archives import members, open_tar, read_member
from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.data.encodings import read_text
from kerasapps.data.tables import open_table, read_names, some, summary
from kerasapps.data.words import fold
from kerasapps.errors import DataError
from kerasapps.files import printable, user_path

SNIPPETS, SNIPPETS_TEST = 12_000, 2_000
IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
IMDB_CHECKSUM = "md5:7c2ac02c03563afcf9b574c7e56c153a"
IMDB_FILE = re.compile(r"(?:\./)?aclImdb/(train|test)/(pos|neg)/[^/]+\.txt")
IMDB_LABELS = {"neg": "negative", "pos": "positive"}
PARTS = ("train", "test")
TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,200}>")


@dataclass(frozen=True)
class TextSet:
    """Texts with labels.

    Args:
        texts: The texts; those of the test set last.
        labels: The label of each.
        num_test: How many of them are the test set; 0 where the data set has none of its own.
        notes: What to know about the data, a sentence each.
        optimum: The accuracy that no classifier exceeds on the test set, up to chance, where it is known.
    """

    texts: list[str]
    labels: list[str]
    num_test: int = 0
    notes: tuple[str, ...] = ()
    optimum: float | None = None


def read_snippets(*, seed: int) -> TextSet:
    """Simulates reviews of three topics and two sentiments; see `kerasapps.data.snippets`."""
    reviews = snippets.write_snippets(SNIPPETS + SNIPPETS_TEST, seed=seed)
    labels = [snippets.LABELS[one.label] for one in reviews]
    optimum = snippets.optimal_accuracy(reviews[-SNIPPETS_TEST:])
    return TextSet([one.text for one in reviews], labels, SNIPPETS_TEST, optimum=optimum)


# --- public data sets


@dataclass(frozen=True)
class Sentences:
    """A public data set of files with a text a line.

    Args:
        title: Its name as people write it.
        url: Where it is; of several files the folder.
        files: Name of a file here to its label, "" where lines begin with theirs, and its name there.
        lines: Lines of all files.
        num_test: How many lines, of the last file, are the test set.
    """

    title: str
    url: str
    files: dict[str, tuple[str, str]]
    lines: int
    num_test: int = 0


SENTENCES = {
    "mr": Sentences(
        "MR",
        "https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz",
        {
            "rt-polarity.neg": ("negative", "rt-polaritydata/rt-polarity.neg"),
            "rt-polarity.pos": ("positive", "rt-polaritydata/rt-polarity.pos"),
        },
        lines=10_662,
    ),
    "subj": Sentences(
        "SUBJ",
        "https://www.cs.cornell.edu/people/pabo/movie-review-data/rotten_imdb.tar.gz",
        {
            "subj.objective": ("objective", "plot.tok.gt9.5000"),
            "subj.subjective": ("subjective", "quote.tok.gt9.5000"),
        },
        lines=10_000,
    ),
    "trec": Sentences(
        "TREC",
        "https://cogcomp.seas.upenn.edu/Data/QA/QC",
        {"TREC.train": ("", "train_5500.label"), "TREC.test": ("", "TREC_10.label")},
        lines=5_952,
        num_test=500,
    ),
}


def read_sentences(name: str, *, fine: bool = False) -> TextSet:
    """Reads MR, SUBJ or TREC.

    Args:
        name: "mr", "subj" or "trec".
        fine: Whether to keep TREC's 50 fine labels ("NUM:date") instead of its 6 coarse ones ("NUM").

    Raises:
        DataError: If it can be neither found nor downloaded, or is not the official one.
    """
    source = SENTENCES[name]
    folder = _find_sentences(source)
    texts, labels, notes = [], [], ()
    for file, (label, _) in source.files.items():
        content, said = read_text(folder / file)
        lines = [line.strip() for line in content.split("\n") if line.strip()]
        notes += said
        for line in lines:
            given, text = (label, line) if label else line.split(" ", 1)
            texts.append(text)
            labels.append(given if fine or label else given.partition(":")[0])
    if len(texts) != source.lines:
        raise DataError(f"{folder} has not the official {source.title}: {len(texts):,} lines, not {source.lines:,}.")
    return TextSet(texts, labels, source.num_test, notes)


def _find_sentences(source: Sentences) -> Path:
    """Returns the folder of a data set's files, downloaded if they are not on this machine."""
    for folder in data_folders("sentences"):
        if all((folder / file).is_file() for file in source.files):
            return folder
    cache = cache_folder("sentences")
    advice = (
        f"put its files {' and '.join(source.files)} into a folder DIR/sentences and set KERASAPPS_DATA=DIR, or use "
        "`--data snippets`, which needs no download"
    )
    with downloading(source.title, source.url, cache=cache, advice=advice):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            # No checksums are published: the lines are counted instead.
            contents = _download(source, Path(scratch))
            for file, content in contents.items():
                (Path(scratch) / file).write_bytes(content)
                (Path(scratch) / file).replace(cache / file)
    return cache


def _download(source: Sentences, folder: Path) -> dict[str, bytes]:
    """Returns the files of a data set from its official address."""
    if not source.url.endswith(".tar.gz"):
        return {
            file: fetch(f"{source.url}/{there}", folder, checksum=None).read_bytes()
            for file, (_, there) in source.files.items()
        }
    wanted = {there: file for file, (_, there) in source.files.items()}
    found = {}
    with open_tar(fetch(source.url, folder, checksum=None)) as archive:
        for member in members(archive):
            if member.name in wanted:
                found[wanted[member.name]] = read_member(archive, member, name=member.name)
    if found.keys() != source.files.keys():
        raise DataError(f"The archive from {source.url} is not the official one: it lacks files.")
    return found


def read_imdb() -> TextSet:
    """Reads 50,000 film reviews from their archive, without unpacking it.

    Raises:
        DataError: If it can be neither found nor downloaded, or is damaged.
    """
    path = _find_imdb()
    found: dict[str, list[tuple[str, str, str]]] = {part: [] for part in PARTS}
    with open_tar(path) as archive:
        for member in members(archive):
            match = IMDB_FILE.fullmatch(member.name)
            if match:
                text = read_member(archive, member, name=member.name).decode("utf-8", "replace")
                found[match[1]].append((member.name, text, IMDB_LABELS[match[2]]))
    if any(len(reviews) != 25_000 for reviews in found.values()):
        raise DataError(f"{path} does not hold 25,000 reviews to train on and as many to test on.")
    rows = [row for part in PARTS for row in sorted(found[part])]  # in an order that no archiver chooses
    return TextSet([text for _, text, _ in rows], [label for *_, label in rows], len(found["test"]))


def _find_imdb() -> Path:
    for folder in data_folders("imdb"):
        if (folder / "aclImdb_v1.tar.gz").is_file():
            return folder / "aclImdb_v1.tar.gz"
    cache = cache_folder("imdb")
    advice = (
        "put the archive into a folder DIR/imdb and set KERASAPPS_DATA=DIR, or take the simulated `snippets` instead, "
        "which need no download"
    )
    with downloading("IMDB", IMDB_URL, cache=cache, advice=advice):
        cache.mkdir(parents=True, exist_ok=True)
        return fetch(IMDB_URL, cache, checksum=IMDB_CHECKSUM)


# --- your own


def read_own(data: str, *, text: str, label: str) -> TextSet:
    """Reads a table with a column of texts and one of labels, or a folder with a folder of .txt files for each label.

    Args:
        data: The file, or the folder; one with folders `train` and `test` has a test set of its own.
        text: Column of the texts. Rows without text or label are left out.
        label: Column of the labels.

    Raises:
        DataError: If it cannot be read, or a column is missing.
    """
    path = user_path(data)
    if path.is_dir():
        return read_text_folder(path)
    table = open_table(data, embedded=f"snippets, {', '.join(SENTENCES)}, imdb, a folder")
    columns = table.columns((text, label))
    names = read_names(columns[label])
    there = read_names(columns[text]).values.is_not_null()
    known = there & names.values.is_not_null()
    said = {label: f"{names.distinct:,} labels{names.missing()}"}
    notes = (*table.notes, summary(len(there), dropped=int((~there).sum()), lack=text, said=said))
    return TextSet(columns[text].filter(known).to_list(), names.values.filter(known).to_list(), notes=notes)


def read_text_folder(folder: Path) -> TextSet:
    """Reads a folder with a folder of .txt files for each label, or with two such, `train` and `test`.

    Raises:
        DataError: If there is no text, or a file cannot be read.
    """
    parts = [folder / part for part in PARTS]
    parts = parts if all(part.is_dir() for part in parts) else [folder]
    rows = [_labeled_files(part) for part in parts]
    notes: Counter[str] = Counter()
    texts, labels = [], []
    for path, label in (row for part in rows for row in part):
        text, said = read_text(path)
        notes.update(one.removeprefix(f"{path} is ") for one in said)
        texts.append(text)
        labels.append(label)
    if not texts:
        raise DataError(f"{printable(folder)} holds no .txt files in folders that are named after their labels.")
    told = tuple(f"{count:,} of {len(texts):,} files are {what}" for what, count in notes.items())
    return TextSet(texts, labels, len(rows[1]) if len(rows) > 1 else 0, told)


def _labeled_files(folder: Path) -> list[tuple[Path, str]]:
    """Returns the text files of a folder with their labels, in order."""
    return [(path, path.parent.name) for path in sorted(folder.glob("*/*.txt")) if not path.name.startswith(".")]


# --- all of them


def clean(texts: Sequence[str], *, keep_html: bool = False) -> list[str]:
    """Returns texts without HTML tags and entities, and on one line."""
    if keep_html:
        return [" ".join(text.split()) for text in texts]
    return [" ".join(html.unescape(TAG.sub(" ", text)).split()) for text in texts]


def read_set(data: str, *, text: str, label: str, fine: bool, keep_html: bool, seed: int) -> TextSet:
    """Reads texts with labels, cleaned; empty ones and those without a word are left out and counted.

    Args:
        data: "snippets", "mr", "subj", "trec", "imdb", a table or a folder.
        text: As for `read_own`.
        label: As for `read_own`.
        fine: As for `read_sentences`.
        keep_html: Whether tags and entities stay.
        seed: Seed of the simulator.

    Raises:
        DataError: If they cannot be read, or there are fewer than two labels.
    """
    readers: dict[str, Callable[[], TextSet]] = {
        "snippets": lambda: read_snippets(seed=seed),
        "imdb": read_imdb,
        **{name: lambda name=name: read_sentences(name, fine=fine) for name in SENTENCES},
    }
    found = readers.get(data, lambda: read_own(data, text=text, label=label))()
    texts = clean(found.texts, keep_html=keep_html)
    kept = [i for i, one in enumerate(texts) if any(map(str.isalnum, one))]
    empty = len(texts) - len(kept)
    notes = found.notes + ((f"{empty:,} texts without a word are left out.",) if empty else ())
    labels = [found.labels[i] for i in kept]
    num_test = sum(i >= len(texts) - found.num_test for i in kept)
    if len(set(labels)) < 2:
        raise DataError(f"{data} has one label alone, {some(set(labels)) or 'none'}: there is nothing to tell apart.")
    notes += alike(set(labels))
    return replace(found, texts=[texts[i] for i in kept], labels=labels, num_test=num_test, notes=notes)


def alike(labels: Iterable[str]) -> tuple[str, ...]:
    """Returns a note where labels differ by case, accents' encoding or blanks alone: they remain different classes."""
    spellings: dict[str, list[str]] = {}
    for label in sorted(labels):
        spellings.setdefault(" ".join(fold(label).split()), []).append(label)
    twice = [repr(label) for group in spellings.values() if len(group) > 1 for label in group]
    return (f"Labels that differ in case or blanks alone are different classes: {some(twice)}.",) if twice else ()
