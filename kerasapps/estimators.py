"""What scikit-learn has fitted, as part of a graph of Keras: it then saves, exports and predicts as a network does.

So an ensemble of networks, forests and boosted trees is one network, and no file of it has to be executed to be read.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import layers
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from kerasapps.blocks.learners import TABLES, DecisionTrees, Neighbors

Forest = RandomForestClassifier | RandomForestRegressor | ExtraTreesClassifier | ExtraTreesRegressor
Boosting = HistGradientBoostingClassifier | HistGradientBoostingRegressor
Linear = LogisticRegression | Ridge | LinearRegression
Nearest = KNeighborsClassifier | KNeighborsRegressor
ABSENT = -1e9  # score of a class that an estimator has never seen
EXACT = {"dtype": "float32"}  # also under a policy of lower precision: thresholds and distances need every digit


def estimator_block(estimator: Any, x, *, num_classes: int | None = None, name: str):
    """Repeats a fitted estimator of scikit-learn in a graph.

    Args:
        estimator: A linear model, naive Bayes (`GaussianNB`), a forest, boosted trees (`HistGradientBoosting...`),
            nearest neighbors, or a pipeline of `StandardScaler` and one of these, fitted to finite numbers (n, F).
            Boosted trees are of squared error or log loss, without categorical features.
        x: Its features, float32 (B, F).
        num_classes: Number of classes, which its labels number from 0 on; a class that it has not seen has the
            probability 0. None for an estimator of numbers.
        name: Prefix of the layers' names.

    Returns:
        Probabilities float32 (B, num_classes), as `predict_proba` has them, or numbers float32 (B, 1).

    Raises:
        ValueError: If there is no graph for such an estimator.

    Example:
        >>> image = keras.Input((28, 28, 1), name="image")
        >>> label = estimator_block(forest, keras.layers.Flatten()(image), num_classes=10, name="forest")
        >>> keras.Model([image], {"label": label})
    """
    if isinstance(estimator, Pipeline):
        *before, estimator = (step for _, step in estimator.steps)
        for step in before:
            if not isinstance(step, StandardScaler) or step.mean_ is None or step.scale_ is None:
                raise ValueError(f"`estimator` must scale by StandardScaler alone. Received: {type(step).__name__}")
            given = {"mean": step.mean_, "variance": step.scale_**2, **EXACT}
            x = layers.Normalization(**given, name=f"{name}_scaled")(x)  # (B, F)
    for kinds, block in BLOCKS:
        if isinstance(estimator, kinds):
            return block(estimator, x, num_classes, name)
    raise ValueError(f"`estimator` must be one of scikit-learn's that have a graph. Received: {estimator!r:.80}")


def linear_block(estimator: Linear, x, num_classes: int | None, name: str):
    """Applies a linear model: (B, F) -> probabilities (B, num_classes) or numbers (B, 1)."""
    kernel, bias = np.atleast_2d(estimator.coef_).T, np.atleast_1d(estimator.intercept_)  # (F, K), (K,)
    if num_classes is not None:
        kernel, bias = (_for_two(part) for part in (kernel, bias))
        kernel = _spread(kernel, estimator.classes_, num_classes, absent=0)
        bias = _spread(bias, estimator.classes_, num_classes, absent=ABSENT)
    return dense_block(x, kernel, bias, softmax=num_classes is not None, name=name)


def bayes_block(estimator: GaussianNB, x, num_classes: int, name: str):
    """Applies Bayes' rule to independent Gaussians: (B, F) -> (B, num_classes); a quadratic form of each class."""
    center = estimator.theta_.mean(0)  # shifts the numbers, whose squares would otherwise lose digits
    mean, variance = estimator.theta_ - center, estimator.var_  # (K, F)
    bias = np.log(estimator.class_prior_) - 0.5 * (np.log(2 * np.pi * variance) + mean**2 / variance).sum(1)
    kernel = np.concatenate([(mean / variance).T, -0.5 / variance.T])  # (2 F, K)
    shifted = shifted_block(x, center, name=f"{name}_shifted")  # (B, F)
    square = layers.Multiply(**EXACT, name=f"{name}_square")([shifted, shifted])
    both = layers.Concatenate(**EXACT, name=f"{name}_both")([shifted, square])  # (B, 2 F)
    kernel = _spread(kernel, estimator.classes_, num_classes, absent=0)
    bias = _spread(bias, estimator.classes_, num_classes, absent=ABSENT)
    return dense_block(both, kernel, bias, softmax=True, name=name)


def forest_block(estimator: Forest, x, num_classes: int | None, name: str):
    """Averages trees: (B, F) -> probabilities (B, num_classes) or numbers (B, 1)."""
    tables, count = [], len(estimator.estimators_)
    for one in estimator.estimators_:
        tree = one.tree_
        value = tree.value[:, 0, :]  # (nodes, K)
        if num_classes is not None:
            value = _spread(value / value.sum(1, keepdims=True), estimator.classes_, num_classes, absent=0)
        leaf = tree.children_left < 0
        tables.append((leaf, tree.feature, tree.threshold, tree.children_left, tree.children_right, value / count))
    return trees_block(tables, x, name=name)


