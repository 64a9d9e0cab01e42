"""`fit`: Keras' own loop with keep-best, logs, early stopping, a clear end on NaN, and exact resume."""

import contextlib
import csv
import io
import json
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasapps import distribution, watchdog
from kerasapps.data.splits import Splits
from kerasapps.errors import TrainingError, UserError
from kerasapps.runs import Run, save_model, write_atomically

AGREE_STEPS = 4  # after which several workers tell one another whether one was asked to stop


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
    therefore ends where it would have ended. SIGTERM, which comes before a machine is taken away, saves within an epoch
    and leaves with status 143.

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
    distribution.prepare(model)
    if run.options.scale_lr:
        for optimizer in optimizers_of(model):
            scale_learning_rate(optimizer, run.strategy.num_replicas_in_sync)
    # Replicas need equal shares, and a short last batch would give some of them none.
    drop_remainder = distribution.is_distributed(run.strategy)
    steps = splits.train.steps(batch_size, drop_remainder=drop_remainder)
    if steps == 0:
        raise UserError(f"--batch-size {batch_size} is more than the {len(splits.train)} rows to train on.")
    if batch_size % run.strategy.num_replicas_in_sync:
        replicas = run.strategy.num_replicas_in_sync
        raise UserError(f"--batch-size {batch_size} cannot be shared equally by {replicas} devices.")
    if distribution.is_multiworker(run.strategy):
        last = run.checkpoint("last.npz")
        distribution.check_alike(
            run.strategy,
            data=distribution.digest(*(part.digest() for part in (splits.train, splits.validation, splits.test))),
            checkpoint=distribution.digest(last.read_bytes() if last.exists() else b""),
        )
    keeper = Checkpoints(model, run, monitor=monitor, patience=patience, steps=steps)
    keeper.load()
    interrupted = False
    bar = ProgressBar(epochs, steps)
    # What is left of an epoch that was stopped within, and then whole ones.
    done, begun = len(keeper.rows), keeper.step
    if begun >= steps:
        raise UserError(f"{run.folder} was stopped after step {begun} of an epoch, and now an epoch has only {steps}.")
    spans = [(done, min(done + 1, epochs), begun), (done + 1, epochs, 0)] if begun else [(done, epochs, 0)]
    with asked_to_stop(keeper):
        try:
            for first, last, skip in spans:
                if first >= last or keeper.out_of_patience() or (first > done and model.stop_training):
                    continue
                batches = splits.train.epochs(
                    batch_size,
                    seed=run.options.seed,
                    first=first,
                    last=last,
                    skip=skip,
                    drop_remainder=drop_remainder,
                )
                model.fit(
                    distribution.shard_rows(batches),
                    initial_epoch=first,
                    epochs=last,
                    steps_per_epoch=steps - skip,
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
            distribution.leave(128 + signal.SIGINT)
            interrupted = True
        except TrainingError:
            keeper.restore_best()
            save_model(model, run.path("model.keras"))  # its best epoch, which is of use even if no further one is
            raise
        finally:
            bar.progress.stop()  # Keras calls no callback on the way out of an exception
    if keeper.stopping:
        keeper.leave()
    watchdog.enter("end")
    keeper.restore_best()
    save_model(model, run.path("model.keras"))
    return History(keeper.rows, keeper.best_epoch(), interrupted, keeper.seconds)


class Checkpoints(keras.callbacks.Callback):
    """Writes history and checkpoint after each epoch, keeps the best weights, stops when patience runs out.

    Everything it knows follows from the rows of the history and, where an epoch was stopped within, from the number of
    its steps and what the metrics had added up by then: these are all that a resume needs.
    """

    def __init__(self, model: keras.Model, run: Run, *, monitor: str, patience: int | None, steps: int):
        super().__init__()
        self.network = model
        self.run = run
        self.monitor = monitor
        self.patience = patience
        self.steps = steps
        self.step = 0  # steps of the current epoch that were done before this process began
        self.sums: list[np.ndarray] = []  # of its metrics
        self.stopping = False
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

    def on_train_batch_end(self, batch, logs=None):
        """Saves and leaves if asked to; after the last step of an epoch only once it is evaluated."""
        watchdog.enter("step")
        if self.sums:
            # Metrics add up from 0 in every epoch, and this is the first moment at which they are sure to be there.
            for variable, before in zip(self.network.metrics_variables, self.sums, strict=True):
                variable.assign(variable + before)
            self.sums = []
        step = self.step + batch + 1
        if step < self.steps and self._asked(step):
            sums = [keras.ops.convert_to_numpy(one).tolist() for one in self.network.metrics_variables]
            if self.run.is_chief:
                self._save_last(step=step, sums=sums)
            distribution.gather(self.run.strategy, [0])  # until the chief has written it
            self.leave()

    def on_test_batch_end(self, batch, logs=None):
        """Says that something happens."""
        watchdog.enter("step")

    def on_epoch_end(self, epoch, logs=None):
        """Writes the epoch down."""
        if self.monitor not in (logs or {}):
            raise ValueError(f"`monitor` must be one of {sorted(logs or {})}. Received: monitor={self.monitor!r}")
        self.rows.append({name: float(value) for name, value in logs.items()})
        self.step = 0
        if self.run.is_chief:
            if self.best_epoch() == len(self.rows):
                save_variables(self.run.checkpoint("best.npz"), self.network.variables)
            self._save_last()
            write_atomically(self.run.path("history.csv"), _csv(self.rows))
        if self._asked(0):
            distribution.gather(self.run.strategy, [0])
            self.leave()
        if self.out_of_patience():
            self.network.stop_training = True
        # The others wait in their next step for the chief, who writes.
        watchdog.enter("step" if self.run.is_chief else "save")

    def on_train_begin(self, logs=None):
        """Says that a network starts, perhaps not the first one."""
        watchdog.enter("start")

    def _asked(self, step: int) -> bool:
        """Tells whether this worker, or another one, was asked to stop; they agree now and then, and all at once."""
        if not distribution.is_multiworker(self.run.strategy):
            return self.stopping
        return step % AGREE_STEPS == 0 and bool(distribution.gather(self.run.strategy, [self.stopping]).any())

    def _save_last(self, *, step: int = 0, sums: Sequence[list] = ()) -> None:
        watchdog.enter("save")
        state = {"rows": self.rows, "seconds": self.seconds, "step": step, "sums": list(sums)}
        save_variables(self.run.checkpoint("last.npz"), self._everything(), state=state)

    def leave(self) -> None:
        """Ends this process, as it was asked to."""
        print(f"\nAsked to stop: saved in {self.run.chief_folder}. Go on with --resume.", file=sys.stderr, flush=True)
        distribution.leave(128 + signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)

    def load(self) -> None:
        """Takes up the last checkpoint, if there is one."""
        path = self.run.checkpoint("last.npz")
        # Before the first step an optimizer has no variables that could be set.
        with self.run.strategy.scope():
            for optimizer in optimizers_of(self.network):
                if not optimizer.built:
                    optimizer.build(self.network.trainable_variables)
        if path.exists():
            state = load_variables(path, self._everything())
            self.rows, self.seconds_before, self.step = state["rows"], state["seconds"], state["step"]
            self.sums = [np.array(one, np.float32) for one in state["sums"]]

    def _everything(self) -> list:
        """Returns all variables of the network and of what trains it."""
        states = [variable for optimizer in optimizers_of(self.network) for variable in optimizer.variables]
        return [*self.network.variables, *states]

    def restore_best(self) -> None:
        """Gives the model the weights of its best epoch; leaves them as they are before the first one."""
        distribution.gather(self.run.strategy, [0])  # until the chief has written it
        path = self.run.checkpoint("best.npz")
        if distribution.is_multiworker(self.run.strategy):
            weights = distribution.digest(path.read_bytes() if path.exists() else b"")
            distribution.check_alike(self.run.strategy, best_weights=weights)
        if path.exists():
            load_variables(path, self.network.variables)


@contextlib.contextmanager
def asked_to_stop(keeper: Checkpoints) -> Iterator[None]:
    """Has SIGTERM ask the keeper to save and leave after the next step, or the next at which several workers agree."""

    def ask(*_):
        keeper.stopping = True

    try:
        before = signal.signal(signal.SIGTERM, ask)
    except ValueError:  # outside the main thread signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def scale_learning_rate(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Multiplies the learning rate, constant or not."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # where the loss is scaled
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        optimizer._learning_rate = Scaled(rate, factor)
    else:
        rate.assign(rate * factor)


@keras.saving.register_keras_serializable(package="kerasapps")
class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a factor."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: float):
        self.schedule = schedule
        self.factor = factor

    def __call__(self, step):
        """Returns the learning rate of a step."""
        return self.factor * self.schedule(step)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "factor": self.factor}

    @classmethod
    def from_config(cls, config):
        """Makes it again."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["factor"])


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
