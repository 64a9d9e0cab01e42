"""Texts with labels about their authors, as splits: simulated posts, census rows, or your own table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from kerasapps.data.labelled_texts import Labelled, read_adult, read_table
from kerasapps.data.posts import People, bayes_estimates, simulate_people
from kerasapps.data.splits import Split, Splits, split_groups
from kerasapps.data.words import GivenTokens, Tokens, WordIds, fit_words, settle_tokens
from kerasapps.errors import DataError
from kerasapps.heads import Head, label_weights

PEOPLE = 160_000
SETS = ("train", "validation", "test")


@dataclass(frozen=True)
class TextCodec:
    """Turns texts into token ids and labels into numbers, and back; fitted to a training set.

    Args:
        words: Words as token ids.
        heads: What to predict, by name.
        classes: Names of the classes, in order, of each head with classes or two sides.
    """

    words: WordIds
    heads: dict[str, Head]
    classes: dict[str, tuple[str, ...]]

    @property
    def sizes(self) -> dict:
        """Arguments of the builder."""
        return {"vocab_size": self.words.size, "heads": self.heads}

    def only(self, heads: Iterable[str]) -> "TextCodec":
        """Returns the codec of a network with some of the heads."""
        kept = set(heads)
        return TextCodec(
            self.words,
            {name: head for name, head in self.heads.items() if name in kept},
            {name: names for name, names in self.classes.items() if name in kept},
        )

    def encode(self, text: str) -> dict[str, np.ndarray]:
        """Returns the input "text" int32 (1, T) of a model for one text."""
        return {"text": self.words.encode([text])[0]}

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """Returns for each row what each head predicts.

        A number is itself; of classes each comes by name with its probability, the most probable first.

        Args:
            outputs: Numbers or probabilities of the second class (n,) or (n, 1), probabilities (n, classes).
        """
        columns = {}
        for name in [name for name in self.heads if name in outputs]:
            values = np.reshape(outputs[name], (len(outputs[name]), -1)).astype(float)
            if self.heads[name].kind == "binary":
                values = np.concatenate([1 - values, values], 1)
            columns[name] = [self._decode_row(name, row) for row in values]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _decode_row(self, name: str, row: np.ndarray) -> float | dict[str, float]:
        if self.heads[name].kind == "regression":
            return float(row[0])
        return {self.classes[name][i]: float(row[i]) for i in np.argsort(-row, kind="stable")}

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of each output."""
        return {name: head.num_classes or 1 for name, head in self.heads.items()}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        heads = {name: asdict(head) for name, head in self.heads.items()}
        return {"heads": heads, "classes": self.classes} | self.words.to_json()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TextCodec":
        """Returns the codec that `to_json` described."""
        heads = {name: Head(**head) for name, head in content["heads"].items()}
        classes = {name: tuple(names) for name, names in content["classes"].items()}
        return cls(WordIds.from_json(content), heads, classes)

    def split(self, part: Labelled) -> Split:
        """Returns rows: input "text", a target for each head, and weights as `label_weights` has them."""
        ids, lengths = self.words.encode(part.texts)
        targets, weights = {}, {}
        for name, head in self.heads.items():
            if head.kind == "regression":
                values = part.labels[name].astype(np.float32)
            else:
                numbers = {label: i for i, label in enumerate(self.classes[name])}
                values = np.array([numbers.get(label, np.nan) for label in part.labels[name]], np.float32)
            known = np.isfinite(values)
            values = np.where(known, values, 0)
            targets[name] = values.astype(np.int32 if head.has_classes else np.float32)
            weights[name] = label_weights(known)
        return Split({"text": ids}, targets, lengths={"text": lengths}, weights=weights)


@dataclass(frozen=True, kw_only=True)
class ProfileSplits(Splits):
    """Splits with the codec, the rows behind them, and the best possible estimates where these are known.

    Args:
        codec: From texts and labels to numbers.
        rows: Texts and labels of each set.
        reference: For each head the best estimates for the test set, for simulated data.
    """

    codec: TextCodec
    rows: dict[str, Labelled]
    reference: dict[str, np.ndarray] | None

    def only(self, heads: Iterable[str]) -> "ProfileSplits":
        """Returns the splits with some of the heads."""
        codec = self.codec.only(heads)
        sets = {}
        for name in SETS:
            split = getattr(self, name)
            kept = [{head: arrays[head] for head in codec.heads} for arrays in (split.targets, split.weights)]
            sets[name] = replace(split, targets=kept[0], weights=kept[1])
        return replace(self, **sets, sizes=codec.sizes, codec=codec)

    def as_seen_by(self, codec: TextCodec, *, limit: int | None = None) -> "ProfileSplits":
        """Returns the splits encoded by the codec of a trained network, with at most `limit` test rows."""
        rows = self.rows | {"test": self.rows["test"].take(np.arange(len(self.test))[:limit])}
        splits = {name: codec.split(rows[name]) for name in SETS}
        reference = None if self.reference is None else {k: v[:limit] for k, v in self.reference.items()}
        return replace(self, **splits, sizes=codec.sizes, codec=codec, rows=rows, reference=reference)


