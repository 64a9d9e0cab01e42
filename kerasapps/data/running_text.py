"""One long text for a language model: a source of known entropy, tiny-shakespeare, your own file or folder.

Reference: tiny-shakespeare is Karpathy's, "The Unreasonable Effectiveness of Recurrent Neural Networks", 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasapps.data.download import cache_folder, data_folders, downloading, fetch
from kerasapps.data.encodings import read_text
from kerasapps.data.grammar import entropy, write_lines
from kerasapps.errors import DataError
from kerasapps.files import printable, user_path

GRAMMAR = {"train": 40_000, "validation": 2_000, "test": 4_000}  # lines
SHAKESPEARE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare"
CHARACTERS = 1_115_394
HELD_OUT = 0.05  # share of an own text for validation, and for the test
LARGE = 100_000_000  # bytes from which a file is mapped into memory, not read
# A text, or its bytes uint8 (n,).
Content = str | np.ndarray


@dataclass(frozen=True)
class RunningText:
    """A text in three parts.

    Args:
        train: To train on.
        validation: To choose by.
        test: To test on; may be that for validation.
        notes: What to know about the data, a sentence each.
        entropy: The loss in nats a character that no network goes below, up to chance, where it is known.
        surprise: Minus the logarithm of the test text's probability in nats a character, where it is known.
    """

    train: Content
    validation: Content
    test: Content
    notes: tuple[str, ...] = ()
    entropy: float | None = None
    surprise: float | None = None


def read_running_text(data: str, *, as_bytes: bool | None, seed: int) -> RunningText:
    """Reads a text.

    Args:
        data: "grammar" (simulated, see `kerasapps.data.grammar`), "shakespeare", a text file, or a folder of .txt
            files.
        as_bytes: Whether to leave a file as it is instead of reading its characters; by default if it is large.
        seed: Seed of what is simulated.

    Raises:
        DataError: If it cannot be read.
    """
    if data == "grammar":
        return _simulate(seed)
    if data == "shakespeare":
        text = _read_shakespeare()
        cut = int(0.9 * len(text))  # as nanoGPT splits it
        held_out = text[cut:]
        return RunningText(text[:cut], held_out, held_out, ("The last 10 % are both validation and test text.",))
    path = user_path(data)
    if not path.exists():
        raise DataError(f"--data {data} is neither grammar, shakespeare, a file nor a folder.")
    files = _files(path)
    size = sum(file.stat().st_size for file in files)
    if as_bytes is False and size >= LARGE:
        raise DataError(
            f"{printable(path)} has {size / 1e6:,.0f} MB, more than is read at once: leave out --tokens, and its bytes "
            "are mapped into memory."
        )
    if as_bytes or size >= LARGE:
        notes = () if as_bytes else (f"{printable(path)} has {size / 1e6:,.0f} MB: its tokens are bytes.",)
        whole = _map(path, files)
    else:
        whole, notes = _read(files)
    return _cut(path, whole, notes)


def _simulate(seed: int) -> RunningText:
    """Writes lines of the grammar, the three parts with seeds of their own."""
    seeds = np.random.SeedSequence(seed).generate_state(len(GRAMMAR))
    parts = {name: write_lines(count, seed=int(one)) for (name, count), one in zip(GRAMMAR.items(), seeds, strict=True)}
    texts = {name: part.text for name, part in parts.items()}
    return RunningText(**texts, entropy=entropy(), surprise=parts["test"].nats / len(texts["test"]))


def _read_shakespeare() -> str:
    """Reads tiny-shakespeare.

    Raises:
        DataError: If it can be neither found nor downloaded, or is another text.
    """
    name, cache = "input.txt", cache_folder("shakespeare")
    path = next((folder / name for folder in data_folders("shakespeare") if (folder / name).is_file()), cache / name)
    if not path.is_file():
        advice = (
            "put its input.txt into a folder DIR/shakespeare and set KERASAPPS_DATA=DIR, or use `--data grammar`, "
            "which needs no download"
        )
        with downloading("tiny-shakespeare", SHAKESPEARE, cache=cache, advice=advice):
            cache.mkdir(parents=True, exist_ok=True)
            fetch(f"{SHAKESPEARE}/{name}", cache, checksum=None)  # none is published: characters are counted instead
    text, _ = read_text(path)
    if len(text) != CHARACTERS:
        raise DataError(f"{path} is not tiny-shakespeare: it has {len(text):,} characters, not {CHARACTERS:,}.")
    return text


def _files(path: Path) -> list[Path]:
    """Returns the file, or the .txt files in a folder, in the order of their paths.

    Raises:
        DataError: If there are none.
    """
    files = sorted(file for file in path.rglob("*.txt") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{printable(path)} holds no .txt file.")
    return files


def _map(path: Path, files: Sequence[Path]) -> np.ndarray:
    """Returns the bytes of a file, mapped into memory, or of several, read: uint8 (n,)."""
    try:
        parts = [np.memmap(file, np.uint8, mode="r") for file in files if file.stat().st_size]
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error}.") from None
    return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else np.zeros(0, np.uint8)


def _read(files: Sequence[Path]) -> tuple[str, tuple[str, ...]]:
    """Returns the text of files, line ends as one character each, and notes."""
    texts, notes = [], ()
    for file in files:
        text, more = read_text(file)
        notes += more
        texts.append(text.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(texts), notes


def _cut(path: Path, whole: Content, notes: tuple[str, ...]) -> RunningText:
    """Holds out the end of a text for validation, and what follows for the test."""
    if len(whole) < 100:
        what = "characters" if isinstance(whole, str) else "bytes"
        raise DataError(f"{printable(path)} has {len(whole)} {what}, and at least 100 are needed.")
    first, second = (int(len(whole) * (1 - parts * HELD_OUT)) for parts in (2, 1))
    return RunningText(whole[:first], whole[first:second], whole[second:], notes)