def boosting_block(estimator: Boosting, x, num_classes: int | None, name: str):
    """Sums boosted trees: (B, F) -> probabilities (B, num_classes) or numbers (B, 1)."""
    if estimator.loss not in ("squared_error", "log_loss"):
        raise ValueError(f"`estimator` must boost squared error or log loss. Received: loss={estimator.loss!r}")
    if np.any(estimator.is_categorical_):  # None where there are none
        raise ValueError("`estimator` must boost trees of numbers alone. Received: one with categorical features")
    begin = np.ravel(estimator._baseline_prediction)  # (K,)
    tables = []
    for trees in estimator._predictors:  # one for each output
        for output, tree in enumerate(trees):
            nodes = tree.nodes
            value = np.zeros((len(nodes), len(begin)))
            value[:, output] = nodes["value"]
            walks = (nodes[key] for key in ("feature_idx", "num_threshold", "left", "right"))
            tables.append((nodes["is_leaf"] == 1, *walks, value))
    width = len(begin)
    kernel = np.eye(width)
    if num_classes is not None:
        kernel, begin = _for_two(kernel), _for_two(begin)
        kernel = _spread(kernel, estimator.classes_, num_classes, absent=0)
        begin = _spread(begin, estimator.classes_, num_classes, absent=ABSENT)
    summed = trees_block(tables, x, name=f"{name}_trees")
    return dense_block(summed, kernel, begin, softmax=num_classes is not None, name=name)


def neighbors_block(estimator: Nearest, x, num_classes: int | None, name: str):
    """Averages the nearest rows of the training: (B, F) -> probabilities (B, num_classes) or numbers (B, 1)."""
    if estimator.weights != "uniform" or estimator.effective_metric_ != "euclidean":
        raise ValueError(f"`estimator` must weigh neighbors alike, by Euclidean distance. Received: {estimator!r:.80}")
    rows = np.asarray(estimator._fit_X, np.float64)  # (n, F)
    value = np.asarray(estimator._y)
    if num_classes is not None:
        value = _spread(np.eye(len(estimator.classes_))[value], estimator.classes_, num_classes, absent=0)
    center = rows.mean(0)
    x = shifted_block(x, center, name=f"{name}_shifted")  # (B, F)
    rows = rows - center
    count = estimator.n_neighbors
    value = value.reshape(len(rows), -1)  # (n, outputs)
    layer = Neighbors(rows=len(rows), outputs=value.shape[1], count=count, **EXACT, name=name)
    found = layer(x)
    layer.set_weights([rows.T, 0.5 * (rows**2).sum(1), value])
    return found


BLOCKS: Sequence[tuple[Any, Callable]] = (
    (Linear, linear_block),
    (GaussianNB, bayes_block),
    (Forest, forest_block),
    (Boosting, boosting_block),
    (Nearest, neighbors_block),
)


# --- what they share


def shifted_block(x, center: np.ndarray, *, name: str):
    """Subtracts a vector (F,) from each row: (B, F) -> (B, F)."""
    return layers.Normalization(mean=center, variance=np.ones_like(center), **EXACT, name=name)(x)


def dense_block(x, kernel: np.ndarray, bias: np.ndarray, *, softmax: bool, name: str):
    """Applies a dense layer of these weights, which do not train: (B, F) -> (B, K)."""
    activation = "softmax" if softmax else "linear"
    layer = layers.Dense(len(bias), activation=activation, trainable=False, **EXACT, name=name)
    made = layer(x)
    layer.set_weights([kernel, bias])
    return made


def trees_block(tables: Sequence[tuple[np.ndarray, ...]], x, *, name: str):
    """Sums trees: (B, F) -> (B, K).

    Args:
        tables: Of each tree whether a node is a leaf, its feature, threshold, left and right child, (nodes,) each, and
            its value, (nodes, K).
        x: Features.
        name: Name of the layer.
    """
    nodes = max(len(table[0]) for table in tables)
    columns: dict[str, list] = {column: [] for column in TABLES}
    for number, (leaf, feature, threshold, left, right, value) in enumerate(tables):
        more, own = nodes - len(leaf), np.arange(len(leaf))
        children = [np.where(leaf, own, child) for child in (left, right)]
        found = {
            "feature": np.where(leaf, 0, feature),
            "threshold": at_most(np.where(leaf, 0.0, threshold)),
            "child": np.stack(children, 1) + number * nodes,
            "value": value,
        }
        for column, one in found.items():
            columns[column].append(np.pad(one, ((0, more), *[(0, 0)] * (one.ndim - 1))))
    outputs = tables[0][-1].shape[1]
    depth = max(depth_of(leaf, left, right) for leaf, _, _, left, right, _ in tables)
    layer = DecisionTrees(trees=len(tables), nodes=nodes, outputs=outputs, depth=depth, **EXACT, name=name)
    made = layer(x)
    whole = {column: np.concatenate(parts) for column, parts in columns.items()}
    layer.set_weights([whole["feature"], whole["threshold"], whole["child"].ravel(), whole["value"]])
    return made


def depth_of(leaf: np.ndarray, left: np.ndarray, right: np.ndarray) -> int:
    """Returns the steps from the root of a tree to its deepest leaf."""
    level, depth = np.zeros(1, np.int64), 0
    while not leaf[level].all():
        inner = level[~leaf[level]]
        level, depth = np.concatenate([left[inner], right[inner]]).astype(np.int64), depth + 1
    return depth


def at_most(numbers: np.ndarray) -> np.ndarray:
    """Rounds thresholds to float32, downwards: the same float32 numbers are then at most as large."""
    rounded = numbers.astype(np.float32)
    return np.where(rounded > numbers, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)


def _for_two(scores: np.ndarray) -> np.ndarray:
    """Returns scores of both classes where there is one for the second of two alone: (..., 1) -> (..., 2)."""
    return np.concatenate([np.zeros_like(scores), scores], -1) if scores.shape[-1] == 1 else scores


def _spread(columns: np.ndarray, classes: np.ndarray, count: int, *, absent: float) -> np.ndarray:
    """Puts the columns of some classes where they are among all: (..., some) -> (..., count)."""
    spread = np.full((*columns.shape[:-1], count), absent, np.float64)
    spread[..., np.asarray(classes, np.int64)] = columns
    return spread
