"""Running text as ids and back: characters, bytes, words, or pieces of words, learned from the training text.

Ids 0 and 1 are padding and what is unknown. The pieces of `kerasapps.data.subwords` know texts of one line; here the
end of a line is a token of its own, that which ends a text there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from kerasapps.data.subwords import END, PADDING, START, UNKNOWN, Subwords, Words, fit_pieces, pieces_from_json
from kerasapps.data.words import tokenize

TokenKind = Literal["characters", "bytes", "subwords", "words"]
FIRST = UNKNOWN + 1  # of what is known


@dataclass(frozen=True)
class Characters:
    """Characters as ids.

    Args:
        known: All of the training text, the most frequent first.
    """

    known: str
    banned = (PADDING, UNKNOWN)

    @cached_property
    def _codes(self) -> np.ndarray:
        """Id of each code point up to the highest known."""
        table = np.full(max(map(ord, self.known), default=0) + 2, UNKNOWN, np.int32)
        table[[ord(one) for one in self.known]] = np.arange(FIRST, FIRST + len(self.known))
        return table

    @property
    def size(self) -> int:
        """Number of ids."""
        return FIRST + len(self.known)

    def encode(self, text: str) -> np.ndarray:
        """Returns the id of each character, int32 (n,)."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return self._codes[np.minimum(codes, len(self._codes) - 1)]

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids."""
        return "".join(self.piece(int(i)) for i in ids)

    def unknown(self, text: str) -> str:
        """Returns the characters of a text that have no id, each once."""
        return "".join(one for one in dict.fromkeys(text) if one not in self.known)

    def piece(self, token: int) -> str:
        """Returns what an id stands for."""
        return self.known[token - FIRST] if token >= FIRST else "�" if token == UNKNOWN else ""

    def to_json(self) -> dict[str, Any]:
        """Returns what `vocabulary_from_json` needs."""
        return {"characters": self.known}


@dataclass(frozen=True)
class Bytes:
    """Bytes as ids; every text has some, UTF-8 or not."""

    banned = (PADDING, UNKNOWN)
    size = FIRST + 256

    def encode(self, text: str | np.ndarray) -> np.ndarray:
        """Returns the id of each byte, int32 (n,)."""
        content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return np.frombuffer(content, np.uint8).astype(np.int32) + FIRST

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids; bytes that are not UTF-8 are marked."""
        return bytes(int(i) - FIRST for i in ids if i >= FIRST).decode("utf-8", "replace")

    def unknown(self, text: str) -> str:
        """Returns nothing: there is no other byte."""
        return ""

    def piece(self, token: int) -> str:
        """Returns what an id stands for."""
        code = token - FIRST
        return "" if code < 0 else chr(code) if code < 128 else f"<{code:02x}>"

    def to_json(self) -> dict[str, Any]:
        """Returns what `vocabulary_from_json` needs."""
        return {"bytes": True}


@dataclass(frozen=True)
class Lines:
    """Words or pieces of words as ids; the end of a line is one too.

    Args:
        pieces: Those of single lines.
    """

    pieces: Subwords | Words
    banned = (PADDING, UNKNOWN, START)

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.pieces.size

    def encode(self, text: str) -> np.ndarray:
        """Returns ids, int32 (n,)."""
        lines = text.split("\n")
        rows = [[*row, END] for row in self.pieces.encode(lines)]
        rows[-1].pop()  # what is after the last end is no whole line
        return np.array([one for row in rows for one in row], np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids."""
        lines: list[list[int]] = [[]]
        for i in ids:
            if i == END:
                lines.append([])
            else:
                lines[-1].append(int(i))
        return "\n".join(self.pieces.decode(lines))

    def unknown(self, text: str) -> str:
        """Returns the words of a text that have no id, each once."""
        words = dict.fromkeys(tokenize(text, "cased")) if isinstance(self.pieces, Words) else ()
        return " ".join(word for word in words if UNKNOWN in self.encode(word))

    def piece(self, token: int) -> str:
        """Returns what an id stands for."""
        return "\n" if token == END else self.pieces.pieces([token])[0].replace("▁", " ")

    def to_json(self) -> dict[str, Any]:
        """Returns what `vocabulary_from_json` needs."""
        return self.pieces.to_json()


Vocabulary = Characters | Bytes | Lines


def fit_vocabulary(text: str | np.ndarray, *, tokens: TokenKind, size: int) -> Vocabulary:
    """Learns the tokens of a training text; `size` is the number of ids at most, of words and pieces of words."""
    if tokens == "bytes":
        return Bytes()
    if tokens == "characters":
        codes, counts = np.unique(
            np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32), return_counts=True
        )
        return Characters("".join(map(chr, codes[np.argsort(-counts, kind="stable")])))
    return Lines(fit_pieces([line for line in text.split("\n") if line.strip()], kind=tokens, size=size))


def vocabulary_from_json(content: Mapping[str, Any]) -> Vocabulary:
    """Returns what `to_json` described."""
    if "characters" in content:
        if not isinstance(content["characters"], str):
            raise ValueError(f"`characters` must be a text. Received: {content['characters']!r}")
        return Characters(content["characters"])
    return Bytes() if "bytes" in content else Lines(pieces_from_json(content))
