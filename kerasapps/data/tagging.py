"""Sequences with a tag a step, as splits: simulated news, a classifier's outputs over time, or your own files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kerasapps.data import dispatches, sightings
from kerasapps.data.columns import Columns, Steps, TaggedSequence, read_columns
from kerasapps.data.splits import Split, Splits
from kerasapps.data.words import PADDING, UNKNOWN, composed
from kerasapps.errors import DataError
from kerasapps.files import user_path

SIMULATED = {"train": 6_000, "validation": 1_000, "test": 2_000}  # sequences
HELD_OUT = 0.1  # share of the sequences for validation, and for the test set, where there is no file of them
MOST_TAGS = 500  # a column with more holds words
SEEN = 2  # times a word must be in the training set to get an id, so that there are unknown ones to learn from


@dataclass(frozen=True)
class TagCodec:
    """Turns sequences into inputs, and probabilities into tags; fitted to a training set.

    Args:
        tag_names: The tags, in the order of the output.
        words: Words by id, from 2 on: 0 is padding, 1 any unknown word. Empty for sequences of numbers.
        feature_names: What the numbers of a step are. Empty for sequences of words.
    """

    tag_names: tuple[str, ...]
    words: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, start=UNKNOWN + 1)}

    def encode(self, *sequences: Steps) -> dict[str, np.ndarray]:
        """Returns "text" int32 (n, T), or "features" float32 (n, T, F), padded at the end."""
        longest = max(map(len, sequences), default=1)
        if self.feature_names:
            features = np.zeros((len(sequences), longest, len(self.feature_names)), np.float32)
            for row, numbers in zip(features, sequences, strict=True):
                row[: len(numbers)] = numbers
            return {"features": features}
        ids = np.full((len(sequences), longest), PADDING, np.int32)
        for row, words in zip(ids, sequences, strict=True):
            row[: len(words)] = [self._numbers.get(composed(word), UNKNOWN) for word in words]
        return {"text": ids}

    def decode(self, outputs: Mapping[str, np.ndarray], lengths: Sequence[int]) -> list[list[str]]:
        """Returns the most probable tag of each step, for sequences of these lengths."""
        best = np.asarray(outputs["tags"]).argmax(-1)  # (n, T)
        return [[self.tag_names[i] for i in row[:length]] for row, length in zip(best, lengths, strict=True)]

    def unknown(self, sequences: Sequence[Sequence[str]]) -> list[str]:
        """Returns the words that have no id, each once."""
        words = dict.fromkeys(composed(word) for sequence in sequences for word in sequence)
        return [word for word in words if word not in self._numbers]

    def shown(self, steps: Steps) -> list[str]:
        """Returns what a person reads of each step: its word, or its largest number."""
        if not self.feature_names:
            return list(steps)
        return [f"{self.feature_names[row.argmax()]} {row.max():.2f}" for row in np.asarray(steps)]

    def inputs(self) -> dict[str, tuple[int | None, ...]]:
        """Returns the shape of each input, without the batch."""
        return {"features": (None, len(self.feature_names))} if self.feature_names else {"text": (None,)}

    def outputs(self) -> dict[str, int]:
        """Returns the width of each output."""
        return {"tags": len(self.tag_names)}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return {"tag_names": self.tag_names, "words": self.words, "feature_names": self.feature_names}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TagCodec":
        """Returns the codec that `to_json` described."""
        return cls(*(tuple(content[name]) for name in ("tag_names", "words", "feature_names")))

    def split(self, sequences: Sequence[TaggedSequence]) -> Split:
        """Returns rows: input "text" or "features", target "tags", which padding does not count in.

        Raises:
            DataError: If a tag is none of those in the codec, or steps have other numbers.
        """
        ids = {name: i for i, name in enumerate(self.tag_names)}
        unknown = next((tag for one in sequences for tag in one.tags if tag not in ids), None)
        if unknown is not None:
            raise DataError(f"The tag {unknown!r} is none of those that the network was trained on.")
        inputs = self.encode(*(one.steps for one in sequences))
        lengths = np.array([len(one) for one in sequences], np.int32)
        tags = np.zeros((len(sequences), int(lengths.max(initial=1))), np.int32)
        for row, one in zip(tags, sequences, strict=True):
            row[: len(one)] = [ids[tag] for tag in one.tags]
        weights = (np.arange(tags.shape[1]) < lengths[:, None]).astype(np.float32)
        padded = dict.fromkeys([*inputs, "tags"], lengths)
        return Split(inputs, {"tags": tags}, padded, {"tags": weights})


@dataclass(frozen=True, kw_only=True)
class TagSplits(Splits):
    """Splits with the sequences behind them.

    Args:
        sequences: Those of each set, by its name.
        best: The tags of the test set that nobody predicts better, up to chance, where they are known: "all", from the
            whole sequence, and "so far", from each step and those before it.
    """

    sequences: Mapping[str, Sequence[TaggedSequence]]
    best: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)


def load_tagged(
    data: str = "dispatches",
    *,
    validation: str | None = None,
    test: str | None = None,
    columns: Columns = Columns(),
    vocab_size: int = 20_000,
    longest: int = 200,
    seed: int = 0,
    limit: int | None = None,
) -> TagSplits:
    """Loads sequences with a tag a step.

    Args:
        data: "dispatches" (simulated news), "context" (simulated outputs of a classifier over time), or a file with a
            step a line.
        validation: A file for validation; by default a tenth of the sequences of `data`.
        test: A file to test on; by default a tenth of them too.
        columns: What the columns of files hold.
        vocab_size: Token ids at most; the most frequent words get one, those that are seen once none.
        longest: Steps of a sequence at most; longer ones are split, after the sets were drawn.
        seed: Seed of a simulator, and of what is held out.
        limit: Sequences of each set at most.

    Returns:
        Splits with the input "text" int32 (n, T) or "features" float32 (n, T, F), and the target "tags" int32 (n, T).

    Raises:
        DataError: If the data cannot be read, or have too few tags or too many.
    """
    notes: tuple[str, ...] = ()
    if data in ("dispatches", "context"):
        options = {"--validation": validation, "--test": test, "--numbers": columns.numbers}
        given = [name for name, value in options.items() if value]
        if given:
            raise DataError(f"{' and '.join(given)}: --data {data} is simulated, and has sets of its own.")
        sets = _simulate(data, seed)
    else:
        if not user_path(data).exists():
            raise DataError(f"--data {data} is neither dispatches, context nor a file.")
        files = {"train": data, "validation": validation, "test": test}
        sets, notes = _read(files, columns, longest=longest, seed=seed)
    sets = {name: sequences[:limit] for name, sequences in sets.items()}
    codec = _fit(data, sets, columns, vocab_size=vocab_size)
    sizes = {"num_features": len(codec.feature_names)} if codec.feature_names else {"vocab_size": len(codec.words) + 2}
    best = {"dispatches": dispatches.best_tags, "context": sightings.best_animals}.get(data)
    return TagSplits(
        **{name: codec.split(sequences) for name, sequences in sets.items()},
        sizes={"num_tags": len(codec.tag_names), **sizes},
        codec=codec,
        notes=notes,
        sequences=sets,
        best={
            "all": [tuple(best(one.steps, so_far=False)) for one in sets["test"]],
            "so far": [tuple(best(one.steps, so_far=True)) for one in sets["test"]],
        }
        if best
        else {},
    )


def _simulate(data: str, seed: int) -> dict[str, list[TaggedSequence]]:
    """Simulates the sets, each with a seed of its own."""
    seeds = np.random.SeedSequence(seed).generate_state(len(SIMULATED))
    simulate = sightings.take_walks if data == "context" else dispatches.write_dispatches
    return {name: simulate(count, seed=one) for (name, count), one in zip(SIMULATED.items(), seeds, strict=True)}


def _read(
    files: Mapping[str, str | None], columns: Columns, *, longest: int, seed: int
) -> tuple[dict[str, list[TaggedSequence]], tuple[str, ...]]:
    """Reads files, and holds out sequences of the first for the sets that have none."""
    sets, notes = {}, ()
    for name, file in files.items():
        if file is not None:
            sets[name], more = read_columns(file, columns)
            notes += more
    missing = [name for name in files if name not in sets]
    whole = sets["train"]
    count = max(1, round(HELD_OUT * len(whole)))
    if len(whole) <= count * len(missing):
        raise DataError(f"{files['train']} has {len(whole)} sequences, too few to hold some out for {missing[0]}.")
    order = np.random.default_rng(seed).permutation(len(whole))
    for i, name in enumerate(missing):
        sets[name] = [whole[row] for row in order[i * count : (i + 1) * count]]
    sets["train"] = [whole[row] for row in order[len(missing) * count :]]
    if missing:
        notes += (f"{count:,} sequences each were held out for {' and '.join(missing)}.",)
    return {name: [part for one in own for part in one.pieces(longest)] for name, own in sets.items()}, notes


def _fit(data: str, sets: Mapping[str, Sequence[TaggedSequence]], columns: Columns, *, vocab_size: int) -> TagCodec:
    """Fits the codec: tags of all sets, words of the training set."""
    tags = tuple(sorted({tag for sequences in sets.values() for one in sequences for tag in one.tags}))
    if not 2 <= len(tags) <= MOST_TAGS:
        raise DataError(f"{data} has {len(tags):,} different tags in column {columns.tag}: is that a column of tags?")
    if data == "context":
        return TagCodec(tags, feature_names=sightings.ANIMALS)
    if data != "dispatches" and columns.numbers:
        return TagCodec(tags, feature_names=tuple(f"column {column}" for column in columns.numbers))
    counts = Counter(word for one in sets["train"] for word in one.steps)
    ordered = sorted((word for word in counts if counts[word] >= SEEN), key=lambda word: (-counts[word], word))
    return TagCodec(tags, words=tuple(ordered[: vocab_size - UNKNOWN - 1]))
