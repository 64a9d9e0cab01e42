"""Adam and L-BFGS for one picture: pure functions from state to state, whose tensors never leave the device.

`evaluate` takes a picture and returns its value, the gradient, and whatever else the caller wants to see of it. A state
is a dict of tensors, so that it can be saved, resumed and carried over to another size.

References: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015. Nocedal and Wright, "Numerical
Optimization", 2006, algorithms 3.5, 3.6 and 7.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from kerasapps.errors import TrainingError

Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, Any]]
State = dict[str, tf.Tensor]
Resize = Callable[[tf.Tensor], tf.Tensor]

# The usual constants of strong Wolfe: how much a step must fall, and how flat it must end.
SUFFICIENT, FLAT = 1e-4, 0.9


@dataclass(frozen=True)
class Adam:
    """Adam with an average of the pictures that it passes through, which is calmer than each of them.

    Args:
        learning_rate: Of a step, in units of the picture.
        beta_1: Share of the gradient's average that stays.
        beta_2: Share of the average of its square that stays.
        average: Share of the average picture that stays; 0 takes the last picture.
    """

    learning_rate: float = 5.0
    beta_1: float = 0.9
    beta_2: float = 0.99
    average: float = 0.95
    # Below any gradient that counts: an update is to have the size of the learning rate whatever the unit of the loss.
    epsilon: float = field(default=1e-12, repr=False)

    def start(self, x: tf.Tensor) -> State:
        """Returns the state before the first step."""
        zero = tf.zeros_like(x)
        return {"x": x, "first": zero, "second": zero, "mean": zero, "count": tf.constant(0)}

    def step(self, state: State, evaluate: Evaluate, limit: int) -> tuple[State, Any, int]:
        """Takes one step; returns the new state, what `evaluate` told of the old one, and that it was called once."""
        _, gradient, told = evaluate(state["x"])
        return self._update(state, gradient), told, 1

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
        """Returns the average picture; before the first step the picture."""
        count = int(state["count"])
        return state["mean"] / (1 - self.average**count) if count else state["x"]

    def resize(self, state: State, resize: Resize) -> State:
        """Carries the state over to another size: both moments, and the average as the picture to go on from."""
        x = resize(self.solution(state))
        moments = {"first": resize(state["first"]), "second": tf.maximum(resize(state["second"]), 0)}
        # As if the picture had stood still there, so that the average has neither memory nor bias.
        share = 1 - self.average ** tf.cast(state["count"], x.dtype)
        return {"x": x, **moments, "mean": x * share, "count": state["count"]}


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS with a line search for the strong Wolfe conditions.

    Args:
        memory: How many steps, and changes of the gradient, it remembers: two pictures each.
        first_move: Root mean square of the first step, in units of the picture.
        searches: Evaluations of a line search at most.
    """

    memory: int = 10
    first_move: float = 0.1
    searches: int = 10

    def start(self, x: tf.Tensor) -> State:
        """Returns the state before the first step."""
        none = tf.zeros((0, *x.shape[1:]), x.dtype)
        return {"x": x, "steps": none, "changes": none, "products": tf.zeros((0, 0), tf.float64)}

    def step(self, state: State, evaluate: Evaluate, limit: int) -> tuple[State, Any, int]:
        """Goes along one direction as far as it pays; the very first step, and that at a new size, only looks.

        Args:
            state: The state.
            evaluate: The function.
            limit: Evaluations at most, at least 1.

        Returns:
            The new state, what `evaluate` told of its picture, and how often it was called. Where nothing more can be
            gained the picture stays, and nothing is told.

        Raises:
            TrainingError: If the gradient is no longer a number.
        """
        x = state["x"]
        if "gradient" not in state:
            value, gradient, told = evaluate(x)
            return state | {"value": value, "gradient": gradient}, told, 1
        basis = state["steps"], state["changes"], state["gradient"]
        products = all_products(*basis, state["products"].numpy())
        if not math.isfinite(products[-1, -1]):
            raise TrainingError("The gradient is no longer a number. Try --precision float32 or smaller weights.")
        way = _way_down(products)
        slope = float(products[-1] @ way)
        direction = _combine(*basis, tf.constant(way, x.dtype))
        length = 1.0
        if not len(state["steps"]):
            size = float(tf.sqrt(tf.reduce_mean(tf.square(direction))))
            length = self.first_move / size if size else 0.0

        def along(length: float) -> _Point:
            there = x + length * direction
            value, gradient, told = evaluate(there)
            slope = tf.tensordot(tf.reshape(gradient, [-1]), tf.reshape(direction, [-1]), 1)
            return _Point(length, float(value), float(slope), (there, value, gradient, told))

        start = _Point(0.0, float(state["value"]), slope, (x, state["value"], state["gradient"], None))
        point, calls = search_line(along, start, length, min(self.searches, limit)) if slope < 0 else (start, 0)
        there, value, gradient, told = point.found
        pairs = {name: state[name] for name in ("steps", "changes")}
        if not point.length:
            if not len(pairs["steps"]) or calls >= limit:
                return state, None, calls
            # What is remembered does not fit any more: on, straight down the gradient.
            nothing = {name: kept[:0] for name, kept in pairs.items()} | {"products": state["products"][:0, :0]}
            state, told, more = self.step(state | nothing, evaluate, limit - calls)
            return state, told, calls + more
        step, change = there - x, gradient - state["gradient"]
        known = products[:-1, :-1]
        # A pair without curvature would make the next direction climb.
        if float(tf.reduce_sum(step * change)) > 0:
            pairs = _remember(pairs, step, change, self.memory)
            known = _of_the_newest(known, self.memory - 1)
        return {"x": there, "value": value, "gradient": gradient, "products": tf.constant(known), **pairs}, told, calls

    def solution(self, state: State) -> tf.Tensor:
        """Returns the picture."""
        return state["x"]

    def resize(self, state: State, resize: Resize) -> State:
        """Carries the state over to another size: the picture and all that is remembered; the gradient is new there."""
        x = resize(state["x"])
        none = tf.zeros((0, *x.shape[1:]), x.dtype)
        kept = {name: resize(state[name]) if len(state[name]) else none for name in ("steps", "changes")}
        return {"x": x, "products": state["products"][:0, :0], **kept}


