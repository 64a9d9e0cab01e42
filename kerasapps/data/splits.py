"""Training, validation and test set of a data set, and their batches as `tf.data`."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

Arrays = Mapping[str, np.ndarray]
# (inputs, targets, seed of two int32) -> (inputs, targets), as stateless graph code.
Augment = Callable[[dict, dict, tf.Tensor], tuple[dict, dict]]
# inputs -> inputs, as graph code.
Convert = Callable[[dict], dict]


@dataclass(frozen=True)
class Split:
    """Rows of a data set, keyed by the model's input and output names.

    For a model with one input, or inputs without names, `inputs` may be an array or a list of arrays, and so may
    `targets` and `weights`; batches and what `augment`, `read` and `prepare` are given then have that form.

    Args:
        inputs: One array for each input, all with n rows.
        targets: One array for each output, all with n rows.
        lengths: For padded inputs and targets, by name, how much of axis 1 each row uses, int (n,). Batches are made of
            rows of similar length and cut to their longest, so that no time is lost on padding.
        weights: How much each row counts for an output, float32 (n,), or each step of it, (n, T), for all outputs or
            for none; 0 where there is no label. Batches then are (inputs, targets, weights).
        augment: Changes a training batch; must be a pure function of its arguments, or resuming would not be exact.
        read: Turns stored inputs into those that `augment` takes, such as file names into images; for every batch.
        prepare: Turns inputs, augmented or not, into those that the model takes, such as a resize; for every batch.
        by_tokens: Whether the size of a batch counts steps of the longest padded array instead of rows, so that a batch
            of short rows has more of them: a multiple of 8, which several replicas can share; the last one has the
            rest.

    Raises:
        ValueError: If there are no targets, or arrays have different numbers of rows.

    Example:
        >>> Split(points, labels)  # points float32 (n, 2), labels int32 (n,)
        >>> Split({"text": texts}, {"genre": labels})
    """

    inputs: Arrays | np.ndarray | Sequence[np.ndarray]
    targets: Arrays | np.ndarray | Sequence[np.ndarray]
    lengths: Arrays = field(default_factory=dict)
    weights: Arrays | np.ndarray | Sequence[np.ndarray] = field(default_factory=dict)
    augment: Augment | None = None
    read: Convert | None = None
    prepare: Convert | None = None
    by_tokens: bool = False

    def __post_init__(self):
        for name in ("inputs", "targets"):
            if not _named(getattr(self, name)):
                raise ValueError(f"`{name}` must hold at least one array. Received: none")
        rows = {
            f"{name} {key}".strip(): len(array)
            for name in ("inputs", "targets", "lengths", "weights")
            for key, array in _named(getattr(self, name)).items()
        }
        if len(set(rows.values())) > 1:
            received = ", ".join(f"{name} with {count}" for name, count in rows.items())
            raise ValueError(f"`inputs` and `targets` must have the same number of rows. Received: {received}")

    def __len__(self) -> int:
        return len(next(iter(_named(self.targets).values())))

    def take(self, rows: np.ndarray) -> "Split":
        """Returns the split of these rows, in their order."""
        kept = [
            _like(arrays, {name: array[rows] for name, array in _named(arrays).items()})
            for arrays in (self.inputs, self.targets, self.lengths, self.weights)
        ]
        return replace(self, inputs=kept[0], targets=kept[1], lengths=kept[2], weights=kept[3])

    def digest(self) -> bytes:
        """Returns a digest of all rows."""
        state = hashlib.blake2b(digest_size=8)
        for arrays in (self.inputs, self.targets, self.lengths, self.weights):
            for name, array in _named(arrays).items():
                array = np.asarray(array)
                content = np.ascontiguousarray(array) if array.dtype != object else repr(array.tolist()).encode()
                state.update(name.encode())
                state.update(content)
        return state.digest()

    def batches(self, batch_size: int, *, replicas: int = 1) -> tf.data.Dataset:
        """Returns batches of (inputs, targets), or with weights, in the order of the rows, for one pass.

        Args:
            batch_size: Rows, or steps of the longest padded array, of a batch.
            replicas: By how many devices a batch is shared. Keras adds up their shares of the first batch, to see what
                is in it, so that these must be equal; all but the last batch have such a size.
        """
        if self.by_tokens:
            batch_size = max(1, batch_size // int(self._longest.max(initial=1)))
        if replicas > 1:
            batch_size = max(replicas, min(batch_size, len(self)) // replicas * replicas)
        starts = tf.data.Dataset.range(0, len(self), batch_size)
        gather = self._gather()

        def batch(start):
            inputs, *labels = gather(tf.range(start, tf.minimum(start + batch_size, len(self))))
            return self._prepared(inputs), *labels

        return starts.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def steps(self, batch_size: int, *, drop_remainder: bool = False) -> int:
        """Returns the number of training batches in an epoch."""
        return len(self._plan(batch_size, drop_remainder)[1])

    def epochs(
        self, batch_size: int, *, seed: int, first: int, last: int, skip: int = 0, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Returns the shuffled and augmented batches of the epochs from `first` up to, but not including, `last`.

        The first `skip` batches of epoch `first` are left out.

        The batches of epoch e depend on (seed, e) alone, so a run that resumes at epoch e sees the same batches as one
        that was not interrupted. `Dataset.shuffle` cannot do that, as its counter starts over.
        """
        rows, starts, sizes = self._plan(batch_size, drop_remainder)
        gather = self._gather()

        def epoch_batches(epoch):
            epoch_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
            shuffled = [
                tf.random.experimental.stateless_shuffle(bucket, seed=tf.random.fold_in(epoch_seed, i))
                for i, bucket in enumerate(rows)
            ]
            if self.by_tokens:
                shuffled = [_nearly_sorted(self._keys, epoch_seed)]
            order = tf.random.experimental.stateless_shuffle(
                tf.range(len(starts)), seed=tf.random.fold_in(epoch_seed, len(rows))
            )
            picked = tf.data.Dataset.from_tensor_slices((tf.gather(starts, order), tf.gather(sizes, order), order))
            shuffled = tf.concat(shuffled, 0)  # (n,)

            def batch(start, size, number):
                inputs, targets, *weights = gather(shuffled[start : start + size])
                if self.augment is not None:
                    batch_seed = tf.random.fold_in(epoch_seed, len(rows) + 1 + number)
                    inputs, targets = self.augment(inputs, targets, batch_seed)
                return self._prepared(inputs), targets, *weights

            left = picked.skip(tf.where(epoch == first, tf.constant(skip, tf.int64), 0))
            return left.map(batch, num_parallel_calls=tf.data.AUTOTUNE)

        return tf.data.Dataset.range(first, last).flat_map(epoch_batches).prefetch(tf.data.AUTOTUNE)

    def _plan(self, batch_size: int, drop_remainder: bool) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Returns the rows of each bucket, and start and size of each batch in their concatenation."""
        if self.by_tokens:
            return [np.arange(len(self))], *self._plan_by_tokens(batch_size, drop_remainder)
        rows = _buckets(self.lengths, len(self))
        # Without short batches, a batch may extend into the next bucket, or each would lose its remainder.
        sections = [len(self) // batch_size * batch_size] if drop_remainder else [len(bucket) for bucket in rows]
        ranges, offset = [], 0
        for section in sections:
            ranges += [(offset + i, min(batch_size, section - i)) for i in range(0, section, batch_size)]
            offset += section
        starts, sizes = np.array(ranges, np.int64).reshape(-1, 2).T
        return rows, starts, sizes

    def _plan_by_tokens(self, tokens: int, drop_remainder: bool) -> tuple[np.ndarray, np.ndarray]:
        """Returns start and size of each batch of rows in the order of their lengths."""
        longest = self._longest[np.argsort(self._keys, kind="stable")]
        starts, start = [0], 0
        while start < len(longest):
            # As many rows as fit with the longest of them, which is among the last, or eight: a batch of another size
            # cannot be shared, and would always be one of the longest rows.
            widths = np.maximum.accumulate(longest[start : start + tokens])
            count = int(np.sum(np.arange(1, len(widths) + 1) * widths <= tokens))
            start += max(8, count // 8 * 8)
            starts.append(min(start, len(longest)))
        starts, sizes = np.array(starts[:-1]), np.diff(starts)
        whole = sizes % 8 == 0 if drop_remainder else slice(None)
        return starts[whole], sizes[whole]

    @cached_property
    def _longest(self) -> np.ndarray:
        """How many steps each row has in its longest padded array, (n,)."""
        return np.max(np.stack(list(self.lengths.values())), 0)

    @cached_property
    def _keys(self) -> np.ndarray:
        """By what rows are sorted for batches by tokens: the longest array first, the others decide between equals."""
        rest = np.sum(np.stack(list(self.lengths.values())), 0)
        return (self._longest + rest / (rest.max(initial=0) + 1)).astype(np.float32)

    def _gather(self) -> Callable[[tf.Tensor], tuple[dict, ...]]:
        """Returns a function from row numbers to a batch as read, what is padded cut to the longest row."""
        *parts, lengths = self._tensors
        parts = parts if parts[2] else parts[:2]
        given = (self.inputs, self.targets, self.weights)

        def cut(name, array, rows):
            batch = tf.gather(array, rows)
            # The weights of a padded target may be one a row.
            padded = name in lengths and batch.shape.rank > 1
            return batch[:, : tf.reduce_max(tf.gather(lengths[name], rows))] if padded else batch

        def gather(rows):
            inputs, *labels = (
                _like(whole, {name: cut(name, array, rows) for name, array in part.items()})
                for whole, part in zip(given, parts, strict=False)
            )
            return inputs if self.read is None else self.read(inputs), *labels

        return gather

    @cached_property
    def _tensors(self) -> list[dict[str, tf.Tensor]]:
        """The arrays as tensors: one copy, or each data set would hold its own until Python frees it."""
        with tf.device("CPU:0"):  # where `tf.data` works
            return [
                {name: tf.constant(array) for name, array in _named(arrays).items()}
                for arrays in (self.inputs, self.targets, self.weights, self.lengths)
            ]

    def _prepared(self, inputs: dict) -> dict:
        return inputs if self.prepare is None else self.prepare(inputs)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test set, and what goes with them.

    Args:
        train: The training set.
        validation: The validation set; without one, `fit` has to monitor "loss".
        test: The test set, where there is one.
        sizes: Arguments of the builder that the data fix: `vocab_size`, `image_shape` and the like.
        codec: What a model file does not hold, where the data have it; see `experiments.shared.runs.Codec`.
        notes: What to know about the data, a sentence each.

    Example:
        >>> train = Split({"image": digits}, {"label": labels})  # digits float32 (n, 28, 28, 1), labels int32 (n,)
        >>> splits = Splits(train, validation=train, sizes={"num_classes": 4})
    """

    train: Split
    validation: Split | None = None
    test: Split | None = None
    sizes: dict[str, int | tuple[int, ...]] = field(default_factory=dict)
    codec: Any = field(default=None, kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)


