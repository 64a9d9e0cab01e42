"""A toy problem with all that makes resuming hard: dropout, shuffling, noise, an optimizer with state.

python -m tests.toy OUT EPOCHS DIE_IN_EPOCH [RESUME] [TERM]
"""

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasapps.blocks.noise import Dropout
from kerasapps.data.splits import Split, Splits
from kerasapps.runs import Options, Run
from kerasapps.session import start
from kerasapps.training import History, fit


def add_noise(inputs: dict, targets: dict, seed: tf.Tensor) -> tuple[dict, dict]:
    """Adds noise that depends on the seed alone."""
    return {"x": inputs["x"] + tf.random.stateless_normal(tf.shape(inputs["x"]), seed, stddev=0.1)}, targets


def toy_splits(*, points: int = 120) -> Splits:
    """Two classes of points that a line separates."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(points, 4)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int32)
    parts = [slice(0, 80), slice(80, points - 20), slice(points - 20, points)]
    train, validation, test = (Split({"x": x[part]}, {"label": y[part]}) for part in parts)
    return Splits(Split(train.inputs, train.targets, augment=add_noise), validation, test, sizes={"num_classes": 2})


def toy_model(*, learning_rate: float = 1e-2) -> keras.Model:
    """A perceptron with dropout."""
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(x)
    hidden = Dropout(0.3, name="dropout")(hidden)
    label = keras.layers.Dense(2, activation="softmax", dtype="float32", name="label")(hidden)
    model = keras.Model({"x": x}, {"label": label}, name="toy")
    loss = {"label": "sparse_categorical_crossentropy"}
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics={"label": ["accuracy"]}, jit_compile=False)
    return model


class DieIn(keras.callbacks.Callback):
    """Ends a training in the middle of an epoch, the way it is told to."""

    def __init__(self, epoch: int, how):
        super().__init__()
        self.die_epoch = epoch
        self.how = how
        self.now = -1

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.die_epoch and batch == 2:
            self.how()


def train_toy(out: Path, *, epochs: int, resume: bool = False, callbacks=(), **arguments) -> tuple[History, Run]:
    """Trains the toy model in a run folder."""
    strategy, points = arguments.pop("strategy", "none"), arguments.pop("points", 120)
    options = Options(out=out, resume=resume, seed=3, strategy=strategy, precision="float32")
    learning_rate = arguments.pop("learning_rate", 1e-2)
    run = start("toy train", {"options": options, "epochs": epochs}, workload="matmul")
    with run.strategy.scope():
        model = toy_model(learning_rate=learning_rate)
    arguments = {"monitor": "val_loss"} | arguments
    history = fit(model, toy_splits(points=points), run, epochs=epochs, batch_size=16, callbacks=callbacks, **arguments)
    run.finish({"accuracy": 1.0})
    return history, run


if __name__ == "__main__":
    out, epochs, die = sys.argv[1:4]
    how = signal.SIGTERM if "TERM" in sys.argv else signal.SIGKILL
    killer = DieIn(int(die), lambda: os.kill(os.getpid(), how))
    train_toy(Path(out), epochs=int(epochs), resume="RESUME" in sys.argv, callbacks=[killer])
