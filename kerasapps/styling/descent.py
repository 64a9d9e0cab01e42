"""Adam and L-BFGS for one image: pure functions from state to state, whose tensors never leave the device.

`evaluate` takes an image and returns the loss, its gradient, and whatever else the caller wants to know. A state is a
dict of tensors, so that it can be saved, resumed and carried over to another size.

References: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015. Nocedal and Wright, "Numerical
Optimization", 2006, algorithms 3.5, 3.6 and 7.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from kerasapps.blocks.arguments import check_at_least, check_positive, check_share
from kerasapps.errors import TrainingError

Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, Any]]
State = dict[str, tf.Tensor]
Resize = Callable[[tf.Tensor], tf.Tensor]

# The usual constants of the strong Wolfe conditions: how much a step must descend, and how flat it must end.
SUFFICIENT, FLAT = 1e-4, 0.9


@dataclass(frozen=True)
class Adam:
    """Adam with an average of the images on its way, which is smoother than each of them.

    Args:
        learning_rate: Size of a step, in units of the image.
        beta_1: Share of the average gradient that a step keeps.
        beta_2: Share of the average squared gradient that a step keeps.
        average: Share of the average image that a step keeps; 0 for no average.
    """

    learning_rate: float = 5.0
    beta_1: float = 0.9
    beta_2: float = 0.99
    average: float = 0.95
    # Far below gradients: an update has the size of the learning rate whatever the unit of the loss.
    epsilon: float = field(default=1e-12, repr=False)

    def __post_init__(self):
        check_positive(learning_rate=self.learning_rate)
        check_share(beta_1=self.beta_1, beta_2=self.beta_2, average=self.average)

    def start(self, x: tf.Tensor) -> State:
        """Returns the state before the first step."""
        zero = tf.zeros_like(x)
        return {"x": x, "first": zero, "second": zero, "mean": zero, "count": tf.constant(0)}

    def step(self, state: State, evaluate: Evaluate, limit: int) -> tuple[State, Any, int]:
        """Takes one step; returns the new state, what `evaluate` returned besides, and its number of calls, 1."""
        _, gradient, more = evaluate(state["x"])
        return self._update(state, gradient), more, 1

    @tf.function(reduce_retracing=True)
    def _update(self, state: State, gradient: tf.Tensor) -> State:
        count = state["count"] + 1
        power = tf.cast(count, gradient.dtype)
        first = self.beta_1 * state["first"] + (1 - self.beta_1) * gradient
        second = self.beta_2 * state["second"] + (1 - self.beta_2) * tf.square(gradient)
        change = (first / (1 - self.beta_1**power)) / (tf.sqrt(second / (1 - self.beta_2**power)) + self.epsilon)
        x = state["x"] - self.learning_rate * change
        mean = self.average * state["mean"] + (1 - self.average) * x
        return {"x": x, "first": first, "second": second, "mean": mean, "count": count}

    def solution(self, state: State) -> tf.Tensor:
        """Returns the average image; before the first step the image."""
        count = int(state["count"])
        return state["mean"] / (1 - self.average**count) if count else state["x"]

    def resize(self, state: State, resize: Resize) -> State:
        """Carries the state over to another size: both moments, and the average as the image to continue from."""
        x = resize(self.solution(state))
        moments = {"first": resize(state["first"]), "second": tf.maximum(resize(state["second"]), 0)}
        # As if the image had not moved before, so that the average has neither memory nor bias.
        share = 1 - self.average ** tf.cast(state["count"], x.dtype)
        return {"x": x, **moments, "mean": x * share, "count": state["count"]}


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS with a line search for the strong Wolfe conditions.

    Args:
        memory: Number of steps, and of changes of the gradient, that it keeps: two images each.
        first_move: Root mean square of the first step, in units of the image.
        searches: Maximum number of evaluations of a line search.
    """

    memory: int = 10
    first_move: float = 0.1
    searches: int = 10

    def __post_init__(self):
        check_at_least(1, memory=self.memory, searches=self.searches)
        check_positive(first_move=self.first_move)

    def start(self, x: tf.Tensor) -> State:
        """Returns the state before the first step."""
        none = tf.zeros((0, *x.shape[1:]), x.dtype)
        return {"x": x, "steps": none, "changes": none, "products": tf.zeros((0, 0), tf.float64)}

    def step(self, state: State, evaluate: Evaluate, limit: int) -> tuple[State, Any, int]:
        """Searches along one direction; the very first step, and the first at a new size, only evaluates.

        Args:
            state: The state.
            evaluate: The function.
            limit: Maximum number of evaluations, at least 1.

        Returns:
            The new state, what `evaluate` returned besides for its image, and its number of calls. Without any further
            descent the state is the same and None is returned.

        Raises:
            TrainingError: If the gradient becomes NaN or infinite.
        """
        x = state["x"]
        if "gradient" not in state:
            value, gradient, more = evaluate(x)
            return state | {"value": value, "gradient": gradient}, more, 1
        basis = state["steps"], state["changes"], state["gradient"]
        products = all_products(*basis, state["products"].numpy())
        if not math.isfinite(products[-1, -1]):
            raise TrainingError("The gradient is NaN or infinite. Try --precision float32 or smaller weights.")
        coordinates = _descent_direction(products)
        slope = float(products[-1] @ coordinates)
        direction = _combine(*basis, tf.constant(coordinates, x.dtype))
        length = 1.0
        if not len(state["steps"]):
            size = float(tf.sqrt(tf.reduce_mean(tf.square(direction))))
            length = self.first_move / size if size else 0.0

        def along(length: float) -> _Point:
            there = x + length * direction
            value, gradient, more = evaluate(there)
            slope = tf.tensordot(tf.reshape(gradient, [-1]), tf.reshape(direction, [-1]), 1)
            return _Point(length, float(value), float(slope), (there, value, gradient, more))

        start = _Point(0.0, float(state["value"]), slope, (x, state["value"], state["gradient"], None))
        point, calls = search_line(along, start, length, min(self.searches, limit)) if slope < 0 else (start, 0)
        there, value, gradient, more = point.found
        pairs = {name: state[name] for name in ("steps", "changes")}
        if not point.length:
            if not len(pairs["steps"]) or calls >= limit:
                return state, None, calls
            # The pairs do not fit the surroundings any more: restart along the gradient.
            nothing = {name: kept[:0] for name, kept in pairs.items()} | {"products": state["products"][:0, :0]}
            state, more, further = self.step(state | nothing, evaluate, limit - calls)
            return state, more, calls + further
        step, change = there - x, gradient - state["gradient"]
        known = products[:-1, :-1]
        # A pair without positive curvature would make the next direction ascend.
        if float(tf.reduce_sum(step * change)) > 0:
            pairs = _remember(pairs, step, change, self.memory)
            known = _of_the_newest(known, self.memory - 1)
        return {"x": there, "value": value, "gradient": gradient, "products": tf.constant(known), **pairs}, more, calls

    def solution(self, state: State) -> tf.Tensor:
        """Returns the image."""
        return state["x"]

    def resize(self, state: State, resize: Resize) -> State:
        """Carries the state over to another size: the image and the pairs; the gradient is computed anew."""
        x = resize(state["x"])
        none = tf.zeros((0, *x.shape[1:]), x.dtype)
        kept = {name: resize(state[name]) if len(state[name]) else none for name in ("steps", "changes")}
        return {"x": x, "products": state["products"][:0, :0], **kept}


