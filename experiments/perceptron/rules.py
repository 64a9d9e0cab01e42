"""One neuron by hand: its score, what is made of it, its loss, and three rules by which it learns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog


@dataclass(frozen=True)
class Neuron:
    """Weights (F,) and bias: the score of points (n, F) is `points @ weights + bias`."""

    weights: np.ndarray
    bias: float

    def scores(self, points: np.ndarray) -> np.ndarray:
        """Returns the score of each point (n,)."""
        return points @ self.weights + self.bias


# --- from scores to probabilities and losses


def step(scores):
    """Returns 1 where a score is at least 0, else 0."""
    return np.where(np.asarray(scores) >= 0, 1.0, 0.0)


def sigmoid(scores):
    """Returns the probability of class 1, which is the softmax of the two scores 0 and `scores`."""
    return np.exp(-np.logaddexp(0, -np.asarray(scores, float)))  # 1 / (1 + exp(-z)), and no overflow


def two_scores(scores: np.ndarray) -> np.ndarray:
    """Returns the scores of both classes (n, 2), of which a neuron has the second and the first is 0."""
    return np.stack([np.zeros_like(scores), scores], -1)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Returns the logarithm of each class's probability, (..., classes)."""
    largest = scores.max(-1, keepdims=True)
    return scores - largest - np.log(np.exp(scores - largest).sum(-1, keepdims=True))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Returns each class's probability, (..., classes)."""
    return np.exp(log_softmax(scores))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the loss of each point, from the probability of class 1: -ln of what its own class was given."""
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(np.where(labels == 1, probabilities, 1 - probabilities))


def cross_entropy_of_scores(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the same from scores (n, classes), as log-softmax and negative log-likelihood: exact for any score."""
    return 0.0 - np.take_along_axis(log_softmax(scores), labels[:, None].astype(int), -1)[:, 0]


# --- rules by which a neuron learns


@dataclass(frozen=True)
class Rule:
    """How a point moves a neuron: by `rate * (label - activation(score))`, times the point where it is `scaled`."""

    name: str
    activation: Callable
    scaled: bool = True

    def apply(self, neuron: Neuron, point: np.ndarray, label: float, *, rate: float) -> Neuron:
        """Returns the neuron after it has seen one point."""
        error = rate * (label - float(self.activation(neuron.scores(point))))
        return Neuron(neuron.weights + error * (point if self.scaled else 1.0), neuron.bias + error)


PERCEPTRON = Rule("perceptron rule", step)
UNSCALED = Rule("without the factor x", step, scaled=False)  # as the course notes print it
GRADIENT = Rule("gradient descent", sigmoid)
RULES = (PERCEPTRON, UNSCALED, GRADIENT)


@dataclass(frozen=True)
class Learned:
    """What a rule made of a neuron.

    Args:
        rule: The rule.
        path: The neuron at the start and after each point that it saw.
        mistakes: Misclassified points at the start and after each epoch.
        losses: Mean cross-entropy of the sigmoid at the same times.
    """

    rule: Rule
    path: list[Neuron]
    mistakes: list[int]
    losses: list[float]

    @property
    def updates(self) -> int:
        """How many points moved it."""
        return sum(one is not other for one, other in zip(self.path, self.path[1:], strict=False))


def learn(points: np.ndarray, labels: np.ndarray, rule: Rule, *, rate: float, epochs: int, seed: int) -> Learned:
    """Shows a neuron with random weights all points, one by one, for so many epochs.

    A rule that moves at mistakes alone ends when there are none.

    Args:
        points: Float (n, F).
        labels: 0 or 1, (n,).
        rule: How each point moves it.
        rate: Learning rate.
        epochs: Epochs at most.
        seed: Seed of weights and order.
    """
    rng = np.random.default_rng([seed, 5])
    neuron = Neuron(rng.normal(size=points.shape[1]), float(rng.normal()))
    path, mistakes, losses = [neuron], [], []
    for epoch in range(epochs + 1):
        mistakes.append(int((step(neuron.scores(points)) != labels).sum()))
        losses.append(float(cross_entropy_of_scores(two_scores(neuron.scores(points)), labels).mean()))
        if epoch == epochs or (rule.activation is step and not mistakes[-1]):
            break
        for i in rng.permutation(len(points)):
            moved = rule.apply(neuron, points[i], labels[i], rate=rate)
            still = moved.bias == neuron.bias and np.array_equal(moved.weights, neuron.weights)
            neuron = neuron if still else moved
            path.append(neuron)
    return Learned(rule, path, mistakes, losses)


# --- what one neuron can do at all


def is_separable(points: np.ndarray, labels: np.ndarray) -> bool:
    """Tells whether some line, or plane, has all points of one class on each side: a linear program decides it."""
    signs = np.where(labels == 1, 1.0, -1.0)[:, None]
    # Weights and bias with sign * score >= 1 for every point, where any will do.
    constraints = -signs * np.hstack([points, np.ones((len(points), 1))])
    count = constraints.shape[1]
    found = linprog(np.zeros(count), A_ub=constraints, b_ub=-np.ones(len(points)), bounds=[(None, None)] * count)
    return found.status == 0
