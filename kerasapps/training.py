"""`fit`: Keras' own loop with keep-best, logs, early stopping, a clear end on NaN, and exact resume."""

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasapps import distribution, tracking
from kerasapps.checkpoints import Checkpoints, asked_to_stop
from kerasapps.data.splits import Split, Splits
from kerasapps.errors import TrainingError, UserError
from kerasapps.formats import format_metric, label_of
from kerasapps.optimizers import optimizers_of, scale_learning_rate
from kerasapps.runs import Run
from kerasapps.workers import watchdog


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
    maximize: bool = False,
    patience: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> History:
    """Trains a compiled model, leaves it with the weights of its best epoch, and saves it in the run folder.

    After each epoch all variables (weights, moving statistics, the random generators of dropout) and the optimizer's
    go into one file, and the order of the rows depends on seed and epoch alone. A run that is killed and resumed
    therefore ends where it would have ended. SIGTERM, which comes before a machine is taken away, saves within an epoch
    and leaves with status 143.

    Args:
        model: Built and compiled in the scope of `run.strategy`. Its own random numbers, in an own `train_step` for
            example, come from a `keras.random.SeedGenerator` among its attributes, or a resume is not exact.
        splits: Training and validation set are used, the test set is not touched.
        run: The run folder; the checkpoint that it holds is resumed. The epochs of `start`'s settings are not read.
        epochs: Epochs over the training set, including those before a resume.
        batch_size: Rows in a step, over all devices.
        monitor: Metric that decides which epoch is best.
        maximize: Whether high values of it are good.
        patience: Stop after this many epochs without a better one; never by default.
        callbacks: Callbacks without state of their own.

    Raises:
        TrainingError: If the loss is no longer a number. The model then has the best weights so far.
        UserError: If the run folder's checkpoint is of another network, or a batch holds more than the data.
        ValueError: If `epochs` or `batch_size` is under 1, the model is not built and compiled, the data are no
            `Splits`, or no metric is called as `monitor`.

    Example:
        >>> splits = Splits(Split(points, ages), Split(points, ages))  # float32 (n, 2) and (n, 1)
        >>> with start("Ages", options=Options(out="runs/ages", precision="float32")) as run:
        ...     with run.strategy.scope():
        ...         model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        ...         model.compile("adam", "mse")
        ...     history = fit(model, splits, run, epochs=2, batch_size=4)
        ...     run.finish({"val_loss": history.rows[-1]["val_loss"]})
    """
    _check(model, splits, monitor=monitor)
    for name, value in {"epochs": epochs, "batch_size": batch_size}.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    steps = check_batches(splits, run, batch_size=batch_size)
    distribution.prepare(model)
    if run.options.scale_lr:
        for optimizer in optimizers_of(model):
            scale_learning_rate(optimizer, run.strategy.num_replicas_in_sync)
    keeper = Checkpoints(model, run, monitor=monitor, maximize=maximize, patience=patience, steps=steps)
    keeper.load()
    bar = ProgressBar(epochs, steps)
    watchers = [
        *callbacks,
        StopOnNaN(run),
        bar,
        keras.callbacks.TensorBoard(run.path("tensorboard"), write_graph=False),
    ]
    validation = splits.validation
    if validation is not None:
        replicas = run.strategy.num_replicas_in_sync
        validation = distribution.shard_rows(validation.batches(batch_size, replicas=replicas))
    interrupted = False
    tracker = run.options.track if run.is_chief else "none"
    with asked_to_stop(keeper), tracking.tracked(tracker, run.folder, run.config) as logs:
        try:
            for first, last, skip in keeper.spans(epochs):
                batches = splits.train.epochs(
                    batch_size,
                    seed=run.options.seed,
                    first=first,
                    last=last,
                    skip=skip,
                    drop_remainder=distribution.is_distributed(run.strategy),
                )
                model.fit(
                    distribution.shard_rows(batches),
                    initial_epoch=first,
                    epochs=last,
                    steps_per_epoch=steps - skip,
                    shuffle=False,  # `batches` are, reproducibly
                    validation_data=validation,
                    verbose=0,
                    callbacks=[*watchers, *logs, keeper],  # last, so that it saves what the others have seen
                )
        except KeyboardInterrupt:
            distribution.exit_now(128 + signal.SIGINT)
            interrupted = True
        except TrainingError:
            keeper.restore_best()
            run.save(model)  # its best epoch, which is of use even if no further one is
            raise
        finally:
            bar.progress.stop()  # Keras calls no callback on the way out of an exception
    if keeper.stopping:
        keeper.exit_saved()
    watchdog.enter("end")
    keeper.restore_best()
    run.save(model)
    return History(keeper.rows, keeper.best_epoch(), interrupted, keeper.seconds)


def _check(model: keras.Model, splits: Splits, *, monitor: str) -> None:
    """Refuses what `fit` of Keras would take, or refuse in many lines."""
    if not isinstance(splits, Splits) or not isinstance(splits.train, Split):
        raise ValueError(
            "`splits` must be Splits(Split(inputs, targets), ...) of arrays, from whose rows an exact resume makes its "
            f"batches; what a `tf.data` pipeline maps goes into `read`. Received: {type(splits).__name__}"
        )
    if not getattr(model, "compiled", False) or not model.variables:
        state = "built, and not compiled" if getattr(model, "variables", None) else "not built"
        rule = "be compiled and have weights: begin it with keras.Input, or call it once"
        raise ValueError(f"`model` must {rule}. Received: a model that is {state}")
    if splits.validation is None and monitor.startswith("val_"):
        raise ValueError(
            f'`monitor` must be a training metric, such as "loss", without validation. Received: {monitor}'
        )


def check_batches(splits: Splits, run: Run, *, batch_size: int) -> int:
    """Returns the steps of an epoch; waits until all workers have come to it.

    Raises:
        UserError: If a batch holds more than the data or cannot be shared equally; if workers have other data, or read
            other checkpoints, than the first.
    """
    replicas = run.strategy.num_replicas_in_sync
    # Replicas need equal shares, and a short last batch would give some of them none.
    steps = splits.train.steps(batch_size, drop_remainder=distribution.is_distributed(run.strategy))
    if steps == 0:
        raise UserError(f"--batch-size {batch_size} is more than the {len(splits.train)} rows to train on.")
    if (8 if splits.train.by_tokens else batch_size) % replicas:
        raise UserError(f"--batch-size {batch_size} cannot be shared equally by {replicas} devices.")
    if distribution.is_multiworker(run.strategy):
        last = run.checkpoint("last.npz")
        distribution.check_alike(
            run.strategy,
            data=distribution.digest(
                *(part.digest() for part in (splits.train, splits.validation, splits.test) if part is not None)
            ),
            checkpoints=distribution.digest(last.read_bytes() if last.exists() else b""),
        )
    return steps


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
        if "loss" not in logs:
            raise ValueError(f'`train_step` must return the "loss" among its metrics. Received: {", ".join(logs)}')
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
        state = "  ".join(f"{label_of(name)} {format_metric(name, value)}" for name, value in logs.items())
        self.progress.update(self.task, state=state)
        if self.progress.disable:
            print(f"epoch {epoch + 1}/{self.epochs}  {state}", flush=True)
