"""Texts as ids and back: pieces of words, learned by sentencepiece, or whole words.

Reference: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016; Kudo and
Richardson, "SentencePiece", EMNLP 2018.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from kerasapps.data.pieces import open_pieces, train_pieces
from kerasapps.data.words import fit_words, tokenize
from kerasapps.errors import DataError

Pieces = Literal["subwords", "words"]
PADDING, UNKNOWN, START, END = range(4)
LEAST = 300  # of the pieces, 256 stand for bytes, of which every character is made


@dataclass(frozen=True)
class Subwords:
    """Pieces of words as ids; every text comes back as it was.

    Args:
        model: A model of sentencepiece, as bytes.
    """

    model: bytes

    @cached_property
    def _processor(self):
        return open_pieces(self.model)

    @property
    def size(self) -> int:
        """Number of ids."""
        return self._processor.vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text, without start and end."""
        return self._processor.encode(list(texts), num_threads=1)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns texts; padding and start are left out."""
        return self._processor.decode([[int(i) for i in row if i not in (PADDING, START, END)] for row in ids])

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Returns what each id stands for, "▁" for the blank before a word."""
        return [self._processor.id_to_piece(int(i)) for i in ids]

    def to_json(self) -> dict[str, Any]:
        """Returns what `pieces_from_json` needs."""
        return {"subwords": base64.b64encode(self.model).decode()}


@dataclass(frozen=True)
class Words:
    """Whole words and punctuation marks as ids; those that are not known are all one."""

    words: tuple[str, ...]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, start=END + 1)}

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.words) + END + 1

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text, without start and end."""
        return [[self._numbers.get(word, UNKNOWN) for word in tokenize(text, "cased")] for text in texts]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns texts, with blanks where they usually are."""
        texts = (" ".join(self.pieces([i for i in row if i not in (PADDING, START, END)])) for row in ids)
        return [re.sub(r"([(\[]) ", r"\1", re.sub(r" ([.,;:!?)\]])", r"\1", text)) for text in texts]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Returns what each id stands for."""
        special = {PADDING: "", UNKNOWN: "⁇", START: "<s>", END: "</s>"}
        return [special[int(i)] if i <= END else self.words[int(i) - END - 1] for i in ids]

    def to_json(self) -> dict[str, Any]:
        """Returns what `pieces_from_json` needs."""
        return {"words": self.words}


def fit_pieces(texts: Iterable[str], *, kind: Pieces, size: int) -> Subwords | Words:
    """Learns pieces from the texts of a training set.

    Args:
        texts: The texts.
        kind: What a piece is.
        size: Number of ids at most.

    Raises:
        DataError: If `size` is too small for subwords.
    """
    texts = list(texts)
    if kind == "words":
        return Words(fit_words(texts, size=size - 2, length=1, tokens="cased").words)
    if size < LEAST:
        raise DataError(f"--vocab-size must be at least {LEAST} for subwords, of which 256 are bytes. Received: {size}")
    try:
        return _train(texts, size)
    except RuntimeError as error:
        most = re.search(r"<= (\d+)", str(error))
        if most is None:
            raise DataError(f"No subwords can be learned from these texts: {error}") from None
        return _train(texts, int(most[1]))


def _train(texts: Sequence[str], size: int) -> Subwords:
    # A text comes back as it was.
    options = {"remove_extra_whitespaces": False, "byte_fallback": True}
    numbers = {"pad_id": PADDING, "unk_id": UNKNOWN, "bos_id": START, "eos_id": END}
    return Subwords(train_pieces(texts, kind="bpe", size=size, **options, **numbers))


def pieces_from_json(content: Mapping[str, Any]) -> Subwords | Words:
    """Returns what `to_json` described."""
    if "subwords" not in content:
        if not all(isinstance(word, str) for word in content["words"]):
            raise ValueError("`words` must be texts.")
        return Words(tuple(content["words"]))
    model = base64.b64decode(content["subwords"])
    open_pieces(model)
    return Subwords(model)
