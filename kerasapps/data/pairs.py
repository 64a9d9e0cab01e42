"""Texts and their translations: a simulated market, Multi30k, your own two files or table; clean, in three sets.

Reference: Elliott et al., "Multi30K: Multilingual English-German Image Descriptions", VL 2016.
"""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.data.encodings import read_text
from kerasapps.data.market import write_market
from kerasapps.data.splits import split_groups
from kerasapps.errors import DataError
from kerasapps.files import user_path

NAMED = ("market", "multi30k")
MARKET, MARKET_TEST = 12_000, 500
MARKET_PAIRS = ("en-de", "de-en")
MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
MULTI30K_LINES = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}
MULTI30K_LANGUAGES = ("de", "en", "fr")
HELD_OUT, MOST_HELD_OUT = 0.05, 1_000  # share, and number, of own texts for validation and for the test set each
Pair = tuple[str, str]


@dataclass(frozen=True)
class PairSet:
    """Pairs of texts.

    Args:
        train: To train on: source and target.
        validation: To choose by.
        test: To test on.
        notes: What to know about the data, a sentence each.
    """

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    notes: tuple[str, ...] = ()


def read_pairs(data: str, *, pair: str, target: str | None, seed: int) -> PairSet:
    """Reads a data set.

    Args:
        data: "market", "multi30k", a file with a source and its translation a line, separated by a tab, or a file with
            a source a line.
        pair: Languages of a named data set, source first, such as "de-en".
        target: For the last, the file with the translations.
        seed: Seed of the market, and of which own pairs are held out.

    Raises:
        DataError: If it cannot be read, or there is no such pair.
    """
    if data == "market":
        return _turned(_read_market(seed), _checked(data, pair, MARKET_PAIRS) == "de-en")
    if data == "multi30k":
        pairs = tuple(f"{a}-{b}" for a in MULTI30K_LANGUAGES for b in MULTI30K_LANGUAGES if a != b)
        return _read_multi30k(_checked(data, pair, pairs))
    path = user_path(data)
    if not path.is_file():
        raise DataError(f"--data {data} is neither market, multi30k nor a file.")
    return _read_own(path, None if target is None else user_path(target), seed=seed)


def _checked(data: str, pair: str, pairs: Sequence[str]) -> str:
    if pair not in pairs:
        raise DataError(f"--pair {pair} is none of those of {data}: {', '.join(pairs)}.")
    return pair


def _turned(found: PairSet, turn: bool) -> PairSet:
    """Returns pairs with source and target exchanged if asked to."""
    if not turn:
        return found
    parts = {name: [pair[::-1] for pair in getattr(found, name)] for name in ("train", "validation", "test")}
    return replace(found, **parts)


def _read_market(seed: int) -> PairSet:
    """Simulates English sentences and their German translations; see `kerasapps.data.market`."""
    pairs = write_market(MARKET + 2 * MARKET_TEST, seed=seed)
    return PairSet(pairs[:MARKET], pairs[MARKET:-MARKET_TEST], pairs[-MARKET_TEST:])


def _read_multi30k(pair: str) -> PairSet:
    """Reads descriptions of photographs and their translations.

    Raises:
        DataError: If they can be neither found nor downloaded, or are not the official ones.
    """
    names = [f"{part}.{language}.gz" for part in MULTI30K_LINES for language in pair.split("-")]
    folder = _find_multi30k(names)
    parts = []
    for part, count in MULTI30K_LINES.items():
        source, target = (_lines(folder / f"{part}.{language}.gz") for language in pair.split("-"))
        for language, lines in zip(pair.split("-"), (source, target), strict=True):
            if len(lines) != count:
                raise DataError(
                    f"{folder} has not the official Multi30k: {part}.{language}.gz has {len(lines):,} lines, not "
                    f"{count:,}."
                )
        # Blanks at an end are slips of the annotators.
        parts.append([(a.strip(), b.strip()) for a, b in zip(source, target, strict=True)])
    return PairSet(*parts)