def load_profiles(
    data: str = "posts",
    *,
    text: str = "text",
    labels: Sequence[str] = (),
    author: str | None = None,
    vocab_size: int = 50_000,
    length: int = 500,
    tokens: GivenTokens = "auto",
    missing: float = 0.0,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
) -> ProfileSplits:
    """Loads texts with labels about their authors.

    Input of the model: "text" int32 (B, T). Targets: by the name of the label, float32 or int32 (B,).

    Args:
        data: "posts" (simulated), "adult" (census rows as words), or a CSV, JSON or Parquet file.
        text: Column of a file with the text.
        labels: Columns of a file with the labels, each with its kind unless it should be guessed: "age=regression",
            "income=classes", "gender=binary" or "decade=ordinal".
        author: Column of a file with the author: no author is then in two sets.
        vocab_size: Maximum number of token ids; the most frequent words get one.
        length: Maximum number of tokens in a text.
        tokens: How texts are cut, see `kerasapps.data.words.settle_tokens`.
        missing: Share of the labels that are removed from the training and validation set, independently.
        validation: Share of the authors for the validation set.
        test: Share of the authors for the test set.
        seed: Seed of simulation, split and removed labels.
        limit: Maximum number of rows in each set.

    Raises:
        DataError: If the data cannot be found or read, or is too little to split.
        ValueError: If `missing` is outside [0, 1).
    """
    if not 0 <= missing < 1:
        raise ValueError(f"`missing` must be in [0, 1). Received: missing={missing}")
    people = None
    if data == "posts":
        people = simulate_people(PEOPLE if limit is None else min(PEOPLE, 4 * limit), seed=seed)
        labelled = _as_labelled(people)
    elif data == "adult":
        labelled = read_adult()
    else:
        labelled = read_table(data, text=text, labels=labels, author=author)
    if len(np.unique(labelled.groups)) < 3:
        raise DataError(f"{data} has rows of fewer than 3 authors: one each is needed to train, validate and test.")
    rest, tested = split_groups(labelled.groups, share=test, seed=seed + 1)
    train, held_out = split_groups(labelled.groups[rest], share=validation / (1 - test), seed=seed)
    numbers = {"train": rest[train], "validation": rest[held_out], "test": tested}
    numbers = {name: rows[:limit] for name, rows in numbers.items()}
    rows = {name: labelled.take(numbers[name]) for name in SETS}
    if missing:
        rng = np.random.default_rng([seed, 7])
        rows |= {name: _without(rows[name], missing, rng) for name in ("train", "validation")}
    tokens, said = settle_tokens(tokens, rows["train"].texts)
    codec = fit_codec(rows["train"], vocab_size=vocab_size, length=length, tokens=tokens)
    splits = {name: codec.split(rows[name]) for name in SETS}
    reference = None if people is None else bayes_estimates(people.take(numbers["test"]))
    if reference:
        # The network has no class for an income that is not in the training set: such an estimate counts as wrong.
        known = {name: number for number, name in enumerate(codec.classes["income"])}
        reference["income"] = np.array([known.get(income_name(group), -1) for group in reference["income"]])
    notes = labelled.notes + said + _unseen(codec, rows)
    return ProfileSplits(**splits, sizes=codec.sizes, codec=codec, rows=rows, reference=reference, notes=notes)


def fit_codec(train: Labelled, *, vocab_size: int, length: int, tokens: Tokens = "words") -> TextCodec:
    """Collects the words, the classes and the scales of the labels.

    Raises:
        DataError: If a label has only one value, or none.
    """
    words = fit_words(train.texts, size=vocab_size, length=length, tokens=tokens)
    if not words.words:
        raise DataError("The texts of the training set hold no word.")
    heads, classes = {}, {}
    for name, kind in train.kinds.items():
        values = train.labels[name]
        known = values[~_is_missing(values)]
        distinct = sorted(set(known.tolist()), key=_order)
        if len(distinct) < 2:
            raise DataError(f"The label {name} has {len(distinct)} value in the training set; at least 2 are needed.")
        if kind == "regression":
            heads[name] = Head("regression", mean=float(known.mean()), scale=float(known.std()))
            continue
        if kind == "binary" and len(distinct) > 2:
            raise DataError(f"The label {name} has {len(distinct)} values, which are too many for binary.")
        if kind == "ordinal" and any(_order(value)[0] for value in distinct):
            raise DataError(
                f"The label {name} is ordinal, but {distinct[-1]!r} is not a number: number the classes in their order."
            )
        heads[name] = Head(kind, num_classes=None if kind == "binary" else len(distinct))
        classes[name] = tuple(distinct)
    return TextCodec(words, heads, classes)


def income_name(group: int) -> str:
    """Returns the name of a simulated income group."""
    return f"group {group}"


def _as_labelled(people: People) -> Labelled:
    labels = {
        "age": people.age.astype(np.float64),
        "income": np.array([income_name(group) for group in people.income], object),
        "gender": np.array([("a", "b")[gender] for gender in people.gender], object),
    }
    kinds = {"age": "regression", "income": "classes", "gender": "binary"}
    rows = np.arange(len(people.texts))
    return Labelled(people.texts, labels, kinds, rows, (), rows)


def _order(value: str | float) -> tuple[bool, float, str]:
    """Sorts numbers by size, also if they are text, and then words alphabetically."""
    try:
        return False, float(value), str(value)
    except ValueError:
        return True, 0.0, value


def _is_missing(values: np.ndarray) -> np.ndarray:
    return np.array([value is None for value in values]) if values.dtype == object else ~np.isfinite(values)


def _without(part: Labelled, share: float, rng: np.random.Generator) -> Labelled:
    """Returns the rows with a share of each label removed."""
    labels = {}
    for name, values in part.labels.items():
        values = values.copy()
        values[rng.random(len(values)) < share] = None if values.dtype == object else np.nan
        labels[name] = values
    return replace(part, labels=labels)


def _unseen(codec: TextCodec, rows: dict[str, Labelled]) -> tuple[str, ...]:
    """Returns a sentence for each label with classes that the training set lacks; such labels are not counted."""
    notes = []
    for name, known in codec.classes.items():
        found = {label for part in ("validation", "test") for label in rows[part].labels[name]} - {None, *known}
        if found:
            notes.append(f"The training set has no {name} {', '.join(sorted(found)[:3])}: such labels are left out.")
    return tuple(notes)
