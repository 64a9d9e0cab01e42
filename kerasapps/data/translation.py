"""Texts and their translations as splits: pieces of the training set, rows of similar length together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasapps.data.pairs import Pair, read_pairs
from kerasapps.data.splits import Split, Splits
from kerasapps.data.subwords import (
    END,
    PADDING,
    START,
    UNKNOWN,
    Pieces,
    Subwords,
    Words,
    fit_pieces,
    pieces_from_json,
)
from kerasapps.errors import DataError

RATIO, AT_LEAST = 5, 10  # a text is of wildly different length if it is so many times longer, and so many tokens


@dataclass(frozen=True)
class TranslationCodec:
    """Turns texts into ids and ids into texts; fitted to a training set.

    Args:
        source: Pieces of what is translated.
        target: Pieces of the translations.
        max_length: Tokens of a text at most, the end of the text among them.
    """

    source: Subwords | Words
    target: Subwords | Words
    max_length: int

    def encode(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the input "source", int32 (n, S): ids, the end of the text, padding.

        Raises:
            DataError: If a text is too long.
        """
        rows = self.source.encode(texts)
        for text, row in zip(texts, rows, strict=True):
            if len(row) >= self.max_length:
                raise DataError(
                    f"A text has {len(row) + 1} tokens with its end, and --max-length was {self.max_length} in "
                    f"training: {text[:40]!r}…"
                )
        return {"source": padded([[*row, END] for row in rows])}

    def decode(self, ids: np.ndarray) -> list[str]:
        """Returns the text of each row of ids of the target (n, T)."""
        return self.target.decode(ids)

    def outputs(self) -> dict[str, int]:
        """Returns the width of each output."""
        return {"next": self.target.size}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return {"source": self.source.to_json(), "target": self.target.to_json(), "max_length": self.max_length}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TranslationCodec":
        """Returns the codec that `to_json` described."""
        source, target = pieces_from_json(content["source"]), pieces_from_json(content["target"])
        return cls(source, target, int(content["max_length"]))

    def split(self, pairs: Sequence[Pair]) -> tuple[Split, np.ndarray]:
        """Returns rows for training, and the numbers of the pairs that they are: those that are not too long.

        Inputs are "source" and "target", which begins with the start of a text; the output "next" is the target one
        step later.
        """
        sources = [[*row, END] for row in self.source.encode([a for a, _ in pairs])]
        targets = [[START, *row, END] for row in self.target.encode([b for _, b in pairs])]
        lengths = np.array([[len(a), len(b) - 1] for a, b in zip(sources, targets, strict=True)])
        short, long = lengths.min(1), lengths.max(1)
        kept = np.flatnonzero((long <= self.max_length) & ((long <= RATIO * short) | (long <= AT_LEAST)))
        if not len(kept):
            shorter, rule = (long > self.max_length).all(), length_rule(self.max_length)
            why = f"--max-length {self.max_length} is shorter than every one" if shorter else rule
            raise DataError(f"None of the {len(pairs):,} pairs of texts is left: {why}.")
        source, target = padded([sources[i] for i in kept]), padded([targets[i] for i in kept])
        of_source, of_target = lengths[kept].T.astype(np.int32)
        split = Split(
            {"source": source, "target": target[:, :-1]},
            {"next": target[:, 1:]},
            {"source": of_source, "target": of_target, "next": of_target},
            by_tokens=True,
        )
        return split, kept


@dataclass(frozen=True, kw_only=True)
class TranslationSplits(Splits):
    """Splits with the texts behind them, by the name of the set; those left out as too long are not among them."""

    texts: Mapping[str, Sequence[Pair]]


def padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns rows of ids as one array int32 (n, T), padded at the end."""
    array = np.full((len(rows), max(map(len, rows), default=1)), PADDING, np.int32)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return array


def load_pairs(
    data: str = "market",
    *,
    pair: str = "en-de",
    target: str | None = None,
    tokens: Pieces = "subwords",
    vocab_size: int = 5_000,
    joint: bool = False,
    max_length: int = 100,
    seed: int = 0,
    limit: int | None = None,
) -> TranslationSplits:
    """Loads texts and their translations.

    Args:
        data: "market" (simulated), "multi30k", a file with tabs, or a file with a text a line.
        pair: Languages of a named data set, source first.
        target: The file with the translations, for the last.
        tokens: Pieces of words, or whole words.
        vocab_size: Ids of each language at most.
        joint: Whether both languages have one vocabulary.
        max_length: Tokens of a text at most; longer pairs are left out.
        seed: Seed of what is simulated or held out.
        limit: Pairs of each set at most.

    Returns:
        Splits with the inputs "source" int32 (n, S) and "target" int32 (n, T), and the target "next" int32 (n, T).

    Raises:
        DataError: If the data cannot be read, or nothing is left of a set.
    """
    found = read_pairs(data, pair=pair, target=target, seed=seed)
    parts = {name: getattr(found, name)[:limit] for name in ("train", "validation", "test")}
    sides = [[pair[i] for pair in parts["train"]] for i in (0, 1)]
    if joint:
        sides = [[*sides[0], *sides[1]]] * 2
    source = fit_pieces(sides[0], kind=tokens, size=vocab_size)
    codec = TranslationCodec(
        source, source if joint else fit_pieces(sides[1], kind=tokens, size=vocab_size), max_length
    )
    sets, texts, notes = {}, {}, list(found.notes)
    for name, pairs in parts.items():
        sets[name], kept = codec.split(pairs)
        texts[name] = [pairs[i] for i in kept]
        notes += left_out(len(pairs), kept, name, max_length)
    notes += unknown_words(codec, parts["train"])
    return TranslationSplits(
        **sets,
        sizes={"source_vocab_size": codec.source.size, "target_vocab_size": codec.target.size},
        codec=codec,
        notes=tuple(notes),
        texts=texts,
    )


def left_out(count: int, kept: Sequence[int], name: str, max_length: int) -> tuple[str, ...]:
    """Returns a note on the pairs of a set that are not kept, if there are any."""
    if len(kept) == count:
        return ()
    return (f"{count - len(kept):,} of {count:,} {name} pairs were left out: {length_rule(max_length)}.",)


def length_rule(max_length: int) -> str:
    """Says which pairs are left out."""
    return f"over --max-length {max_length} tokens, or one side over {RATIO} times as long as the other"


def unknown_words(codec: TranslationCodec, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Returns a note on the words of a training set that have no id, where whole words are tokens."""
    if not isinstance(codec.source, Words):
        return ()
    sides = [pieces.encode([pair[i] for pair in pairs]) for i, pieces in enumerate((codec.source, codec.target))]
    shares = [sum(row.count(UNKNOWN) for row in rows) / max(1, sum(map(len, rows))) for rows in sides]
    return (
        f"{shares[0]:.1%} of the words of the sources and {shares[1]:.1%} of those of the translations are "
        "unknown, as too rare for --vocab-size.",
    )


def share_of_padding(split: Split, batch_size: int) -> float:
    """Returns how much of the batches of an epoch is padding, in tokens of source and target."""
    real = total = 0
    for inputs, _ in split.epochs(batch_size, seed=0, first=0, last=1):
        for array in (inputs["source"].numpy(), inputs["target"].numpy()):
            real, total = real + np.count_nonzero(array), total + array.size
    return 1 - real / total
