"""What a training writes after each epoch, and within one if it is asked to stop, to go on from there exactly."""

import contextlib
import csv
import io
import json
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

from kerasapps import distribution
from kerasapps.errors import UserError
from kerasapps.optimizers import optimizers_of
from kerasapps.runs import Run, atomic_file, write_atomically
from kerasapps.workers import watchdog

AGREE_STEPS = 4  # after which several workers tell one another whether one was asked to stop


class Checkpoints(keras.callbacks.Callback):
    """Writes history and checkpoint after each epoch, keeps the best weights, stops when patience runs out.

    Everything it knows follows from the rows of the history and, where an epoch was stopped within, from the number of
    its steps and what the metrics had added up by then: these are all that a resume needs.
    """

    def __init__(self, model: keras.Model, run: Run, *, monitor: str, maximize: bool, patience: int | None, steps: int):
        super().__init__()
        self.network = model
        self.run = run
        self.monitor = monitor
        self.maximize = maximize
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
        sign = 1 if self.maximize else -1
        # What is not a number is worse than anything.
        values = [-math.inf if math.isnan(row[self.monitor]) else sign * row[self.monitor] for row in self.rows]
        return values.index(max(values)) + 1

    def spans(self, epochs: int) -> Iterator[tuple[int, int, int]]:
        """Yields what is left to do: what remains of an epoch that was stopped within, and then whole ones.

        Args:
            epochs: Of the whole training.

        Yields:
            The first epoch, counted from 0, the one behind the last, and how many steps of the first are done.

        Raises:
            UserError: If such an epoch has fewer steps now.
        """
        done, begun = len(self.rows), self.step
        if begun >= self.steps:
            raise UserError(
                f"{self.run.folder} was stopped after step {begun} of an epoch, and now an epoch has only {self.steps}."
            )
        self.network.stop_training = False
        for span in [(done, done + 1, begun), (done + 1, epochs, 0)] if begun else [(done, epochs, 0)]:
            if span[0] < min(span[1], epochs) and not self.out_of_patience() and not self.network.stop_training:
                yield span

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
            self.exit_saved()

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
            self.exit_saved()
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

    def exit_saved(self) -> None:
        """Ends this process, as it was asked to."""
        print(f"\nAsked to stop: saved in {self.run.chief_folder}. Go on with --resume.", file=sys.stderr, flush=True)
        distribution.exit_now(128 + signal.SIGTERM)
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


def save_variables(path: Path, variables: Sequence, *, state: dict | None = None) -> None:
    """Writes variables, and what JSON can hold beside them, into one file, atomically."""
    arrays = {f"{i:04d}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
    with atomic_file(path) as file:
        np.savez(file, state=np.array(json.dumps(state)), **arrays)


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
