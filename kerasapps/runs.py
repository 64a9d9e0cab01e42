"""The run folder: where an experiment writes, and what it needs to be understood, resumed and used later.

config.json    the experiment, every option as resolved, the command, machine and versions
codec.json     what the model does not hold: vocabulary, class names, scales
history.csv    a row an epoch
metrics.json   name to number; there once the run is finished
model.keras    the best model
checkpoints/   the last state and the best weights
figures/       PNG files, and GIF files of what moves
report.html    all of it on one page
tensorboard/   logs for TensorBoard
"""

import fcntl
import json
import os
import re
import resource
import sys
import tempfile
import textwrap
import time
import weakref
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import keras
import numpy as np
import tensorflow as tf

from kerasapps import distribution, runtime, saving, tracking
from kerasapps.errors import UserError
from kerasapps.files import read_json, regular_file, replacing, write_atomically, write_json
from kerasapps.records import settings_recorded
from kerasapps.reports import Block, Command, render_report
from kerasapps.settings import Count, or_none, ranged
from kerasapps.tracking import Tracker

T = TypeVar("T")

# What may differ between a run and its resumption, whatever the command.
FREE_ON_RESUME = {"out", "resume", "track"}
# What only says how a command is called: no run records it.
UNRECORDED = {"config", "print_config"}
# What a run leaves behind; a folder without any of it can be started anew without losing anything.
RECORDS = ("metrics.json", "search.json", "history.csv", "model.keras", "checkpoints/*.npz")

# What a report links to, where it is; metrics.json is written after the report.
LINKED = (
    "model.keras",
    "metrics.json",
    "history.csv",
    "config.json",
    "codec.json",
    "best.json",
    "trials.csv",
    "result.png",
    "figures",
)


@dataclass(frozen=True)
class Options:
    """Options that every experiment shares.

    Args:
        out: The run folder; a new one under runs/ by default.
        seed: Seed of initial weights, data order and noise.
        strategy: Share each step among devices (`mirrored`; without a GPU it splits the CPU in two to try it) or among
            the workers that `python -m kerasapps.launch` starts (`multiworker`).
        precision: Dtype policy; `auto` takes mixed_bfloat16 where it is measured to be faster on this machine.
        scale_lr: Multiply the learning rate by the number of devices that share a step.
        deterministic: Also sum in the same order every time on a GPU, at some cost in speed.
        resume: Resume the run in --out from its last checkpoint.
        smoke: Shrink everything, to see within seconds whether it runs.
        limit: Use at most this many rows of each of training, validation and test set.
        track: Also log settings and metrics with MLflow or Weights & Biases (`pip install mlflow` or
            `pip install wandb`), which their own environment variables configure.
        config: Take all options from this config.json of an earlier run; what else is typed overrides them.
        print_config: Print the options as this command would record them, and do nothing else.

    Example:
        >>> options = Options(out="runs/mine", seed=1, strategy="mirrored", limit=1000)
    """

    out: Path | None = None
    seed: ranged(int, least=0, most=2**31 - 1) = 0
    strategy: distribution.StrategyName = "none"
    precision: runtime.Precision = "auto"
    scale_lr: bool = False
    deterministic: bool = False
    resume: bool = False
    smoke: bool = False
    limit: or_none(Count) = None
    track: Tracker = "none"
    config: Path | None = None
    print_config: bool = False

    def shrink(self, value: int, smoke_value: int) -> int:
        """Returns `value`, or with --smoke at most `smoke_value`."""
        return min(value, smoke_value) if self.smoke else value

    def shrunk(self, recipe: T, **most: int) -> T:
        """Returns a dataclass of options, with --smoke no number that `most` names larger than given there."""
        return replace(recipe, **{name: self.shrink(getattr(recipe, name), value) for name, value in most.items()})

    @property
    def rows(self) -> int | None:
        """How many rows of each set to use: --limit, or with --smoke at most 64."""
        return min(self.limit or 64, 64) if self.smoke else self.limit


