"""Rows of a table as splits: numbers and categories, from which a class or a number is to be predicted.

The Adult census, the simulated authors of posts by the words that they use, or your own table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kerasapps.data.labelled_texts import ADULT_NUMBERS, find_adult, read_label
from kerasapps.data.numbers import parse_numbers
from kerasapps.data.posts import PHRASES, TOPICS, simulate_people
from kerasapps.data.splits import Split, Splits, split_groups, stratify
from kerasapps.data.tables import as_floats, open_table, read_names, some, summary
from kerasapps.errors import DataError
from kerasapps.heads import Kind

NAMES = ("adult", "posts")
TARGETS = {"adult": "income", "posts": "age"}
PEOPLE = 6_000
MOST_CATEGORIES = 100  # of a column; one with more names something
UNKNOWN = ""


@dataclass(frozen=True)
class Rows:
    """Rows as they are stored.

    Args:
        numbers: float64 (n,) a column, NaN where unknown.
        categories: Text (n,) a column, empty where unknown.
        truth: What is to be predicted: text, or float64 for a number, (n,).
        groups: Group of each row, int (n,), which are never split; each row by itself where there are none.
        notes: What to know about the data, a sentence each.
    """

    numbers: dict[str, np.ndarray]
    categories: dict[str, np.ndarray]
    truth: np.ndarray
    groups: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowCodec:
    """Turns rows into features, and outputs into what a person reads; fitted to a training set.

    Args:
        numbers: Mean and standard deviation of each column of numbers.
        categories: Values of each column of categories; of any other, all its features are 0.
        target: Name of what is predicted.
        class_names: Class by number; empty where it is a number.
    """

    numbers: dict[str, tuple[float, float]]
    categories: dict[str, tuple[str, ...]]
    target: str
    class_names: tuple[str, ...]

    @property
    def width(self) -> int:
        """Features of a row."""
        return len(self.numbers) + sum(map(len, self.categories.values()))

    def encode(self, columns: Mapping[str, Sequence[str | float]]) -> dict[str, np.ndarray]:
        """Returns the input "features" float32 (n, width): standardized numbers, then 0 or 1 for each category.

        A number that is missing counts as the mean; so does a column that is not given at all.
        """
        count = len(next(iter(columns.values()), ()))
        parts = []
        for name, (mean, scale) in self.numbers.items():
            values = np.asarray(columns.get(name, np.full(count, np.nan)), np.float64)
            parts.append(np.nan_to_num((values - mean) / scale)[:, None])
        for name, known in self.categories.items():
            values = np.asarray(columns.get(name, [UNKNOWN] * count), object)
            parts.append(values[:, None] == np.array(known, object)[None])
        return {"features": np.concatenate([np.zeros((count, 0)), *parts], 1).astype(np.float32)}

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
        """Returns for each row its classes with their probabilities, the most probable first; or its number by name."""
        if not self.class_names:
            return [{self.target: float(value)} for value in outputs["number"][:, 0]]
        order = np.argsort(-outputs["label"], axis=-1, kind="stable")
        rows = zip(order, outputs["label"], strict=True)
        return [{self.class_names[i]: float(row[i]) for i in ranks} for ranks, row in rows]

    def targets(self, truth: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the output of a model that is right: "label" int32 (n,) or "number" float32 (n, 1)."""
        if not self.class_names:
            return {"number": truth.astype(np.float32)[:, None]}
        numbers = {name: i for i, name in enumerate(self.class_names)}
        return {"label": np.array([numbers[name] for name in truth], np.int32)}

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of the output."""
        return {"label": len(self.class_names)} if self.class_names else {"number": 1}

    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of the input."""
        return {"features": (self.width,)}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RowCodec":
        """Returns the codec that `to_json` described."""
        numbers = {name: (float(mean), float(scale)) for name, (mean, scale) in content["numbers"].items()}
        categories = {name: tuple(values) for name, values in content["categories"].items()}
        return cls(numbers, categories, content["target"], tuple(content["class_names"]))


