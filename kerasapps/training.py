"""`fit`: Keras' own loop with keep-best, logs, early stopping, a clear end on NaN, and exact resume."""

import csv
import io
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasapps import distribution
from kerasapps.data.splits import Splits
from kerasapps.errors import TrainingError, UserError
from kerasapps.runs import Run, save_model, write_atomically


@dataclass(frozen=True)
class History:
    """What happened, epoch by epoch.

    Args:
        rows: Metrics of each finished epoch, the first one first.
        best_epoch: Number of the epoch whose weights the model now has, counted from 1; 0 if none was finished.
        interrupted: Whether Ctrl-C ended it.
        seconds: Time spent training, that before a resume included.
    """

    rows: list[dict[str, float]]
    best_epoch: int
    interrupted: bool
    seconds: float


def fit(
    model: keras.Model,
    splits: Splits,
    run: Run,
    *,
    epochs: int,
    batch_size: int,
    monitor: str = "val_loss",
    patience: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> History:
    """Trains a compiled model, leaves it with the weights of its best epoch, and saves it in the run folder.

    After each epoch all variables (weights, moving statistics, the random generators of dropout) and the optimizer's
    go into one file, and the order of the rows depends on seed and epoch alone. A run that is killed and resumed
    therefore ends where it would have ended.

    Args:
        model: Built and compiled in the scope of `run.strategy`.
        splits: Training and validation part are used, the test part is not touched.
        run: The run folder; what it holds is taken up again.
        epochs: Passes over the training part, those before a resume included.
        batch_size: Rows in a step, over all devices.
        monitor: Metric that decides which epoch is best; the highest where its name ends in "accuracy", else the
            lowest.
        patience: Stop after this many epochs without a better one; never by default.
        callbacks: Callbacks without state of their own.

    Raises:
        TrainingError: If the loss is no longer a number. The model then has the best weights so far.
        UserError: If the run folder's checkpoint is of another network, or a batch holds more than the data.
        ValueError: If `epochs` or `batch_size` is under 1.
    """
    for name, value in {"epochs": epochs, "batch_size": batch_size}.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    keeper = Checkpoints(model, run, monitor=monitor, patience=patience)
    keeper.load()
    done = len(keeper.rows)
    # Replicas need equal shares, and a short last batch would give some of them none.
    drop_remainder = distribution.is_distributed(run.strategy)
    steps = splits.train.steps(batch_size, drop_remainder=drop_remainder)
    if steps == 0:
        raise UserError(f"--batch-size {batch_size} is more than the {len(splits.train)} rows to train on.")
    interrupted = False
    bar = ProgressBar(epochs, steps)
    if done < epochs and not keeper.out_of_patience():
        batches = splits.train.epochs(
            batch_size, seed=run.options.seed, first=done, last=epochs, drop_remainder=drop_remainder
        )
        try:
            model.fit(
                distribution.shard_rows(batches),
                initial_epoch=done,
                epochs=epochs,
                steps_per_epoch=steps,
                shuffle=False,  # `batches` are, reproducibly
                validation_data=distribution.shard_rows(splits.validation.batches(batch_size)),
                verbose=0,
                callbacks=[
                    *callbacks,
                    StopOnNaN(run),
                    bar,
                    keras.callbacks.TensorBoard(run.path("tensorboard"), write_graph=False),
                    keeper,  # last, so that what it saves is what the others have seen
                ],
            )
        except KeyboardInterrupt:
            interrupted = True
        except TrainingError:
            keeper.restore_best()
            save_model(model, run.path("model.keras"))  # its best epoch, which is of use even if no further one is
            raise
        finally:
            bar.progress.stop()  # Keras calls no callback on the way out of an exception
    keeper.restore_best()
    save_model(model, run.path("model.keras"))
    return History(keeper.rows, keeper.best_epoch(), interrupted, keeper.seconds)


class Checkpoints(keras.callbacks.Callback):
    """Writes history and checkpoint after each epoch, keeps the best weights, stops when patience runs out.

    Everything it knows follows from the rows of the history, so these are all that a resume needs.
    """

    def __init__(self, model: keras.Model, run: Run, *, monitor: str, patience: int | None):
        super().__init__()
        self.network = model
        self.run = run
        self.monitor = monitor
        self.patience = patience
        self.rows: list[dict[str, float]] = []
        self.seconds_before = 0.0
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time spent training, over all resumes."""
        return self.seconds_before + time.perf_counter() - self.started

    def best_epoch(self) -> int:
        """Returns the number of the best epoch, counted from 1, the first of equals; 0 without any."""
        if not self.rows:
            return 0
        sign = 1 if self.monitor.endswith("accuracy") else -1
        # What is not a number is worse than anything.
        values = [-math.inf if math.isnan(row[self.monitor]) else sign * row[self.monitor] for row in self.rows]
        return values.index(max(values)) + 1

    def out_of_patience(self) -> bool:
        """Tells whether the best epoch lies `patience` epochs back."""
        return self.patience is not None and len(self.rows) - self.best_epoch() >= self.patience > 0

    def on_epoch_end(self, epoch, logs=None):
        """Writes the epoch down."""
        if self.monitor not in (logs or {}):
            raise ValueError(f"`monitor` must be one of {sorted(logs or {})}. Received: monitor={self.monitor!r}")
        self.rows.append({name: float(value) for name, value in logs.items()})
        if self.best_epoch() == len(self.rows):
            save_variables(self.run.path("checkpoints", "best.npz"), self.network.variables)
        state = {"rows": self.rows, "seconds": self.seconds}
        save_variables(self.run.path("checkpoints", "last.npz"), self._everything(), state=state)
        write_atomically(self.run.path("history.csv"), _csv(self.rows))
        if self.out_of_patience():
            self.network.stop_training = True

    def load(self) -> None:
        """Takes up the last checkpoint, if there is one."""
        path = self.run.path("checkpoints", "last.npz")
        # Before the first step an optimizer has no variables that could be set.
        with self.run.strategy.scope():
            for optimizer in optimizers_of(self.network):
                if not optimizer.built:
                    optimizer.build(self.network.trainable_variables)
        if path.exists():
            state = load_variables(path, self._everything())
            self.rows, self.seconds_before = state["rows"], state["seconds"]

    def _everything(self) -> list:
        """Returns all variables of the network and of what trains it."""
        states = [variable for optimizer in optimizers_of(self.network) for variable in optimizer.variables]
        return [*self.network.variables, *states]

    def restore_best(self) -> None:
        """Gives the model the weights of its best epoch; leaves them as they are before the first one."""
        path = self.run.path("checkpoints", "best.npz")
        if path.exists():
            load_variables(path, self.network.variables)


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns what trains a model: its optimizer, or several, built, where it has a list `optimizers` of them."""
    return getattr(model, "optimizers", [model.optimizer])


class StopOnNaN(keras.callbacks.Callback):
    """Ends a training whose loss is no longer a number with a sentence on what to try."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Notes where we are."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the loss."""
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            kept = f"the best weights so far are in {self.run.folder}" if self.epoch else "no epoch was finished"
            raise TrainingError(
                f"The loss became {loss} in epoch {self.epoch + 1}; {kept}. "
                "Try a lower --learning-rate or --precision float32, and look for extreme values in the data."
            )


class ProgressBar(keras.callbacks.Callback):
    """One bar for the whole training on a terminal, one line an epoch in a log."""

    def __init__(self, epochs: int, steps: int):
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        self.progress.disable = not self.progress.console.is_terminal

    def on_train_begin(self, logs=None):
        """Shows the bar."""
        self.progress.start()
        self.task = None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts where a resumed run starts."""
        if self.task is None:
            total, done = self.epochs * self.steps, epoch * self.steps
            self.task = self.progress.add_task("", total=total, completed=done, epoch="", state="")
        self.progress.update(self.task, epoch=f"{epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar on."""
        self.progress.advance(self.task)

    def on_epoch_end(self, epoch, logs=None):
        """Says how the epoch went."""
        state = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        self.progress.update(self.task, state=state)
        if self.progress.disable:
            print(f"epoch {epoch + 1}/{self.epochs}  {state}", flush=True)


def save_variables(path: Path, variables: Sequence, *, state: dict | None = None) -> None:
    """Writes variables, and what JSON can hold beside them, into one file, atomically."""
    arrays = {f"{i:04d}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
    buffer = io.BytesIO()
    np.savez(buffer, state=np.array(json.dumps(state)), **arrays)
    write_atomically(path, buffer.getvalue())


def load_variables(path: Path, variables: Sequence) -> dict | None:
    """Sets variables from a file that `save_variables` wrote, and returns the state beside them.

    Raises:
        UserError: If number or shapes of the variables differ.
    """
    with np.load(path) as file:
        arrays = [file[name] for name in sorted(set(file.files) - {"state"})]
        state = json.loads(str(file["state"]))
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise UserError(f"{path} is the checkpoint of another network.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def _csv(rows: list[dict[str, float]]) -> str:
    """Returns a table with the number of the epoch in front."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"epoch": i, **row} for i, row in enumerate(rows, start=1))
    return text.getvalue()
