"""Points of two classes: who was accepted, from test, grades and class rank (simulated), or your own table.

The rule of the simulation: each number is drawn evenly from 0 to 10, and who has enough of their weighted sum is
accepted. Nobody is closer to that line, or plane, than a margin, so that a neuron can be right on all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasapps.data.numbers import parse_numbers
from kerasapps.data.rows import RowCodec
from kerasapps.data.splits import Split, Splits, stratify
from kerasapps.data.tables import as_floats, open_table, read_names, read_numbers, some, summary
from kerasapps.errors import DataError

ADMISSIONS = "admissions"
RULE = {"test": 3.0, "grades": 2.0, "rank": 2.0}  # how much each number counts
CLASSES = ("rejected", "accepted")
ROWS, MARGIN = 200, 0.3
FEWEST = 5  # different rows of a class
SHARES = (0.2, 0.2)  # validation and test set
DIMENSIONS = (2, 3)


@dataclass(frozen=True)
class Points:
    """Points as they are stored: numbers float64 (n, F) of columns by name, and which are of the second class."""

    names: tuple[str, ...]
    numbers: np.ndarray
    labels: np.ndarray
    target: str
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


class PointCodec(RowCodec):
    """Turns points into features, and the probability of the second class into what a person reads."""

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
        """Returns for each point both classes with their probabilities, the more probable first."""
        return super().decode({"label": both(outputs["label"])})

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of the output."""
        return {"label": 1}


def both(probability: np.ndarray) -> np.ndarray:
    """Returns the probabilities of both classes (n, 2), from that of the second (n, 1)."""
    return np.concatenate([1 - probability, probability], 1)


def load_points(
    data: str = ADMISSIONS,
    *,
    numbers: Sequence[str] = (),
    target: str | None = None,
    overlap: float = 0.0,
    seed: int = 0,
    limit: int | None = None,
) -> Splits:
    """Loads points of two classes.

    Input of the model: "features" float32 (B, F), standardized, F 2 or 3. Target: "label" float32 (B, 1), 1 for the
    second class.

    Args:
        data: "admissions" (simulated), or a CSV, JSON or Parquet file.
        numbers: Two or three columns of numbers: of test, grades and rank, by default the first two; of a file by
            default all that hold numbers.
        target: Column of a file that holds the class.
        overlap: Share of the simulated applicants whose class is drawn at random.
        seed: Seed of simulation and split.
        limit: Maximum number of points in each set.

    Raises:
        DataError: If the data cannot be found or read, have not two classes, or not two or three columns of numbers.
    """
    if data == ADMISSIONS:
        points = simulate_admissions(numbers or tuple(RULE)[:2], overlap=overlap, seed=seed)
    else:
        points = _table(data, numbers=numbers, target=target)
    rng = np.random.default_rng([seed, 3])
    parts = [rng.permutation(part)[:limit] for part in _split(points, seed=seed)]
    known = points.numbers[parts[0]]
    # A column that is the same everywhere says nothing, and must not be divided by 0.
    scales = zip(known.mean(0).tolist(), (known.std(0)).tolist(), strict=True)
    scales = [(mean, scale or 1.0) for mean, scale in scales]
    codec = PointCodec(dict(zip(points.names, scales, strict=True)), {}, points.target, points.class_names)
    splits = [
        Split(
            codec.encode(dict(zip(points.names, points.numbers[part].T, strict=True))),
            {"label": points.labels[part].astype(np.float32)[:, None]},
        )
        for part in parts
    ]
    return Splits(*splits, sizes={"features": codec.width, "num_classes": 2}, codec=codec, notes=points.notes)


def simulate_admissions(names: Sequence[str], *, overlap: float = 0.0, seed: int = 0, rows: int = ROWS) -> Points:
    """Draws applicants and who of them is accepted.

    Raises:
        DataError: If a number is none of those that there are, or they are not two or three.
    """
    unknown = [name for name in names if name not in RULE]
    if unknown or len(set(names)) != len(names) or len(names) not in DIMENSIONS:
        raise DataError(f"--numbers takes two or all of {', '.join(RULE)}, each once. Received: {some(names)}")
    rng = np.random.default_rng([seed, 1])
    numbers = np.round(rng.uniform(0, 10, (20 * rows, len(names))), 1)
    numbers = numbers[np.sort(np.unique(numbers, axis=0, return_index=True)[1])]  # no two of them alike
    weights = np.array([RULE[name] for name in names])
    distance = (numbers - 5) @ weights / np.linalg.norm(weights)
    numbers, distance = (values[np.abs(distance) >= MARGIN][:rows] for values in (numbers, distance))
    chance = rng.uniform(size=rows) < overlap
    labels = np.where(chance, rng.integers(0, 2, rows), distance > 0)
    return Points(tuple(names), numbers, labels, "decision", CLASSES)


def _table(data: str, *, numbers: Sequence[str], target: str | None) -> Points:
    """Reads a table; rows without a class or one of the numbers are left out."""
    table = open_table(data, embedded=ADMISSIONS)
    if not target:
        raise DataError(f"--target must name the column of {table.path} that holds the class: {some(table.names)}.")
    if target in numbers:
        raise DataError(f"--numbers and --target are the same column: {target}.")
    names = read_names(table.columns([target])[target])
    classes = sorted(names.values.drop_nulls().unique().to_list())
    if len(classes) != 2:
        raise DataError(
            f"{table.path}: a neuron tells two classes apart, and {target} holds {len(classes)}: {some(classes)}."
        )
    columns = table.columns(numbers or [name for name in table.names if name != target])
    if not numbers:
        read = {name: parse_numbers(column, commas_are_decimal=table.european) for name, column in columns.items()}
        columns = {name: column for name, column in columns.items() if read[name].are_all}
    if len(columns) not in DIMENSIONS:
        raise DataError(f"--numbers must name two or three columns of numbers of {table.path}: {some(columns)}.")
    everywhere = np.arange(len(names.values))
    read = {name: as_floats(read_numbers(column, table=table, rows=everywhere)) for name, column in columns.items()}
    stacked = np.stack(list(read.values()), 1)  # (n, F)
    there = np.isfinite(stacked).all(1) & names.values.is_not_null().to_numpy()
    labels = np.array([name == classes[1] for name in names.values.to_list()])[there].astype(int)
    counts = [len(np.unique(stacked[there][labels == i], axis=0)) for i in range(2)]
    if min(counts) < FEWEST:
        raise DataError(
            f"{table.path}: {target} {classes[np.argmin(counts)]} has {min(counts)} different complete rows; at least "
            f"{FEWEST} are needed."
        )
    lack = f"{target}, {' or '.join(columns)}"
    said = {target: f"0 is {classes[0]}, 1 is {classes[1]}"}
    note = summary(len(there), dropped=int((~there).sum()), lack=lack, said=said)
    return Points(tuple(columns), stacked[there], labels, target, tuple(classes), (*table.notes, note))


def _split(points: Points, *, seed: int) -> list[np.ndarray]:
    """Returns the rows of each set, by class; rows with the same numbers are one point, which is in one set."""
    order: dict[tuple, int] = {}  # of the points, by their numbers
    places = np.array([order.setdefault(tuple(row), len(order)) for row in points.numbers.tolist()])
    share = np.bincount(places, points.labels) / np.bincount(places)
    # 0 and 2: all rows of the point are of one class; 1: it is there in both.
    parts = stratify(np.floor(share) + np.ceil(share), shares=SHARES, seed=seed)
    return [np.flatnonzero(np.isin(places, part)) for part in parts]