@dataclass(frozen=True, kw_only=True)
class RowSplits(Splits):
    """Splits without a validation set; `groups` are those of the training rows, int (n,)."""

    codec: RowCodec
    groups: np.ndarray


def load_rows(
    data: str = "adult",
    *,
    target: str | None = None,
    group: str | None = None,
    test: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
) -> RowSplits:
    """Loads rows with what is to be predicted from them.

    Input of the model: "features" float32 (B, F). Target: "label" int32 (B,), or "number" float32 (B, 1).

    Args:
        data: "adult", "posts" (simulated), or a CSV, JSON or Parquet file.
        target: Column to be predicted, "income=classes" or "income=regression" where its kind cannot be guessed; by
            default the income of "adult" and the age of "posts".
        group: Column of a file with the group of each row: no group is in two sets. Equal rows always are one group.
        test: Share of the rows for the test set.
        seed: Seed of simulation and split.
        limit: Maximum number of rows in each set.

    Raises:
        DataError: If the data cannot be found or read, or are too little to split.
    """
    if data == "posts" and group is not None:
        raise DataError(f"--group names a column of a file, and posts are simulated. Received: {group}")
    rows = _posts(target or TARGETS["posts"], seed) if data == "posts" else _table(data, target=target, group=group)
    if len(np.unique(rows.groups)) < 3:
        raise DataError(f"{data} has fewer than 3 different rows or groups: that is too few to train and test.")
    parts = _parts(rows, test=test, seed=seed)
    train, tested = (numbers[:limit] for numbers in parts)
    codec = _fit_codec(rows, train, target=(target or TARGETS.get(data, "")).partition("=")[0])
    columns = rows.numbers | rows.categories
    known = np.isin(rows.truth[tested], codec.class_names) if codec.class_names else np.ones(len(tested), bool)
    notes = rows.notes
    if not known.all():
        notes += (f"{(~known).sum():,} test rows are of a class that the training set has not: they are left out.",)
    splits = {
        name: Split(
            codec.encode({column: values[numbers] for column, values in columns.items()}),
            codec.targets(rows.truth[numbers]),
        )
        for name, numbers in (("train", train), ("test", tested[known]))
    }
    sizes = {"features": codec.width} | ({"num_classes": len(codec.class_names)} if codec.class_names else {})
    return RowSplits(**splits, sizes=sizes, codec=codec, groups=rows.groups[train], notes=notes)