def split_groups(groups: np.ndarray, *, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows in two so that rows of one group stay together.

    Args:
        groups: Group of each row, any dtype (n,).
        share: Share of the groups to hold out, in (0, 1); at least one group, and never all.
        seed: Seed of the choice.

    Returns:
        Row numbers of the rows that are kept and of those held out, each ascending.

    Raises:
        ValueError: If there are fewer than two groups.
    """
    names = np.unique(groups)
    if len(names) < 2:
        raise ValueError(f"`groups` must hold at least 2 groups to split them. Received: {len(names)}")
    count = min(max(1, round(share * len(names))), len(names) - 1)
    held_out = np.isin(groups, np.random.default_rng(seed).permutation(names)[:count])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def stratify(labels: np.ndarray, *, shares: Sequence[float], seed: int) -> list[np.ndarray]:
    """Splits rows so that every class is divided in the same proportions.

    Args:
        labels: Class of each row, any dtype (n,).
        shares: Share of the rows for each subset after the first, in (0, 1), together under 1. A class gives each
            subset at least one row; a class with too few rows serves the first subset, then the others in this order.
        seed: Seed of the choice.

    Returns:
        Row numbers of each subset, ascending: first what the shares leave, then one subset per share.

    Raises:
        ValueError: If a share is not above 0, or they leave nothing.
    """
    if min(shares) <= 0 or sum(shares) >= 1:
        raise ValueError(f"`shares` must be above 0 and together under 1. Received: shares={tuple(shares)}")
    names, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    left = counts.copy()
    numbers = []  # rows of each class for each subset
    for share in shares:
        exact = share * counts
        number = np.floor(exact).astype(int)
        # What rounding down leaves goes to the largest remainders, so that the subset as a whole has its share.
        number[np.argsort(number - exact, kind="stable")[: round(share * len(labels)) - number.sum()]] += 1
        number = np.minimum(np.maximum(number, 1), left - 1)
        left -= number
        numbers.append(number)
    rng = np.random.default_rng(seed)
    parts = [[] for _ in (left, *numbers)]
    for i in range(len(names)):
        rows = rng.permutation(np.flatnonzero(classes == i))
        cuts = np.cumsum([left[i], *(number[i] for number in numbers)])[:-1]
        for part, taken in zip(parts, np.split(rows, cuts), strict=True):
            part.append(taken)
    return [np.sort(np.concatenate(part)) for part in parts]


def _named(arrays) -> Arrays:
    """Returns arrays by name, those without by their position."""
    if isinstance(arrays, Mapping):
        return arrays
    return {str(i): array for i, array in enumerate(arrays)} if _are_several(arrays) else {"": np.asarray(arrays)}


def _are_several(arrays) -> bool:
    """Returns whether these are arrays in a list, not the numbers of one array."""
    return isinstance(arrays, list | tuple) and all(map(np.ndim, arrays))


def _like(arrays, values: dict):
    """Returns values by name in the form of the arrays that they come from."""
    if isinstance(arrays, Mapping):
        return values
    return tuple(values.values()) if _are_several(arrays) else values[""]


def _nearly_sorted(keys: np.ndarray, seed) -> tf.Tensor:
    """Returns the row numbers in the order of their lengths, rows of similar length in another order for each seed."""
    noise = tf.random.stateless_uniform((len(keys),), tf.random.fold_in(seed, 0))
    return tf.cast(tf.argsort(keys + 1.5 * noise, stable=True), tf.int64)


def _buckets(lengths: Arrays, count: int) -> list[np.ndarray]:
    """Puts rows together whose longest padded array falls between the same powers of two."""
    if not lengths:
        return [np.arange(count)]
    longest = np.max(np.stack(list(lengths.values())), 0)
    level = np.ceil(np.log2(np.maximum(longest, 4))).astype(int)
    return [np.flatnonzero(level == value) for value in np.unique(level)]
