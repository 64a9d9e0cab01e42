"""Checkpoints, written after each epoch and when a signal asks a training to stop, from which it resumes exactly."""

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasapps import distribution, startup
from kerasapps.errors import UserError
from kerasapps.files import atomic_file, regular_file, write_atomically
from kerasapps.optimizers import optimizers_of
from kerasapps.records import current_metrics
from kerasapps.runs import Run
from kerasapps.workers import watchdog

AGREE_STEPS = 4  # after which several workers check whether one of them was asked to stop
LAST, PREVIOUS, BEST = "last.npz", "previous.npz", "best.npz"


class Checkpoints(keras.callbacks.Callback):
    """Writes history and checkpoint after each epoch, keeps the best weights, stops when patience runs out.

    Its whole state is the rows of the history and, within an epoch, the number of steps done and the sums of the
    metrics: a checkpoint holds no more than these and the variables.
    """

    def __init__(self, model: keras.Model, run: Run, *, monitor: str, maximize: bool, patience: int | None, steps: int):
        super().__init__()
        self.network = model
        self.run = run
        self.monitor = monitor
        self.maximize = maximize
        self.patience = patience
        self.steps = steps
        self.step = 0  # steps of the current epoch that were done before this process started
        self.sums: list[np.ndarray] = []  # of its metrics
        self.stopping = False
        self.rows: list[dict[str, float]] = []
        self.seconds_before = 0.0
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of training, over all resumes."""
        return self.seconds_before + time.perf_counter() - self.started

    def best_epoch(self) -> int:
        """Returns the number of the best epoch, counted from 1, the first of equals; 0 without any."""
        if not self.rows:
            return 0
        sign = 1 if self.maximize else -1
        # NaN is worse than any number.
        values = [-math.inf if math.isnan(row[self.monitor]) else sign * row[self.monitor] for row in self.rows]
        return values.index(max(values)) + 1

    def spans(self, epochs: int) -> Iterator[tuple[int, int, int]]:
        """Yields the epochs that are left: first the rest of an interrupted one, then whole ones.

        Args:
            epochs: Epochs of the whole training.

        Yields:
            The first epoch, counted from 0, the one after the last, and how many steps of the first are done.

        Raises:
            UserError: If the interrupted epoch has fewer steps now.
        """
        done, begun = len(self.rows), self.step
        if begun >= self.steps:
            raise UserError(
                f"{self.run.folder} was stopped after step {begun} of an epoch, which now has only {self.steps} steps."
            )
        self.network.stop_training = False
        for span in [(done, done + 1, begun), (done + 1, epochs, 0)] if begun else [(done, epochs, 0)]:
            if span[0] < min(span[1], epochs) and not self.out_of_patience() and not self.network.stop_training:
                yield span

    def out_of_patience(self) -> bool:
        """Returns whether the best epoch was `patience` epochs ago."""
        return self.patience is not None and len(self.rows) - self.best_epoch() >= self.patience > 0

    def on_train_batch_end(self, batch, logs=None):
        """Saves and exits if asked to; after the last step of an epoch only once it is evaluated."""
        watchdog.enter("step")
        if self.sums:
            # Keras resets metrics at the start of an epoch; only from the first step on do they surely exist.
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
        """Reports progress to the watchdog."""
        watchdog.enter("step")

    def on_epoch_end(self, epoch, logs=None):
        """Writes checkpoint and history."""
        if self.monitor not in (logs or {}):
            raise ValueError(f"`monitor` must be one of {sorted(logs or {})}. Received: monitor={self.monitor!r}")
        self.rows.append({name: float(value) for name, value in logs.items()})
        self.step = 0
        if self.run.is_chief:
            if self.best_epoch() == len(self.rows):
                save_variables(self.run.checkpoint(BEST), self.network.variables)
            self._save_last()
            self._write_history()
        if self._asked(0):
            distribution.gather(self.run.strategy, [0])
            self.exit_saved()
        if self.out_of_patience():
            self.network.stop_training = True
        # In their next step the others wait for the chief, which may still be writing.
        watchdog.enter("step" if self.run.is_chief else "save")

    def on_train_begin(self, logs=None):
        """Tells the watchdog that a training starts, perhaps not the first one."""
        watchdog.enter("start")

    def _asked(self, step: int) -> bool:
        """Returns whether this or another worker was asked to stop; workers agree on it every few steps."""
        if not distribution.is_multiworker(self.run.strategy):
            return self.stopping
        return step % AGREE_STEPS == 0 and bool(distribution.gather(self.run.strategy, [self.stopping]).any())

    def _save_last(self, *, step: int = 0, sums: Sequence[list] = ()) -> None:
        watchdog.enter("save")
        state = {"rows": self.rows, "seconds": self.seconds, "step": step, "sums": list(sums)}
        last, previous = self.run.checkpoint(LAST), self.run.checkpoint(PREVIOUS)
        save_variables(last, self._everything(), state=state, previous=previous)

    def _write_history(self) -> None:
        write_atomically(self.run.path("history.csv"), _csv(self.rows))

    def exit_saved(self) -> None:
        """Exits with the status of a process that was asked to stop."""
        print(f"\nStopped: saved in {self.run.chief_folder}. Continue with --resume.", file=sys.stderr, flush=True)
        distribution.exit_now(startup.STOPPED)
        raise SystemExit(startup.STOPPED)

    def load(self) -> None:
        """Loads the last checkpoint, if there is one, or the one before if that is damaged.

        Raises:
            UserError: If no checkpoint can be read, or it is of another network; if workers read different ones.
        """
        # Before the first step an optimizer has no variables that could be set.
        with self.run.strategy.scope():
            for optimizer in optimizers_of(self.network):
                if not optimizer.built:
                    optimizer.build(self.network.trainable_variables)
        last, previous = self.run.checkpoint(LAST), self.run.checkpoint(PREVIOUS)
        if not (last.exists() or previous.exists()):
            return
        state = load_variables(last, self._everything(), previous=previous)
        if not isinstance(state, dict) or not {"rows", "seconds", "step", "sums"} <= state.keys():
            raise UserError(f"{last} is not the checkpoint of a training.")
        distribution.check_alike(self.run.strategy, checkpoints=distribution.digest(json.dumps(state).encode()))
        experiment = self.run.config["experiment"]
        self.rows = [current_metrics(row, experiment) for row in state["rows"]]
        self.seconds_before, self.step = state["seconds"], state["step"]
        self.sums = [np.array(one, np.float32) for one in state["sums"]]
        if self.run.is_chief and self.rows:
            self._write_history()  # a kill may have come between the checkpoint and the history
        self._check_best()

    def _check_best(self) -> None:
        """Reports damaged best weights now, not after the training."""
        path = self.run.checkpoint(BEST)
        if path.exists():
            try:
                load_arrays(path)
            except UserError as error:
                raise UserError(f"{error} Delete it to finish with the last weights instead of the best.") from None

    def _everything(self) -> list:
        """Returns all variables of the network and of its optimizers."""
        states = [variable for optimizer in optimizers_of(self.network) for variable in optimizer.variables]
        return [*self.network.variables, *states]

    def restore_best(self) -> None:
        """Gives the model the weights of its best epoch; before the end of the first one they stay as they are."""
        distribution.gather(self.run.strategy, [0])  # until the chief has written it
        path = self.run.checkpoint(BEST)
        if distribution.is_multiworker(self.run.strategy):
            weights = distribution.digest(path.read_bytes() if path.exists() else b"")
            distribution.check_alike(self.run.strategy, best_weights=weights)
        if path.exists():
            load_variables(path, self.network.variables)


@contextlib.contextmanager
def asked_to_stop(keeper: Checkpoints) -> Iterator[None]:
    """On SIGTERM or SIGHUP saves and exits after the next step, or the next one at which several workers agree."""

    def ask(*_):
        keeper.stopping = True

    with startup.when_stopped(ask):
        yield


# --- files


def save_variables(path: Path, variables: Sequence, *, state: Any = None, previous: Path | None = None) -> None:
    """Writes variables and a state into one file; see `save_arrays`."""
    arrays = {f"{i:04d}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
    save_arrays(path, arrays, state, previous=previous)


def load_variables(path: Path, variables: Sequence, *, previous: Path | None = None) -> Any:
    """Sets variables from a file that `save_variables` wrote, and returns the state; see `load_arrays`.

    Raises:
        UserError: If the file is damaged, or number, shapes or dtypes of the variables differ.
    """
    arrays, state = load_arrays(path, previous=previous)
    arrays = [arrays[name] for name in sorted(arrays)]
    expected = [(tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype)) for variable in variables]
    if [(array.shape, array.dtype.name) for array in arrays] != expected:
        raise UserError(f"{path} is the checkpoint of another network.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def save_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], state: Any = None, *, previous: Path | None = None
) -> None:
    """Writes arrays, and a state that JSON can hold, into one file, atomically and with checksums.

    Args:
        path: The file, an uncompressed .npz.
        arrays: Arrays by name; "state" is taken.
        state: What is not an array.
        previous: Where the file that is replaced is kept, for `load_arrays`.
    """
    spare = None if previous is None else previous.with_name(f".{previous.name}")
    if spare is not None and path.exists():
        spare.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # without hard links, as on FAT, no earlier file is kept
            os.link(path, spare)
    with atomic_file(path) as file:
        told = json.dumps(state)
        np.savez(file, state=np.array([told, _checksum(told, arrays)]), **arrays)
    # Only now: should the replaced file be damaged, there is a whole one at every moment.
    if spare is not None and spare.exists():
        os.replace(spare, previous)


def load_arrays(path: Path, *, previous: Path | None = None) -> tuple[dict[str, np.ndarray], Any]:
    """Reads what `save_arrays` wrote, never executing anything; if it is damaged, the file before, and says so.

    Returns:
        Arrays by name, and the state.

    Raises:
        UserError: If no file is whole.
    """
    try:
        return _read(path)
    except UserError as error:
        if previous is None or not previous.exists():
            raise
        found = _read(previous)
        print(f"{error} Resuming from the checkpoint before it, {previous.name}.", file=sys.stderr, flush=True)
        return found


def _read(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    regular_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        told, *checksum = arrays.pop("state" if "state" in arrays else "told").reshape(-1).tolist()
        # The checksums of the archive itself do not notice an array that is missing. Earlier versions had no other, and
        # paintings called the state "told".
        if checksum and checksum != [_checksum(told, arrays)]:
            raise ValueError("its checksum differs")
        return arrays, json.loads(told)
    except Exception as error:  # damage may raise nearly anything
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from None
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{path} is damaged, or not a checkpoint: {reason}.") from None


def _checksum(told: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(told.encode(), digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array)
    return digest.hexdigest()


def _csv(rows: list[dict[str, float]]) -> str:
    """Returns the rows as a CSV table with the number of the epoch first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"epoch": i, **row} for i, row in enumerate(rows, start=1))
    return text.getvalue()