def _parts(rows: Rows, *, test: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of the training and of the test set, in random order: by class where no groups must be kept."""
    if rows.truth.dtype == object and len(np.unique(rows.groups)) == len(rows.groups):
        parts = stratify(rows.truth, shares=[test], seed=seed)
    else:
        parts = split_groups(rows.groups, share=test, seed=seed)
    rng = np.random.default_rng([seed, 11])
    return tuple(rng.permutation(part) for part in parts)


def _fit_codec(rows: Rows, train: np.ndarray, *, target: str) -> RowCodec:
    """Collects scales, categories and classes of the training set.

    Raises:
        DataError: If it has one class alone, or one number.
    """
    numbers = {}
    for name, values in rows.numbers.items():
        known = values[train][np.isfinite(values[train])]
        scale = float(known.std()) if len(known) else 0.0
        numbers[name] = (float(known.mean()) if len(known) else 0.0, scale or 1.0)
    categories = {name: _distinct(values[train]) for name, values in rows.categories.items()}
    classes = _distinct(rows.truth[train]) if rows.truth.dtype == object else ()
    if len(np.unique(rows.truth[train])) < 2:
        raise DataError(f"{target} has one value alone in the training set; at least 2 are needed.")
    return RowCodec(numbers, categories, target, classes)


def _distinct(values: np.ndarray) -> tuple[str, ...]:
    return tuple(sorted({*values.tolist()} - {UNKNOWN}))


def _posts(target: str, seed: int) -> Rows:
    """Simulates people, each described by how often each of their words is in their posts."""
    people = simulate_people(PEOPLE, seed=seed)
    words = [word for topic in TOPICS.values() for word in topic.split()] + PHRASES.split()
    counts = np.concatenate([people.topic_words.sum(1), people.phrases], 1)  # (n, words)
    numbers = {word: np.log1p(counts[:, i].astype(np.float64)) for i, word in enumerate(words)}
    truths = {
        "age": people.age.astype(np.float64),
        "income": np.array([f"group {one}" for one in people.income], object),
        "gender": np.array([("a", "b")[one] for one in people.gender], object),
    }
    if target not in truths:
        raise DataError(f"--target must be one of {', '.join(truths)} for posts. Received: {target}")
    return Rows(numbers, {}, truths[target], np.arange(PEOPLE))


def _table(data: str, *, target: str | None, group: str | None) -> Rows:
    """Reads a table whose columns are numbers where all that they hold is, and categories otherwise."""
    named = data in NAMES
    table = open_table(str(find_adult()) if named else data, embedded=", ".join(NAMES))
    target = target or TARGETS.get(data)
    if not target:
        raise DataError(f"--target must name the column of {table.path} to be predicted: {some(table.names)}.")
    target, _, kind = target.partition("=")
    if kind not in ("", "classes", "regression"):
        raise DataError(f"--target {target}={kind}: the kind must be classes or regression.")
    if target == group:
        raise DataError(f"--group and --target are the same column: {target}.")
    columns = table.columns([*dict.fromkeys([*table.names, target, *filter(None, [group])])])
    kept = read_names(columns[target]).values.is_not_null()
    there = np.flatnonzero(kept.to_numpy())
    columns = {name: column.filter(kept) for name, column in columns.items()}
    given: Kind | None = kind or ("regression" if named and target == "age" else None)
    try:
        found, truth, said = read_label(columns.pop(target), given, table=table, rows=there)
    except DataError as error:  # it names the option of the texts
        raise DataError(str(error).replace("--labels", "--target")) from None
    truth = truth.astype(np.float64 if found == "regression" else object)
    groups = read_names(columns.pop(group)).values.to_list() if group else None
    numbers, categories, dropped = {}, {}, []
    for name, column in columns.items():
        read = parse_numbers(column, commas_are_decimal=table.european)
        names = read_names(column).values.fill_null(UNKNOWN)
        if name in ADULT_NUMBERS or read.are_all:
            numbers[name] = as_floats(read)
        elif names.n_unique() <= MOST_CATEGORIES:
            categories[name] = names.to_numpy().astype(object)
        else:
            dropped.append(name)
    if not numbers and not categories:
        raise DataError(f"{table.path} has no column of numbers or categories to predict {target} from.")
    notes = [*table.notes, summary(len(kept), dropped=len(kept) - len(there), lack=target, said={target: said})]
    if dropped:
        notes.append(f"Left out, as they have over {MOST_CATEGORIES} different values: {some(dropped)}.")
    return Rows(numbers, categories, truth, _groups(numbers | categories, groups), tuple(notes))


def _groups(columns: Mapping[str, np.ndarray], given: Sequence[str | None] | None) -> np.ndarray:
    """Returns the group of each row: rows of one given group are together, and so are equal ones, and rows of both."""
    names = list(map(repr, zip(*(values.tolist() for values in columns.values()), strict=True)))
    equal = np.unique(names, return_inverse=True)[1]
    if given is None:
        return equal
    names = [f"row {i}" if name is None else f"group {name}" for i, name in enumerate(given)]
    named = np.unique(names, return_inverse=True)[1]
    # Rows join a group of equal ones and a named group: what hangs together is one group.
    count = equal.max() + 1
    edges = coo_array((np.ones(len(equal)), (equal, named + count)), shape=(count + named.max() + 1,) * 2)
    return connected_components(edges, directed=False)[1][equal]