@dataclass
class Run:
    """A run folder that this process holds, with the devices that its training runs on; `session.start` opens one.

    Of several workers only the first, the chief, writes to the run folder. The others do all that it does in a
    temporary folder, and read the chief's checkpoints.
    """

    title: str
    folder: Path
    chief_folder: Path  # the same, except on workers other than the chief
    options: Options
    config: dict[str, Any]
    strategy: tf.distribute.Strategy
    jit_compile: bool
    lock: BinaryIO
    scratch: tempfile.TemporaryDirectory | None = None  # holds `folder` on workers other than the chief
    resumed: dict[str, Any] | None = None  # settings of the run that this one resumes
    started: float = field(default_factory=time.perf_counter)

    @property
    def is_chief(self) -> bool:
        """Whether what this process writes stays."""
        return self.folder == self.chief_folder

    def checkpoint(self, name: str) -> Path:
        """Returns the path of a checkpoint, which the chief writes and all read."""
        path = self.chief_folder / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def path(self, *parts: str) -> Path:
        """Returns a path in the run folder, its parent made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def part(self, name: str, settings: dict[str, Any]) -> "Run":
        """Returns a run folder inside this one, for a second network with the same options except for `settings`."""
        folder = self.path(name, "config.json").parent
        config = self.config | {"settings": self.config["settings"] | settings}
        write_json(folder / "config.json", config)
        return replace(self, folder=folder, chief_folder=self.chief_folder / name, config=config)

    def save(self, model: keras.Model) -> None:
        """Writes model.keras."""
        save_model(model, self.path("model.keras"))

    def finish(
        self,
        metrics: dict[str, float],
        *,
        summary: str = "",
        headline: Sequence[str] = (),
        blocks: Sequence[Block] = (),
        commands: Sequence[Command] = (),
    ) -> dict[str, float]:
        """Writes figures, report and metrics; unlocks the folder.

        Args:
            metrics: Name to number, flat; `seconds` and `peak_memory_mib` of the process are added where missing.
            summary: One or two sentences for the head of the report.
            headline: Names of the metrics to show large.
            blocks: What the report shows, in order.
            commands: What may come next, for the report.

        Returns:
            The metrics as written.
        """
        for name, value in metrics.items():
            if np.ndim(value) or value is None or isinstance(value, str | bytes):
                raise ValueError(f"`metrics` must be numbers by name. Received: {name}={value!r}")
        unknown = set(headline) - {*metrics, "seconds", "peak_memory_mib"}
        if unknown:
            raise ValueError(f"`headline` must name metrics. Received: {', '.join(sorted(unknown))}")
        # The headline first: who lists many runs shows what comes first.
        metrics = {name: float(metrics[name]) for name in (*headline, *metrics) if name in metrics}
        metrics.setdefault("seconds", time.perf_counter() - self.started)
        unit = 1024**2 if sys.platform == "darwin" else 1024  # of ru_maxrss in a MiB
        metrics.setdefault("peak_memory_mib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
        for block in blocks:
            for name, content in getattr(block, "files", dict)().items():
                write_atomically(self.path("figures", name), content)
        html = render_report(
            self.config,
            metrics,
            summary=summary,
            headline=headline,
            blocks=blocks,
            commands=commands,
            files=[name for name in LINKED if name == "metrics.json" or self.folder.joinpath(name).exists()],
        )
        write_atomically(self.path("report.html"), html)
        # Last: a folder with metrics.json is a finished run.
        write_json(self.path("metrics.json"), metrics)
        self.close()
        tracking.finish(self.options.track if self.is_chief else "none", self.folder, self.config, metrics)
        return metrics

    def close(self) -> None:
        """Unlocks the folder."""
        self.lock.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error) -> None:
        self.close()


@dataclass(frozen=True)
class Claim:
    """A run folder that is locked, before anything is known of devices; the fields are those of `Run`."""

    folder: Path
    chief_folder: Path
    lock: BinaryIO
    scratch: tempfile.TemporaryDirectory | None
    before: dict[str, Any] | None  # config of the run that is resumed


def claim(title: str, settings: dict[str, Any], *, options: Options, free: Sequence[str]) -> Claim:
    """Makes and locks a run folder.

    Args:
        title: Names the folder where --out does not.
        settings: Every option with its value, flat.
        options: Those that every experiment shares.
        free: Settings that may differ when the run is resumed.

    Raises:
        UserError: If the folder holds another run, is in use or cannot be written, or is resumed with other options.
    """
    worker = distribution.this_worker(options.strategy)
    if options.strategy == "multiworker" and options.out is None:
        raise UserError("--strategy multiworker needs --out, a folder that all workers share.")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = re.sub(r"[\W_]+", "-", title.lower()).strip("-") or "run"
    chief_folder = options.out or Path("runs") / f"{name}-{stamp}"
    scratch = None if worker.is_chief else tempfile.TemporaryDirectory(prefix="kerasapps-")
    if scratch:
        distribution.at_end.append(scratch.cleanup)
    folder = Path(scratch.name) if scratch else chief_folder
    lock = _lock(folder)
    try:
        before = _taken_up(chief_folder, settings, resume=options.resume, free={*FREE_ON_RESUME, *free})
    except BaseException:
        lock.close()
        raise
    return Claim(folder, chief_folder, lock, scratch, before)


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the config of a run folder.

    Raises:
        UserError: If `folder` is none, or its config.json is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a run folder: it has no config.json.")
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict) or "precision" not in config:
        raise UserError(f"{path} is damaged: it is not what a run writes.")
    return config | {"settings": settings_recorded(config)}


def load_model(folder: Path) -> keras.Model:
    """Loads the best model of a run folder, uncompiled; nothing that it holds is executed.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    read_config(folder)
    path = folder / "model.keras"
    if not path.exists():
        raise UserError(f"{folder} has no model.keras yet: finish the run first, with --resume --out {folder}.")
    try:
        return _open_model(path)
    except UserError:
        raise
    except Exception as error:  # Keras raises whatever the damage leads to: zip, h5py, JSON, shapes, refused classes
        if isinstance(error, OSError) and error.filename:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from None
        raise UserError(f"{path} is damaged or not a model of this program: {_reason(error)}.") from error


