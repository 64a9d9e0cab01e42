"""Training, validation and test part of a data set in memory, and their batches as `tf.data`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

Arrays = Mapping[str, np.ndarray]
# (inputs, targets, seed of two int32) -> (inputs, targets), in graph code and without state of its own.
Augment = Callable[[dict, dict, tf.Tensor], tuple[dict, dict]]


@dataclass(frozen=True)
class Split:
    """Rows of a data set, keyed by the model's input and output names.

    Args:
        inputs: One array for each input, all of n rows.
        targets: One array for each output, all of n rows.
        lengths: For padded inputs, how much of axis 1 each row uses, int (n,). Batches are made of rows of similar
            length and cut to their longest, so that no time is lost on padding.
        augment: Changes a training batch; a pure function of its arguments, or resuming would not be exact.
    """

    inputs: Arrays
    targets: Arrays
    lengths: Arrays = field(default_factory=dict)
    augment: Augment | None = None

    def __len__(self) -> int:
        return len(next(iter(self.targets.values())))

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """Returns batches of (inputs, targets) in the order of the rows, once."""
        starts = tf.data.Dataset.range(0, len(self), batch_size)
        gather = self._gather()
        return starts.map(
            lambda start: gather(tf.range(start, tf.minimum(start + batch_size, len(self)))),
            num_parallel_calls=tf.data.AUTOTUNE,
        ).prefetch(tf.data.AUTOTUNE)

    def steps(self, batch_size: int, *, drop_remainder: bool = False) -> int:
        """Returns the number of training batches in an epoch."""
        return len(self._plan(batch_size, drop_remainder)[1])

    def epochs(
        self, batch_size: int, *, seed: int, first: int, last: int, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Returns the shuffled and augmented batches of the epochs from `first` up to but without `last`.

        What epoch e looks like is a function of (seed, e) alone. A training that starts again at epoch e therefore
        sees what it would have seen; `Dataset.shuffle` cannot do that, its counter starts over.
        """
        rows, starts, sizes = self._plan(batch_size, drop_remainder)
        gather = self._gather()

        def epoch_batches(epoch):
            epoch_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
            shuffled = [
                tf.random.experimental.stateless_shuffle(bucket, seed=tf.random.fold_in(epoch_seed, i))
                for i, bucket in enumerate(rows)
            ]
            order = tf.random.experimental.stateless_shuffle(
                tf.range(len(starts)), seed=tf.random.fold_in(epoch_seed, len(rows))
            )
            picked = tf.data.Dataset.from_tensor_slices((tf.gather(starts, order), tf.gather(sizes, order), order))
            shuffled = tf.concat(shuffled, 0)  # (n,)

            def batch(start, size, number):
                inputs, targets = gather(shuffled[start : start + size])
                if self.augment is None:
                    return inputs, targets
                return self.augment(inputs, targets, tf.random.fold_in(epoch_seed, len(rows) + 1 + number))

            return picked.map(batch, num_parallel_calls=tf.data.AUTOTUNE)

        return tf.data.Dataset.range(first, last).flat_map(epoch_batches).prefetch(tf.data.AUTOTUNE)

    def _plan(self, batch_size: int, drop_remainder: bool) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Returns the rows of each bucket, and start and size of each batch in their concatenation."""
        rows = _buckets(self.lengths, len(self))
        # Without short batches, a batch may reach over into the next bucket, or each would lose its remainder.
        sections = [len(self) // batch_size * batch_size] if drop_remainder else [len(bucket) for bucket in rows]
        ranges, offset = [], 0
        for section in sections:
            ranges += [(offset + i, min(batch_size, section - i)) for i in range(0, section, batch_size)]
            offset += section
        starts, sizes = np.array(ranges, np.int64).reshape(-1, 2).T
        return rows, starts, sizes

    def _gather(self) -> Callable[[tf.Tensor], tuple[dict, dict]]:
        """Returns a function from row numbers to a batch, its padded inputs cut to the longest row."""
        inputs = {name: tf.constant(array) for name, array in self.inputs.items()}
        targets = {name: tf.constant(array) for name, array in self.targets.items()}
        lengths = {name: tf.constant(array) for name, array in self.lengths.items()}

        def gather(rows):
            batch = {name: tf.gather(array, rows) for name, array in inputs.items()}
            for name, length in lengths.items():
                batch[name] = batch[name][:, : tf.reduce_max(tf.gather(length, rows))]
            return batch, {name: tf.gather(array, rows) for name, array in targets.items()}

        return gather


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set, and the sizes that it gives a builder (`vocab_size`, `num_classes` ...)."""

    train: Split
    validation: Split
    test: Split
    sizes: dict[str, int]


def split_groups(groups: np.ndarray, *, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows so that rows of one group stay together.

    Args:
        groups: Group of each row, any dtype (n,).
        share: Share of the groups for the second part, in (0, 1); at least one group, and never all.
        seed: Decides which groups.

    Returns:
        Row numbers of the first and of the second part, each ascending.

    Raises:
        ValueError: If there are fewer than two groups.
    """
    names = np.unique(groups)
    if len(names) < 2:
        raise ValueError(f"`groups` must hold at least 2 groups to split them. Received: {len(names)}")
    count = min(max(1, round(share * len(names))), len(names) - 1)
    held_out = np.isin(groups, np.random.default_rng(seed).permutation(names)[:count])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _buckets(lengths: Arrays, count: int) -> list[np.ndarray]:
    """Puts rows together whose longest padded input falls between the same powers of two."""
    if not lengths:
        return [np.arange(count)]
    longest = np.max(np.stack(list(lengths.values())), 0)
    level = np.ceil(np.log2(np.maximum(longest, 4))).astype(int)
    return [np.flatnonzero(level == value) for value in np.unique(level)]