@dataclass(frozen=True)
class _Point:
    """A point on a line: its distance, the value and slope there, and what else was computed."""

    length: float
    value: float
    slope: float
    found: tuple


def search_line(along: Callable[[float], _Point], start: _Point, length: float, limit: int) -> tuple[_Point, int]:
    """Searches for a point that meets the strong Wolfe conditions.

    Args:
        along: From a length to the point there.
        start: The point at 0, whose slope is negative.
        length: The length to try first.
        limit: Maximum number of evaluations.

    Returns:
        The point and the number of evaluations. If `limit` ends the search it is the best point that is sufficiently
        lower than the start, or the start.
    """
    low, high = start, None
    for calls in range(1, limit + 1):
        point = along(length)
        # Both comparisons are false for NaN.
        if not (point.value <= start.value + SUFFICIENT * length * start.slope and point.value < low.value):
            high = point
        elif abs(point.slope) <= -FLAT * start.slope:
            return point, calls
        else:
            if point.slope * (1.0 if high is None else high.length - low.length) >= 0:
                high = low
            low = point
        length = 4 * length if high is None else _between(low, high)
    return low, limit


def _between(low: _Point, high: _Point) -> float:
    """Returns the minimum of the cubic through both points and slopes, kept away from the ends."""
    width = high.length - low.length
    share = 0.5
    if math.isfinite(high.value) and math.isfinite(high.slope):
        a = low.slope + high.slope - 3 * (high.value - low.value) / width
        square = a * a - low.slope * high.slope
        if square >= 0:
            root = math.copysign(math.sqrt(square), width)
            bottom = high.slope - low.slope + 2 * root
            if bottom:
                share = 1 - (high.slope + root - a) / bottom
    return low.length + width * min(max(share, 0.1), 0.9)


