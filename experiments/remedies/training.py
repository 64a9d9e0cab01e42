"""Training many small networks: the graph of a setup is traced once, a further seed only brings new weights."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasapps.files import write_atomically

from .data import Pool, Sets
from .network import Setup

BATCH_SIZE = 32
TRAIN, VALIDATION, TEST = range(3)
SMALLEST = 1e-7  # a probability counts as at least this much, as in Keras' loss


@dataclass(frozen=True)
class Outcome:
    """How the training of one network went.

    Args:
        losses: Cross-entropy on training, validation and test set before the training and after each epoch, without
            penalties, (epochs + 1, 3).
        accuracies: The same of the accuracy.
        norms: Norm of the gradient at each kernel before the training, that of the first layer first, (depth + 1,).
        kernel: Weights of the first layer after the training, (F, units).
        epoch: The epoch that is kept.
        steps: Steps of gradient descent that it took.
        diverged: Whether its predictions are no longer numbers; they then count as guesses.
    """

    losses: np.ndarray
    accuracies: np.ndarray
    norms: np.ndarray
    kernel: np.ndarray
    epoch: int
    steps: int
    diverged: bool = False


class Trainer:
    """Trains networks of one setup, one for each seed."""

    def __init__(self, setup: Setup, pool: Pool):
        self.setup, self.pool = setup, pool
        self.batch_size = min(BATCH_SIZE, pool.rows)
        self.steps = pool.rows // self.batch_size  # what is left over of an epoch is in the next, which is shuffled
        self.model = self.network()
        self.model.compile(setup.optimizer(steps=setup.epochs * self.steps), "sparse_categorical_crossentropy")
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [variable.numpy() for variable in self.model.optimizer.variables]
        self.probabilities = tf.function(lambda features: self.model([features], training=False)["label"])

    def network(self, **changes) -> keras.Model:
        """Builds the network."""
        return replace(self.setup, **changes).network(
            features=self.pool.features.shape[1], num_classes=self.pool.num_classes
        )

    def begin(self, seed: int) -> None:
        """Draws initial weights, the same for the same seed and shapes whatever the remedy, and forgets the steps."""
        keras.utils.set_random_seed(seed)
        # Dropout draws a seed as well, after which the weights would be others.
        self.model.set_weights(self.network(dropout=0.0).get_weights())
        dropouts = [layer for layer in self.model.layers if isinstance(layer, keras.layers.Dropout) and layer.rate]
        for i, layer in enumerate(dropouts):  # from counts far apart, or all layers would drop the same units
            layer.seed_generator.state.assign([seed, i << 16])
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    @tf.function
    def epoch(self, features: tf.Tensor, labels: tf.Tensor, order: tf.Tensor) -> None:
        """Takes the steps of an epoch, those of Keras' `fit`, in one graph: `fit` itself takes 50 ms around them.

        Args:
            features: The training set, float32 (n, F).
            labels: Its classes, int32 (n,).
            order: Rows of each batch, int32 (steps, B).
        """
        for rows in order:
            self.model.train_step(({"features": tf.gather(features, rows)}, {"label": tf.gather(labels, rows)}))

    def train(self, sets: Sets, seed: int) -> Outcome:
        """Trains one network, all epochs."""
        self.begin(seed)
        norms = gradient_norms(self.model, *sets.train)
        features, labels = map(tf.constant, sets.train)
        rng, measured = np.random.default_rng([seed, 3]), [self.measure(sets)]
        for _ in range(self.setup.epochs):
            order = rng.permutation(self.pool.rows)[: self.steps * self.batch_size].reshape(self.steps, -1)
            self.epoch(features, labels, tf.constant(order, tf.int32))
            measured.append(self.measure(sets))
        losses, accuracies = np.moveaxis(measured, 1, 0)  # (epochs + 1, 3) each
        kernel, epochs = kernels(self.model)[0].numpy(), self.setup.epochs
        diverged = not np.isfinite(kernel).all()
        return Outcome(losses, accuracies, norms, kernel, epochs, epochs * self.steps, diverged)

    def measure(self, sets: Sets) -> tuple[list[float], list[float]]:
        """Returns cross-entropy and accuracy on training, validation and test set."""
        parts = sets.train, sets.validation, sets.test
        probabilities = self.probabilities(np.concatenate([features for features, _ in parts])).numpy()
        # Of a network that has diverged: each class is as likely as the others.
        probabilities = np.where(np.isfinite(probabilities), probabilities, 1 / self.pool.num_classes)
        split = np.split(probabilities, np.cumsum([len(labels) for _, labels in parts])[:-1])
        losses, accuracies = [], []
        for predicted, (_, labels) in zip(split, parts, strict=True):
            right = predicted[np.arange(len(labels)), labels]
            losses.append(float(-np.log(np.clip(right, SMALLEST, 1)).mean()))
            accuracies.append(float((predicted.argmax(1) == labels).mean()))
        return losses, accuracies


def train_all(setup: Setup, pool: Pool, seeds: Sequence[int]) -> list[Outcome]:
    """Trains a network with each seed, which decides on training set, initial weights and order."""
    trainer, found = Trainer(setup, pool), []
    for seed in seeds:
        # Several starts are fresh ones: the best of some that include the start without the remedy is never worse.
        first = 0 if setup.starts == 1 else 1
        starts = [trainer.train(pool.draw(seed), seed + (i << 16)) for i in range(first, first + setup.starts)]
        best = min(starts, key=lambda outcome: outcome.losses[-1, TRAIN])
        found.append(replace(best, steps=sum(outcome.steps for outcome in starts)))
    return found


def train_or_read(path: Path, setup: Setup, pool: Pool, seeds: Sequence[int]) -> list[Outcome]:
    """Trains as `train_all` does and keeps the outcomes in an npz file; returns those of a run that is resumed."""
    if not path.exists():
        found, buffer = train_all(setup, pool, seeds), io.BytesIO()
        names = [field.name for field in fields(Outcome)]
        np.savez(buffer, **{name: np.stack([getattr(one, name) for one in found]) for name in names})
        write_atomically(path, buffer.getvalue())
        return found
    with np.load(path) as kept:
        columns = dict(kept)
    return [Outcome(**{name: values[i] for name, values in columns.items()}) for i in range(len(seeds))]


def stopped_early(outcome: Outcome, patience: int | None) -> Outcome:
    """Returns a training as early stopping would have ended it, with the epoch of the lowest validation loss."""
    if patience is None:
        return outcome
    losses = outcome.losses[:, VALIDATION]
    best, last = 0, len(losses) - 1
    for epoch, loss in enumerate(losses):
        best = epoch if loss < losses[best] else best
        if epoch - best >= patience:
            break
    return replace(outcome, epoch=best, steps=outcome.steps // last * epoch)


def kernels(model: keras.Model) -> list[keras.Variable]:
    """Returns the kernels of the dense layers, that of the first layer first."""
    return [layer.kernel for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def gradient_norms(model: keras.Model, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the norm of the loss's gradient at each kernel, float (layers,)."""
    statistics = [weight.numpy() for weight in model.non_trainable_weights]
    with tf.GradientTape() as tape:
        predicted = model([features], training=True)["label"]
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, predicted))
    found = tape.gradient(loss, [kernel.value for kernel in kernels(model)])
    for weight, value in zip(model.non_trainable_weights, statistics, strict=True):
        weight.assign(value)  # batch normalization has learned from this batch
    return np.array([tf.norm(gradient).numpy() for gradient in found])
