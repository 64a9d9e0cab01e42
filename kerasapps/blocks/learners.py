"""What other learners than networks compute, as layers: decision trees, and nearest neighbors."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

TABLES = ("feature", "threshold", "child", "value")


@keras.saving.register_keras_serializable(package="kerasapps")
class DecisionTrees(layers.Layer):
    """Sums what the leaves of several decision trees hold: (B, F) -> (B, outputs).

    All trees are walked at once, a step at a time: a node sends a row to its left child if the number that it looks at
    is at most its threshold. The nodes of all trees are in one table; a leaf is its own child. The tables do not train.

    Args:
        trees: Number of trees.
        nodes: Nodes of each; the root is the first. Smaller trees have nodes to which no way leads.
        outputs: Numbers in a leaf.
        depth: Steps from a root to the deepest leaf.
    """

    def __init__(self, *, trees: int, nodes: int, outputs: int, depth: int, **kwargs):
        super().__init__(**kwargs)
        self.trees, self.nodes, self.outputs, self.depth = trees, nodes, outputs, depth

    def build(self, input_shape):
        count, fixed = self.trees * self.nodes, {"initializer": "zeros", "trainable": False}
        self.feature = self.add_weight(shape=(count,), dtype="int32", name="feature", **fixed)
        self.threshold = self.add_weight(shape=(count,), dtype="float32", name="threshold", **fixed)
        # The left child of node i is in place 2 i, the right one in place 2 i + 1.
        self.child = self.add_weight(shape=(2 * count,), dtype="int32", name="child", **fixed)
        self.value = self.add_weight(shape=(count, self.outputs), dtype="float32", name="value", **fixed)

    def call(self, x):
        # A graph with the step once is traced in a tenth of the time.
        tables = [getattr(self, name) for name in TABLES]
        return walk(x, *tables, trees=self.trees, depth=self.depth, repeat=ops.fori_loop)

    def plain(self) -> Callable:
        """Returns it as operations, with the tables as constants of the graph."""
        tables = [ops.convert_to_numpy(getattr(self, name)) for name in TABLES]
        return lambda x: walk(x, *tables, trees=self.trees, depth=self.depth, repeat=one_by_one)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.outputs)

    def get_config(self):
        sizes = {name: getattr(self, name) for name in ("trees", "nodes", "outputs", "depth")}
        return super().get_config() | sizes


def walk(x, feature, threshold, child, value, *, trees: int, depth: int, repeat: Callable):
    """Sums the leaves that rows reach in trees of equally many nodes: (B, F) -> (B, outputs).

    `repeat` takes what `keras.ops.fori_loop` does.
    """
    roots = np.arange(trees, dtype=np.int32)[None] * (value.shape[0] // trees)  # (1, trees)
    numbers = ops.reshape(x, (-1,))  # (B F,)
    rows = ops.cumsum(ops.ones_like(x[:, :1], dtype="int32"), axis=0) - 1  # (B, 1)
    begin = rows * x.shape[1]

    def step(_, node):
        number = ops.take(numbers, begin + ops.take(feature, node))  # (B, trees)
        right = ops.cast(ops.greater(number, ops.take(threshold, node)), "int32")
        return ops.take(child, 2 * node + right)  # (B, trees)

    node = repeat(0, depth, step, ops.zeros_like(rows) + roots)
    return ops.sum(ops.take(value, node, axis=0), axis=1)  # (B, outputs)


def one_by_one(first: int, last: int, step: Callable, value):
    """Repeats a step as `keras.ops.fori_loop` does, with each step by itself in the graph."""
    for i in range(first, last):
        value = step(i, value)
    return value


@keras.saving.register_keras_serializable(package="kerasapps")
class Neighbors(layers.Layer):
    """Averages what is known of the nearest of some rows: (B, F) -> (B, outputs). The rows do not train.

    Args:
        rows: Number of rows that it holds.
        outputs: Numbers known of each.
        count: How many of the nearest, by Euclidean distance, are averaged.
    """

    def __init__(self, *, rows: int, outputs: int, count: int, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.outputs, self.count = rows, outputs, count

    def build(self, input_shape):
        fixed = {"initializer": "zeros", "dtype": "float32", "trainable": False}
        self.place = self.add_weight(shape=(input_shape[-1], self.rows), name="place", **fixed)
        self.length = self.add_weight(shape=(self.rows,), name="length", **fixed)
        self.value = self.add_weight(shape=(self.rows, self.outputs), name="value", **fixed)

    def call(self, x):
        return nearest(x, self.place, self.length, self.value, count=self.count)

    def plain(self) -> Callable:
        """Returns it as operations, with the rows as constants of the graph."""
        known = [ops.convert_to_numpy(weight) for weight in (self.place, self.length, self.value)]
        return lambda x: nearest(x, *known, count=self.count)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.outputs)

    def get_config(self):
        return super().get_config() | {"rows": self.rows, "outputs": self.outputs, "count": self.count}


def nearest(x, place, length, value, *, count: int):
    """Averages the values of the nearest rows: (B, F) -> (B, outputs); `length` is half of each squared length."""
    # Half of the squared distance without that part of it which all rows have in common.
    near = ops.matmul(x, place) - length  # (B, rows)
    _, rows = ops.top_k(near, count)  # (B, count)
    return ops.mean(ops.take(value, rows, axis=0), axis=1)  # (B, outputs)