def _open_model(path: Path) -> keras.Model:
    """Returns a saved model; Keras itself reports "File not found" for whatever is not a readable zip file."""
    with regular_file(path).open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a whole Keras file")
    model = saving.load_model(path)
    if not isinstance(model, keras.Model):
        raise ValueError(f"it holds a {type(model).__name__}")
    return model


def _reason(error: Exception) -> str:
    """Returns the sentence of an error that says most: what Keras did not find or refused, or else the first one."""
    sentences = re.split(r"\.(?:\s|$)", str(error).strip('"'))
    telling = [one for one in sentences if "Could not locate" in one or "Lambda" in one]
    return textwrap.shorten((telling or sentences)[0], 160, placeholder="…") or type(error).__name__


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model so that a reader finds the old file or the new one, never half of one."""
    # Keras insists on the ending.
    with replacing(path, suffix=".keras") as temporary, distribution.as_built(model):
        model.save(temporary)


# Weak, so that a run that its caller has dropped is unlocked as well.
_held: weakref.WeakSet[BinaryIO] = weakref.WeakSet()


def release() -> None:
    """Unlocks the run folders of a command that has ended, however it did; at the end of a process the system does."""
    while _held:
        _held.pop().close()


def _lock(folder: Path) -> BinaryIO:
    """Makes the folder and holds its lock, which the system frees even after kill -9."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "wb")  # noqa: SIM115 - held as long as the run lasts
    except FileExistsError:
        raise UserError(f"{folder} is a file; --out takes a folder.") from None
    except OSError as error:
        raise UserError(f"Cannot write into {folder}: {error.strerror}. Choose another --out.") from error
    # A notebook runs a cell again while the run of the first time is still at hand: the new one takes over.
    for earlier in [one for one in _held if not one.closed]:
        if os.path.sameopenfile(earlier.fileno(), lock.fileno()):
            earlier.close()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise UserError(f"{folder} is in use by another process. Wait for it, or choose another --out.") from None
    _held.add(lock)
    return lock


def _has_begun(folder: Path, config: dict | None) -> bool:
    """Tells whether a folder holds what a new run there would destroy.

    Raises:
        UserError: If it holds something that is no run.
    """
    if config is not None:
        return any(next(folder.rglob(record), None) for record in RECORDS)
    # kerasapps.launch keeps the logs of its workers there before there is a run.
    content = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - {"workers"}
    if content:
        raise UserError(f"{folder} is not empty and holds no run. Choose another --out.")
    return False


def _taken_up(folder: Path, settings: dict[str, Any], *, resume: bool, free: set[str]) -> dict[str, Any] | None:
    """Returns the config of the run that a folder holds, None for an empty one.

    Raises:
        UserError: If there is one that is not to be resumed, or not with these settings.
    """
    before = read_config(folder) if (folder / "config.json").exists() else None
    if not folder.is_dir() or not _has_begun(folder, before):
        return None
    if not resume:
        state = "a finished run" if (folder / "metrics.json").exists() else "an unfinished run"
        raise UserError(f"{folder} holds {state}. Add --resume to continue it, or choose another --out.")
    _check_same_settings(folder, before["settings"], settings, free=free)
    return before


def _check_same_settings(folder: Path, before: dict[str, Any], settings: dict[str, Any], *, free: set[str]) -> None:
    """Refuses to resume a run with other options; those that the version that began it did not have are new."""
    now = json.loads(json.dumps(settings, default=str))
    for name in sorted(before.keys() - free):
        if before[name] != now.get(name):
            changed = f"--{name.replace('_', '-')} {before.get(name)}, not {now.get(name)}"
            raise UserError(f"{folder} was run with {changed}: a resumed run keeps its options.")