def _find_multi30k(names: Sequence[str]) -> Path:
    """Returns the folder of the files, downloaded if they are not on this machine."""
    for folder in data_folders("multi30k"):
        if all((folder / name).is_file() for name in names):
            return folder
    cache = cache_folder("multi30k")
    advice = (
        "put its files into a folder DIR/multi30k and set KERASAPPS_DATA=DIR, or use `--data market`, which needs no "
        "download"
    )
    with downloading("Multi30k", MULTI30K, cache=cache, advice=advice):
        cache.mkdir(parents=True, exist_ok=True)
        for name in names:
            fetch(f"{MULTI30K}/{name}", cache, checksum=None)  # none is published: the lines are counted instead
    return cache


def _lines(path: Path) -> list[str]:
    """Returns the lines of a compressed file."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return file.read().removesuffix("\n").split("\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}.") from None


def _read_own(path: Path, target: Path | None, *, seed: int) -> PairSet:
    """Reads two aligned files, or one with tabs; holds some pairs out; leaves out empty and repeated ones.

    Raises:
        DataError: If the files do not belong together, or too little is left.
    """
    lines, notes = file_lines(path)
    if target is None:
        cells = [line.split("\t") for line in lines]
        wrong = next((i for i, line in enumerate(cells, start=1) if len(line) < 2 and line != [""]), None)
        if wrong is not None:
            raise DataError(
                f"{path}, line {wrong}: no tab between source and translation. Give the translations as --target FILE."
            )
        pairs = [(line[0].strip(), line[1].strip()) if len(line) > 1 else ("", "") for line in cells]
    else:
        others, more = file_lines(target)
        if len(others) != len(lines):
            raise DataError(
                f"{path} has {len(lines):,} lines and {target} has {len(others):,}: a line and its translation must "
                "have the same number."
            )
        notes += more
        pairs = [(a.strip(), b.strip()) for a, b in zip(lines, others, strict=True)]
    whole = [pair for pair in pairs if all(pair)]
    if len(whole) < len(pairs):
        notes += (f"{len(pairs) - len(whole):,} pairs with an empty side were left out.",)
    kept = list(dict.fromkeys(whole))
    if len(kept) < len(whole):
        notes += (f"{len(whole) - len(kept):,} repeated pairs were left out.",)
    if len(kept) < 10:
        raise DataError(f"{path} has {len(kept)} pairs of texts, and at least 10 are needed.")
    return PairSet(*_held_out(kept, seed=seed), notes)


def _held_out(pairs: Sequence[Pair], *, seed: int) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Splits pairs for training, validation and test; all translations of one text stay together.

    Raises:
        DataError: If there are fewer than three different texts, those left out that would be a whole set.
    """
    number = {source: i for i, source in enumerate(dict.fromkeys(source for source, _ in pairs))}
    group = np.array([number[source] for source, _ in pairs])
    held_out = min(MOST_HELD_OUT, max(1, round(HELD_OUT * len(number))))
    # A text with more translations than are held out is trained on.
    frequent = np.bincount(group)[group] > max(held_out, len(pairs) // len(number))
    rows = np.flatnonzero(~frequent)
    texts = len(np.unique(group[rows]))
    if texts < 3:
        raise DataError(f"There are {texts} different texts to translate, and at least 3 are needed.")
    held_out = min(held_out, texts // 3)
    rest, test = split_groups(group[rows], share=held_out / texts, seed=seed)
    train, validation = split_groups(group[rows][rest], share=held_out / (texts - held_out), seed=seed + 1)
    order = np.random.default_rng(seed)
    parts = [*np.flatnonzero(frequent), *rows[rest][train]], rows[rest][validation], rows[test]
    return tuple([pairs[i] for i in order.permutation(part)] for part in parts)


def file_lines(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Returns the lines of a text file without their ends, and notes on it.

    Raises:
        DataError: If it is not there, or no text.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file.")
    text, notes = read_text(path)
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines, notes