@dataclass(frozen=True)
class _Point:
    """A point on a line: how far, value and slope there, and what else was found."""

    length: float
    value: float
    slope: float
    found: tuple


def search_line(along: Callable[[float], _Point], start: _Point, length: float, limit: int) -> tuple[_Point, int]:
    """Looks for a point that fulfils the strong Wolfe conditions.

    Args:
        along: From a length to the point there.
        start: The point at 0; its slope is negative.
        length: What to try first.
        limit: Evaluations at most.

    Returns:
        The point, and the number of evaluations. Where `limit` ends the search it is the best point that is lower than
        the start by enough, or the start.
    """
    low, high = start, None
    for calls in range(1, limit + 1):
        point = along(length)
        # Neither holds where the value is not a number.
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
    """Returns the minimum of the cubic through both points and slopes, kept off their ends."""
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
    """Appends a pair and forgets the oldest beyond `memory`."""
    return {
        "steps": tf.concat([pairs["steps"], step], 0)[-memory:],
        "changes": tf.concat([pairs["changes"], change], 0)[-memory:],
    }


def all_products(steps: tf.Tensor, changes: tf.Tensor, gradient: tf.Tensor, known: np.ndarray) -> np.ndarray:
    """Returns the inner products of all of them with one another, float64 (2 * k + 1, 2 * k + 1).

    Args:
        steps: The k steps that are remembered, (k, H, W, 3).
        changes: The changes of the gradient, (k, H, W, 3).
        gradient: The gradient now, (1, H, W, 3).
        known: The products of the oldest n of both, (2 * n, 2 * n): most of them are those of the step before.
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
    """Returns the inner products of all but the first so many steps and changes, and of the gradient, with all."""
    parts = [tf.reshape(part, [tf.shape(part)[0], -1]) for part in (steps, changes, gradient)]
    new = tf.concat([parts[0][known:], parts[1][known:], parts[2]], 0)
    return tf.concat([tf.matmul(new, part, transpose_b=True) for part in parts], 1)


def _of_the_newest(products: np.ndarray, count: int) -> np.ndarray:
    """Returns the products of the last steps and changes alone, so many of each: (2 * k, 2 * k) -> smaller."""
    k = len(products) // 2
    first = max(0, k - count)
    kept = [*range(first, k), *range(k + first, 2 * k)]
    return products[np.ix_(kept, kept)]


@tf.function(reduce_retracing=True)
def _combine(steps: tf.Tensor, changes: tf.Tensor, gradient: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """Returns the sum of all of them, so much of each."""
    # One operation: the order of several sums would depend on whether the sizes are known when this is traced.
    return tf.einsum("k,khwc->hwc", shares, tf.concat([steps, changes, gradient], 0))[None]


def _way_down(products: np.ndarray) -> np.ndarray:
    """Runs the two loops of L-BFGS on coordinates instead of pictures, as in Chen et al., NIPS 2014.

    Args:
        products: Inner products of k steps, k changes and the gradient, float64 (2 * k + 1, 2 * k + 1).

    Returns:
        How much of each makes up the direction to go, float64 (2 * k + 1,).
    """
    k = len(products) // 2
    way, shares = np.zeros(2 * k + 1), np.zeros(k)
    way[-1] = -1.0
    for i in reversed(range(k)):
        shares[i] = products[i] @ way / products[i, k + i]
        way[k + i] -= shares[i]
    if k:
        way *= products[k - 1, 2 * k - 1] / products[2 * k - 1, 2 * k - 1]
    for i in range(k):
        way[i] += shares[i] - products[k + i] @ way / products[i, k + i]
    return way
