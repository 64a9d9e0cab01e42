"""Texts with labels about their authors, as splits: simulated posts, census rows, or your own table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kerasapps.data.labelled_texts import Labelled, read_adult, read_table
from kerasapps.data.posts import People, bayes_estimates, simulate_people
from kerasapps.data.splits import Split, Splits, split_groups
from kerasapps.data.words import WordIds, fit_words
from kerasapps.errors import DataError
from kerasapps.heads import Head, label_weights

PEOPLE = 160_000
PARTS = ("train", "validation", "test")


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


@dataclass(frozen=True)
class ProfileSplits(Splits):
    """Splits with the codec, the rows behind them, and the best possible estimates where these are known.

    Args:
        codec: From texts and labels to numbers.
        rows: Texts and labels of each set.
        reference: For each head the best estimates for the test set, for simulated data.
        notes: What to know about the data, a sentence each.
    """

    codec: TextCodec
    rows: dict[str, Labelled]
    reference: dict[str, np.ndarray] | None
    notes: tuple[str, ...]

    def only(self, heads: Iterable[str]) -> "ProfileSplits":
        """Returns the splits with some of the targets."""
        heads = list(heads)
        parts = {}
        for part in PARTS:
            split = getattr(self, part)
            kept = [{name: arrays[name] for name in heads} for arrays in (split.targets, split.weights)]
            parts[part] = replace(split, targets=kept[0], weights=kept[1])
        return replace(self, **parts)

    def as_seen_by(self, codec: TextCodec, *, limit: int | None = None) -> "ProfileSplits":
        """Returns the splits encoded by the codec of a trained network, with at most `limit` test rows."""
        rows = self.rows | {"test": self.rows["test"].take(np.arange(len(self.test))[:limit])}
        parts = {part: codec.split(rows[part]) for part in PARTS}
        reference = None if self.reference is None else {k: v[:limit] for k, v in self.reference.items()}
        return replace(self, **parts, sizes=codec.sizes, codec=codec, rows=rows, reference=reference)


def load_profiles(
    data: str = "posts",
    *,
    text: str = "text",
    labels: Sequence[str] = (),
    author: str | None = None,
    vocab_size: int = 50_000,
    length: int = 500,
    missing: float = 0.0,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
) -> ProfileSplits:
    """Loads texts with labels about their authors.

    Input of the model: "text" int32 (B, T). Targets: by the name of the label, float32 or int32 (B,).

    Args:
        data: "posts" (simulated), "adult" (census rows as words), or a CSV, JSON-lines or Parquet file.
        text: Column of a file with the text.
        labels: Columns of a file with the labels, each with its kind unless it should be guessed: "age=regression",
            "income=classes", "gender=binary" or "decade=ordinal".
        author: Column of a file with the author: no author is then in two sets.
        vocab_size: Maximum number of token ids; the most frequent words get one.
        length: Maximum number of tokens in a text.
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
    numbers = {part: rows[:limit] for part, rows in numbers.items()}
    rows = {part: labelled.take(numbers[part]) for part in PARTS}
    if missing:
        rng = np.random.default_rng([seed, 7])
        rows |= {part: _without(rows[part], missing, rng) for part in ("train", "validation")}
    codec = fit_codec(rows["train"], vocab_size=vocab_size, length=length)
    splits = {part: codec.split(rows[part]) for part in PARTS}
    reference = None if people is None else bayes_estimates(people.take(numbers["test"]))
    if reference:
        # The network has no class for an income that is not in the training set: such an estimate counts as wrong.
        known = {name: number for number, name in enumerate(codec.classes["income"])}
        reference["income"] = np.array([known.get(income_name(group), -1) for group in reference["income"]])
    notes = labelled.notes + _unseen(codec, rows)
    return ProfileSplits(**splits, sizes=codec.sizes, codec=codec, rows=rows, reference=reference, notes=notes)


def fit_codec(train: Labelled, *, vocab_size: int, length: int) -> TextCodec:
    """Collects the words, the classes and the scales of the labels.

    Raises:
        DataError: If a label has only one value, or none.
    """
    words = fit_words(train.texts, size=vocab_size, length=length)
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