@tf.function(reduce_retracing=True)
def _remember(pairs: State, step: tf.Tensor, change: tf.Tensor, memory: int) -> State:
    """Appends a pair and drops the oldest beyond `memory`."""
    return {
        "steps": tf.concat([pairs["steps"], step], 0)[-memory:],
        "changes": tf.concat([pairs["changes"], change], 0)[-memory:],
    }


def all_products(steps: tf.Tensor, changes: tf.Tensor, gradient: tf.Tensor, known: np.ndarray) -> np.ndarray:
    """Returns all inner products of steps, changes and gradient, float64 (2 * k + 1, 2 * k + 1).

    Args:
        steps: The last k steps, (k, H, W, 3).
        changes: The changes of the gradient in these steps, (k, H, W, 3).
        gradient: The current gradient, (1, H, W, 3).
        known: The products of the oldest n steps and changes, (2 * n, 2 * n), from the step before.
    """
    k, n = len(steps), len(known) // 2
    rows = _products(steps, changes, gradient, tf.constant(n)).numpy()
    old, new = [*range(n), *range(k, k + n)], [*range(n, k), *range(k + n, 2 * k + 1)]
    products = np.empty((2 * k + 1, 2 * k + 1))
    products[np.ix_(old, old)] = known
    products[new] = rows
    products[:, new] = rows.T
    return products


@tf.function(reduce_retracing=True)
def _products(steps: tf.Tensor, changes: tf.Tensor, gradient: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Returns the inner products of the gradient, and of steps and changes after the first `known`, with all."""
    steps, changes, gradient = [tf.reshape(rows, [tf.shape(rows)[0], -1]) for rows in (steps, changes, gradient)]
    new = tf.concat([steps[known:], changes[known:], gradient], 0)
    return tf.concat([tf.matmul(new, rows, transpose_b=True) for rows in (steps, changes, gradient)], 1)


def _of_the_newest(products: np.ndarray, count: int) -> np.ndarray:
    """Returns the products of the last `count` steps and changes: (2 * k, 2 * k) -> (2 * count, 2 * count)."""
    k = len(products) // 2
    first = max(0, k - count)
    kept = [*range(first, k), *range(k + first, 2 * k)]
    return products[np.ix_(kept, kept)]


@tf.function(reduce_retracing=True)
def _combine(steps: tf.Tensor, changes: tf.Tensor, gradient: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """Returns the linear combination of steps, changes and gradient."""
    # One operation: the order of several sums would depend on whether sizes are known when this is traced.
    return tf.einsum("k,khwc->hwc", shares, tf.concat([steps, changes, gradient], 0))[None]


def _descent_direction(products: np.ndarray) -> np.ndarray:
    """Runs the two loops of L-BFGS on coordinates instead of images, as in Chen et al., NIPS 2014.

    Args:
        products: Inner products of k steps, k changes and the gradient, float64 (2 * k + 1, 2 * k + 1).

    Returns:
        The direction as a combination of steps, changes and gradient, float64 (2 * k + 1,).
    """
    k = len(products) // 2
    direction, shares = np.zeros(2 * k + 1), np.zeros(k)
    direction[-1] = -1.0
    for i in reversed(range(k)):
        shares[i] = products[i] @ direction / products[i, k + i]
        direction[k + i] -= shares[i]
    if k:
        direction *= products[k - 1, 2 * k - 1] / products[2 * k - 1, 2 * k - 1]
    for i in range(k):
        direction[i] += shares[i] - products[k + i] @ direction / products[i, k + i]
    return direction
